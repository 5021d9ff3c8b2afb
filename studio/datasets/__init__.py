"""Data sets as people work with them: brought in, opened with what was said of them, edited, and given out."""

"""Taste: what somebody likes and dislikes of pictures, read from their comments, and what follows from it."""

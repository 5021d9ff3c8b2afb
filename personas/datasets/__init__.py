"""Data sets: what pictures of somebody hold, which of them a training can learn from, and why not others."""

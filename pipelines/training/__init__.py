"""Trainers: each recipe is one file that reads from top to bottom."""

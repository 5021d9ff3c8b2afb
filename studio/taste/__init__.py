"""Tastes of owners: comments read and kept, votes, and what follows from them for what is drawn."""

"""Measures: picture in, numbers out. Each file measures one thing."""

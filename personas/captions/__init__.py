"""Captions that a training learns from: what a picture shows as facts, what of them is said, and what must not be."""

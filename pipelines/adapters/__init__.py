"""Adapters that plug into a loaded model: read from files, checked, installed."""

"""Requests in, pictures out: one sampling loop for all families, and what plugs into it."""

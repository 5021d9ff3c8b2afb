"""The pages: one module a task."""

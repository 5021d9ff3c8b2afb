"""The miniature's finishing network: pairs to learn from, and its training. `python -m miniature.finishing`."""

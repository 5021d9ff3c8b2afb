"""Values that rooms hand to each other: requests, results, post sets, capabilities. Frozen; neither torch nor SQL."""

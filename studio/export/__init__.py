"""Export: bundles, manifests, platforms, provenance labels; and what comes back from them."""

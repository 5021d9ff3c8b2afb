"""What leaves the studio: bundles, manifests, platforms, provenance labels; and what comes back from them."""

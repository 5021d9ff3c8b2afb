"""Ways to inject a reference into a picture: one file a way, one line in `pipelines.references.catalogue`."""

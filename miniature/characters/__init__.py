"""The miniature's character adapter: its pairs of pictures, its training, its export (`python -m miniature.characters`)."""

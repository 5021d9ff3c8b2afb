"""The miniature's eyes: a face detector, two face recognisers and a reader of regions, keypoints and attributes."""

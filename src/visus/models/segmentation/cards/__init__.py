"""The cards of the segmentation networks, one file a family."""

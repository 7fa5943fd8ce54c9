"""The cards of the classification networks, one file a family."""

"""The cards of the networks for landmarks, one file a family."""

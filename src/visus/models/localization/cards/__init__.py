"""The cards of the networks for localization, one file a family."""

"""The cards of the detectors, one file a family."""

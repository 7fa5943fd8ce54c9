"""Scores of predictions, in numpy and with maintained libraries."""

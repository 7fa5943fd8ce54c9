"""Divides, samples and joins data sets; their files stay as they are."""

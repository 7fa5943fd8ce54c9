"""Formats of published data sets."""

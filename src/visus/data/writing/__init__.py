"""Writes data sets in the formats of other tools."""

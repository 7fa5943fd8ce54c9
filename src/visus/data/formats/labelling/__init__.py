"""The files of labelling tools."""

"""From a folder or a file to a data set: opening, splits, named sets, its fingerprint."""

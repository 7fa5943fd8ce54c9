"""A folder for each class."""

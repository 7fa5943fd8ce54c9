"""Losses that any network of a task may use."""

"""Filled-in recipes."""

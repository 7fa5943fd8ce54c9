"""Experiments that repeat published figures, at a size that a CPU can do."""

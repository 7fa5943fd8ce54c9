"""Published figures, run again by name at a size that a CPU can do."""

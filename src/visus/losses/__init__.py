"""Loss functions that any network of a task may use."""

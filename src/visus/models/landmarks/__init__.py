"""Networks that find named points."""

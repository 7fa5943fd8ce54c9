"""The papers' networks, by task: one paper, one file."""

"""Text, JSON and XML files of labels, read safely in any encoding."""

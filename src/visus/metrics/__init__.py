"""Scores, over well-kept libraries; numpy."""

"""Answers over HTTP, and the page that asks: limits, queue, batches, metrics."""

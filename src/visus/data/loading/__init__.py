"""Batches of ready images, made by several processes."""

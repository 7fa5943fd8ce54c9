"""Geometry of boxes over torchvision.ops."""

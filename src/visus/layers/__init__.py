"""Layers of the papers that torch.nn lacks."""

"""Shapes, parameters, operations, memory and receptive fields, line by line."""

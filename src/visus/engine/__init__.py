"""Recipes, training, evaluation, prediction, checkpoints and devices."""

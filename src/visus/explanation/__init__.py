"""Explains predictions: heat maps of Grad-CAM, and what the predictors of a detector learn."""

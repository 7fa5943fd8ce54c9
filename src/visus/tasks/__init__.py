"""Tasks: the losses of networks, the reading of their outputs, and the scores of predictions."""

"""What runs: recipes, training, evaluation, checkpoints, devices."""

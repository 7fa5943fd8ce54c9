"""Networks that predict one class and one box for an image."""

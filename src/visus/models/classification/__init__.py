"""Networks that name the class of an image."""

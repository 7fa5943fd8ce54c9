"""Networks that say what is in an image and where: one class and one box."""

"""The published facts and the checks that hold models to them."""

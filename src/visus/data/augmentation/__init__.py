"""From a sample to a network's input: crops, geometry, colours; image and target move together."""

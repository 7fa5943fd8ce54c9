"""An image's pixels: files decoded upright, bit depths and channels, intensity ranges."""

"""Objects of images: boxes, outlines and points, repaired and counted, whatever file they came from."""

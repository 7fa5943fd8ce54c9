"""Divides an image into small regions of like colour: Felzenszwalb and Huttenlocher 2004 (IJCV 59).

The graph segmentation is scikit-image's. It is the algorithm of the paper as its authors released it, and read there:

- a pixel's edges go to its eight neighbours (OpenCV's to four), and weigh the Euclidean distance of all channels
  together (the paper's section 5 segments each channel and intersects);
- ``scale`` is the paper's k for colours of 0 to 255: an image in [0, 1] is right, floats of 0 to 255 are not, as they
  are compared with k / 255 and fall into many small regions without a word;
- regions under ``min_size`` pixels are joined afterwards to the neighbour across their lightest edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIGMA = 0.8
"""Of the smoothing before, in pixels: Felzenszwalb and Huttenlocher, section 5; selective search's code as well."""


def segmented(pixels: NDArray[np.float32], threshold: int) -> NDArray[np.intp]:
    """Segments an image.

    Args:
        pixels: [H,W,C] in [0, 1], at least 1 x 1.
        threshold: k: the larger, the larger the regions; also the fewest pixels of a region, as in the code of Uijlings
            et al. A smaller image is one region.

    Returns:
        [H,W] the region of each pixel, numbered from 0 without gaps.
    """
    from skimage.segmentation import felzenszwalb  # half a second of scipy

    labels: NDArray[np.intp] = felzenszwalb(pixels, scale=threshold, sigma=SIGMA, min_size=threshold)
    return labels

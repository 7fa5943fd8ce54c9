"""U-Net's border weights: the narrow gaps between touching objects count more.

Ronneberger, Fischer, Brox, MICCAI 2015, equation 2: w(x) = wc(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), where
d1 and d2 are the distances to the nearest and the second nearest object. This file computes the second term; wc is
:func:`visus.losses.class_weights.balanced_weights` of the training pixels, to which it is added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REACH = 6
"""Beyond so many sigmas an object is not felt: its share of the weight is below exp(-18), 2e-8 of w0."""


def border_weights(
    ids: NDArray[np.integer],
    *,
    weight: float = 10.0,
    sigma: float = 5.0,
    background: int = 0,
    border: int | None = None,
    ignore: int = 255,
) -> NDArray[np.float32]:
    """The weight to add at each pixel of the background and of the border class.

    The objects are the connected components (by edges, not corners) of every other class. Distances are Euclidean,
    from pixel centre to pixel centre, so that a gap of one pixel has d1 = d2 = 1.

    Args:
        ids: [H,W] class ids.
        weight: w0 (the paper: 10).
        sigma: in pixels (the paper: 5).
        background: the class that lies between objects.
        border: a class of borders, which are no objects and are weighted as background is; None: there is none.
        ignore: the id of pixels that are neither.

    Returns:
        [H,W], 0 on objects, on ignored pixels, and everywhere where there are fewer than two objects.
    """
    import cv2

    height, width = ids.shape
    reach = int(np.ceil(REACH * sigma))
    nearest = np.full((height, width), np.inf, np.float32)
    second = np.full((height, width), np.inf, np.float32)
    for label in np.unique(ids):
        if label in (background, ignore, border):
            continue
        mask = (ids == label).astype(np.uint8)
        count, components, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for number in range(1, count):
            left, top, columns, rows = boxes[number, :4].tolist()
            window = (
                slice(max(top - reach, 0), min(top + rows + reach, height)),
                slice(max(left - reach, 0), min(left + columns + reach, width)),
            )
            outside = (components[window] != number).astype(np.uint8)
            distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
            nearest[window] = np.minimum(nearest[window], distance)
    total = (nearest + second).astype(np.float64)
    weights = weight * np.exp(-(total**2) / (2 * sigma**2))
    between = (ids == background) | (ids == border) if border is not None else ids == background
    return np.where(between, weights, 0).astype(np.float32)

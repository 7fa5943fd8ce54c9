"""Repairs annotated boxes so that they lie in their image and have an area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1.0
"""Pixels by which a box may reach outside without being counted: rounding, and tools that count from 0 or from 1."""

BoxFaults = tuple[tuple[str, int], ...]
"""Kinds of fault, such as "box-outside", each with its number of boxes; none for boxes without fault."""


def repair_boxes(
    boxes: NDArray[np.float64], size: tuple[float, float], *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float32], NDArray[np.int64], BoxFaults]:
    """Boxes that lie in their image and have an area.

    In this order: boxes with a value that is no number are dropped ("box-not-a-number"); corners in the wrong order are
    swapped back ("box-swapped"); boxes without width or height are dropped ("box-degenerate"); boxes that reach outside
    are clipped ("box-outside", and "box-mostly-outside" when more than half of the area went); what lies wholly
    outside is dropped as degenerate.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``size``.
        size: (height, width) of the image.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.

    Returns:
        boxes [M,4] float32 within the image; kept [M] int64: their positions among the N; and the faults.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    kept = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    no_numbers = len(boxes) - len(kept)
    boxes = boxes[kept]
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    swapped = int((boxes[:, :2] > boxes[:, 2:]).any(axis=1).sum())
    limit = np.asarray([size[1], size[0]], np.float64)
    clipped_low, clipped_high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    area = (high - low).prod(axis=1)
    inside = (clipped_high - clipped_low).prod(axis=1)
    sound = inside > 0
    reach = np.maximum(clipped_low - low, high - clipped_high).max(axis=1, initial=0)
    faults = {
        "box-not-a-number": no_numbers,
        "box-swapped": swapped,
        "box-outside": int((sound & (reach > tolerance)).sum()),
        "box-mostly-outside": int((sound & (inside < 0.5 * area)).sum()),
        "box-degenerate": int((~sound).sum()),
    }
    repaired = np.concatenate([clipped_low, clipped_high], axis=1)[sound]
    counted = tuple((kind, count) for kind, count in faults.items() if count)
    return repaired.astype(np.float32), kept[sound], counted

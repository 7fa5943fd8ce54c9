"""Boxes as annotators leave them, mended while they are read; every mending is counted with its file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally

TOLERANCE = 1.0
"""Pixels by which a box may reach outside without being counted: rounding, and tools that count from 0 or from 1."""


def mend_boxes(
    boxes: NDArray[np.float64], size: tuple[float, float], tally: Tally, name: str, *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes that lie in their image and have an area.

    In this order: boxes with a value that is no number are dropped ("box-not-a-number"); corners in the wrong order are
    swapped back ("box-swapped"); boxes without width or height are dropped ("box-degenerate"); boxes that reach outside
    are clipped ("box-outside", and "box-mostly-outside" when more than half of the area went); what lies wholly
    outside is dropped as degenerate.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``size``.
        size: (height, width) of the image.
        tally: counts what was mended.
        name: the file, as the findings name it.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.

    Returns:
        boxes [M,4] float32 within the image, and kept [M] int64: their positions among the N.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    kept = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    _count(tally, "box-not-a-number", "{count} boxes hold a value that is no number; dropped", name, len(boxes), kept)
    boxes = boxes[kept]
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    swapped = int((boxes[:, :2] > boxes[:, 2:]).any(axis=1).sum())
    if swapped:
        tally.add("box-swapped", "repair", "{count} boxes have their corners swapped; swapped back", name, swapped)
    limit = np.asarray([size[1], size[0]], np.float64)
    clipped_low, clipped_high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    area = (high - low).prod(axis=1)
    inside = (clipped_high - clipped_low).prod(axis=1)
    sound = inside > 0
    reach = np.maximum(clipped_low - low, high - clipped_high).max(axis=1, initial=0)
    outside = int((sound & (reach > tolerance)).sum())
    mostly = int((sound & (inside < 0.5 * area)).sum())
    if outside:
        tally.add("box-outside", "repair", "{count} boxes reach outside of their image; clipped", name, outside)
    if mostly:
        message = "{count} boxes lie more than half outside of their image; clipped"
        tally.add("box-mostly-outside", "repair", message, name, mostly)
    _count(
        tally,
        "box-degenerate",
        "{count} boxes have no width or height in their image; dropped",
        name,
        len(kept),
        np.flatnonzero(sound),
    )
    mended = np.concatenate([clipped_low, clipped_high], axis=1)[sound]
    return mended.astype(np.float32), kept[sound]


def _count(tally: Tally, kind: str, message: str, name: str, before: int, kept: NDArray[np.int64]) -> None:
    if len(kept) < before:
        tally.add(kind, "repair", message, name, before - len(kept))

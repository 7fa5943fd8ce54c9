"""Repairs annotated boxes so that they lie in their image and have an area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1.0
"""Pixels by which a box may reach outside without being counted: rounding, and tools that count from 0 or from 1."""

BoxFaults = tuple[tuple[str, int], ...]
"""Kinds of fault, such as "box-outside", each with its number of boxes; none for boxes without fault."""


@dataclass(frozen=True, slots=True, eq=False)
class RepairedBoxes:
    """What became of N boxes.

    Args:
        boxes: [M,4] float32 within their images.
        kept: [M] int64, the positions of these among the N.
        faults: from kind to [N] bool, the boxes that have this fault; only kinds that occur.
    """

    boxes: NDArray[np.float32]
    kept: NDArray[np.int64]
    faults: dict[str, NDArray[np.bool_]]


def repair(boxes: NDArray[np.float64], limits: NDArray[np.float64], *, tolerance: float = TOLERANCE) -> RepairedBoxes:
    """Boxes of one or of many images that lie in their image and have an area.

    In this order: boxes with a value that is no number are dropped ("box-not-a-number"); corners in the wrong order are
    swapped back ("box-swapped"); boxes without width or height are dropped ("box-degenerate"); boxes that reach outside
    are clipped ("box-outside", and "box-mostly-outside" when more than half of the area went); what lies wholly
    outside is dropped as degenerate.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``limits``.
        limits: [2] (width, height) of the image, or [N,2] where each box has its own.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    finite = np.asarray(np.isfinite(boxes).all(axis=1))
    sure = np.where(finite[:, None], boxes, 0)
    low, high = np.minimum(sure[:, :2], sure[:, 2:]), np.maximum(sure[:, :2], sure[:, 2:])
    clipped_low, clipped_high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    area = (high - low).prod(axis=1)
    inside = (clipped_high - clipped_low).prod(axis=1)
    sound = finite & (inside > 0)
    reach = np.maximum(clipped_low - low, high - clipped_high).max(axis=1, initial=0)
    faults = {
        "box-not-a-number": ~finite,
        "box-swapped": finite & (sure[:, :2] > sure[:, 2:]).any(axis=1),
        "box-outside": sound & (reach > tolerance),
        "box-mostly-outside": sound & (inside < 0.5 * area),
        "box-degenerate": finite & ~sound,
    }
    repaired = np.concatenate([clipped_low, clipped_high], axis=1)[sound]
    occurring = {kind: which for kind, which in faults.items() if which.any()}
    return RepairedBoxes(repaired.astype(np.float32), np.flatnonzero(sound), occurring)


def repair_boxes(
    boxes: NDArray[np.float64], size: tuple[float, float], *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float32], NDArray[np.int64], BoxFaults]:
    """The boxes of one image, by the rules of :func:`repair`.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``size``.
        size: (height, width) of the image.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.

    Returns:
        boxes [M,4] float32 within the image; kept [M] int64: their positions among the N; and the faults.
    """
    result = repair(boxes, np.asarray([size[1], size[0]], np.float64), tolerance=tolerance)
    return result.boxes, result.kept, tuple((kind, int(which.sum())) for kind, which in result.faults.items())

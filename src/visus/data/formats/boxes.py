"""Repairs annotated boxes while they are read, and counts every repair with its file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally
from visus.structures.box_repair import TOLERANCE, repair_boxes

BOX_FAULTS: Mapping[str, str] = {
    "box-not-a-number": "{count} boxes hold a value that is no number; dropped",
    "box-swapped": "{count} boxes have their corners swapped; swapped back",
    "box-outside": "{count} boxes reach outside of their image; clipped",
    "box-mostly-outside": "{count} boxes lie more than half outside of their image; clipped",
    "box-degenerate": "{count} boxes have no width or height in their image; dropped",
}
"""Kind of fault -> what is said of it."""


def repair_and_tally(
    boxes: NDArray[np.float64], size: tuple[float, float], tally: Tally, name: str, *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Repairs boxes so that they lie in their image and have an area, and tallies what was wrong.

    The rules are those of :func:`visus.structures.box_repair.repair_boxes`.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``size``.
        size: (height, width) of the image.
        tally: counts what was repaired.
        name: the file, as the findings name it.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.

    Returns:
        boxes [M,4] float32 within the image, and kept [M] int64: their positions among the N.
    """
    repaired, kept, faults = repair_boxes(boxes, size, tolerance=tolerance)
    for kind, count in faults:
        tally.add(kind, "repair", BOX_FAULTS[kind], name, count)
    return repaired, kept

"""Repairs annotated boxes while they are read, and counts every repair with its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally
from visus.structures.box_repair import TOLERANCE, repair_boxes

BOX_FAULTS: Mapping[str, str] = {
    "box-not-a-number": "{count} boxes hold a value that is no number",
    "box-swapped": "{count} boxes have their corners swapped",
    "box-outside": "{count} boxes reach outside of their image",
    "box-mostly-outside": "{count} boxes lie more than half outside of their image",
    "box-degenerate": "{count} boxes have no width or height in their image",
}
"""Kind of fault -> what is said of it."""

DROPPED = frozenset({"box-not-a-number", "box-degenerate"})
"""The faults for which a box is dropped; boxes with the others are swapped back or clipped."""

CAUSES: Mapping[str, str] = {
    "box-not-a-number": "write four finite numbers for each box",
    "box-swapped": "write the upper left corner first",
    "box-outside": "the boxes may be of another size of the images, or in another unit",
    "box-mostly-outside": "the boxes may be of another size of the images, or in another unit",
    "box-degenerate": "the numbers may be in another unit than the format's, or width and height may be corners",
}
"""Kind of fault -> its likely cause."""


def repair_and_tally(
    boxes: NDArray[np.float64],
    size: tuple[float, float],
    tally: Tally,
    name: str,
    *,
    split: str = "",
    labels: Sequence[str] = (),
    tolerance: float = TOLERANCE,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Repairs boxes so that they lie in their image and have an area, and tallies what was wrong.

    The rules are those of :func:`visus.structures.box_repair.repair_boxes`.

    Args:
        boxes: [N,4] xyxy, spanning [x1,x2), in the unit of ``size``.
        size: (height, width) of the image.
        tally: counts what was dropped and what was changed.
        name: the file, as the findings name it.
        split: the image's.
        labels: names of the N boxes' classes, where a loss is to be counted for each class; () otherwise.
        tolerance: how far a box may reach outside without being counted, in the same unit; it is clipped all the same.

    Returns:
        boxes [M,4] float32 within the image, and kept [M] int64: their positions among the N.
    """
    repaired, kept, faults = repair_boxes(boxes, size, tolerance=tolerance)
    if faults:
        dropped = Counter(labels[i] for i in set(range(len(labels))) - set(kept.tolist()))
        for kind, count in faults:
            if kind not in DROPPED:
                tally.change(kind, BOX_FAULTS[kind], name, count, split=split, cause=CAUSES[kind])
                continue
            for label, part in _divided(dropped, count):
                tally.lose(kind, BOX_FAULTS[kind], name, part, split=split, label=label, cause=CAUSES[kind])
    return repaired, kept


def _divided(dropped: Counter[str], count: int) -> list[tuple[str, int]]:
    """The classes of ``count`` dropped boxes, which are taken out of ``dropped``; "" where they are not known."""
    parts = []
    for label in list(dropped):
        part = min(dropped[label], count)
        if part:
            parts.append((label, part))
            dropped[label] -= part
            count -= part
    return [*parts, ("", count)] if count else parts

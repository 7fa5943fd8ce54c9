"""Repairs annotated boxes while they are read, and counts every repair with its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally
from visus.structures.box_repair import TOLERANCE, RepairedBoxes, repair

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

_SHOWN = 20  # places that are named one by one


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
    """Repairs the boxes of one image so that they lie in it and have an area, and tallies what was wrong.

    The rules are those of :func:`visus.structures.box_repair.repair`.

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
    result = repair(boxes, np.asarray([size[1], size[0]], np.float64), tolerance=tolerance)
    classes = tuple(dict.fromkeys(labels)) or ("",)
    ids = np.asarray([classes.index(label) for label in labels] or [0] * len(boxes), np.int64)
    tally_faults(result, tally, lambda _: name, split=split, labels=ids, classes=classes)
    return result.boxes, result.kept


def tally_faults(
    result: RepairedBoxes,
    tally: Tally,
    name_of: Callable[[int], str],
    *,
    split: str,
    labels: NDArray[np.int64],
    classes: Sequence[str],
) -> None:
    """Tallies what was wrong with N boxes.

    Args:
        result: of the repair.
        tally: counts what was dropped and what was changed.
        name_of: the file of the box at a position, as the findings name it.
        split: of the images.
        labels: [N] class ids.
        classes: the names of the classes.
    """
    for kind, which in result.faults.items():
        positions = np.flatnonzero(which)
        if kind not in DROPPED:
            for position in positions[:_SHOWN].tolist():
                tally.change(kind, BOX_FAULTS[kind], name_of(position), split=split, cause=CAUSES[kind])
            rest = len(positions) - _SHOWN
            if rest > 0:
                tally.change(kind, BOX_FAULTS[kind], "", rest, split=split, cause=CAUSES[kind])
        else:
            lose_objects(tally, kind, BOX_FAULTS[kind], positions, name_of, split=split, labels=labels,
                         classes=classes, cause=CAUSES[kind])  # fmt: skip


def lose_objects(
    tally: Tally,
    kind: str,
    message: str,
    positions: NDArray[np.int64],
    name_of: Callable[[int], str],
    *,
    split: str,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    cause: str,
) -> None:
    """Tallies the loss of the objects at some positions, by class, with the first files.

    Args:
        tally: counts them.
        kind, message, cause: see ``Tally.lose``.
        positions: [M] of the lost among N objects.
        name_of: the file of the object at a position.
        split: of the images.
        labels: [N] class ids.
        classes: the names of the classes.
    """
    for position in positions[:_SHOWN].tolist():
        label = classes[labels[position]]
        tally.lose(kind, message, name_of(position), split=split, label=label, cause=cause)
    for label, count in zip(*np.unique(labels[positions[_SHOWN:]], return_counts=True), strict=True):
        tally.lose(kind, message, "", int(count), split=split, label=classes[label], cause=cause)

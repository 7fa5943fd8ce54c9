"""Makes the objects of each image from those of a whole label file, which are repaired at once.

A file may hold a million boxes: what is done for each single box in Python would take minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.boxes import lose_objects, tally_faults
from visus.data.formats.objects.outlined_objects import Objects, Outline
from visus.data.formats.objects.stated_sizes import settle_sizes
from visus.data.formats.reading import Tally
from visus.structures import ImageSource
from visus.structures.box_repair import TOLERANCE, RepairedBoxes, repair

_FRACTION_ROUNDING = 0.01  # by so much fractions of an image may exceed 1
_BLOCK = 100_000  # boxes
_LARGER = 8  # pixels: images whose boxes are all smaller than one pixel must have such a side


@dataclass(slots=True, eq=False)
class ObjectTable:
    """The objects of I images, as a label file gives them.

    Args:
        images: I.
        names: I, as findings name the images.
        sizes: [I,2] (height, width) as stated; 0 where nothing is stated.
        owners: [N] the position of each object's image.
        boxes: [N,4] xyxy in pixels, spanning [x1,x2), NaN where a value is no number; with ``from_one`` counted from 1,
            the last pixel included.
        labels: [N] class ids.
        ignored: [N] bool.
        outlines: N outlines (None for an object without), or None where no object has one.
        from_one: see ``boxes``.
    """

    images: Sequence[ImageSource]
    names: Sequence[str]
    sizes: NDArray[np.int64]
    owners: NDArray[np.int64]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    outlines: list[Outline | None] | None = None
    from_one: bool = False


@dataclass(frozen=True, slots=True)
class SettledObjects:
    """The objects of I images, ready for use.

    Args:
        objects: I.
        factor: by which the boxes were multiplied, because all images were scaled after they were labelled.
        unit: "pixels" or "fractions" of the image, of the numbers in the file.
    """

    objects: list[Objects]
    factor: float = 1.0
    unit: str = field(default="pixels")


def settle_objects(table: ObjectTable, classes: tuple[str, ...], tally: Tally, split: str) -> SettledObjects:
    """The objects of each image: in its unit, held to its size, repaired; what was wrong is tallied.

    Boxes that are all no larger than a pixel are fractions of their images. A few such boxes among others are lost.

    Args:
        table: of all images of a split; its arrays are not changed.
        classes: the names of all classes.
        tally: is told what was lost, changed and noticed.
        split: of the images.
    """
    table = _in_order(table)
    owners, labels, ignored, boxes, outlines = table.owners, table.labels, table.ignored, table.boxes, table.outlines
    finite = np.asarray(np.isfinite(boxes).all(axis=1))

    def name_of(position: int) -> str:
        return table.names[int(owners[position])]

    small = finite & ((boxes >= -_FRACTION_ROUNDING) & (boxes <= 1 + _FRACTION_ROUNDING)).all(axis=1)
    fractions = small[finite].all() and small.any() and _are_larger(table)
    if fractions:
        message = "all {count} boxes are in fractions of their images; read as such"
        tally.add("boxes-in-fractions", "note", message, name_of(0), int(small.sum()))
        factor, sizes = 1.0, None
    else:
        odd = small.copy()
        odd[small] = (boxes[small] != np.round(boxes[small])).any(axis=1)
        if odd.any():
            message = "{count} boxes are smaller than a pixel, as if they were fractions of their image"
            lose_objects(tally, "box-in-fractions", message, np.flatnonzero(odd), name_of, split=split, labels=labels,
                         classes=classes, cause="write all boxes in pixels, or all in fractions")  # fmt: skip
            kept = np.flatnonzero(~odd)
            owners, labels, ignored, boxes = owners[kept], labels[kept], ignored[kept], boxes[kept]
            outlines = None if outlines is None else [outlines[index] for index in kept.tolist()]
        if table.from_one:  # swapped corners are put right first: only the lower one moves
            low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
            swapped = boxes[:, :2] > boxes[:, 2:]
            boxes = np.concatenate([np.where(swapped, high, low - 1), np.where(swapped, low - 1, high)], axis=1)
        settled = settle_sizes(
            table.images, table.sizes, _extents(boxes, owners, len(table.images)), tally, table.names
        )
        factor, sizes = settled.factor, settled.sizes
        if factor != 1:
            boxes = boxes * factor
            outlines = None if outlines is None else [_scaled(outline, factor) for outline in outlines]
    ordered = ObjectTable(table.images, table.names, table.sizes, owners, boxes, labels, ignored, outlines)
    tolerance = _FRACTION_ROUNDING if fractions else TOLERANCE
    objects = repair_objects(ordered, sizes, classes, tally, split, tolerance=tolerance)
    return SettledObjects(objects, factor, "fractions" if fractions else "pixels")


def _in_order(table: ObjectTable) -> ObjectTable:
    """The table with its objects in the order of their images."""
    if (np.diff(table.owners) >= 0).all():
        return table
    order = np.argsort(table.owners, kind="stable")
    outlines = None if table.outlines is None else [table.outlines[index] for index in order.tolist()]
    return replace(
        table,
        owners=table.owners[order],
        boxes=table.boxes[order],
        labels=table.labels[order],
        ignored=table.ignored[order],
        outlines=outlines,
    )


def repair_objects(
    table: ObjectTable,
    sizes: NDArray[np.int64] | None,
    classes: tuple[str, ...],
    tally: Tally,
    split: str,
    *,
    tolerance: float,
) -> list[Objects]:
    """The objects of each image, repaired; what was wrong is tallied.

    Args:
        table: its objects in the order of their images.
        sizes: [I,2] (height, width) of the images in pixels; None where the boxes are in fractions.
        classes: the names of all classes.
        tally: is told what was lost and changed.
        split: of the images.
        tolerance: how far a box may reach outside without being counted.
    """
    result = _repair_in_blocks(table, sizes, tolerance)
    tally_faults(
        result, tally, lambda i: table.names[int(table.owners[i])], split=split, labels=table.labels, classes=classes
    )
    kept = result.kept
    owners, labels, ignored, outlines = table.owners, table.labels, table.ignored, table.outlines
    if len(kept) < len(owners):
        owners, labels, ignored = owners[kept], labels[kept], ignored[kept]
        outlines = None if outlines is None else [outlines[index] for index in kept.tolist()]
    stops = np.searchsorted(owners, np.arange(len(table.images)), side="right").tolist()
    stated = None if sizes is None else sizes.tolist()
    objects, start = [], 0
    for index, stop in enumerate(stops):
        part = None if outlines is None else tuple(outlines[start:stop])
        objects.append(
            Objects(
                image=table.images[index],
                classes=classes,
                boxes=result.boxes[start:stop],
                labels=labels[start:stop],
                ignored=ignored[start:stop],
                outlines=part if part and any(outline is not None for outline in part) else None,
                size=None if stated is None else tuple(stated[index]),
            )
        )
        start = stop
    return objects


def _repair_in_blocks(table: ObjectTable, sizes: NDArray[np.int64] | None, tolerance: float) -> RepairedBoxes:
    """The repaired boxes; in blocks, for the arrays between take ten times the memory of the boxes."""
    count = len(table.boxes)
    boxes, kept = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)]
    faults: dict[str, NDArray[np.bool_]] = {}
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        limits = np.ones(2) if sizes is None else sizes[table.owners[part]][:, ::-1].astype(np.float64)
        result = repair(table.boxes[part], limits, tolerance=tolerance)
        boxes.append(result.boxes)
        kept.append(result.kept + start)
        for kind, which in result.faults.items():
            faults.setdefault(kind, np.zeros(count, bool))[part] = which
    return RepairedBoxes(np.concatenate(boxes), np.concatenate(kept), faults)


def _are_larger(table: ObjectTable) -> bool:
    """Whether the images, as far as their labels say, have more than a few pixels."""
    return bool((table.sizes.max(axis=1, initial=0) > _LARGER).any()) or not table.sizes.any()


def _extents(boxes: NDArray[np.float64], owners: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """[I,2] (x, y): as far as the boxes of each image reach."""
    extents = np.zeros((count, 2))
    if len(boxes):
        corners = np.maximum(boxes[:, :2], boxes[:, 2:])
        np.nan_to_num(corners, copy=False, nan=0, posinf=0, neginf=0)
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        extents[owners[first]] = np.maximum(np.maximum.reduceat(corners, first, axis=0), 0)
    return extents


def _scaled(outline: Outline | None, factor: float) -> Outline | None:
    if outline is None or isinstance(outline, dict):
        return outline  # a run-length code cannot be scaled: it does not fit its image any more, which the check names
    return tuple(polygon * factor for polygon in outline)

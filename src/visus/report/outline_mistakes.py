"""Draws the errors of a network that outlines objects on one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.metrics.detection_errors import HIT, IGNORED, image_errors, mask_overlaps
from visus.report.box_mistakes import COLOURS, legend, mistake_words
from visus.structures import Detections, Masks
from visus.structures.drawing.boxes import TAGS_COVER, draw_tags
from visus.structures.drawing.canvas import (
    UNCOUNTED,
    WRONG,
    Colour,
    canvas,
    check_same_shape,
    edges,
    text_size,
    with_legend,
)

LACKING: Colour = (240, 228, 66)
SURPLUS: Colour = WRONG
"""Of the pixels of an object that was found, which its found mask lacks, or has besides."""

_TAG_LETTERS = 12  # the width of a usual tag, in letters' heights


def draw_outline_mistakes(prediction: Detections, target: Detections, image: NDArray[np.uint8]) -> Image.Image:
    """Draws the boundaries of all found and of all missed objects, in the colour of their kind of error.

    Masks are compared, not boxes. Of an object that was found, the pixels that its mask lacks and has besides are
    filled; wrong masks and missed objects are tinted as a whole, and told in words where that hides little. Under the
    picture stands how many there are of each kind.

    Args:
        prediction: with scores and masks, only what is sure enough to be shown.
        target: with masks, in the same pixels.
        image: [3,H,W] uint8; a reduced copy of the file is fine.

    Raises:
        ShapeError: if the image's shape is not that of the file, or the prediction has no scores.
    """
    picture = canvas(image, "detections")
    check_same_shape(image, target.size)
    size = (picture.height, picture.width)
    found, true = (_masks(value).hardened() for value in (prediction, target))
    overlaps = mask_overlaps(found, true)
    errors = image_errors(prediction, target, most=len(prediction), overlaps=overlaps)
    found, true = found.scaled(size).hardened(), true.scaled(size).hardened()
    values = np.asarray(picture).astype(np.float32)
    uncounted = np.zeros(len(target), bool) if target.ignored is None else target.ignored
    for g in np.flatnonzero(uncounted | errors.missed).tolist():
        _paint(values, *true.pasted(g), UNCOUNTED if uncounted[g] else COLOURS["missed"], 0.35)
    for d in range(len(prediction)):
        if errors.kinds[d] not in (HIT, IGNORED):
            _paint(values, *found.pasted(d), COLOURS[str(errors.kinds[d])], 0.35)
    differences = [0, 0]
    for d in np.flatnonzero(errors.kinds == HIT).tolist():
        for number, (one, other, colour) in enumerate(
            ((true.pasted(int(errors.objects[d])), found.pasted(d), LACKING),
             (found.pasted(d), true.pasted(int(errors.objects[d])), SURPLUS))
        ):  # fmt: skip
            differences[number] += _paint(values, one[0], _without(one, other), colour, 0.7)
        _rim(values, *found.pasted(d), COLOURS[HIT])
    for g in np.flatnonzero(~errors.was_hit & ~uncounted).tolist():
        _rim(values, *true.pasted(g), COLOURS["missed"])
    wrong = np.flatnonzero(~np.isin(errors.kinds, (HIT, IGNORED))).tolist()
    for d in wrong:
        _rim(values, *found.pasted(d), COLOURS[str(errors.kinds[d])])
    picture = Image.fromarray(values.round().astype(np.uint8))
    missed = np.flatnonzero(errors.missed).tolist()
    tag_area = 2.0 * _TAG_LETTERS * text_size(picture) ** 2
    if (len(wrong) + len(missed)) * tag_area <= TAGS_COVER * picture.width * picture.height:
        scale = np.asarray([picture.width / target.size[1], picture.height / target.size[0]] * 2)
        texts = [
            mistake_words(prediction, target, d, int(errors.objects[d]), str(errors.kinds[d]), overlaps.iou)
            for d in wrong
        ] + [f"{target.classes[int(target.labels[g])]}: missed" for g in missed]
        colours = [COLOURS[str(errors.kinds[d])] for d in wrong] + [COLOURS["missed"]] * len(missed)
        boxes = np.concatenate([prediction.boxes[wrong], target.boxes[missed]]) * scale
        draw_tags(picture, boxes, texts, colours)
    entries = legend(errors)
    entries += [("lacking", LACKING)] * (differences[0] > 0) + [("too much", SURPLUS)] * (differences[1] > 0)
    return with_legend(picture, entries)


def _masks(value: Detections) -> Masks:
    return Masks.empty(value.size) if value.masks is None else value.masks


def _paint(
    values: NDArray[np.float32], window: tuple[slice, slice], mask: NDArray[np.bool_], colour: Colour, share: float
) -> int:
    """Mixes so large a share of a colour into the pixels of a mask, in place; returns their number."""
    part = values[window]
    part[mask] = (1 - share) * part[mask] + share * np.asarray(colour, np.float32)
    return int(mask.sum())


def _rim(values: NDArray[np.float32], window: tuple[slice, slice], mask: NDArray[np.bool_], colour: Colour) -> None:
    """Draws the outermost pixels of a mask, in place."""
    inner = edges(np.pad(mask, 1))[1:-1, 1:-1] & mask
    values[window][inner] = colour


def _without(
    one: tuple[tuple[slice, slice], NDArray[np.bool_]], other: tuple[tuple[slice, slice], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """The pixels of a mask that another one does not have, in the window of the first."""
    (rows, columns), mask = one
    (other_rows, other_columns), taken = other
    left = mask.copy()
    top, bottom = max(rows.start, other_rows.start), min(rows.stop, other_rows.stop)
    start, stop = max(columns.start, other_columns.start), min(columns.stop, other_columns.stop)
    if top < bottom and start < stop:
        left[top - rows.start : bottom - rows.start, start - columns.start : stop - columns.start] &= ~taken[
            top - other_rows.start : bottom - other_rows.start,
            start - other_columns.start : stop - other_columns.start,
        ]
    return left

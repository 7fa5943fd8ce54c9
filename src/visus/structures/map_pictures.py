"""Pictures of class maps: laid over the image, by themselves, and where a prediction differs from the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.errors import ShapeError
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.drawable import DrawnSegmentation
from visus.structures.drawing import (
    FAINT,
    HUES,
    LEGEND_ENTRIES,
    PAPER,
    UNCOUNTED,
    WRONG,
    Colour,
    canvas,
    check_same_shape,
    colour_of,
    edges,
    percent,
    text_size,
    with_legend,
)

MISSED, SURPLUS, CONFUSED = WRONG, HUES[6], HUES[3]
"""Colours of a difference: an object's pixel taken for background, the reverse, and one object class for another."""

_RIGHT_GREY = (0.35, 125.0)  # contrast kept of the image, and the grey added to it


def draw_segmentation(segmentation: DrawnSegmentation, image: NDArray[np.uint8] | None = None) -> Image.Image:
    """The image with classes laid over it in colour, edges between them, and a legend with each class's share.

    A class named "background" stays clear; pixels to ignore are hatched in grey.

    Args:
        segmentation: a truth or a prediction.
        image: [3,H,W] uint8, if the map keeps none; a reduced copy of the file is fine.

    Raises:
        ShapeError: if no image is at hand, or one whose shape is not that of the map.
    """
    pixels = image if image is not None else segmentation.image
    picture = canvas(pixels, "a segmentation map")
    check_same_shape(pixels, segmentation.size)
    ids = np.asarray(Image.fromarray(segmentation.map).resize(picture.size, Image.Resampling.NEAREST))
    values = np.asarray(picture).astype(np.float32)
    clear = _background(segmentation.classes)
    table = np.asarray([colour_of(i) for i in range(256)], np.float32)
    known = ids < len(segmentation.classes)
    tinted = known & ~np.isin(ids, clear)
    rim = edges(ids) & known
    values[tinted] = 0.5 * values[tinted] + 0.5 * table[ids[tinted]]
    values[rim & tinted] = table[ids[rim & tinted]]
    rows, columns = np.indices(ids.shape)
    hatched = ~known & ((rows + columns) // max(2, text_size(picture) // 4) % 2 == 0)
    values[hatched] = UNCOUNTED
    picture = Image.fromarray(values.round().astype(np.uint8))

    entries = [
        (f"{name} {percent(share)}", FAINT if i in clear else colour_of(i), share)
        for i, (name, share) in enumerate(segmentation.fractions().items())
        if share > 0
    ]
    entries.sort(key=lambda entry: -entry[2])
    legend = [(text, colour) for text, colour, _ in entries[:LEGEND_ENTRIES]]
    if len(entries) > LEGEND_ENTRIES:
        legend.append((f"and {len(entries) - LEGEND_ENTRIES} more", PAPER))
    if not known.all():
        legend.append(("not counted", UNCOUNTED))
    return with_legend(picture, legend)


def palette(classes: Sequence[str]) -> list[Colour]:
    """256 colours by id: black for background, each class its own, grey for what is ignored."""
    named = [(0, 0, 0) if name.lower() in BACKGROUND_NAMES else colour_of(i) for i, name in enumerate(classes)]
    return [*named, *[UNCOUNTED] * (256 - len(named))]


def index_picture(ids: NDArray[np.uint8], classes: Sequence[str]) -> Image.Image:
    """A palette image whose pixel values are the class ids [H,W] and that shows each class in its colour."""
    picture = Image.fromarray(np.ascontiguousarray(ids))
    picture.putpalette([value for colour in palette(classes) for value in colour])
    return picture


def colour_picture(ids: NDArray[np.uint8], classes: Sequence[str]) -> Image.Image:
    """An RGB image with the colour of each pixel's class. ids: [H,W]."""
    return Image.fromarray(np.asarray(palette(classes), np.uint8)[ids])


def draw_difference(
    prediction: DrawnSegmentation, truth: DrawnSegmentation, image: NDArray[np.uint8] | None = None
) -> Image.Image:
    """Where a prediction is wrong: right pixels in grey, wrong ones in strong colours, ignored ones hatched.

    With a class named background there are three kinds of error, else one; the legend gives their shares in the
    pixels that count.

    Args:
        prediction, truth: maps of one size.
        image: [3,H,W] uint8, if neither map keeps one; a reduced copy of the file is fine.

    Raises:
        ShapeError: if the maps differ in size, or no image of their shape is at hand.
    """
    if prediction.size != truth.size:
        raise ShapeError(
            "a prediction must be as large as its truth", expected=f"{truth.size}", got=f"{prediction.size}"
        )
    pixels = image if image is not None else prediction.image if prediction.image is not None else truth.image
    picture = canvas(pixels, "a difference")
    check_same_shape(pixels, truth.size)
    kinds = _kinds(prediction, truth)
    shares = [float(share) for share in np.bincount(kinds.ravel(), minlength=5) / max(int((kinds < 4).sum()), 1)]
    shown = np.asarray(Image.fromarray(kinds).resize(picture.size, Image.Resampling.NEAREST))
    grey = np.asarray(picture.convert("L")).astype(np.float32)
    values = np.repeat((_RIGHT_GREY[0] * grey + _RIGHT_GREY[1])[..., None], 3, axis=2)
    for kind, colour in ((1, MISSED), (2, SURPLUS), (3, CONFUSED)):
        values[shown == kind] = colour
    rows, columns = np.indices(shown.shape)
    stripes = (rows + columns) // max(2, text_size(picture) // 4) % 2 == 0
    values[(shown == 4) & stripes] = UNCOUNTED
    values[(shown == 4) & ~stripes] = PAPER
    names = {1: ("missed", MISSED), 2: ("too much", SURPLUS), 3: ("another class", CONFUSED)}
    if not _background(truth.classes):
        names[1] = ("wrong", WRONG)
    entries = [(f"{name} {percent(shares[kind])}", colour) for kind, (name, colour) in names.items() if shares[kind]]
    if not entries:
        entries = [("nothing wrong", PAPER)]
    if (kinds == 4).any():
        entries.append(("not counted", UNCOUNTED))
    return with_legend(Image.fromarray(values.round().clip(0, 255).astype(np.uint8)), entries)


def _background(classes: Sequence[str]) -> list[int]:
    return [i for i, name in enumerate(classes) if name.lower() in BACKGROUND_NAMES]


def _kinds(prediction: DrawnSegmentation, truth: DrawnSegmentation) -> NDArray[np.uint8]:
    """[H,W]: 0 right, 1 missed (or simply wrong), 2 too much, 3 another class, 4 not counted."""
    wrong = prediction.map != truth.map
    ground = _background(truth.classes)
    kinds = np.where(wrong, 1, 0).astype(np.uint8)
    if ground:
        empty, said_empty = np.isin(truth.map, ground), np.isin(prediction.map, ground)
        kinds[wrong & empty] = 2
        kinds[wrong & ~empty & ~said_empty] = 3
    kinds[truth.map >= len(truth.classes)] = 4
    return kinds

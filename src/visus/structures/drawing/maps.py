"""Pictures of class maps: laid over the image, by themselves, and where a prediction differs from the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.errors import ShapeError
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.drawing.canvas import (
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


def draw_class_map(
    image: NDArray[np.uint8] | None, map_: NDArray[np.uint8], classes: Sequence[str], shares: Mapping[str, float]
) -> Image.Image:
    """The image with classes laid over it in colour, edges between them, and a legend with each class's share.

    A class named "background" stays clear; pixels to ignore are hatched in grey.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        map_: [h,w] class ids, 255 to ignore.
        classes: the names of the K classes.
        shares: the share of each class, for the legend.

    Raises:
        ShapeError: if there is no image, or one whose shape is not that of the map.
    """
    picture = canvas(image, "a segmentation map")
    check_same_shape(image, (map_.shape[0], map_.shape[1]))
    ids = np.asarray(Image.fromarray(map_).resize(picture.size, Image.Resampling.NEAREST))
    values = np.asarray(picture).astype(np.float32)
    clear = _background(classes)
    table = np.asarray([colour_of(i) for i in range(256)], np.float32)
    known = ids < len(classes)
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
        for i, (name, share) in enumerate(shares.items())
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
    image: NDArray[np.uint8] | None,
    *,
    prediction: NDArray[np.uint8],
    target: NDArray[np.uint8],
    classes: Sequence[str],
) -> Image.Image:
    """Draws where a prediction is wrong: right pixels grey, wrong ones in strong colours, ignored ones hatched.

    With a class named background there are three kinds of error, else one; the legend gives their shares in the
    pixels that count.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        prediction: [h,w] class ids.
        target: [h,w] class ids, 255 to ignore.
        classes: the names of the K classes.

    Raises:
        ShapeError: if the maps differ in size, or there is no image of their shape.
    """
    if prediction.shape != target.shape:
        raise ShapeError(
            "a prediction must have the size of its target", expected=f"{target.shape}", got=f"{prediction.shape}"
        )
    picture = canvas(image, "a difference")
    check_same_shape(image, (target.shape[0], target.shape[1]))
    kinds = _kinds(prediction, target, classes)
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
    if not _background(classes):
        names[1] = ("wrong", WRONG)
    entries = [(f"{name} {percent(shares[kind])}", colour) for kind, (name, colour) in names.items() if shares[kind]]
    if not entries:
        entries = [("nothing wrong", PAPER)]
    if (kinds == 4).any():
        entries.append(("not counted", UNCOUNTED))
    return with_legend(Image.fromarray(values.round().clip(0, 255).astype(np.uint8)), entries)


def _background(classes: Sequence[str]) -> list[int]:
    return [i for i, name in enumerate(classes) if name.lower() in BACKGROUND_NAMES]


def _kinds(prediction: NDArray[np.uint8], target: NDArray[np.uint8], classes: Sequence[str]) -> NDArray[np.uint8]:
    """[H,W]: 0 right, 1 missed (or simply wrong), 2 too much, 3 another class, 4 not counted."""
    wrong = prediction != target
    ground = _background(classes)
    kinds = np.where(wrong, 1, 0).astype(np.uint8)
    if ground:
        empty, predicted_empty = np.isin(target, ground), np.isin(prediction, ground)
        kinds[wrong & empty] = 2
        kinds[wrong & ~empty & ~predicted_empty] = 3
    kinds[target >= len(classes)] = 4
    return kinds

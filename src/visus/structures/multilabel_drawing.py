"""Drawing of classes that may share pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures.drawable import DrawnMultiLabel
from visus.structures.drawing import (
    LEGEND_ENTRIES,
    PAPER,
    UNCOUNTED,
    canvas,
    check_same_shape,
    colour_of,
    edges,
    percent,
    text_size,
    with_legend,
)


def draw_multilabel(found: DrawnMultiLabel, image: NDArray[np.uint8] | None = None) -> Image.Image:
    """The image with each class laid over it in its colour, its outline, and a legend with each class's share.

    Where classes share pixels, the mean of their colours is laid over. Pixels that count for no class are hatched in
    grey.

    Args:
        found: a truth or a prediction.
        image: [3,H,W] uint8, if the map keeps none; a reduced copy of the file is fine.

    Raises:
        ShapeError: if no image is at hand, or one whose shape is not that of the map.
    """
    pixels = image if image is not None else found.image
    picture = canvas(pixels, "a multi-label map")
    check_same_shape(pixels, found.size)
    size = (picture.height, picture.width)
    masks = [_resized(mask, picture) for mask in found.masks]
    colours = np.asarray([colour_of(k) for k in range(len(masks))], np.float32).reshape(-1, 3)
    values = np.asarray(picture).astype(np.float32)
    total, layers = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    for mask, colour in zip(masks, colours, strict=True):
        total[mask] += colour
        layers[mask] += 1
    tinted = layers > 0
    values[tinted] = 0.5 * values[tinted] + 0.5 * total[tinted] / layers[tinted, None]
    for k in sorted(range(len(masks)), key=lambda k: -int(masks[k].sum())):  # small classes stay visible
        rim = edges(masks[k]) & masks[k]
        values[rim] = colours[k]
    uncounted = np.zeros(size, bool)
    if found.ignored is not None and len(masks):
        uncounted = _resized(np.asarray(found.ignored.all(axis=0)), picture)
        rows, columns = np.indices(size)
        values[uncounted & ((rows + columns) // max(2, text_size(picture) // 4) % 2 == 0)] = UNCOUNTED
    shares = [
        (f"{name} {percent(share)}", colour_of(k), share)
        for k, (name, share) in enumerate(found.fractions().items())
        if share > 0
    ]
    shares.sort(key=lambda entry: -entry[2])
    legend = [(text, colour) for text, colour, _ in shares[:LEGEND_ENTRIES]]
    if len(shares) > LEGEND_ENTRIES:
        legend.append((f"and {len(shares) - LEGEND_ENTRIES} more", PAPER))
    if uncounted.any():
        legend.append(("not counted", UNCOUNTED))
    return with_legend(Image.fromarray(values.round().astype(np.uint8)), legend)


def _resized(mask: NDArray[np.bool_], picture: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))

"""Drawing of classes that may share pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures.drawing.canvas import (
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


def draw_masks(
    image: NDArray[np.uint8] | None,
    masks: NDArray[np.bool_],
    shares: Mapping[str, float],
    ignored: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """The image with each class laid over it in its colour, its outline, and a legend with each class's share.

    Where classes share pixels, the mean of their colours is laid over. Pixels that count for no class are hatched in
    grey.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        masks: [K,h,w]: where a pixel bears a class.
        shares: from the name of each class to its share, in the order of the masks.
        ignored: [K,h,w]: where a class does not count, or None.

    Raises:
        ShapeError: if there is no image, or one whose shape is not that of the masks.
    """
    picture = canvas(image, "a multi-label map")
    check_same_shape(image, (masks.shape[1], masks.shape[2]))
    size = (picture.height, picture.width)
    planes = [_resize(mask, picture) for mask in masks]
    colours = np.asarray([colour_of(k) for k in range(len(planes))], np.float32).reshape(-1, 3)
    values = np.asarray(picture).astype(np.float32)
    total, layers = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
    for mask, colour in zip(planes, colours, strict=True):
        total[mask] += colour
        layers[mask] += 1
    tinted = layers > 0
    values[tinted] = 0.5 * values[tinted] + 0.5 * total[tinted] / layers[tinted, None]
    for k in sorted(range(len(planes)), key=lambda k: -int(planes[k].sum())):  # small classes stay visible
        rim = edges(planes[k]) & planes[k]
        values[rim] = colours[k]
    uncounted = np.zeros(size, bool)
    if ignored is not None and len(planes):
        uncounted = _resize(np.asarray(ignored.all(axis=0)), picture)
        rows, columns = np.indices(size)
        values[uncounted & ((rows + columns) // max(2, text_size(picture) // 4) % 2 == 0)] = UNCOUNTED
    entries = [
        (f"{name} {percent(share)}", colour_of(k), share) for k, (name, share) in enumerate(shares.items()) if share > 0
    ]
    entries.sort(key=lambda entry: -entry[2])
    legend = [(text, colour) for text, colour, _ in entries[:LEGEND_ENTRIES]]
    if len(entries) > LEGEND_ENTRIES:
        legend.append((f"and {len(entries) - LEGEND_ENTRIES} more", PAPER))
    if uncounted.any():
        legend.append(("not counted", UNCOUNTED))
    return with_legend(Image.fromarray(values.round().astype(np.uint8)), legend)


def _resize(mask: NDArray[np.bool_], picture: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))

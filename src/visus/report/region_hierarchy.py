"""Draws how selective search groups an image: its regions, ever fewer of them, and the boxes around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.errors import ShapeError
from visus.ops.selective_search import Hierarchy, SelectiveSearch
from visus.structures.drawing.canvas import INK, canvas, colour_of, edges, grid

LEVELS = 5
MOST_REGIONS = 128
"""The first level has so many regions at most: more could not be told apart."""

CELL = 320


def draw_hierarchy(image: NDArray[np.uint8], search: SelectiveSearch, grouping: int = 0) -> Image.Image:
    """Draws one grouping of an image at several levels, as figure 2 of Uijlings et al. 2013.

    From left to right fewer and fewer regions are left, down to two: above, each region in its mean colour; below, the
    boxes around them on the image.

    Args:
        image: [H,W,3] RGB or [H,W] grey, uint8: the image that was searched, or a reduced copy of it.
        search: what :func:`visus.ops.selective_search.selective_search` found in it.
        grouping: which of ``search.hierarchies``; the first of mode ``fast`` is HSV with all similarities, k = 50.

    Raises:
        ShapeError: if there is no such grouping, or the image is of another shape than the one that was searched.
    """
    if not 0 <= grouping < len(search.hierarchies):
        raise ShapeError(
            "there is no such grouping to draw", expected=f"0 to {len(search.hierarchies) - 1}", got=f"{grouping}"
        )
    hierarchy = search.hierarchies[grouping]
    height, width = hierarchy.labels.shape
    rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if rgb.ndim != 3 or abs(rgb.shape[0] * width - rgb.shape[1] * height) > 1.01 * max(rgb.shape[0], width, height):
        raise ShapeError(
            "the image to draw on is not the one that was searched",
            expected=f"height x width {search.size[0]} x {search.size[1]}, or a reduced copy of it",
            got=f"{list(image.shape)}",
        )
    pixels = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX))
    levels = shown_levels(hierarchy.regions)
    above = [_regions(pixels, hierarchy, level) for level in levels]
    below = [_boxes(pixels, hierarchy, level) for level in levels]
    captions = [_caption(hierarchy, level) for level in levels]
    return grid([*above, *below], len(levels), [*captions, *[""] * len(levels)], cell=CELL)


def shown_levels(regions: int) -> list[int]:
    """The numbers of regions at which a hierarchy of R regions is drawn: R or 128 at most, 2 at least if it has two."""
    first, last = min(regions, MOST_REGIONS), min(regions, 2)
    return sorted({round(level) for level in np.geomspace(first, last, LEVELS)}, reverse=True)


def _caption(hierarchy: Hierarchy, level: int) -> str:
    text = "1 region" if level == 1 else f"{level} regions"
    return f"{text} ({hierarchy.strategy})" if level == min(hierarchy.regions, MOST_REGIONS) else text


def _regions(pixels: NDArray[np.uint8], hierarchy: Hierarchy, level: int) -> Image.Image:
    labels = hierarchy.labels_at(level)
    numbers, index = np.unique(labels, return_inverse=True)
    index = index.reshape(labels.shape)
    sizes = np.bincount(index.ravel())
    sums = [np.bincount(index.ravel(), channel.ravel(), len(numbers)) for channel in np.moveaxis(pixels, -1, 0)]
    means = (np.stack(sums, axis=-1) / sizes[:, None]).round().astype(np.uint8)
    shown = means[index]
    shown[edges(labels)] = INK
    return canvas(np.ascontiguousarray(shown.transpose(2, 0, 1)), "a hierarchy")


def _boxes(pixels: NDArray[np.uint8], hierarchy: Hierarchy, level: int) -> Image.Image:
    picture = canvas(np.ascontiguousarray(pixels.transpose(2, 0, 1)), "a hierarchy")
    draw = ImageDraw.Draw(picture)
    scale = picture.width / pixels.shape[1]
    numbers = hierarchy.regions_at(level)
    line = max(1, round(max(picture.size) / (CELL if level > 16 else CELL / 2)))
    for number in numbers[np.argsort(-hierarchy.sizes[numbers], kind="stable")].tolist():
        x1, y1, x2, y2 = (hierarchy.boxes[number] * scale).tolist()
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour_of(number), width=line)
    return picture

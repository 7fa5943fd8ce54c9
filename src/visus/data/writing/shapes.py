"""What is known of the shape of an object, and how formats write it: polygons, run lengths, one polygon, pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.coco_outlines import extent_of
from visus.data.formats.objects.outlined_objects import Outline, draw_outline, polygons_area
from visus.structures.outlines import Piece, coco_outline, rings, run_lengths
from visus.structures.pieces import pieces_of

Shape = Outline | Piece
"""United polygons in pixels or a run-length code, as an annotation file has them; or the pixels of a mask."""

_DECIMALS = 4


def shape_extent(shape: Shape, size: tuple[int, int]) -> NDArray[np.float64]:
    """[4] xyxy: the box around a shape, within the image; not finite where it has no pixel."""
    if isinstance(shape, Piece):
        rows, columns = np.flatnonzero(shape.mask.any(axis=1)), np.flatnonzero(shape.mask.any(axis=0))
        if not len(rows):
            return np.full(4, np.nan)
        left, top = shape.corner
        return np.asarray([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], np.float64)
    height, width = size
    return np.asarray(np.clip(extent_of(shape), 0, [width, height, width, height]), np.float64)


def is_compound(shape: Shape, size: tuple[int, int]) -> bool:
    """Whether a shape has several parts, or holes."""
    if isinstance(shape, tuple):
        return len(shape) > 1
    mask = shape.mask if isinstance(shape, Piece) else draw_outline(shape, size)
    inside = np.pad(mask, 1)  # the rim makes one piece of all that lies outside
    return len(pieces_of(inside)) > 1 or len(pieces_of(~inside, 8)) > 1


def coco_segmentation(shape: Shape, size: tuple[int, int], *, crowd: bool = False) -> tuple[float, Any]:
    """The area in pixels and the value of COCO's ``segmentation``.

    Polygons stay as they are; a mask becomes polygons along the edges of its pixels, which give back the very same
    pixels. What has holes becomes a run-length code, and so does a crowd, as COCO itself has it.

    Args:
        shape: of the object.
        size: (height, width) of the image.
        crowd: whether the object is marked as a crowd.
    """
    if isinstance(shape, tuple) and not crowd:
        return polygons_area(shape, size), [[round_number(value) for value in part.ravel().tolist()] for part in shape]
    if isinstance(shape, Piece) and not crowd:
        outline = coco_outline(shape.mask)
        if not isinstance(outline, dict):
            polygons = [[value + shape.corner[i % 2] for i, value in enumerate(polygon)] for polygon in outline]
            return int(shape.mask.sum()), polygons
    mask = drawn(shape, size)
    return int(mask.sum()), run_lengths(mask)


def round_number(value: float) -> float | int:
    """A number with four decimals; a whole one without any."""
    rounded = round(value, _DECIMALS)
    return int(rounded) if rounded == int(rounded) else rounded


def drawn(shape: Shape, size: tuple[int, int]) -> NDArray[np.bool_]:
    """[H,W]: the pixels of a shape."""
    if not isinstance(shape, Piece):
        return draw_outline(shape, size)
    (left, top), (height, width) = shape.corner, shape.mask.shape
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = shape.mask
    return whole


def joined_polygon(shape: Shape, size: tuple[int, int]) -> NDArray[np.float64]:
    """[P,2] one polygon with the pixels of a shape; no corner where it has no pixel.

    Polygons within the image keep their corners unless they overlap; all else becomes rings around its pixels. Several
    polygons or rings, holes among them, are joined by lines that are walked there and back: a filled polygon does not
    show them, a drawn line does.

    Args:
        shape: of the object.
        size: (height, width) of the image.
    """
    if isinstance(shape, tuple) and all(_inside(part, size) for part in shape) and not _overlap(shape, size):
        parts = list(shape)
    elif isinstance(shape, Piece):
        corner = np.asarray(shape.corner, np.float64)
        parts = [ring + corner for ring in rings(shape.mask)]
    else:
        parts = [ring.astype(np.float64) for ring in rings(draw_outline(shape, size))]
    if not parts:
        return np.zeros((0, 2))
    joined = parts[0]
    for ring in parts[1:]:
        gaps = ((ring[:, None] - joined[None]) ** 2).sum(axis=2)
        start, at = np.unravel_index(int(gaps.argmin()), gaps.shape)
        turned = np.roll(ring, -int(start), axis=0)
        joined = np.concatenate([joined[: at + 1], turned, turned[:1], joined[at:]])
    return joined


def _overlap(polygons: tuple[NDArray[np.float64], ...], size: tuple[int, int]) -> bool:
    """Whether pixels are in several polygons: such would not be in the one that joins them."""
    if len(polygons) == 1:
        return False
    return sum(polygons_area([part], size) for part in polygons) > polygons_area(polygons, size)


def _inside(polygon: NDArray[np.float64], size: tuple[int, int]) -> bool:
    return bool((polygon >= 0).all() and (polygon <= (size[1], size[0])).all())

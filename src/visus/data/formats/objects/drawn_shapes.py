"""The shapes that people draw in labelling tools, as outlines: polygons or run-length codes."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.formats.objects.outlined_objects import Outline, draw_outline
from visus.data.pixels.images import open_raster
from visus.errors import DataError

CORNERS = 72
"""A circle becomes a polygon of so many corners; its area is 0.13 % too small."""

Box = tuple[float, float, float, float]
"""xyxy in pixels, spanning [x1,x2)."""


def ellipse(
    x: float, y: float, horizontal: float, vertical: float, degrees: float = 0
) -> tuple[tuple[NDArray[np.float64], ...], Box]:
    """An ellipse as a polygon, and its exact box.

    Args:
        x, y: its centre.
        horizontal, vertical: its radii before it is turned.
        degrees: how far it is turned about its centre, clockwise on the screen.
    """
    steps = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    corners = np.stack([horizontal * np.cos(steps), vertical * np.sin(steps)], axis=-1)
    turned = corners @ _turn(degrees) + (x, y)
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    wide, high = np.hypot(horizontal * cosine, vertical * sine), np.hypot(horizontal * sine, vertical * cosine)
    return (turned,), (float(x - wide), float(y - high), float(x + wide), float(y + high))


def turned_box(box: Box, degrees: float, about: tuple[float, float]) -> NDArray[np.float64]:
    """[4,2]: the corners of a box that is turned clockwise on the screen about a point (x, y)."""
    x1, y1, x2, y2 = box
    corners = np.asarray([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)
    return np.asarray((corners - about) @ _turn(degrees) + about)


def _turn(degrees: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray([[cosine, sine], [-sine, cosine]])


def extent(polygons: Sequence[NDArray[np.float64]]) -> Box:
    """The box around polygons [P,2]."""
    corners = np.concatenate(list(polygons))
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return (float(x1), float(y1), float(x2), float(y2))


def mask_outline(crop: NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> tuple[Outline, Box] | None:
    """A mask that covers a part of an image as a run-length code, and the box of its pixels; None if it has none.

    Args:
        crop: [h,w] bool.
        left, top: the column and row of the image at which the crop begins.
        size: (height, width) of the image; what lies outside is cut off.
    """
    from faster_coco_eval.core import mask as coco_masks

    whole = np.zeros(size, np.uint8, order="F")
    rows, columns = slice(max(top, 0), top + crop.shape[0]), slice(max(left, 0), left + crop.shape[1])
    part = whole[rows, columns]
    inside = crop[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    part[: inside.shape[0], : inside.shape[1]] = inside
    filled_rows, filled_columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(filled_rows):
        return None
    y, x = rows.start, columns.start
    box = (x + filled_columns[0], y + filled_rows[0], x + filled_columns[-1] + 1, y + filled_rows[-1] + 1)
    counts = coco_masks.encode(whole)["counts"]
    return {"size": list(size), "counts": counts}, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def joined(outlines: Sequence[Outline], size: tuple[int, int]) -> Outline:
    """The outline of an object in several parts."""
    polygons = [part for outline in outlines if not isinstance(outline, dict) for part in outline]
    if all(not isinstance(outline, dict) for outline in outlines):
        return tuple(polygons)
    whole = np.zeros(size, bool)
    for outline in outlines:
        whole |= draw_outline(outline, size)
    made = mask_outline(whole, 0, 0, size)
    return made[0] if made else ()


def without_holes(outer: NDArray[np.float64], holes: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Outline:
    """A polygon [P,2] with polygons cut out of it."""
    if not holes:
        return (outer,)
    whole = draw_outline((outer,), size)
    for hole in holes:
        whole &= ~draw_outline((hole,), size)
    made = mask_outline(whole, 0, 0, size)
    return made[0] if made else (outer,)


def mask_of_png(content: bytes, name: str) -> NDArray[np.bool_]:
    """[h,w]: the pixels of an encoded mask that are set; where it has an alpha channel, those that are not clear.

    Raises:
        DataError: if it is no image, or damaged.
    """
    with open_raster(io.BytesIO(content), name) as raster:
        try:
            raster.load()
            alpha = raster.getchannel("A") if "A" in raster.getbands() else None
            grey = alpha or (raster if raster.mode in ("1", "L", "P", "I", "I;16") else raster.convert("L"))
            return np.asarray(grey) > 0
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"the mask of {name} is damaged", expected="a PNG", got=str(error)) from error


def from_base64(text: object, name: str) -> bytes:
    """The bytes that base64 text stands for.

    Raises:
        DataError: if it is no such text.
    """
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"the mask of {name} is damaged", expected="base64 text", got=str(error)) from error

"""Pictures of landmarks: points on the image, with their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.structures.drawing.boxes import draw_tags
from visus.structures.drawing.canvas import INK, canvas, check_same_shape, colour_of, percent, text_size

MOST_NAMED = 20
"""Of more points none is named: the names would hide the image."""


def draw_points(
    image: NDArray[np.uint8] | None,
    size: tuple[int, int],
    names: Sequence[str],
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    scores: NDArray[np.float32] | None = None,
) -> Image.Image:
    """The image with a dot for each visible point, in the colour of its number, and the names of up to 20 points.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        size: (height, width) of the file in pixels.
        names: of the K points.
        points: [K,2] (x, y) in pixels of the file.
        visible: [K]: which points are drawn.
        scores: [K] in [0, 1], or None in a target.

    Raises:
        ShapeError: if there is no image, or one whose shape is not that of the file.
    """
    picture = canvas(image, "landmarks")
    check_same_shape(image, size)
    height, width = size
    placed = points * np.asarray([picture.width / width, picture.height / height])
    shown = np.flatnonzero(visible).tolist()
    draw = ImageDraw.Draw(picture)
    radius = max(3, text_size(picture) // 4)
    for k in shown:
        x, y = (float(value) for value in placed[k])
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour_of(k), outline=INK)
    if len(names) <= MOST_NAMED:
        around = np.concatenate([placed - radius - 1, placed + radius + 1], axis=1)[shown]
        texts = [names[k] + ("" if scores is None else f" {percent(float(scores[k]))}") for k in shown]
        draw_tags(picture, around.reshape(-1, 4), texts, [colour_of(k) for k in shown])
    return picture

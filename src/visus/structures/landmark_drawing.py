"""Pictures of landmarks: points on the image, with their names."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.structures.drawing import INK, canvas, check_same_shape, colour_of, draw_tags, percent, text_size

MOST_NAMED = 20
"""Of more points none is named: the names would hide the image."""


class DrawnLandmarks(Protocol):
    """What is drawn of Landmarks."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def points(self) -> NDArray[np.float32]: ...
    @property
    def visible(self) -> NDArray[np.bool_]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def scores(self) -> NDArray[np.float32] | None: ...
    @property
    def image(self) -> NDArray[np.uint8] | None: ...


def draw_landmarks(landmarks: DrawnLandmarks, image: NDArray[np.uint8] | None = None) -> Image.Image:
    """The image with a dot for each visible point, in the colour of its number, and the names of up to 20 points.

    Args:
        landmarks: a truth or a prediction.
        image: [3,H,W] uint8, if the landmarks keep none; a reduced copy of the file is fine.

    Raises:
        ShapeError: if no image is at hand, or one whose shape is not that of the file.
    """
    pixels = image if image is not None else landmarks.image
    picture = canvas(pixels, "landmarks")
    check_same_shape(pixels, landmarks.size)
    height, width = landmarks.size
    points = landmarks.points * np.asarray([picture.width / width, picture.height / height])
    shown = np.flatnonzero(landmarks.visible).tolist()
    draw = ImageDraw.Draw(picture)
    radius = max(3, text_size(picture) // 4)
    for k in shown:
        x, y = (float(value) for value in points[k])
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour_of(k), outline=INK)
    if len(landmarks.classes) <= MOST_NAMED:
        around = np.concatenate([points - radius - 1, points + radius + 1], axis=1)[shown]
        names = [
            landmarks.classes[k] + ("" if landmarks.scores is None else f" {percent(float(landmarks.scores[k]))}")
            for k in shown
        ]
        draw_tags(picture, around.reshape(-1, 4), names, [colour_of(k) for k in shown])
    return picture

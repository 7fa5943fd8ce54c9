"""The points of a pose in a YOLO line, in fractions of the image until they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.yolo.yolo_yaml import PoseShape
from visus.structures import ImageSource, Landmarks


@dataclass(frozen=True, slots=True, eq=False)
class PosePoints:
    """Reads the points of an image's largest pose.

    Args:
        image: asked for its size.
        classes: names of the K points.
        points: [K,2] float64 (x, y) in fractions of the image.
        visible: [K] bool.
        flip_pairs: pairs of points that change places in a mirror image.
    """

    image: ImageSource
    classes: tuple[str, ...]
    points: NDArray[np.float64]
    visible: NDArray[np.bool_]
    flip_pairs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, image: ImageSource, values: list[float], shape: PoseShape) -> Self | None:
        """The points in the numbers of a line after its class; None if none is visible.

        A point is visible if its third number is not 0, or, where there are only two, unless both are 0. Points outside
        of the image are not.
        """
        rows = np.asarray(values[4:], np.float64).reshape(len(shape.names), shape.numbers)
        visible = rows[:, 2] > 0 if shape.numbers == 3 else (rows != 0).any(axis=1)
        visible = visible & np.asarray(((rows[:, :2] >= 0) & (rows[:, :2] <= 1)).all(axis=1))
        points = np.where(visible[:, None], rows[:, :2], 0)
        return cls(image, shape.names, points, visible, shape.flip_pairs) if visible.any() else None

    def load(self) -> Landmarks:
        """The points in pixels; raises DataError when the image's size cannot be read."""
        height, width = self.image.size()
        points = (self.points * (width, height)).astype(np.float32)
        return Landmarks(self.classes, points, self.visible, (height, width), flip_pairs=self.flip_pairs)

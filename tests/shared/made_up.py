"""Pictures and objects that several tests make alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures import Detections


def smooth_picture(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """[H,W,3] for a size of (H, W): a smooth random picture, unlike that of any other seed, and compressible."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def normal_numbers(random: np.random.Generator, shape: Sequence[int]) -> NDArray[np.float32]:
    """Of mean 0 and variance 1; where they are many, one short piece again and again, whose length is a prime."""
    piece = random.standard_normal(min(math.prod(shape), 65_537), np.float32)
    return np.resize(piece, tuple(shape))


def objects_of(classes: Sequence[str], size: tuple[int, int]) -> Callable[..., Detections]:
    """``target = objects_of(CLASSES, (96, 128)); target([[4, 12, 20, 20]], [1])``: the objects of an image.

    size: (H, W) of an image where a call gives none as its third argument. Any other field goes to ``Detections``.
    """

    def objects(
        boxes: Sequence[Sequence[float]], labels: Sequence[int], size: tuple[int, int] = size, **more: Any
    ) -> Detections:
        corners = np.asarray(boxes, np.float32).reshape(-1, 4)
        return Detections(tuple(classes), corners, np.asarray(labels, np.int64), size, **more)

    return objects

"""Moves points and maps of an image as a geometric augmentation moves its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Border = Literal["constant", "nearest", "mirror"]
"""What fills the pixels that a move uncovers."""

MoveMap = Callable[[NDArray[np.uint8], int, Border], NDArray[np.uint8]]
"""Moves a map [H,W] uint8, given the value of uncovered pixels and what fills them."""

MovePoints = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Moves points [...,2] (x, y)."""


@dataclass(frozen=True, slots=True)
class Move:
    """A crop, a mirroring, a rotation or a warp; a value applies it to itself in :meth:`Value.moved`.

    Args:
        size: (height, width) of the image after the move.
        maps: moves class maps and masks.
        points: moves the corners of boxes and landmarks.
        border: what fills uncovered pixels of the image. Class maps do the same; where the border is constant, their
            uncovered pixels are ignored. Masks of objects have no such border: a mirrored piece belongs to no box.
        mirrored: whether left and right have changed places, and with them the names of landmarks.
        least: an object stays while so large a share of each side of the image is left of its cut box, as in Darknet;
            None: while its centre does.
    """

    size: tuple[int, int]
    maps: MoveMap
    points: MovePoints
    border: Border = "constant"
    mirrored: bool = False
    least: float | None = None

"""Moves boxes as a geometric augmentation moves pixels. Letters: N boxes, P points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visus.structures.move import Move


def moved_boxes(boxes: NDArray[np.float32], move: Move) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes around the moved outlines of boxes: ([N,4] as they are, [N,4] cut to the image), both xyxy.

    Args:
        boxes: [N,4] xyxy, before the move.
        move: of the image.
    """
    x1, y1, x2, y2 = boxes.astype(np.float64).T
    outline = np.stack([x1 + (x2 - x1) * _OUTLINE[:, :1], y1 + (y2 - y1) * _OUTLINE[:, 1:]], axis=-1)  # [P, N, 2]
    points = move.points(outline)
    moved = np.concatenate([points.min(axis=0), points.max(axis=0)], axis=1)  # [N, 4]
    height, width = move.size
    return moved, np.clip(moved, 0, [width, height, width, height])


def large_enough(clipped: NDArray[np.float64], move: Move) -> NDArray[np.bool_]:
    """[N]: whether as much of each side is left as an object needs to stay; see :attr:`Move.least`."""
    height, width = move.size
    least = 1.0 if move.least is None else np.maximum(np.asarray([width, height]) * move.least, 1e-6)
    return np.asarray(((clipped[:, 2:] - clipped[:, :2]) >= least).all(axis=1))


def _square_outline(points_a_side: int) -> NDArray[np.float64]:
    """[P,2] points around the unit square: its hull after an affine move, and nearly so after a smooth one."""
    steps = np.linspace(0, 1, points_a_side + 1)[:-1]
    zeros, ones = np.zeros_like(steps), np.ones_like(steps)
    sides = [(steps, zeros), (ones, steps), (1 - steps, ones), (zeros, 1 - steps)]
    return np.concatenate([np.stack(side, axis=-1) for side in sides])


_OUTLINE = _square_outline(8)

"""Intersection over union (IoU) of boxes in numpy, for modules that must not load torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pairwise_iou(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes the IoU of every pair. boxes [N,4], others [M,4] xyxy -> [N,M] in [0, 1]; 0 for empty boxes."""
    a, b = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]  # [N, 1, 4], [1, M, 4]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    ratio: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def shape_iou(shapes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the IoU of boxes with a common centre: shapes [N,2], others [M,2] (width, height) -> [N,M]."""
    shared = np.minimum(shapes[:, None], others[None]).prod(-1)
    union = shapes.prod(-1)[:, None] + others.prod(-1)[None] - shared
    ratio: NDArray[np.float64] = shared / union
    return ratio

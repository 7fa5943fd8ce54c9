"""Finds anchors by k-means over the shapes of boxes, with 1 - IoU as the distance. Loads no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visus.ops.iou import shape_iou

Shapes = NDArray[np.float64]

_ROUNDS = 300


class Clusters(NamedTuple):
    """The anchors that :func:`cluster_shapes` found.

    Args:
        anchors: [k,2] width and height, in order of area.
        mean_iou: of each shape with the anchor that fits it best, in [0, 1].
        counts: [k] how many shapes fit each anchor best.
    """

    anchors: Shapes
    mean_iou: float
    counts: NDArray[np.int64]


def cluster_shapes(shapes: Shapes, count: int, *, seed: int = 0, starts: int = 10) -> Clusters:
    """Finds the ``count`` anchors with the best mean IoU over the given shapes.

    K-means with the distance d(box, centroid) = 1 - IoU(box, centroid) of YOLO9000 (arXiv:1612.08242), section 2,
    "Dimension clusters". A centroid becomes the mean of its shapes, as in the authors' code, which need not raise the
    overlap: the best centroids of all rounds and starts are kept.

    Args:
        shapes: [N,2] width and height, all > 0; N >= 1.
        count: k; where there are fewer different shapes, there are fewer anchors.
        seed: of the starts.
        starts: how often to begin, each time from shapes that lie far apart (k-means++).
    """
    random = np.random.Generator(np.random.PCG64(seed))
    count = min(count, len(np.unique(shapes, axis=0)))
    best, highest = shapes[:count], -1.0
    for _ in range(starts):
        centroids = _far_apart(shapes, count, random)
        owner = np.full(len(shapes), -1)
        for _ in range(_ROUNDS):
            iou = shape_iou(shapes, centroids)
            mean = float(iou.max(1).mean())
            if mean > highest:
                best, highest = centroids, mean
            nearest = iou.argmax(1)
            if np.array_equal(nearest, owner):
                break
            owner = nearest
            centroids = np.stack(
                [shapes[owner == k].mean(0) if np.any(owner == k) else centroids[k] for k in range(count)]
            )
    best = best[np.argsort(best.prod(1), kind="stable")]
    counts = np.bincount(shape_iou(shapes, best).argmax(1), minlength=count)
    return Clusters(best, highest, counts)


def _far_apart(shapes: Shapes, count: int, random: np.random.Generator) -> Shapes:
    """Draws [k,2] of the shapes to start from (k-means++): shapes far from those already drawn are more likely."""
    chosen = [int(random.integers(len(shapes)))]
    for _ in range(count - 1):
        distance = np.clip(1 - shape_iou(shapes, shapes[chosen]).max(1), 0, None) ** 2
        total = distance.sum()
        chosen.append(int(random.choice(len(shapes), p=distance / total)) if total > 0 else chosen[0])
    return shapes[chosen].copy()

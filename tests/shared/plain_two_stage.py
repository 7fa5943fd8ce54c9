"""The losses and proposals of two-stage detectors a second time: loops over plain numbers, in double precision.

Written from the papers and from py-faster-rcnn's layers, for tests to hold the vectorised code to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Box = Sequence[float]


def iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def encoded(box: Box, reference: Box, deviations: Sequence[float] = (1, 1, 1, 1)) -> list[float]:
    """R-CNN, appendix C."""
    width, height = reference[2] - reference[0], reference[3] - reference[1]
    x, y = (reference[0] + reference[2]) / 2, (reference[1] + reference[3]) / 2
    offsets = [
        ((box[0] + box[2]) / 2 - x) / width,
        ((box[1] + box[3]) / 2 - y) / height,
        math.log((box[2] - box[0]) / width),
        math.log((box[3] - box[1]) / height),
    ]
    return [offset / deviation for offset, deviation in zip(offsets, deviations, strict=True)]


def decoded(offsets: Sequence[float], reference: Box, *, wider: float = 0.0) -> list[float]:
    """``wider``: what py-faster-rcnn's inclusive corners add, 1."""
    width, height = reference[2] - reference[0], reference[3] - reference[1]
    x = (reference[0] + reference[2]) / 2 + offsets[0] * width
    y = (reference[1] + reference[3]) / 2 + offsets[1] * height
    width, height = width * math.exp(offsets[2]), height * math.exp(offsets[3])
    return [x - width / 2, y - height / 2, x + width / 2 + wider, y + height / 2 + wider]


def smooth_l1(value: float, turn: float = 1.0) -> float:
    """Fast R-CNN, equation 3; a parabola up to ``turn``."""
    size = abs(value)
    return size**2 / (2 * turn) if size < turn else size - turn / 2


def anchor_labels(
    anchors: Sequence[Box],
    objects: Sequence[Box],
    size: tuple[int, int],
    *,
    positive: float = 0.7,
    negative: float = 0.3,
    inside: bool = True,
) -> list[int]:
    """Faster R-CNN, section 3.1.2: the object of each anchor, -1 for background, -2 for one that does not count."""
    height, width = size
    counted = [not inside or (a[0] >= 0 and a[1] >= 0 and a[2] <= width and a[3] <= height) for a in anchors]
    if not any(counted):
        counted = [True] * len(anchors)
    overlaps = [[iou(a, o) for o in objects] for a in anchors]
    best = [
        max((row[g] for row, c in zip(overlaps, counted, strict=True) if c), default=0) for g in range(len(objects))
    ]
    labels = []
    for row, counts in zip(overlaps, counted, strict=True):
        highest = max(row, default=0.0)
        if not counts:
            labels.append(-2)
        elif objects and (highest >= positive or any(v == b > 0 for v, b in zip(row, best, strict=True))):
            labels.append(row.index(highest))
        else:
            labels.append(-1 if highest < negative else -2)
    return labels


def suppressed(boxes: Sequence[Box], scores: Sequence[float], overlap: float) -> list[int]:
    """Greedy non-maximum suppression: the boxes that stay, best first."""
    kept: list[int] = []
    for n in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        if all(iou(boxes[n], boxes[k]) <= overlap for k in kept):
            kept.append(n)
    return kept


def cross_entropy(logits: Sequence[float], label: int) -> float:
    largest = max(logits)
    return math.log(sum(math.exp(v - largest) for v in logits)) + largest - logits[label]

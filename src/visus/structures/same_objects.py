"""How many objects two predictions of one image share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visus.structures.masks import Masks

SAME = 0.99
"""Boxes, and masks, of one object overlap (intersection over union) by at least this much."""


class Objects(Protocol):
    """N objects: boxes [N,4] xyxy, labels [N], scores [N] and masks, or None for either of these."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...

    @property
    def labels(self) -> NDArray[np.int64]: ...

    @property
    def scores(self) -> NDArray[np.float32] | None: ...

    @property
    def masks(self) -> Masks | None: ...


def same_objects(ours: Objects, theirs: Objects) -> float:
    """The share of the objects of both that have a partner in the other, each weighed by its score.

    Partners have one class, and boxes and masks that overlap by :data:`SAME`. The surest object chooses first.

    Returns:
        1 where neither has an object.
    """
    scores = [_weights(ours), _weights(theirs)]
    total = float(scores[0].sum() + scores[1].sum())
    if not total:
        return float(len(ours.labels) == len(theirs.labels))
    partners = (ours.labels[:, None] == theirs.labels) & (_overlaps(ours.boxes, theirs.boxes) >= SAME)
    if ours.masks is not None and theirs.masks is not None and partners.any():
        rows, columns = partners.any(1), partners.any(0)
        overlaps = ours.masks.select(rows).iou(theirs.masks.select(columns))
        partners[np.ix_(rows, columns)] &= overlaps >= SAME
    shared = 0.0
    for i in np.argsort(-scores[0], kind="stable"):
        candidates = np.flatnonzero(partners[i])
        if len(candidates):
            j = candidates[scores[1][candidates].argmax()]
            partners[:, j] = False
            shared += scores[0][i] + scores[1][j]
    return shared / total


def _weights(objects: Objects) -> NDArray[np.float64]:
    return np.ones(len(objects.labels)) if objects.scores is None else objects.scores.astype(np.float64)


def _overlaps(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N,M]: the intersection over union of boxes [N,4] and [M,4]; equal boxes overlap by 1, also without area."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    inside = sides.clip(min=0).prod(2)
    union = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1) - inside
    shares: NDArray[np.float64] = np.where(union > 0, inside / np.where(union > 0, union, 1), (a[:, None] == b).all(2))
    return shares

"""Merges several boxes of one object into one: OverFeat's greedy merging, in numpy.

Sermanet et al., OverFeat, ICLR 2014, arXiv:1312.6229, section 4.3: non-maximum suppression keeps the best box and
drops the others; merging averages them and adds their scores, so that a box of many windows gets a high score.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visus.ops.iou import pairwise_iou


class Merged(NamedTuple):
    """The merged boxes of one class, the highest total score first.

    Args:
        boxes: [M,4] float64 xyxy.
        totals: [M] the sum of the scores of the boxes that were merged into each.
        counts: [M] int64, the number of these boxes.
    """

    boxes: NDArray[np.float64]
    totals: NDArray[np.float64]
    counts: NDArray[np.int64]


def merge_boxes(boxes: NDArray[np.floating], scores: NDArray[np.floating], *, limit: float = 0.5) -> Merged:
    """Merges the pair of boxes with the lowest misfit, again and again, while its misfit is at most ``limit``.

    Two boxes become their plain average, edge by edge, and their scores are added.

    Args:
        boxes: [N,4] xyxy, with sides of 0 or more.
        scores: [N] the score of each box.
        limit: the highest :func:`misfit`; the paper's t, whose value it does not give. At 0.5, boxes of one size are
            merged if they are at most 0.18 sides apart.
    """
    merged, totals = boxes.astype(np.float64), scores.astype(np.float64)
    counts = np.ones(len(merged), np.int64)
    costs = misfit(merged, merged)
    np.fill_diagonal(costs, np.inf)
    alive = np.ones(len(merged), bool)
    while costs.size:
        one, other = np.unravel_index(int(costs.argmin()), costs.shape)
        if not costs[one, other] <= limit:
            break
        merged[one] = (merged[one] + merged[other]) / 2
        totals[one] += totals[other]
        counts[one] += counts[other]
        alive[other] = False
        costs[other] = costs[:, other] = np.inf
        row = np.where(alive, misfit(merged[one : one + 1], merged)[0], np.inf)
        row[one] = np.inf
        costs[one] = costs[:, one] = row
    order = np.flatnonzero(alive)[np.argsort(-totals[alive], kind="stable")]
    return Merged(merged[order], totals[order], counts[order])


def misfit(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes the misfit of each pair of boxes: boxes [N,4], others [M,4] xyxy -> [N,M], 0 for equal boxes.

    It is the distance of the centres, divided by the mean side (the root of the area), plus 1 - IoU. The paper's
    match_score, whose lowest value is sought, is the sum of "the distance between centers" and "the intersection
    area"; it gives no units, and taken literally, boxes without a common pixel would fit best.
    """
    a, b = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]  # [N, 1, 4], [1, M, 4]
    middles = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    sides = [np.sqrt((box[..., 2:] - box[..., :2]).prod(-1)) for box in (a, b)]
    side = (sides[0] + sides[1]) / 2
    distance = np.sqrt((middles**2).sum(-1))
    far = np.divide(distance, side, out=np.where(distance > 0, np.inf, 0.0), where=side > 0)
    fit: NDArray[np.float64] = far + 1 - pairwise_iou(boxes, others)
    return fit

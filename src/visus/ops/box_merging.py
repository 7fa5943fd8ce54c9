"""Merges many boxes of one object into one: OverFeat's greedy merging, in numpy.

Sermanet et al., OverFeat, ICLR 2014, arXiv:1312.6229, section 4.3: where suppression drops all boxes but the best,
merging averages them, and what many windows agree on becomes surer than what one of them says.
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
        totals: [M] the sum of the scores of the boxes that each was merged from.
        counts: [M] int64, how many they are.
    """

    boxes: NDArray[np.float64]
    totals: NDArray[np.float64]
    counts: NDArray[np.int64]


def merge_boxes(boxes: NDArray[np.floating], scores: NDArray[np.floating], *, limit: float = 0.5) -> Merged:
    """Merges the best fitting pair of boxes again and again, until no pair has a misfit of ``limit`` or less.

    Two boxes become their plain average, edge by edge, and their scores are added.

    Args:
        boxes: [N,4] xyxy, with sides of 0 or more.
        scores: [N].
        limit: of :func:`misfit`; the paper's t, which it does not state. At 0.5 boxes of one size are merged that are
            up to 0.18 sides apart.
    """
    places, totals = boxes.astype(np.float64), scores.astype(np.float64)
    counts = np.ones(len(places), np.int64)
    costs = misfit(places, places)
    np.fill_diagonal(costs, np.inf)
    alive = np.ones(len(places), bool)
    while costs.size:
        one, other = np.unravel_index(int(costs.argmin()), costs.shape)
        if not costs[one, other] <= limit:
            break
        places[one] = (places[one] + places[other]) / 2
        totals[one] += totals[other]
        counts[one] += counts[other]
        alive[other] = False
        costs[other] = costs[:, other] = np.inf
        row = np.where(alive, misfit(places[one : one + 1], places)[0], np.inf)
        row[one] = np.inf
        costs[one] = costs[:, one] = row
    order = np.flatnonzero(alive)[np.argsort(-totals[alive], kind="stable")]
    return Merged(places[order], totals[order], counts[order])


def misfit(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """The misfit of every pair of boxes: boxes [N,4], others [M,4] xyxy -> [N,M], 0 for equal boxes.

    The distance of their middles, in mean sides (of a box the root of its area), and the share of their union that they
    do not have in common. The paper's match_score is the sum of "the distance between centers" and "the intersection
    area", of which the smallest is sought; it gives no units, and boxes that share nothing would fit best if the area
    were meant as it stands.
    """
    a, b = boxes.astype(np.float64)[:, None], others.astype(np.float64)[None]  # [N, 1, 4], [1, M, 4]
    middles = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    sides = [np.sqrt((box[..., 2:] - box[..., :2]).prod(-1)) for box in (a, b)]
    side = (sides[0] + sides[1]) / 2
    distance = np.sqrt((middles**2).sum(-1))
    far = np.divide(distance, side, out=np.where(distance > 0, np.inf, 0.0), where=side > 0)
    fit: NDArray[np.float64] = far + 1 - pairwise_iou(boxes, others)
    return fit

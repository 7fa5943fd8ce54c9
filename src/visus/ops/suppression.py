"""Non-maximum suppression (NMS) of scored boxes in NumPy: greedy and soft, in each class by itself. Loads no torch.

Greedy suppression takes boxes in falling order of their scores, in blocks. Of a block go first the boxes near those
that are kept already, then those near better ones of the block. Boxes are near if their overlap is above a threshold,
which says how far apart their centres can lie at most; so each is compared with its neighbours along x alone, and not
with all others.

Letters: M boxes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.ops.stopwatch import timed

Method = Literal["greedy", "linear", "gaussian"]
"""What happens to boxes near a better box of their class: "greedy" drops them, soft-NMS lowers their scores."""

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_FIRST = 256  # boxes of the first block; each further one is twice as large as the one before
_PAIRS = 1 << 16  # so many pairs are compared at once: their arrays stay in the cache
_ROUNDS = 16  # of the parallel decision; long chains of boxes are then gone through one by one
_SLACK = 1e-5  # float32 areas may put an overlap so much, relatively, above what it is


class LabelledBoxes(NamedTuple):
    """Scored boxes of one image, each with one class; M may be 0.

    Args:
        boxes: [M,4] float32 xyxy.
        labels: [M] int64.
        scores: [M] float32.
    """

    boxes: Floats
    labels: Indices
    scores: Floats


def suppress(
    candidates: LabelledBoxes, *, iou_threshold: float, keep: int, method: Method = "greedy", confidence: float = 0.0
) -> LabelledBoxes:
    """Suppresses boxes near better ones of their class.

    Args:
        candidates: finite boxes with sides of 0 or more, in any order.
        iou_threshold: IoU with a better box above which a box is dropped ("greedy") or from which on it loses score
            ("linear").
        keep: at most this many remain, over all classes.
        method: "greedy" is plain non-maximum suppression; "linear" and "gaussian" are those of :func:`soft_nms`, after
            which the lowered scores must still be higher than ``confidence``.
        confidence: in [0, 1]; read by the soft methods.

    Returns:
        the boxes that remain, best first; equal scores stay in their order.

    Raises:
        ShapeError: if a box is not finite.
    """
    boxes, labels, scores = candidates
    with timed("suppression"):
        if method == "greedy":
            rows = nms(boxes, scores, labels, iou_threshold, keep)
            return LabelledBoxes(boxes[rows], labels[rows], scores[rows])
        rows, lowered = soft_nms(
            boxes, scores, labels, method=method, iou_threshold=iou_threshold, floor=confidence, keep=keep
        )
        return LabelledBoxes(boxes[rows], labels[rows], lowered)


def best_first(scores: NDArray[np.floating], count: int | None = None) -> Indices:
    """The order of falling scores [M], none of them NaN, or its first ``count``; equal ones stay in their order."""
    count = len(scores) if count is None else min(count, len(scores))
    if scores.dtype != np.float32:
        return np.argsort(-scores, kind="stable")[:count]
    # The bits of a float, read as a number, rise with it, or fall if it is negative. With the index below them they
    # are keys without ties, which the fastest of all sorts may put in order.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # -0 becomes 0
    bits ^= (bits >> 63) & 0x7FFFFFFF
    keys = (-bits << 32) | np.arange(len(bits))
    if 0 < 2 * count < len(keys):
        keys.partition(count - 1)
        keys = keys[:count]
    keys.sort()
    return keys[:count] & 0xFFFFFFFF


def nms(boxes: Floats, scores: Floats, labels: Indices, iou_threshold: float, keep: int | None = None) -> Indices:
    """Greedy NMS in each class: a box goes if its IoU with a better box of its class that stays is above a threshold.

    The overlaps are computed as torchvision does, in float32, so that the same boxes remain.

    Args:
        boxes: [M,4] xyxy, finite, with sides of 0 or more.
        scores: [M].
        labels: [M].
        iou_threshold: in [0, 1].
        keep: the best so many are enough; None: all.

    Returns:
        indices [N] int64 of the boxes that remain, best first; equal scores stay in their order.

    Raises:
        ShapeError: if a box is not finite.
    """
    order = best_first(scores)
    keep = len(order) if keep is None else keep
    if iou_threshold >= 1 or len(order) < 2:
        return order[:keep]
    along, boxes_along = _along_x(boxes, labels, iou_threshold)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rank = rank[along]  # of the boxes in their order along x; 0 is the best
    stays = np.zeros(len(order), bool)
    end, size, count = 0, _FIRST, 0
    while end < len(order) and count < keep:
        begin, end = end, min(end + size, len(order))
        block = np.flatnonzero((rank >= begin) & (rank < end))
        if count:
            block = block[~_marked(boxes_along.take(block), boxes_along.take(np.flatnonzero(stays)), iou_threshold)]
        while (pairs := _pairs(boxes_along.take(block), rank[block], iou_threshold)) is None:
            end = begin + (end - begin) // 2
            block = block[rank[block] < end]
        stays[block[~_dropped(*pairs, len(block))]] = True
        count = int(stays.sum())
        size = 2 * max(_FIRST, end - begin)
    found = np.flatnonzero(stays)
    return along[found[rank[found].argsort()[:keep]]]


class _Row(NamedTuple):
    """Boxes in their order along x, each class in a stretch of its own.

    Where two boxes overlap by u, so do their projections on x, or by more. Thus the distance of the centres of two
    boxes with widths v and w is at most (1 - u) / (1 + u) (v + w) / 2, and neither is wider than 1 / u times the other.

    Args:
        at: [M] float64, rising: the centres, each class moved by the length of a stretch.
        reach: [M] float64: the largest distance of the centre of a box that overlaps this one enough.
        columns: [M] x1, y1, x2, y2 and the area, float32.
        labels: [M].
    """

    at: NDArray[np.float64]
    reach: NDArray[np.float64]
    columns: tuple[Floats, Floats, Floats, Floats, Floats]
    labels: Indices

    def take(self, which: Indices) -> _Row:
        """Some of the boxes, by rising indices."""
        x1, y1, x2, y2, areas = (column[which] for column in self.columns)
        return _Row(self.at[which], self.reach[which], (x1, y1, x2, y2, areas), self.labels[which])


def _along_x(boxes: Floats, labels: Indices, threshold: float) -> tuple[Indices, _Row]:
    """The order of the boxes along x, and they in this order.

    Raises:
        ShapeError: if a box is not finite.
    """
    left, right = boxes[:, 0].astype(np.float64), boxes[:, 2].astype(np.float64)
    widths, centres = right - left, (left + right) / 2
    loose = max(threshold * (1 - _SLACK), 0.0)
    widest = widths.max()
    others = np.fmin(widths / loose, widest) if loose > 0 else widest
    reach = (1 - loose) / (1 + loose) * (widths + others) / 2 * (1 + _SLACK)
    stretch = centres.max() - centres.min() + 2 * reach.max() + 1  # farther than any box reaches
    if not np.isfinite(stretch + boxes.sum(dtype=np.float64)):
        raise ShapeError("boxes must be finite to be suppressed", expected="numbers", got="inf or NaN")
    at = centres + labels * stretch
    reach += 4 * np.spacing(np.abs(at).max())
    along = at.argsort()
    x1, y1, x2, y2 = (np.ascontiguousarray(column) for column in boxes[along].T)
    return along, _Row(at[along], reach[along], (x1, y1, x2, y2, (x2 - x1) * (y2 - y1)), labels[along])


def _marked(boxes: _Row, kept: _Row, threshold: float) -> NDArray[np.bool_]:
    """[M] whether each box overlaps one of those that are kept."""
    first = kept.at.searchsorted(boxes.at - boxes.reach)
    last = kept.at.searchsorted(boxes.at + boxes.reach)
    hit = np.zeros(len(boxes.at), bool)
    for one, other in _windows(first, last):
        hit[one[_overlapping(boxes, one, kept, other, threshold)]] = True
    return hit


def _pairs(boxes: _Row, rank: Indices, threshold: float) -> tuple[Indices, Indices] | None:
    """The pairs of boxes that overlap, the one with the lower rank first; None if too many must be compared."""
    first = np.arange(1, len(rank) + 1)  # each pair once, from its left box
    last = np.maximum(boxes.at.searchsorted(boxes.at + boxes.reach), first)
    if len(rank) > _FIRST and (last - first).sum() > _PAIRS:
        return None
    one, other = next(_windows(first, last), (first[:0], first[:0]))
    near = _overlapping(boxes, one, boxes, other, threshold)
    one, other = one[near], other[near]
    in_order = rank[one] < rank[other]
    return np.where(in_order, one, other), np.where(in_order, other, one)


def _overlapping(boxes: _Row, one: Indices, others: _Row, other: Indices, threshold: float) -> Indices:
    """Which pairs [P] of a box and another one overlap by more than the threshold."""
    x1, y1, x2, y2, area = boxes.columns
    other_x1, other_y1, other_x2, other_y2, other_area = others.columns
    high = np.minimum(y2.take(one), other_y2.take(other))
    high -= np.maximum(y1.take(one), other_y1.take(other))
    near = np.flatnonzero(high > 0)
    one, other, high = one.take(near), other.take(near), high.take(near)
    shared = np.minimum(x2.take(one), other_x2.take(other))
    shared -= np.maximum(x1.take(one), other_x1.take(other))
    shared *= high  # negative where they are apart along x
    union = area.take(one) + other_area.take(other)
    union -= shared
    # float32 as in torchvision, which compares with the threshold in double precision; the union may be 0
    with np.errstate(divide="ignore", invalid="ignore"):
        above = (shared / union).astype(np.float64) > threshold
    above &= boxes.labels[one] == others.labels[other]
    chosen: Indices = near[above]
    return chosen


def _windows(first: Indices, last: Indices) -> Iterator[tuple[Indices, Indices]]:
    """The pairs (i, j) of each i with its j from first[i] to last[i] - 1, in parts of a limited size."""
    counts = last - first
    ends = counts.cumsum()
    start = done = 0
    while start < len(counts):
        stop = max(int(np.searchsorted(ends, done + _PAIRS, side="right")), start + 1)
        part = counts[start:stop]
        total = int(ends[stop - 1]) - done
        if total:
            others = np.repeat(last[start:stop] - (ends[start:stop] - done), part)
            others += np.arange(total)
            yield np.repeat(np.arange(start, stop), part), others
        start, done = stop, int(ends[stop - 1])


def _dropped(better: Indices, worse: Indices, count: int) -> NDArray[np.bool_]:
    """[count] which boxes go, given the pairs that overlap: each box goes that overlaps a better one that stays.

    All boxes without a better neighbour stay, their neighbours go, and so on until nothing is left to decide.
    """
    gone, behind = np.zeros(count, bool), np.zeros(count, bool)
    for _ in range(_ROUNDS):
        if len(better) == 0:
            return gone
        behind[:] = False
        behind[worse] = True
        gone[worse[~behind[better]]] = True
        open_ = ~(gone[better] | gone[worse])
        better, worse = better[open_], worse[open_]
    in_order = better.argsort(kind="stable")
    for one, other in zip(better[in_order].tolist(), worse[in_order].tolist(), strict=True):
        if not gone[one]:
            gone[other] = True
    return gone


def soft_nms(
    boxes: Floats,
    scores: Floats,
    labels: Indices | None = None,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    floor: float = 0.001,
    keep: int | None = None,
) -> tuple[Indices, Floats]:
    """Lowers the scores of boxes near better ones instead of dropping them (Bodla et al., ICCV 2017, arXiv:1704.04503).

    The best box is taken. The score of every other box of its class is multiplied by 1 - u if its IoU u with the best
    box is at least ``iou_threshold`` ("linear", section 3), or by exp(-u^2 / sigma) ("gaussian"). The same is done with
    the remaining boxes, until none is left.

    Args:
        boxes: [M,4] xyxy, with sides of 0 or more.
        scores: [M].
        labels: [M]; None: all boxes are of one class.
        method: the weighting.
        iou_threshold: of "linear"; the paper's 0.3.
        sigma: of "gaussian"; the paper's 0.5.
        floor: boxes whose score is no longer higher than this are dropped.
        keep: the best so many are enough; None: all.

    Returns:
        indices [N] in falling order of the lowered scores, and these scores [N]; equal scores stay in their order.
    """
    labels = np.zeros(len(scores), np.int64) if labels is None else labels
    by_class = labels.argsort(kind="stable")
    bounds = np.flatnonzero(np.diff(labels[by_class])) + 1
    groups = np.split(by_class, bounds)
    group_of = np.empty(len(labels), np.int64)
    group_of[by_class] = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    columns = [boxes[group].T.copy() for group in groups]
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in columns]
    remaining = scores.astype(np.float32)
    order: list[int] = []
    values: list[float] = []
    for _ in range(len(scores) if keep is None else min(keep, len(scores))):
        best = int(remaining.argmax())
        value = float(remaining[best])
        if not value > floor:
            break
        order.append(best)
        values.append(value)
        group = int(group_of[best])
        rows, (x1, y1, x2, y2) = groups[group], columns[group]
        left, top, right, bottom = boxes[best]
        shared = np.maximum(np.minimum(x2, right) - np.maximum(x1, left), 0)
        shared *= np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top), 0)
        union = areas[group] + (right - left) * (bottom - top) - shared
        overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        if method == "linear":
            factors = np.where(overlaps >= iou_threshold, 1 - overlaps, np.float32(1))
        else:
            factors = np.exp(-np.square(overlaps) / np.float32(sigma))
        remaining[rows] *= factors
        remaining[best] = -np.inf
    return np.asarray(order, np.int64), np.asarray(values, np.float32)

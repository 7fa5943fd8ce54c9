"""Reduces many scored boxes to few: confidence threshold, per-class non-maximum suppression (NMS), the best K."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from visus.ops.boxes import batched_nms, box_iou, clip_boxes_to_image, nms
from visus.ops.stopwatch import timed

Method = Literal["greedy", "linear", "gaussian"]
"""What happens to boxes near a better box of their class: "greedy" drops them, soft-NMS lowers their scores."""


class LabelledBoxes(NamedTuple):
    """Scored boxes of one image, each with one class: boxes [N,4] xyxy, labels [N] int64, scores [N]; N may be 0."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


def multiclass_nms(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    *,
    confidence: float,
    iou_threshold: float,
    candidates: int,
    keep: int,
    method: Method = "greedy",
) -> LabelledBoxes:
    """Keeps the best boxes of each class of one image, and drops boxes near a better box of their class.

    Args:
        boxes: [A,4] xyxy in pixels, one box for all classes; clipped to the image here.
        scores: [A,K] in [0, 1].
        size: (height, width) of the image in pixels.
        confidence: scores must be higher than this.
        iou_threshold: a box is dropped if its IoU with a better box of its class is higher than this.
        candidates: only this many best boxes of a class compete.
        keep: at most this many objects remain, over all classes.
        method: see :func:`candidate_nms`.

    Returns:
        the objects, best first.
    """
    boxes = clip_boxes_to_image(boxes, size)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    best, rows = scores.masked_fill(~inside[:, None], 0).topk(min(candidates, len(scores)), dim=0)  # [T, K]
    rank, labels = torch.nonzero(best > confidence, as_tuple=True)
    above = LabelledBoxes(boxes[rows[rank, labels]], labels, best[rank, labels])
    return candidate_nms(above, iou_threshold=iou_threshold, keep=keep, method=method, confidence=confidence)


def candidate_nms(
    candidates: LabelledBoxes, *, iou_threshold: float, keep: int, method: Method = "greedy", confidence: float = 0.0
) -> LabelledBoxes:
    """Non-maximum suppression of boxes with one class each, in each class by itself.

    Args:
        candidates: in any order.
        iou_threshold: IoU with a better box above which a box is dropped ("greedy") or loses score ("linear").
        keep: at most this many remain.
        method: "greedy" is plain non-maximum suppression; "linear" and "gaussian" are those of :func:`soft_nms`, after
            which the lowered scores must still be higher than ``confidence``.
        confidence: in [0, 1]; read by the soft methods.

    Returns:
        the boxes that remain, best first.
    """
    with timed("suppression"):
        return _nms(candidates, iou_threshold, keep, method, confidence)


def _nms(
    candidates: LabelledBoxes, iou_threshold: float, keep: int, method: Method, confidence: float
) -> LabelledBoxes:
    boxes, labels, scores = candidates
    if method == "greedy":
        chosen = nms_by_class(boxes, scores, labels, iou_threshold)[:keep]
        return LabelledBoxes(boxes[chosen], labels[chosen], scores[chosen])
    kept, values = [], []
    for label in range(int(labels.max()) + 1 if len(labels) else 0):
        rows = torch.nonzero(labels == label).flatten()
        if len(rows) == 0:
            continue
        order, lowered = soft_nms(
            boxes[rows], scores[rows], method=method, iou_threshold=iou_threshold, floor=confidence
        )
        kept.append(rows[order])
        values.append(lowered)
    if not kept:
        return LabelledBoxes(boxes[:0], labels[:0], scores[:0])
    rows, lowered = torch.cat(kept), torch.cat(values)
    lowered, best = lowered.topk(min(keep, len(lowered)))
    return LabelledBoxes(boxes[rows[best]], labels[rows[best]], lowered)


def nms_by_class(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Greedy NMS in each class: returns the indices of the boxes that remain, best first.

    The same as ``torchvision.ops.batched_nms`` for many classes and boxes, whose one pass over all boxes for each class
    is one sort here. On accelerators, where many small calls cost most, it is torchvision's.

    Args:
        boxes: [M,4] xyxy.
        scores: [M].
        labels: [M] int64.
        iou_threshold: a box is dropped if its IoU with a better box of its class is higher than this.
    """
    if boxes.device.type != "cpu":
        return batched_nms(boxes, scores, labels, iou_threshold)
    order = labels.argsort(stable=True)
    sizes = torch.unique_consecutive(labels[order], return_counts=True)[1].tolist()
    groups = zip(*(torch.split(part, sizes) for part in (order, boxes[order], scores[order])), strict=True)
    kept = [rows[nms(class_boxes, values, iou_threshold)] for rows, class_boxes, values in groups]
    if not kept:
        return order
    # by index first, so that equal scores stay in their order, as in a stable sort of all
    chosen = torch.cat(kept).sort().values
    return chosen[scores[chosen].argsort(descending=True, stable=True)]


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    method: Literal["linear", "gaussian"] = "gaussian",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    floor: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Lowers the scores of boxes near better ones instead of dropping them (Bodla et al., ICCV 2017, arXiv:1704.04503).

    The best box is taken. The score of every other box is multiplied by 1 - u if its IoU u with the best box is at
    least ``iou_threshold`` ("linear", section 3), or by exp(-u^2 / sigma) ("gaussian"). The same is done with the
    remaining boxes, until none is left.

    Args:
        boxes: [M,4] xyxy of one class.
        scores: [M].
        method: the weighting.
        iou_threshold: of "linear"; the paper's 0.3.
        sigma: of "gaussian"; the paper's 0.5.
        floor: boxes whose score is no longer higher than this are dropped.

    Returns:
        indices [N] in falling order of the lowered scores, and these scores [N].
    """
    overlaps = box_iou(boxes, boxes)
    factors = (
        torch.where(overlaps >= iou_threshold, 1 - overlaps, 1.0)
        if method == "linear"
        else torch.exp(-(overlaps**2) / sigma)
    )
    remaining = scores.clone()
    order: list[int] = []
    values: list[float] = []
    for _ in range(len(scores)):
        best = int(remaining.argmax())
        value = float(remaining[best])
        if value <= floor:
            break
        order.append(best)
        values.append(value)
        remaining = remaining * factors[best]
        remaining[order] = -1.0
    return torch.tensor(order, dtype=torch.int64, device=scores.device), scores.new_tensor(values)

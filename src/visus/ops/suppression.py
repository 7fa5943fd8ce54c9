"""From many scored boxes to few: confidence, per-class non-maximum suppression, the best."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image


def suppress(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    *,
    confidence: float,
    overlap: float,
    candidates: int,
    keep: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The objects of one image.

    Args:
        boxes: [A,4] xyxy in pixels, one box for all classes; clipped to the image here.
        scores: [A,K] in [0, 1].
        size: (height, width) of the image in pixels.
        confidence: scores must be higher than this.
        overlap: a box goes if its intersection over union with a better box of its class is higher than this.
        candidates: only this many best boxes of a class compete.
        keep: at most this many objects remain, over all classes.

    Returns:
        boxes [N,4], labels [N] int64, scores [N], best first; N may be 0.
    """
    boxes = clip_boxes_to_image(boxes, size)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    best, rows = scores.masked_fill(~inside[:, None], 0).topk(min(candidates, len(scores)), dim=0)  # [T, K]
    rank, labels = torch.nonzero(best > confidence, as_tuple=True)
    found, values = boxes[rows[rank, labels]], best[rank, labels]
    chosen = batched_nms(found, values, labels, overlap)[:keep]
    return found[chosen], labels[chosen], values[chosen]

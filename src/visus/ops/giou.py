"""Generalised intersection over union of tensors, with gradients; plain IoU is ``torchvision.ops.box_iou``."""

from __future__ import annotations

import torch
from torch import Tensor


def paired_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """IoU minus the empty share of the smallest box around both (Rezatofighi et al., arXiv:1902.09630, algorithm 1).

    Unlike IoU it tells near misses from far ones, so that boxes which do not touch have a slope.

    Args:
        boxes: [...,4] xyxy.
        others: [...,4] xyxy, of a shape that broadcasts with ``boxes``.

    Returns:
        [...] in (-1, 1]; 0 for two empty boxes at one place.
    """
    boxes, others = boxes.float(), others.float()
    shared = _area(torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:]))
    around = _area(torch.minimum(boxes[..., :2], others[..., :2]), torch.maximum(boxes[..., 2:], others[..., 2:]))
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(others[..., :2], others[..., 2:]) - shared
    smallest = torch.finfo(union.dtype).tiny
    return shared / union.clamp(min=smallest) - (around - union) / around.clamp(min=smallest)


def pairwise_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """:func:`paired_giou` of every pair. boxes [N,4], others [M,4] xyxy -> [N,M]."""
    return paired_giou(boxes[:, None], others[None])


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)

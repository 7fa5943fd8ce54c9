"""Generalised IoU of tensors, with gradients; ``torchvision.ops.box_iou`` is the plain IoU."""

from __future__ import annotations

import torch
from torch import Tensor


def paired_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Computes IoU minus the empty share of the smallest box around both boxes.

    Rezatofighi et al., arXiv:1902.09630, algorithm 1. Unlike IoU, it has a gradient for boxes that do not touch: it
    falls as their distance grows.

    Args:
        boxes: [...,4] xyxy.
        others: [...,4] xyxy, of a shape that broadcasts with ``boxes``.

    Returns:
        [...] in (-1, 1]; 0 for two empty boxes at the same point.
    """
    boxes, others = boxes.float(), others.float()
    shared = _area(torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:]))
    around = _area(torch.minimum(boxes[..., :2], others[..., :2]), torch.maximum(boxes[..., 2:], others[..., 2:]))
    union = _area(boxes[..., :2], boxes[..., 2:]) + _area(others[..., :2], others[..., 2:]) - shared
    smallest = torch.finfo(union.dtype).tiny
    return shared / union.clamp(min=smallest) - (around - union) / around.clamp(min=smallest)


def pairwise_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Computes :func:`paired_giou` of every pair of boxes [N,4] and others [M,4], xyxy -> [N,M]."""
    return paired_giou(boxes[:, None], others[None])


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)

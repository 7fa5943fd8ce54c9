"""Losses of boxes by how they overlap."""

from __future__ import annotations

from torch import Tensor

from visus.ops.giou import paired_giou


def giou_loss(boxes: Tensor, truths: Tensor) -> Tensor:
    """1 - generalised IoU of each pair (Rezatofighi et al., CVPR 2019, arXiv:1902.09630, algorithm 1).

    Args:
        boxes: [N,4] xyxy.
        truths: [N,4] xyxy.

    Returns:
        [N] in [0, 2).
    """
    return 1 - paired_giou(boxes, truths)

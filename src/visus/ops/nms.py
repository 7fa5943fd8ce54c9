"""Greedy suppression of tensors; see :mod:`visus.ops.suppression` for that of arrays."""

from __future__ import annotations

import torch
from torch import Tensor

from visus.ops.boxes import batched_nms
from visus.ops.suppression import nms


def nms_by_class(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, keep: int | None = None
) -> Tensor:
    """Greedy NMS in each class: returns the indices of the boxes that remain, best first.

    On accelerators it is torchvision's, on the CPU :func:`visus.ops.suppression.nms`, which leaves the same boxes.

    Args:
        boxes: [M,4] xyxy, finite, with sides of 0 or more.
        scores: [M].
        labels: [M] int64.
        iou_threshold: a box is dropped if its IoU with a better box of its class is higher than this.
        keep: the best so many are enough; None: all.
    """
    if boxes.device.type != "cpu":
        return batched_nms(boxes, scores, labels, iou_threshold)[:keep]
    return torch.from_numpy(nms(boxes.detach().numpy(), scores.detach().numpy(), labels.numpy(), iou_threshold, keep))

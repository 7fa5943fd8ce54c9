"""torchvision's functions for boxes. Its import loads a compiler and takes seconds, so it waits for the first call."""

from __future__ import annotations

from torch import Tensor


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union. boxes [N,4], others [M,4], xyxy -> [N,M] in [0, 1]."""
    from torchvision.ops import box_iou

    return box_iou(boxes, others)  # type: ignore[no-any-return]


def box_convert(boxes: Tensor, source: str, target: str) -> Tensor:
    """Converts boxes [...,4] between "xyxy", "xywh" (corner and sides) and "cxcywh" (centre and sides)."""
    from torchvision.ops import box_convert

    return box_convert(boxes, source, target)  # type: ignore[no-any-return]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Clips boxes [...,4] (xyxy) to an image of this (height, width) in pixels."""
    from torchvision.ops import clip_boxes_to_image

    return clip_boxes_to_image(boxes, size)  # type: ignore[no-any-return]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Greedy suppression. boxes [N,4] xyxy, scores [N] -> indices of those kept, by falling score."""
    from torchvision.ops import nms

    return nms(boxes, scores, iou_threshold)  # type: ignore[no-any-return]


def batched_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """:func:`nms` in each class by itself. labels [N]."""
    from torchvision.ops import batched_nms

    return batched_nms(boxes, scores, labels, iou_threshold)  # type: ignore[no-any-return]

"""Losses of a class and one box, both in one vector [p_c, b_x, b_y, b_h, b_w, c_1 ... c_K].

p_c says whether there is an object; without one, nothing else counts. Letters: N images, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

UNIT = 0.1
"""Coordinates are measured in tenths of the image in the smooth loss, as the variance 0.1 of SSD's coding does."""


def squared_vector_loss(
    presence: Tensor, boxes: Tensor, classes: Tensor, targets: tuple[Tensor, Tensor, Tensor], weights: Tensor
) -> dict[str, Tensor]:
    """The squared error of all values if the image has an object, else of p_c alone (A. Ng's course, 2017).

    Args:
        presence: [N] p_c as the network says it.
        boxes: [N,4] (b_x, b_y, b_h, b_w), fractions of the image.
        classes: [N,K].
        targets: presence [N] 0 or 1, boxes [N,4], class ids [N]; of images without an object any.
        weights: [N] 0 for images that do not count, else 1.

    Returns:
        "presence", "box" and "class"; their sum is the mean over the images that count.
    """
    present, target_boxes, labels = targets
    count = weights.sum().clamp(min=1)
    counted = weights * present
    indicator = F.one_hot(labels, classes.shape[1]).to(classes)
    return {
        "presence": (weights * (presence - present) ** 2).sum() / count,
        "box": (counted * ((boxes - target_boxes) ** 2).sum(1)).sum() / count,
        "class": (counted * ((classes - indicator) ** 2).sum(1)).sum() / count,
    }


def logistic_vector_loss(
    presence: Tensor, boxes: Tensor, classes: Tensor, targets: tuple[Tensor, Tensor, Tensor], weights: Tensor
) -> dict[str, Tensor]:
    """Logistic loss of p_c, softmax cross-entropy of the classes, and smooth L1 of the box in tenths of the image.

    Arguments and result as for :func:`squared_vector_loss`, with ``presence`` and ``classes`` as logits.
    """
    present, target_boxes, labels = targets
    count = weights.sum().clamp(min=1)
    counted = weights * present
    distance = F.smooth_l1_loss(boxes / UNIT, target_boxes / UNIT, reduction="none").sum(1)
    return {
        "presence": (weights * F.binary_cross_entropy_with_logits(presence, present, reduction="none")).sum() / count,
        "box": (counted * distance).sum() / count,
        "class": (counted * F.cross_entropy(classes, labels, reduction="none")).sum() / count,
    }


def to_fractions(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [N,4] xyxy in pixels -> [N,4] (b_x, b_y, b_h, b_w): middle, height and width as shares of the image."""
    height, width = size
    corners = boxes / boxes.new_tensor([width, height, width, height])
    middle, sides = (corners[..., :2] + corners[..., 2:]) / 2, corners[..., 2:] - corners[..., :2]
    return torch.cat([middle, sides.flip(-1)], -1)

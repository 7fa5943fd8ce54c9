"""Losses of classes that do not exclude one another: a yes or no for each class.

Letters: N images, K classes, H x W pixels; "..." is H x W for maps, and nothing for labels of whole images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def binary_cross_entropy(
    logits: Tensor, targets: Tensor, *, ignore: int, positive_weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of sigmoid probabilities: the mean over all images, pixels and classes that count.

    Args:
        logits: [N,K,...].
        targets: [N,K,...] integers: 1 where the class is there, 0 where not, ``ignore`` where it does not count.
        ignore: marks what does not count.
        positive_weights: [N,K,...] or what is broadcast to it: how often a place where the class is there counts; None:
            once.

    Returns:
        A scalar >= 0, in float32 at least; 0, with a gradient of zeros, when nothing counts.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counts = targets != ignore  # [N, K, H, W]
    losses = functional.binary_cross_entropy_with_logits(
        logits, (targets == 1).to(logits.dtype), reduction="none", pos_weight=positive_weights
    )
    return losses.where(counts, 0).sum() / counts.sum().clamp(min=1)


def multilabel_dice_loss(logits: Tensor, targets: Tensor, *, ignore: int) -> Tensor:
    """1 minus the mean of 2 |P T| / (|P| + |T|) over the classes that occur in the batch's targets.

    As :func:`visus.losses.dice.dice_loss` (Milletari, Navab, Ahmadi 2016, section 3), with P the sigmoid's
    probabilities and T a mask for each class.

    Args:
        logits: [N,K,H,W].
        targets: [N,K,H,W] integers: 1, 0, or ``ignore``.
        ignore: marks what does not count.

    Returns:
        A scalar in [0, 1], in float32 at least; 0, with a gradient of zeros, when no class occurs.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    probabilities = logits.sigmoid() * (targets != ignore)  # [N, K, H, W]
    masks = (targets == 1).to(logits.dtype)
    overlap = (probabilities * masks).sum((0, 2, 3))  # [K]
    size = masks.sum((0, 2, 3))  # [K]
    total = probabilities.sum((0, 2, 3)) + size  # [K]
    occurs = size > 0
    missed = torch.where(occurs, 1 - 2 * overlap / total.where(occurs, 1), 0)
    return missed.sum() / occurs.sum().clamp(min=1)

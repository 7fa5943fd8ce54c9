"""The soft Dice loss: overlap instead of counts, so that a small class weighs as much as a large one.

Milletari, Navab, Ahmadi: V-Net, 3DV 2016, section 3, for one class; here the mean over classes, with plain sums instead
of squares in the denominator.

Letters: N images, K classes, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def dice_loss(logits: Tensor, targets: Tensor, *, ignore: int = -100) -> Tensor:
    """1 minus the mean of 2 |P T| / (|P| + |T|) over the classes that occur in the batch's targets.

    P are the softmax probabilities of a class over all pixels of the batch, T is 1 at its pixels.

    Args:
        logits: [N,K,H,W].
        targets: [N,H,W] int64 class ids; ``ignore`` where a pixel does not count.
        ignore: the id of pixels that do not count.

    Returns:
        A scalar in [0, 1], in float32 at least; 0, with a gradient of zeros, when nothing counts.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    counts = targets != ignore  # [N, H, W]
    probabilities = logits.softmax(1) * counts[:, None]  # [N, K, H, W]
    one_hot = torch.zeros_like(probabilities).scatter_(1, targets.where(counts, 0)[:, None], 1.0) * counts[:, None]
    overlap = (probabilities * one_hot).sum((0, 2, 3))  # [K]
    size = one_hot.sum((0, 2, 3))  # [K]
    total = probabilities.sum((0, 2, 3)) + size  # [K]
    occurs = size > 0
    missed = torch.where(occurs, 1 - 2 * overlap / total.where(occurs, 1), 0)
    return missed.sum() / occurs.sum().clamp(min=1)

"""SSD's loss: of boxes and classes, with hard negative mining.

Shapes: N images, A default boxes, K classes; class 0 of 1+K is background.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def multibox_loss(
    logits: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor, *, negatives: float = 3.0
) -> dict[str, Tensor]:
    """Smooth L1 of the matched boxes, and cross-entropy of these and the hardest negatives (SSD, equations 1 to 3).

    In every image the ``negatives`` times as many background boxes as matched ones enter, those with the highest
    loss first (section 2.2, "Hard negative mining"). Both sums are divided by the number of matched boxes of the
    batch; without any, the loss is 0 and so are its gradients.

    Args:
        logits: [N,A,1+K].
        offsets: [N,A,4], encoded.
        labels: [N,A] int64: 0 background, 1..K an object's class, negative: does not count.
        targets: [N,A,4] encoded offsets of the objects; read only where ``labels`` > 0.
        negatives: background boxes for one matched box.

    Returns:
        "box" and "class": scalars, with alpha = 1 between them.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)  # sums of thousands of terms want more than 16 bits
    logits, offsets = logits.to(exact), offsets.to(exact)
    positive = labels > 0
    background = labels == 0
    entropy = F.cross_entropy(logits.flatten(0, 1), labels.clamp(min=0).flatten(), reduction="none")
    entropy = entropy.view_as(labels)  # [N, A]

    hardness = entropy.detach().masked_fill(~background, -torch.inf)
    quota = negatives * positive.sum(1, keepdim=True)  # [N, 1]
    within_quota = torch.arange(labels.shape[1], device=labels.device) < quota  # [N, A], by rank
    hard = torch.zeros_like(within_quota).scatter(1, hardness.argsort(1, descending=True), within_quota) & background

    distance = F.smooth_l1_loss(offsets, torch.where(positive[..., None], targets, 0), reduction="none").sum(-1)
    matched = positive.sum().clamp(min=1)
    return {
        "box": torch.where(positive, distance, 0).sum() / matched,
        "class": torch.where(positive | hard, entropy, 0).sum() / matched,
    }

"""The focal loss for classes that do not exclude one another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """``-alpha_t (1 - p_t)^gamma log p_t`` for each class on its own (Lin et al., ICCV 2017, equations 4 and 5).

    Args:
        logits: of any shape.
        targets: of the same shape, 0 or 1.
        alpha: weight of the ones, in [0, 1]; the zeros have 1 - alpha.
        gamma: >= 0; the larger, the less well answered places count. 0 is the cross-entropy weighted by alpha.

    Returns:
        The loss of each value, of the same shape, not summed.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    logits, targets = logits.to(exact), targets.to(exact)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")  # -log p_t
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    # 1 - p_t; the bound keeps the power's slope finite where 0 < gamma < 1
    missing = (-torch.expm1(-entropy)).clamp(min=torch.finfo(exact).tiny)
    return weight * missing**gamma * entropy

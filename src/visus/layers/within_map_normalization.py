"""The local response normalisation of one map by itself, as in Caffe's networks of Zeiler and Fergus."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WithinMapNormalization(nn.Module):
    """Divides each value by a power of the mean square of its neighbours in the same map. [N,C,H,W] -> [N,C,H,W].

    b = a / (1 + alpha * mean of a^2)^beta, the mean over ``size`` x ``size`` pixels, of which those beyond the border
    are 0: Caffe's LRN with norm_region WITHIN_CHANNEL (lrn_layer.cpp). No trainable value.

    Args:
        size: odd.
        alpha, beta: the constants; the default ones are those of the networks that SPP-net and Faster R-CNN call ZF.
    """

    def __init__(self, size: int = 3, *, alpha: float = 5e-5, beta: float = 0.75) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        x_fine = x.to(torch.promote_types(x.dtype, torch.float32))  # the squares of half precision end at 256
        near = nn.functional.avg_pool2d(x_fine.square(), self.size, stride=1, padding=self.size // 2)
        return x * torch.pow(1 + self.alpha * near, -self.beta).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.size}x{self.size}, alpha={self.alpha}, beta={self.beta}"

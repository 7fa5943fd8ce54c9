"""The local response normalisation of AlexNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visus.errors import UsageError


class ResponseNormalization(nn.Module):
    """Divides each value by a power of the sum of squares of the neighbouring maps at the same pixel.

    [N,C,H,W] -> [N,C,H,W]: b_i = a_i / (k + alpha * sum of a_j^2)^beta, the sum over the ``size`` maps around map i;
    at the first and the last map over those that there are. No trainable value. Krizhevsky et al. 2012, sec. 3.3.

    ``nn.LocalResponseNorm`` and Caffe divide alpha by ``size``; the paper's formula does not.

    Args:
        size: n, odd.
        k, alpha, beta: the constants; the default ones are the paper's.

    Raises:
        UsageError: if ``size`` is even, for which the formula names no middle.
    """

    def __init__(self, size: int = 5, *, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise UsageError("the number of normalised maps is even", expected="an odd number", got=str(size))
        self.size = size
        self.k = k
        self.alpha = alpha
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        maps, rest = x.shape[1], self.size // 2
        x_fine = x.to(torch.promote_types(x.dtype, torch.float32))  # the squares of half precision end at 256
        squares = nn.functional.pad(x_fine.square(), (0, 0, 0, 0, rest, rest))
        near = squares[:, :maps]
        for shift in range(1, self.size):
            near = near + squares[:, shift : shift + maps]  # [N, C, H, W]
        return x * torch.pow(self.k + self.alpha * near, -self.beta).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.size}, k={self.k}, alpha={self.alpha}, beta={self.beta}"

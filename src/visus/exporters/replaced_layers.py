"""Layers that ONNX has no operator for, replaced by others that compute the same bits.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BinnedMaxPool2d(nn.Module):
    """Adaptive max pooling by a maximum a bin. [N,C,H,W] -> [N,C,n,m].

    Bin i of n reaches from floor(i H / n) to ceil((i + 1) H / n), as in ``nn.AdaptiveMaxPool2d``. ONNX has no operator
    where H is no multiple of n.

    Args:
        bins: (n, m); None leaves a side as it is.
    """

    def __init__(self, bins: tuple[int | None, int | None]) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (_edges(side, bins) for side, bins in zip(x.shape[-2:], self.bins, strict=True))
        lines = [torch.stack([x[..., t:b, a:z].amax((-2, -1)) for a, z in columns], -1) for t, b in rows]
        return torch.stack(lines, -2)


def with_exportable_layers(network: nn.Module) -> nn.Module:
    """Replaces, in place, the layers of a network that cannot be exported; returns it."""
    for name, module in list(network.named_modules()):
        if type(module) is nn.AdaptiveMaxPool2d and module.output_size not in (1, (1, 1)):
            size = module.output_size
            new = BinnedMaxPool2d(size if isinstance(size, tuple) else (size, size))
            if not name:
                return new
            network.set_submodule(name, new)
    return network


def _edges(side: int, bins: int | None) -> list[tuple[int, int]]:
    count = side if bins is None else bins
    return [(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]

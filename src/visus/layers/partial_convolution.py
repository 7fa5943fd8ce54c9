"""A convolution whose output maps each use only some of the input maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visus.errors import ShapeError


class PartialConv2d(nn.Module):
    """A convolution with a connection table; absent connections have neither weight nor operation.

    [N,C,H,W] -> [N,O,H-k+1,W-k+1]. ``weight`` is [L,1,k,k] with one kernel for each of the L connections, in the order
    of the table. LeCun et al. 1998, Table I (LeNet-5's C3: L = 60, 60 * 25 + 16 = 1,516 trainable values).

    Args:
        in_channels: C.
        connections: for each of the O output maps, the input maps that it sees.
        kernel_size: k.

    Raises:
        ShapeError: if the table names an input map that does not exist, or an output map sees none.
    """

    sources: Tensor

    def __init__(self, in_channels: int, connections: Sequence[Sequence[int]], kernel_size: int) -> None:
        super().__init__()
        for output, inputs in enumerate(connections):
            if not inputs or not all(0 <= i < in_channels for i in inputs):
                raise ShapeError(
                    f"output map {output} of a partial convolution has an invalid list of input maps",
                    expected=f"some of 0..{in_channels - 1}",
                    got=str(list(inputs)),
                )
        self.in_channels = in_channels
        self.out_channels = len(connections)
        self.kernel_size = kernel_size
        self.fan_in = [len(inputs) * kernel_size**2 for inputs in connections]
        self._lengths = [len(inputs) for inputs in connections]
        table = torch.tensor([i for inputs in connections for i in inputs])
        self.register_buffer("sources", table, persistent=False)
        self.weight = nn.Parameter(torch.empty(len(table), 1, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(len(connections)))
        self.reset_parameters()

    def reset_parameters(self, gain: float = 1.0, power: float = 0.5) -> None:
        """Draws weights uniform in +-gain / fan_in**power, with the fan-in of each output map."""
        with torch.no_grad():
            kernels = torch.split(self.weight, self._lengths)
            for kernel, bias, fan_in in zip(kernels, self.bias, self.fan_in, strict=True):
                bound = gain / math.pow(fan_in, power)
                kernel.uniform_(-bound, bound)
                bias.uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        links = nn.functional.conv2d(x[:, self.sources], self.weight, groups=len(self.weight))  # [N, L, h, w]
        maps = torch.stack([part.sum(1) for part in torch.split(links, self._lengths, 1)], 1)  # [N, O, h, w]
        return maps + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, connections={len(self.weight)}"
        )

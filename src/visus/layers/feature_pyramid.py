"""The feature pyramid network.

Lin, Dollar, Girshick, He, Hariharan, Belongie: Feature pyramid networks for object detection, CVPR 2017
(arXiv:1612.03144), section 3 and figure 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F


class FeaturePyramid(nn.Module):
    """Maps of every stride with the meaning of the coarsest: {s: [N,C_s,H/s,W/s]} -> {s: [N,D,H/s,W/s]}.

    A 1x1 convolution brings each map to D channels; from coarse to fine, the map above is doubled in size by its
    nearest values and added; a 3x3 convolution takes off what the doubling leaves (section 3). There is no
    nonlinearity. Where a side is odd, the map above is brought to that side.

    Args:
        channels: {stride: C_s} of the maps.
        width: D, 256 in the paper.
    """

    def __init__(self, channels: Mapping[int, int], width: int = 256) -> None:
        super().__init__()
        self.strides = tuple(sorted(channels))
        self.lateral = nn.ModuleList(nn.Conv2d(channels[stride], width, 1) for stride in self.strides)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in self.strides)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # as in the authors' Detectron
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: Mapping[int, Tensor]) -> dict[int, Tensor]:
        pyramid: dict[int, Tensor] = {}
        above: Tensor | None = None
        for level in reversed(range(len(self.strides))):
            stride = self.strides[level]
            x = self.lateral[level](maps[stride])  # [N, D, H/s, W/s]
            if above is not None:
                x += F.interpolate(above, size=x.shape[2:], mode="nearest")  # in place: a convolution keeps no output
            above = x
            pyramid[stride] = self.output[level](x)  # [N, D, H/s, W/s]
        return dict(sorted(pyramid.items()))

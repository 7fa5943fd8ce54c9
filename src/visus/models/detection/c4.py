"""Residual networks cut behind conv4_x: all before serves the whole image, conv5_x each region ("C4").

He, Zhang, Ren, Sun, CVPR 2016, arXiv:1512.03385, appendix A: "Networks on conv feature maps". BatchNorm is meant to be
frozen in training, as there.

Letters: N images, C channels, H x W pixels, R regions of all images, p x p cells of a pooled region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from visus.models.classification.resnet import BOTTLENECKS, StemPooling, StrideIn, check_size, stage

DEPTHS: Mapping[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # table 1 there

Depth = Literal[50, 101]


class ResidualC4(nn.Module):
    """conv1 to conv4_x. [N,C,H,W] -> {16: [N,1024,H/16,W/16]}; its parameters have torchvision's names.

    Args:
        depth: of the whole network.
        in_channels: C.
        stride_in: the convolution of a bottleneck that strides.
        pooling: the first pooling's border.
    """

    channels: Mapping[int, int] = {16: 1024}
    head: tuple[str, ...] = ()

    def __init__(
        self,
        depth: Depth,
        in_channels: int = 3,
        *,
        stride_in: StrideIn = "1x1",
        pooling: StemPooling = "unpadded",
    ) -> None:
        super().__init__()
        block, depths = BOTTLENECKS[stride_in], DEPTHS[depth]
        self.pooling = pooling
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = (
            nn.MaxPool2d(3, stride=2, ceil_mode=True) if pooling == "unpadded" else nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.layer1 = stage(block, depths[0], 64, 64, 1)
        self.layer2 = stage(block, depths[1], 256, 128, 2)
        self.layer3 = stage(block, depths[2], 512, 256, 2)
        _initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, self.pooling, learns=self.bn1.training)
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # [N, 64, H/4, W/4]
        x = self.layer1(x)  # [N, 256, H/4, W/4]
        x = self.layer2(x)  # [N, 512, H/8, W/8]
        return {16: self.layer3(x)}  # [N, 1024, H/16, W/16]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


class ResidualRegions(nn.Module):
    """conv5_x and the mean over its cells. [R,1024,p,p] -> [R,2048].

    Args:
        depth: of the whole network.
        stride_in: the convolution of a bottleneck that strides.
    """

    width = 2048

    def __init__(self, depth: Depth, *, stride_in: StrideIn = "1x1") -> None:
        super().__init__()
        self.layer4 = stage(BOTTLENECKS[stride_in], DEPTHS[depth][3], 1024, 512, 2)
        _initialise(self)

    def forward(self, pooled: Tensor) -> Tensor:
        x: Tensor = self.layer4(pooled)  # [R, 2048, p/2, p/2]
        return torch.mean(x, (2, 3))


def _initialise(part: nn.Module) -> None:
    """Draws weights as He et al. (2015), as the residual networks' own section 3.4 says."""
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

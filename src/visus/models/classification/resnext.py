"""ResNeXt-50 (32x4d), ResNeXt-101 (32x4d) and ResNeXt-101 (64x4d).

Xie, Girshick, Dollar, Tu, He: Aggregated residual transformations for deep neural networks, CVPR 2017
(arXiv:1611.05431), table 1 and figure 3 (c), with the authors' ``resnext.lua``.

Editions. ``paper`` and ``torchvision`` are the same network with the same names of parameters: unlike the first
ResNets, ResNeXts stride in the 3x3 convolution, as the released code has it.

Letters: N images, C input channels, K classes, H x W pixels, s = stride, p = number of paths ("cardinality", the 32 of
32x4d), d = width of a path in the stage whose ResNet has 64 (the 4 of 32x4d), m = p d width/64, all paths' width.
"""

from __future__ import annotations

from torch import Tensor, nn

from visus.models.classification.resnet import ResNet, shortcut


class Bottleneck32x4d(nn.Module):
    """The sum of p paths of 1x1, 3x3 and 1x1 convolutions, and a shortcut. [N,C,H,W] -> [N,4*width,H/s,W/s].

    In the form of figure 3 (c): the paths lie side by side in the same maps, the 3x3 convolution is grouped to keep
    them apart, and the last 1x1 convolution adds them up.
    """

    expansion = 4
    cardinality = 32
    path_width = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner = self.cardinality * (self.path_width * width // 64)
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=self.cardinality, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # [N, m, H, W]
        y = self.relu(self.bn2(self.conv2(y)))  # [N, m, H/s, W/s]
        y = self.bn3(self.conv3(y))  # [N, 4 width, H/s, W/s]
        return self.relu(y + self.downsample(x))


class Bottleneck64x4d(Bottleneck32x4d):
    """Twice the paths, for about twice the operations."""

    cardinality = 64


class ResNeXt(ResNet):
    """A residual network of aggregated transformations, for images of any size. [N,C,H,W] -> [N,K] logits.

    Convolutions begin as in the released code: N(0, 2 / (k k outputs)), grouped or not, which is ResNet's way.

    Args:
        block: the kind of residual block.
        depths: blocks in the stages conv2 to conv5.
        classes: K.
        in_channels: C.
    """

    def __init__(
        self, block: type[Bottleneck32x4d], depths: tuple[int, int, int, int], *, classes: int, in_channels: int
    ) -> None:
        super().__init__(block, depths, classes=classes, in_channels=in_channels, pooling="padded")
        nn.init.zeros_(self.fc.bias)


def resnext50_32x4d(*, classes: int, in_channels: int) -> nn.Module:
    """ResNeXt-50 with 32 paths of width 4."""
    return ResNeXt(Bottleneck32x4d, (3, 4, 6, 3), classes=classes, in_channels=in_channels)  # table 1


def resnext101_32x4d(*, classes: int, in_channels: int) -> nn.Module:
    """ResNeXt-101 with 32 paths of width 4."""
    return ResNeXt(Bottleneck32x4d, (3, 4, 23, 3), classes=classes, in_channels=in_channels)


def resnext101_64x4d(*, classes: int, in_channels: int) -> nn.Module:
    """ResNeXt-101 with 64 paths of width 4."""
    return ResNeXt(Bottleneck64x4d, (3, 4, 23, 3), classes=classes, in_channels=in_channels)

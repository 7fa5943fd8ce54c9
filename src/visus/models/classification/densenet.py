"""DenseNet-121, -161, -169, -201 and -264.

Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, CVPR 2017 (arXiv:1608.06993), table 1:
DenseNet-BC, with bottlenecks and compression. DenseNet-161 is not in that table but in the authors' released code
(github.com/liuzhuang13/DenseNet, ``models/densenet.lua``). DenseNet-264 has 265 layers, as its row of table 1 adds up.

Editions. ``paper`` and ``torchvision`` are the same network with the same names of parameters.

Letters: N images, C input channels, K classes, H x W pixels, k = growth rate, c = channels that come in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.classification.input_checks import check_batch

BOTTLENECK = 4  # a layer's 1x1 convolution makes 4k maps (section 3)
COMPRESSION = 2  # a transition halves the maps (theta = 0.5, section 3)


class DenseLayer(nn.Sequential):
    """BN, ReLU, 1x1 convolution, BN, ReLU, 3x3 convolution: the composite function H. [N,c,H,W] -> [N,k,H,W]."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)


class DenseBlock(nn.Sequential):
    """Layers that each see the maps of all layers before them (eq. 2). [N,c,H,W] -> [N, c + layers * k, H, W]."""

    def __init__(self, layers: int, in_channels: int, growth: int) -> None:
        super().__init__(
            OrderedDict(
                (f"denselayer{index + 1}", DenseLayer(in_channels + index * growth, growth)) for index in range(layers)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = torch.cat([x, layer(x)], 1)  # [N, c + index * k, H, W]
        return x


class Transition(nn.Sequential):
    """BN, ReLU, 1x1 convolution and 2x2 average pooling between two blocks. [N,c,H,W] -> [N,c/2,H/2,W/2]."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(in_channels, in_channels // COMPRESSION, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class DenseNetFeatures(nn.Module):
    """The convolution, the four dense blocks and the transitions between them, up to the last ReLU (table 1).

    [N,C,H,W] -> {stride: map}: the map after the convolution, and that of each block.

    Args:
        growth: k.
        depths: layers in each block.
        in_channels: C.
    """

    def __init__(self, growth: int, depths: tuple[int, int, int, int], in_channels: int) -> None:
        super().__init__()
        c1 = 2 * growth
        c2 = c1 + depths[0] * growth
        c3 = c2 // COMPRESSION + depths[1] * growth
        c4 = c3 // COMPRESSION + depths[2] * growth
        c5 = c4 // COMPRESSION + depths[3] * growth
        self.channels = {2: c1, 4: c2, 8: c3, 16: c4, 32: c5}
        self.conv0 = nn.Conv2d(in_channels, c1, 7, stride=2, padding=3, bias=False)
        self.norm0 = nn.BatchNorm2d(c1)
        self.relu0 = nn.ReLU(inplace=True)
        self.pool0 = nn.MaxPool2d(3, stride=2, padding=1)
        self.denseblock1 = DenseBlock(depths[0], c1, growth)
        self.transition1 = Transition(c2)
        self.denseblock2 = DenseBlock(depths[1], c2 // COMPRESSION, growth)
        self.transition2 = Transition(c3)
        self.denseblock3 = DenseBlock(depths[2], c3 // COMPRESSION, growth)
        self.transition3 = Transition(c4)
        self.denseblock4 = DenseBlock(depths[3], c4 // COMPRESSION, growth)
        self.norm5 = nn.BatchNorm2d(c5)
        self.relu5 = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        # numbers of channels: DenseNet-121's
        self.check_size(images)
        c1 = self.relu0(self.norm0(self.conv0(images)))  # [N, 64, H/2, W/2]
        c2 = self.denseblock1(self.pool0(c1))  # [N, 256, H/4, W/4]
        c3 = self.denseblock2(self.transition1(c2))  # [N, 512, H/8, W/8]
        c4 = self.denseblock3(self.transition2(c3))  # [N, 1024, H/16, W/16]
        c5 = self.denseblock4(self.transition3(c4))  # [N, 1024, H/32, W/32]
        return {2: c1, 4: c2, 8: c3, 16: c4, 32: self.relu5(self.norm5(c5))}

    def check_size(self, images: Tensor) -> None:
        """Raises ShapeError if nothing is left for the last pooling, or BatchNorm gets a single value a channel."""
        height, width = images.shape[-2:]
        if min(height, width) < 29:  # the stem rounds up, to 8; the transitions round down
            raise ShapeError(
                "the poolings of a DenseNet leave nothing of images of this size",
                expected="29x29 or more",
                got=f"{height}x{width}",
                remedy=f"resize the images to {max(height, 29)}x{max(width, 29)}",
            )
        check_batch(images, 61, learns=self.norm5.training)


class DenseNet(nn.Module):
    """A DenseNet-BC, for images of 29x29 pixels or more. [N,C,H,W] -> [N,K] logits.

    Args:
        growth: k.
        depths: layers in each block.
        classes: K.
        in_channels: C.
    """

    head: tuple[str, ...] = ("classifier",)
    classifier_modules: tuple[str, ...] = ("avgpool", "classifier")

    def __init__(self, growth: int, depths: tuple[int, int, int, int], *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.features = DenseNetFeatures(growth, depths, in_channels)
        self.channels: Mapping[int, int] = self.features.channels
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(self.channels[32], classes)
        for layer in self.modules():  # as the released code, "following ResNet"
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.classifier.bias)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 1024 for DenseNet-121]
        return self.classifier(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def densenet121(*, classes: int, in_channels: int) -> nn.Module:
    """DenseNet-121."""
    return DenseNet(32, (6, 12, 24, 16), classes=classes, in_channels=in_channels)  # table 1


def densenet161(*, classes: int, in_channels: int) -> nn.Module:
    """DenseNet-161."""
    return DenseNet(48, (6, 12, 36, 24), classes=classes, in_channels=in_channels)  # models/densenet.lua


def densenet169(*, classes: int, in_channels: int) -> nn.Module:
    """DenseNet-169."""
    return DenseNet(32, (6, 12, 32, 32), classes=classes, in_channels=in_channels)  # table 1


def densenet201(*, classes: int, in_channels: int) -> nn.Module:
    """DenseNet-201."""
    return DenseNet(32, (6, 12, 48, 32), classes=classes, in_channels=in_channels)  # table 1


def densenet264(*, classes: int, in_channels: int) -> nn.Module:
    """DenseNet-264."""
    return DenseNet(32, (6, 12, 64, 48), classes=classes, in_channels=in_channels)  # table 1

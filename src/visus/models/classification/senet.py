"""SE-ResNet-50, -101, -152, SE-ResNeXt-50 (32x4d), SE-ResNeXt-101 (32x4d) and SENet-154.

Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018 (arXiv:1709.01507), figure 3, and the authors' Caffe models
(github.com/hujie-frank/SENet, ``models/*.prototxt``), which say what the paper leaves open: SE-ResNets stride in the
first 1x1 convolution of a bottleneck, the others in its 3x3; the first pooling is not padded and rounds up.

Editions. ``paper`` and ``timm`` are the same network with timm's names of the parameters; they differ in preprocessing.

Weights begin as He et al.'s (2015), as section 5.1 says, of variance 2 / fan-in, and biases as 0.

Letters: N images, C input channels, K classes, H x W pixels, w = width, s = stride.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.classification.input_checks import check_batch

Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, slots=True)
class Kind:
    """The differences between the bottlenecks of the networks.

    Args:
        first: maps of the first 1x1 convolution, in widths.
        second: maps of the 3x3 convolution, in widths.
        groups: of the 3x3 convolution.
        stride_in: the convolution that strides.
        projection: kernel of a shortcut that strides.
    """

    first: int
    second: int
    groups: int
    stride_in: Literal["1x1", "3x3"]
    projection: Literal[1, 3]


RESNET = Kind(first=1, second=1, groups=1, stride_in="1x1", projection=1)
RESNEXT_32X4D = Kind(first=2, second=2, groups=32, stride_in="3x3", projection=1)
SENET_154 = Kind(first=2, second=4, groups=64, stride_in="3x3", projection=3)  # 64x4d, the first 1x1 halved


class SEBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, squeeze and excitation, and a shortcut (figure 3). [N,C,H,W] -> [N,4w,H/s,W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int, kind: Kind) -> None:
        super().__init__()
        first, second = kind.first * width, kind.second * width
        stride_1, stride_3 = (stride, 1) if kind.stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, first, 1, stride=stride_1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, stride=stride_3, padding=1, groups=kind.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = nn.Conv2d(second, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.se_module = SqueezeExcitation(4 * width)
        self.downsample = shortcut(in_channels, 4 * width, stride, kind)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # [N, first w, H or H/s, W or W/s]
        y = self.relu(self.bn2(self.conv2(y)))  # [N, second w, H/s, W/s]
        y = self.se_module(self.bn3(self.conv3(y)))  # [N, 4w, H/s, W/s]
        return self.relu(y + self.downsample(x))


def shortcut(in_channels: int, out_channels: int, stride: int, kind: Kind) -> nn.Module:
    """The identity, or a projection where sizes change."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    kernel = kind.projection if stride > 1 else 1
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def stem(in_channels: int, kernels: tuple[int, ...], widths: tuple[int, ...]) -> nn.Sequential:
    """Convolutions, each with BatchNorm and ReLU, of which the first strides by 2."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (kernel, width) in enumerate(zip(kernels, widths, strict=True), start=1):
        stride = 2 if number == 1 else 1
        layers[f"conv{number}"] = nn.Conv2d(in_channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        layers[f"bn{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        in_channels = width
    return nn.Sequential(layers)


class SENet(nn.Module):
    """A residual network with squeeze and excitation, for images of 3x3 pixels or more. [N,C,H,W] -> [N,K] logits.

    Args:
        kind: of its bottlenecks.
        depths: bottlenecks in the stages conv2 to conv5.
        kernels: of the convolutions before the first pooling.
        widths: maps of these convolutions.
        classes: K.
        in_channels: C.
        dropout: share of the values before the last layer that is dropped in training.
    """

    head: tuple[str, ...] = ("last_linear",)
    classifier_modules: tuple[str, ...] = ("avgpool", "dropout", "last_linear")

    def __init__(
        self,
        kind: Kind,
        depths: tuple[int, int, int, int],
        *,
        kernels: tuple[int, ...] = (7,),
        widths: tuple[int, ...] = (64,),
        classes: int,
        in_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.channels: Mapping[int, int] = {2: widths[-1], 4: 256, 8: 512, 16: 1024, 32: 2048}
        self.layer0 = stem(in_channels, kernels, widths)
        self.pool0 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.layer1 = stage(kind, depths[0], widths[-1], 64, 1)
        self.layer2 = stage(kind, depths[1], 256, 128, 2)
        self.layer3 = stage(kind, depths[2], 512, 256, 2)
        self.layer4 = stage(kind, depths[3], 1024, 512, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(2048, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        self.check_size(images)
        c1 = self.layer0(images)  # [N, 64 or 128, H/2, W/2]
        c2 = self.layer1(self.pool0(c1))  # [N, 256, H/4, W/4]
        c3 = self.layer2(c2)  # [N, 512, H/8, W/8]
        c4 = self.layer3(c3)  # [N, 1024, H/16, W/16]
        c5 = self.layer4(c4)  # [N, 2048, H/32, W/32]
        return {2: c1, 4: c2, 8: c3, 16: c4, 32: c5}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 2048]
        return self.last_linear(self.dropout(x))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])

    def check_size(self, images: Tensor) -> None:
        """Raises ShapeError if nothing is left for the pooling, or BatchNorm gets a single value a channel."""
        height, width = images.shape[-2:]
        if min(height, width) < 3:
            raise ShapeError(
                "the first pooling leaves nothing of images of this size",
                expected="3x3 or more",
                got=f"{height}x{width}",
                remedy=f"resize the images to {max(height, 3)}x{max(width, 3)}",
            )
        learns = any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in self.layer4.modules())
        check_batch(images, 35, learns=learns)  # 17 before the pooling, 8 behind it, 1 at the end


def stage(kind: Kind, depth: int, in_channels: int, width: int, stride: int) -> nn.Sequential:
    """``depth`` bottlenecks, of which the first strides."""
    blocks = [SEBottleneck(in_channels, width, stride, kind)]
    blocks += [SEBottleneck(4 * width, width, 1, kind) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def se_resnet50(*, classes: int, in_channels: int, dropout: Share = 0.0) -> nn.Module:
    """SE-ResNet-50. ``dropout``: before the last layer."""
    return SENet(RESNET, (3, 4, 6, 3), classes=classes, in_channels=in_channels, dropout=dropout)


def se_resnet101(*, classes: int, in_channels: int, dropout: Share = 0.0) -> nn.Module:
    """SE-ResNet-101. ``dropout``: before the last layer."""
    return SENet(RESNET, (3, 4, 23, 3), classes=classes, in_channels=in_channels, dropout=dropout)


def se_resnet152(*, classes: int, in_channels: int, dropout: Share = 0.0) -> nn.Module:
    """SE-ResNet-152. ``dropout``: before the last layer."""
    return SENet(RESNET, (3, 8, 36, 3), classes=classes, in_channels=in_channels, dropout=dropout)


def se_resnext50_32x4d(*, classes: int, in_channels: int, dropout: Share = 0.0) -> nn.Module:
    """SE-ResNeXt-50 with 32 paths of width 4. ``dropout``: before the last layer."""
    return SENet(RESNEXT_32X4D, (3, 4, 6, 3), classes=classes, in_channels=in_channels, dropout=dropout)


def se_resnext101_32x4d(*, classes: int, in_channels: int, dropout: Share = 0.0) -> nn.Module:
    """SE-ResNeXt-101 with 32 paths of width 4. ``dropout``: before the last layer."""
    return SENet(RESNEXT_32X4D, (3, 4, 23, 3), classes=classes, in_channels=in_channels, dropout=dropout)


def senet154(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """SENet-154. ``dropout``: before the last layer."""
    return SENet(
        SENET_154,
        (3, 8, 36, 3),
        kernels=(3, 3, 3),
        widths=(64, 64, 128),
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
    )

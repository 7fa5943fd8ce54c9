"""Network in Network, for CIFAR-10 and for ImageNet.

Lin, Chen, Yan: Network in network, ICLR 2014 (arXiv:1312.4400), section 4 and figure 2. The paper prints no widths:
they are those of its authors' definitions, ``NIN/cifar-10_def`` of mavenlin/cuda-convnet and, for ImageNet, which the
paper does not train on, "Network in Network ImageNet Model" of the Caffe model zoo.

Editions of ``nin_cifar``. ``paper``: every mlpconv layer but the last is followed by max pooling, as section 4.1 says
and the authors' definition has it. ``caffe``: their later release for Caffe averages in the second pooling.

Poolings of 3 pixels round up, as in cuda-convnet and Caffe: 32, 16 and 8 pixels a side for CIFAR.

The last layer has a map for each class, rectified as all others; its average is the class's score. A map that is
negative everywhere gets no gradient, and its class is not learned. So 4 to 32 % of the classes would begin (measured
with six seeds each, 50 classes and noise images); the biases of these maps therefore begin at 1 here, and not at 0 as
in the definitions. (Eight noise images of four classes, 120 steps of Adam, three seeds each: with 1, all were learned
in three runs of three for CIFAR and in two of three for ImageNet; with 0, in two and in none.)

Letters: N images, C input channels, K classes, H x W pixels; the sizes in comments are for images of the card's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.layers.mlpconv import MlpConv
from visus.models.classification.input_checks import check_sides

SMALLEST_CIFAR = 4  # that leaves both poolings two pixels
SMALLEST_IMAGENET = 39  # that leaves all three poolings two pixels
SMALLEST_IMAGENET_MAPS = 23  # that leaves the first two poolings two pixels


class NINCifar(nn.Module):
    """Three mlpconv layers, for images of 4x4 pixels and more. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        second_pooling: "max" or "average".
        dropout: share of the outputs of the first two mlpconv layers that is dropped in training.
    """

    channels: Mapping[int, int] = {1: 96, 2: 192}
    head: tuple[str, ...] = ("mlpconv3.cccp2",)
    classifier_modules: tuple[str, ...] = ("pool2", "drop2", "mlpconv3", "pool3")

    def __init__(
        self, *, classes: int, in_channels: int, second_pooling: Literal["max", "average"], dropout: float
    ) -> None:
        super().__init__()
        self.mlpconv1 = MlpConv(in_channels, (192, 160, 96), 5, padding=2)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.drop1 = nn.Dropout(dropout)
        self.mlpconv2 = MlpConv(96, (192, 192, 192), 5, padding=2)
        pooling = nn.MaxPool2d if second_pooling == "max" else nn.AvgPool2d
        self.pool2 = pooling(3, stride=2, ceil_mode=True)
        self.drop2 = nn.Dropout(dropout)
        self.mlpconv3 = MlpConv(192, (192, 192, classes), 3, padding=1)
        self.pool3 = nn.AdaptiveAvgPool2d(1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0, 0.05)  # initW in cifar-10_def
                nn.init.constant_(layer.bias, 1.0 if layer is self.mlpconv3.cccp2 else 0.0)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("Network in Network", images, smallest=SMALLEST_CIFAR)
        m1 = self.mlpconv1(images)  # [N, 96, 32, 32]
        x = self.drop1(self.pool1(m1))  # [N, 96, 16, 16]
        m2 = self.mlpconv2(x)  # [N, 192, 16, 16]
        return {1: m1, 2: m2}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.drop2(self.pool2(features[2]))  # [N, 192, 8, 8]
        x = self.mlpconv3(x)  # [N, K, 8, 8]
        return self.pool3(x).flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class NINImageNet(nn.Module):
    """Four mlpconv layers, for images of 39x39 pixels and more. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        dropout: share of the values before the last mlpconv layer that is dropped in training.
    """

    channels: Mapping[int, int] = {4: 96, 8: 256, 16: 384}
    head: tuple[str, ...] = ("mlpconv4.cccp2",)
    classifier_modules: tuple[str, ...] = ("pool3", "drop", "mlpconv4", "pool4")

    def __init__(self, *, classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.mlpconv1 = MlpConv(in_channels, (96, 96, 96), 11, stride=4)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.mlpconv2 = MlpConv(96, (256, 256, 256), 5, padding=2)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.mlpconv3 = MlpConv(256, (384, 384, 384), 3, padding=1)
        self.pool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.drop = nn.Dropout(dropout)
        self.mlpconv4 = MlpConv(384, (1024, 1024, classes), 3, padding=1)
        self.pool4 = nn.AdaptiveAvgPool2d(1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # the release's fillers
                small = layer in (self.mlpconv1.conv, self.mlpconv3.conv, self.mlpconv4.cccp2)
                nn.init.normal_(layer.weight, 0, 0.01 if small else 0.05)
                nn.init.constant_(layer.bias, 1.0 if layer is self.mlpconv4.cccp2 else 0.0)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("Network in Network", images, smallest=SMALLEST_IMAGENET_MAPS)
        m1 = self.mlpconv1(images)  # [N, 96, 54, 54]
        m2 = self.mlpconv2(self.pool1(m1))  # [N, 256, 27, 27]
        m3 = self.mlpconv3(self.pool2(m2))  # [N, 384, 13, 13]
        return {4: m1, 8: m2, 16: m3}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.drop(self.pool3(features[16]))  # [N, 384, 6, 6]
        x = self.mlpconv4(x)  # [N, K, 6, 6]
        return self.pool4(x).flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_sides("Network in Network", images, smallest=SMALLEST_IMAGENET)
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def nin(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """Network in Network for ImageNet. ``dropout``: before the last mlpconv layer."""
    return NINImageNet(classes=classes, in_channels=in_channels, dropout=dropout)


def nin_cifar(
    *, classes: int, in_channels: int, second_pooling: Literal["max", "average"] = "max", dropout: Share = 0.5
) -> nn.Module:
    """Network in Network for CIFAR.

    ``second_pooling``: after the second mlpconv layer; ``dropout``: of the first two mlpconv layers' outputs.
    """
    return NINCifar(classes=classes, in_channels=in_channels, second_pooling=second_pooling, dropout=dropout)

"""The PReLU-nets A, B and C.

He, Zhang, Ren, Sun: Delving deep into rectifiers: surpassing human-level performance on ImageNet classification, ICCV
2015 (arXiv:1502.01852), table 3. Stages of 3x3 convolutions, a spatial pyramid of 7x7, 3x3, 2x2 and 1x1 bins, three
dense layers.

A PReLU has a coefficient for each channel, 0.25 at first (section 2.1), which weight decay leaves alone. Weights begin
with the variance 2 / ((1 + a^2) n) of eq. 15, a being that coefficient and n the inputs of a unit; biases are 0.
Dropout of 0.5 follows the first two dense layers (section 3).

Editions. ``paper``; ``relu`` (of A): the network that table 4 compares with.

Letters: N images, C input channels, K classes; the sizes in comments are for 224x224 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.spatial_pyramid import SpatialPyramidPooling

Activation = Literal["prelu", "shared_prelu", "relu"]
Widths = tuple[int, int, int]

SLOPE = 0.25  # of PReLU before any training


class PReLUNet(nn.Module):
    """A PReLU-net, for images of 16 pixels a side or more. [N,C,H,W] -> [N,K] logits.

    Args:
        depth: convolutions in each of the three stages of 3x3 kernels.
        widths: their maps.
        classes: K.
        in_channels: C.
        activation: "prelu": with a coefficient a channel; "shared_prelu": one a layer; "relu".
        dropout: share of the values after each of the first two dense layers that is dropped in training.
    """

    head: tuple[str, ...] = ("fc3",)
    classifier_modules: tuple[str, ...] = ("spp", "fc1", "fc2", "fc3")

    def __init__(
        self, depth: int, widths: Widths, *, classes: int, in_channels: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        self.channels: Mapping[int, int] = {2: 96, 4: widths[0], 8: widths[1], 16: widths[2]}
        self.conv1 = nn.Sequential(nn.Conv2d(in_channels, 96, 7, stride=2, padding=3), activated(96, activation))
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = stage(depth, 96, widths[0], activation)
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = stage(depth, widths[0], widths[1], activation)
        self.pool3 = nn.MaxPool2d(2)
        self.conv4 = stage(depth, widths[1], widths[2], activation)
        self.spp = SpatialPyramidPooling((7, 3, 2, 1))
        bins = 7 * 7 + 3 * 3 + 2 * 2 + 1
        self.fc1 = nn.Sequential(nn.Linear(bins * widths[2], 4096), activated(4096, activation), nn.Dropout(dropout))
        self.fc2 = nn.Sequential(nn.Linear(4096, 4096), activated(4096, activation), nn.Dropout(dropout))
        self.fc3 = nn.Linear(4096, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.0 if activation == "relu" else SLOPE)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        height, width = images.shape[-2:]
        if min(height, width) < 15:
            raise ShapeError(
                "the poolings of this network leave nothing of images of this size",
                expected="15x15 or more",
                got=f"{height}x{width}",
                remedy=f"resize the images to {max(height, 15)}x{max(width, 15)}",
            )
        c2 = self.conv1(images)  # [N, 96, 112, 112]
        c4 = self.conv2(self.pool1(c2))  # [N, 256 or 384, 56, 56]
        c8 = self.conv3(self.pool2(c4))  # [N, 512 or 768, 28, 28]
        c16 = self.conv4(self.pool3(c8))  # [N, 512 or 896, 14, 14]
        return {2: c2, 4: c4, 8: c8, 16: c16}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.spp(features[16])  # [N, 63 * 512 or 63 * 896]
        return self.fc3(self.fc2(self.fc1(x)))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def stage(depth: int, in_channels: int, width: int, activation: Activation) -> nn.Sequential:
    """``depth`` 3x3 convolutions, each with its activation."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), activated(width, activation)]
        in_channels = width
    return nn.Sequential(*layers)


def activated(width: int, activation: Activation) -> nn.Module:
    if activation == "relu":
        return nn.ReLU(inplace=True)
    return nn.PReLU(width if activation == "prelu" else 1, init=SLOPE)


Share = Annotated[float, Field(ge=0, lt=1)]

# Table 3: the convolutions in each stage, and their maps.


def prelu_net_a(*, classes: int, in_channels: int, activation: Activation = "prelu", dropout: Share = 0.5) -> nn.Module:
    """PReLU-net A. ``activation``: of every layer but the last; ``dropout``: of the dense layers."""
    widths = (256, 512, 512)
    return PReLUNet(5, widths, classes=classes, in_channels=in_channels, activation=activation, dropout=dropout)


def prelu_net_b(*, classes: int, in_channels: int, activation: Activation = "prelu", dropout: Share = 0.5) -> nn.Module:
    """PReLU-net B. ``activation``: of every layer but the last; ``dropout``: of the dense layers."""
    widths = (256, 512, 512)
    return PReLUNet(6, widths, classes=classes, in_channels=in_channels, activation=activation, dropout=dropout)


def prelu_net_c(*, classes: int, in_channels: int, activation: Activation = "prelu", dropout: Share = 0.5) -> nn.Module:
    """PReLU-net C. ``activation``: of every layer but the last; ``dropout``: of the dense layers."""
    widths = (384, 768, 896)
    return PReLUNet(6, widths, classes=classes, in_channels=in_channels, activation=activation, dropout=dropout)

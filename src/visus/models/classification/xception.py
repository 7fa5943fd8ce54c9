"""Xception.

Chollet: Xception: deep learning with depthwise separable convolutions, CVPR 2017 (arXiv:1610.02357), figure 5.

A separable convolution filters each channel by itself and then mixes the channels, with neither BatchNorm nor
activation in between (section 4.7); BatchNorm follows it. The paper trains with dropout 0.5 before the last layer on
ImageNet (section 4.3).

Editions. ``paper``: what the paper leaves open is as in its author's own network (Keras's applications/xception.py, and
the defaults of Keras, in which it is written): SAME padding, BatchNorm of epsilon 0.001 and momentum 0.99, weights that
begin as Glorot and Bengio's. ``timm``: the port into which Keras's released weights were brought, with poolings padded
by 1 on every side and BatchNorm of epsilon 1e-5 and momentum 0.9. At 299x299 pixels the poolings differ where a side is
even, in the second (74 to 37). The parameters have timm's names.

Letters: N images, C input channels, K classes; the sizes in comments are for 299x299 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.same_padding import SameMaxPool2d
from visus.models.classification.input_checks import check_batch

Edition = Literal["paper", "timm"]


def normalisation(channels: int, edition: Edition) -> nn.BatchNorm2d:
    """BatchNorm with Keras's or torch's constants; torch's momentum is the share of the new."""
    if edition == "paper":
        return nn.BatchNorm2d(channels, eps=0.001, momentum=0.01)
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)


class SeparableConvolution(nn.Module):
    """A 3x3 convolution in each channel, then a 1x1 convolution over them. [N,C,H,W] -> [N,O,H,W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """Separable convolutions around a shortcut. [N,C,H,W] -> [N,O,H/s,W/s], s = 2 where a pooling ends it, else 1.

    Args:
        widths: C, and the output channels of each separable convolution.
        halves: whether a 3x3 pooling of stride 2 ends it; the shortcut is then a 1x1 convolution of stride 2.
        edition: whose padding and BatchNorm.
        activated: whether it begins with ReLU.
    """

    def __init__(self, *widths: int, halves: bool, edition: Edition, activated: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            if index > 0 or activated:
                layers.append(nn.ReLU(inplace=index > 0))
            layers += [SeparableConvolution(before, after), normalisation(after, edition)]
        if halves:
            layers.append(SameMaxPool2d(3, stride=2) if edition == "paper" else nn.MaxPool2d(3, stride=2, padding=1))
        self.rep = nn.Sequential(*layers)
        self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride=2, bias=False) if halves else nn.Identity()
        self.skipbn = normalisation(widths[-1], edition) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.rep(x) + self.skipbn(self.skip(x))


class Xception(nn.Module):
    """Xception. [N,C,H,W] -> [N,K] logits; H, W >= 7.

    Args:
        classes: K.
        in_channels: C.
        edition: whose padding and BatchNorm.
        dropout: share of the pooled values that is dropped in training.
    """

    channels: Mapping[int, int] = {2: 64, 4: 128, 8: 256, 16: 728, 32: 2048}
    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("global_pool", "dropout", "fc")

    def __init__(self, *, classes: int, in_channels: int, edition: Edition, dropout: float) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, 32, 3, stride=2, bias=False)
        self.bn1 = normalisation(32, edition)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = normalisation(64, edition)
        # Entry flow
        self.block1 = Block(64, 128, 128, halves=True, edition=edition, activated=False)
        self.block2 = Block(128, 256, 256, halves=True, edition=edition)
        self.block3 = Block(256, 728, 728, halves=True, edition=edition)
        # Middle flow
        self.block4 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block5 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block6 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block7 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block8 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block9 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block10 = Block(728, 728, 728, 728, halves=False, edition=edition)
        self.block11 = Block(728, 728, 728, 728, halves=False, edition=edition)
        # Exit flow
        self.block12 = Block(728, 728, 1024, halves=True, edition=edition)
        self.conv3 = SeparableConvolution(1024, 1536)
        self.bn3 = normalisation(1536, edition)
        self.conv4 = SeparableConvolution(1536, 2048)
        self.bn4 = normalisation(2048, edition)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.fc.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, training=self.training)
        x = self.relu(self.bn1(self.conv1(images)))  # [N, 32, 149, 149]
        c2 = self.relu(self.bn2(self.conv2(x)))  # [N, 64, 147, 147]
        c4 = self.block1(c2)  # [N, 128, 74, 74]
        c8 = self.block2(c4)  # [N, 256, 37, 37]
        x = self.block3(c8)  # [N, 728, 19, 19]
        x = self.block7(self.block6(self.block5(self.block4(x))))  # [N, 728, 19, 19]
        c16 = self.block11(self.block10(self.block9(self.block8(x))))  # [N, 728, 19, 19]
        x = self.block12(c16)  # [N, 1024, 10, 10]
        x = self.relu(self.bn3(self.conv3(x)))  # [N, 1536, 10, 10]
        c32 = self.relu(self.bn4(self.conv4(x)))  # [N, 2048, 10, 10]
        return {2: c2, 4: c4, 8: c8, 16: c16, 32: c32}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.global_pool(features[32]).flatten(1)  # [N, 2048]
        return self.fc(self.dropout(x))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def check_size(images: Tensor, *, training: bool) -> None:
    """Raises ShapeError if the first two convolutions leave nothing, or BatchNorm gets a single value a channel."""
    height, width = images.shape[-2:]
    if min(height, width) < 7:
        raise ShapeError(
            "the unpadded convolutions of Xception leave nothing of images of this size",
            expected="7x7 or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, 7)}x{max(width, 7)}",
        )
    check_batch(images, 39, learns=training)


def xception(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
) -> nn.Module:
    """Xception. ``edition``: whose padding and BatchNorm; ``dropout``: before the last layer."""
    return Xception(classes=classes, in_channels=in_channels, edition=edition, dropout=dropout)

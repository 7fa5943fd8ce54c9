"""VGG-16.

Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015 (arXiv:1409.1556),
table 1, configuration D.

Editions. ``paper``: images larger than 224x224 are seen densely, as in section 3.2: the dense layers slide over the
last map and the class scores are averaged. ``torchvision``: the last map of any image is pooled to 7x7 before the dense
layers. At 224x224 both are the same function. The parameters have torchvision's names.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError

LargerImages = Literal["dense", "pooled"]

CONFIGURATION_D = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # table 1, column D


class ConvolutionalStages(nn.Sequential):
    """The thirteen 3x3 convolutions, with a 2x2 max pooling between the stages.

    [N,C,H,W] -> {stride: map}: the last map of each stage, [N,64,H,W] to [N,512,H/16,W/16].
    """

    def __init__(self, in_channels: int) -> None:
        layers: list[nn.Module] = []
        for number, widths in enumerate(CONFIGURATION_D):
            if number > 0:
                layers.append(nn.MaxPool2d(2))
            for width in widths:
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                in_channels = width
        super().__init__(*layers)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        check_size(x, 16)
        maps: dict[int, Tensor] = {}
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                maps[2 ** len(maps)] = x
            x = layer(x)
        maps[2 ** len(maps)] = x
        return maps


class VGG16(nn.Module):
    """VGG-16. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        larger_images: "dense": slide the dense layers and average (H, W >= 224); "pooled": pool the last map to 7x7
            (H, W >= 32).
        dropout: share of the values after each of the first two dense layers that is dropped in training.
    """

    channels: Mapping[int, int] = {1: 64, 2: 128, 4: 256, 8: 512, 16: 512}
    head: tuple[str, ...] = ("classifier.6",)
    after_features: tuple[str, ...] = ("pool5", "avgpool", "classifier")

    def __init__(self, *, classes: int, in_channels: int, larger_images: LargerImages, dropout: float) -> None:
        super().__init__()
        self.smallest_side = 224 if larger_images == "dense" else 32
        self.features = ConvolutionalStages(in_channels)
        self.pool5 = nn.MaxPool2d(2)
        self.avgpool = nn.Identity() if larger_images == "dense" else nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),  # fc6
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),  # fc7
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, classes),  # fc8
        )
        for layer in self.modules():  # section 2.1's way to train without a smaller network first
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def from_features(self, features: dict[int, Tensor]) -> Tensor:
        x = self.avgpool(self.pool5(features[16]))  # [N, 512, h, w], 7x7 at 224x224
        x = x.unfold(2, 7, 1).unfold(3, 7, 1)  # [N, 512, h - 6, w - 6, 7, 7]
        x = x.permute(0, 2, 3, 1, 4, 5).flatten(3)  # [N, h - 6, w - 6, 25088]
        return torch.mean(self.classifier(x), (1, 2))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, self.smallest_side)
        return self.from_features(self.features(images))


def check_size(images: Tensor, smallest: int) -> None:
    """Raises ShapeError if poolings or dense layers find nothing left of images [N,C,H,W] of this size."""
    height, width = images.shape[-2:]
    if min(height, width) < smallest:
        raise ShapeError(
            "VGG-16 cannot take images of this size",
            expected=f"{smallest}x{smallest} or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, smallest)}x{max(width, smallest)}",
        )


def vgg16(
    *,
    classes: int,
    in_channels: int,
    larger_images: LargerImages = "dense",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
) -> nn.Module:
    """VGG-16. ``larger_images``: how images larger than 224x224 are seen; ``dropout``: of the dense layers."""
    return VGG16(classes=classes, in_channels=in_channels, larger_images=larger_images, dropout=dropout)

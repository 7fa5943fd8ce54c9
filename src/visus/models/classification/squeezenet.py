"""SqueezeNet 1.0.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB
model size, 2016 (arXiv:1602.07360), table 1 and figure 2 (left).

Editions. ``paper`` and ``torchvision`` are the same network with torchvision's names of parameters; for pixels of
deviation 1 the latter begins as torchvision's, with weights of twice the variance (He et al. 2015). ``caffe`` is the
authors' release (SqueezeNet_v1.0 of DeepScale/SqueezeNet): its last convolution, of 1x1 pixels, has a border of one
pixel, so that a frame of biases is averaged too: 15x15 positions and not the table's 13x13.

Table 1 prints an input of 224x224; its first maps of 111x111 need the release's 227x227. Poolings round up, as in
Caffe.

Beginnings, as released: Caffe's "xavier" (uniform, of variance 1 / inputs) and biases of 0, the last convolution
N(0, 0.01). Its maps, one a class, are rectified and then averaged; a map that is negative everywhere gets no gradient,
and its class is not learned. So 20 to 34 % of the classes would begin (measured with eight seeds, 50 classes and four
noise images); the biases of the last convolution therefore begin at 1 here, and not at 0 as released.

Letters: N images, C input channels, K classes, H x W pixels; the sizes in comments are for 227x227 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.models.classification.input_checks import check_sides
from visus.models.classification.numbered_layers import NumberedLayers

SMALLEST_SIDE = 21  # that leaves the third pooling two pixels


class Fire(nn.Module):
    """Squeeze to few maps, then expand by 1x1 and 3x3 convolutions side by side (figure 1).

    [N,C,H,W] -> [N,2*expanded,H,W].

    Args:
        in_channels: C.
        squeezed: maps of the squeeze layer.
        expanded: maps of each of the two expand layers.
    """

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))  # [N, squeezed, H, W]
        one = self.expand1x1_activation(self.expand1x1(x))  # [N, expanded, H, W]
        three = self.expand3x3_activation(self.expand3x3(x))  # [N, expanded, H, W]
        return torch.cat([one, three], 1)


class SqueezeNetFeatures(NumberedLayers):
    """The first convolution and the fire modules (table 1). [N,C,H,W] -> {stride: map}."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 96, 7, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(96, 16, 64),  # fire2
            Fire(128, 16, 64),  # fire3
            Fire(128, 32, 128),  # fire4
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(256, 32, 128),  # fire5
            Fire(256, 48, 192),  # fire6
            Fire(384, 48, 192),  # fire7
            Fire(384, 64, 256),  # fire8
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            Fire(512, 64, 256),  # fire9
        )

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("SqueezeNet", images, smallest=SMALLEST_SIDE)
        conv1 = self.through(images, 0, 1)  # [N, 96, 111, 111]
        pool1 = self[2](conv1)  # [N, 96, 55, 55]
        fire4 = self.through(pool1, 3, 5)  # [N, 256, 55, 55]
        pool4 = self[6](fire4)  # [N, 256, 27, 27]
        fire8 = self.through(pool4, 7, 10)  # [N, 512, 27, 27]
        pool8 = self[11](fire8)  # [N, 512, 13, 13]
        fire9 = self[12](pool8)  # [N, 512, 13, 13]
        return {2: conv1, 4: fire4, 8: fire8, 16: fire9}


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0, for images of 21x21 pixels and more. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        border: pixels of 0 around the maps that the last convolution sees.
        gain: variance of the first weights, times the number of inputs.
        dropout: share of the values of fire9 that is dropped in training.
    """

    channels: Mapping[int, int] = {2: 96, 4: 256, 8: 512, 16: 512}
    head: tuple[str, ...] = ("classifier.1",)
    classifier_modules: tuple[str, ...] = ("classifier",)

    def __init__(self, *, classes: int, in_channels: int, border: int, gain: float, dropout: float) -> None:
        super().__init__()
        self.features = SqueezeNetFeatures(in_channels)
        conv10 = nn.Conv2d(512, classes, 1, padding=border)
        self.classifier = nn.Sequential(nn.Dropout(dropout), conv10, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                if layer is conv10:
                    nn.init.normal_(layer.weight, 0, 0.01)
                else:
                    bound = (3 * gain / layer.weight[0].numel()) ** 0.5  # of a uniform distribution of that variance
                    nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.constant_(layer.bias, 1.0 if layer is conv10 else 0.0)  # type: ignore[arg-type]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.classifier(features[16])  # [N, K, 1, 1] from [N, K, 13, 13], or 15 x 15 with a border
        return x.flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def squeezenet1_0(
    *, classes: int, in_channels: int, border: Annotated[int, Field(ge=0, le=1)] = 0, dropout: Share = 0.5
) -> nn.Module:
    """SqueezeNet 1.0. ``border``: of the last convolution, 1 as released; ``dropout``: of fire9."""
    return SqueezeNet(classes=classes, in_channels=in_channels, border=border, gain=1.0, dropout=dropout)


def squeezenet1_0_torchvision(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """SqueezeNet 1.0 that begins as torchvision's. ``dropout``: of fire9."""
    return SqueezeNet(classes=classes, in_channels=in_channels, border=0, gain=2.0, dropout=dropout)

"""MobileNet v2.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018
(arXiv:1801.04381), table 2.

Editions. ``paper`` and ``torchvision`` are the same network with the same names of parameters. ``tf`` is the network of
TensorFlow's released graph: TensorFlow's SAME padding, each BatchNorm folded into the convolution before it, and one
more output, background, before the classes.

Fine-tuning ``tf``: a folded network is one whose BatchNorm statistics are frozen for good: an affine map of fixed
statistics has been multiplied into each kernel. So there is nothing that a batch could overwrite, no batch is too
small, and training and answering are the same function. Its kernels are trained directly, with Adam or AdamW at a rate
of about 1e-4 and a warm-up. (Measured once, torch 2.15 on one CPU core, 20 steps of 16 photos of cats and dogs at
128x128, on 120 others: AdamW of 1e-4 for the body and 1e-3 for the head 95.8 %, the head alone 94.2 %. AdamW of 1e-3,
or SGD of 1e-3 with momentum, destroys the features: 50 %. Nothing here normalises a step that is too long.)

Letters: N images, C input channels, K classes, H x W pixels, t = expansion, s = stride.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d
from visus.models.classification.numbered_layers import NumberedLayers

BOTTLENECKS = (  # table 2: t, c, n, s
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, folded: bool
) -> list[nn.Module]:
    """A convolution and its BatchNorm, or the two folded into one convolution with SAME padding."""
    if folded:
        return [SameConv2d(in_channels, out_channels, kernel_size, stride=stride, groups=groups)]
    return [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
    ]


def activated(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, folded: bool
) -> nn.Sequential:
    """:func:`convolution` and ReLU6."""
    layers = convolution(in_channels, out_channels, kernel_size, stride=stride, groups=groups, folded=folded)
    return nn.Sequential(*layers, nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project linearly (table 1, figure 4d). [N,C,H,W] -> [N,c,H/s,W/s]."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int, folded: bool) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(activated(in_channels, width, 1, folded=folded))  # [N, tC, H, W]
        layers.append(activated(width, width, 3, stride=stride, groups=width, folded=folded))  # [N, tC, H/s, W/s]
        layers += convolution(width, out_channels, 1, folded=folded)  # [N, c, H/s, W/s]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.is_residual else y


class MobileNetV2Features(NumberedLayers):
    """The first convolution, the 17 bottlenecks and the last convolution.

    [N,C,H,W] -> {2: [N,16,H/2,W/2], 4: [N,24,..], 8: [N,32,..], 16: [N,96,..], 32: [N,1280,H/32,W/32]}.
    """

    def __init__(self, in_channels: int, *, folded: bool) -> None:
        layers: list[nn.Module] = [activated(in_channels, 32, 3, stride=2, folded=folded)]
        width = 32
        for t, c, n, s in BOTTLENECKS:
            for repeat in range(n):
                stride = s if repeat == 0 else 1
                layers.append(InvertedResidual(width, c, stride=stride, expansion=t, folded=folded))
                width = c
        layers.append(activated(width, 1280, 1, folded=folded))
        super().__init__(*layers)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self[0](images)  # [N, 32, H/2, W/2]
        x2 = self[1](x)  # [N, 16, H/2, W/2]
        x4 = self.through(x2, 2, 3)  # [N, 24, H/4, W/4]
        x8 = self.through(x4, 4, 6)  # [N, 32, H/8, W/8]
        x = self.through(x8, 7, 10)  # [N, 64, H/16, W/16]
        x16 = self.through(x, 11, 13)  # [N, 96, H/16, W/16]
        x = self.through(x16, 14, 16)  # [N, 160, H/32, W/32]
        x = self[17](x)  # [N, 320, H/32, W/32]
        x32 = self[18](x)  # [N, 1280, H/32, W/32]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}


class MobileNetV2(nn.Module):
    """MobileNet v2 of width 1, for images of any size. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        dropout: share of the pooled values that is dropped in training.
        folded: BatchNorm folded into the convolutions, which pad as TensorFlow does.
        background: whether the last layer has one more output before the classes; it is no class, and is not returned.
    """

    channels: Mapping[int, int] = {2: 16, 4: 24, 8: 32, 16: 96, 32: 1280}
    head: tuple[str, ...] = ("classifier.1",)
    classifier_modules: tuple[str, ...] = ("avgpool", "classifier")

    def __init__(self, *, classes: int, in_channels: int, dropout: float, folded: bool, background: bool) -> None:
        super().__init__()
        self.features = MobileNetV2Features(in_channels, folded=folded)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.first_class = 1 if background else 0
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, self.first_class + classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                # Without BatchNorm the signal must keep its size by itself.
                nn.init.kaiming_normal_(layer.weight, mode="fan_in" if folded else "fan_out")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.zeros_(layer.bias)

    def all_logits(self, features: dict[int, Tensor]) -> Tensor:
        """Every output of the last layer, [N,K] or, background first, [N,1+K]."""
        x = self.avgpool(features[32]).flatten(1)  # [N, 1280]
        return self.classifier(x)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.all_logits(features)[:, self.first_class :]  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def mobilenet_v2(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """MobileNet v2. ``dropout``: before the last layer."""
    return MobileNetV2(classes=classes, in_channels=in_channels, dropout=dropout, folded=False, background=False)


def mobilenet_v2_tf(*, classes: int, in_channels: int, dropout: Share = 0.2, background: bool = True) -> nn.Module:
    """MobileNet v2 of TensorFlow's released graph.

    ``dropout``: before the last layer; ``background``: one more output, before the classes, as the ImageNet weights
    have it.
    """
    return MobileNetV2(classes=classes, in_channels=in_channels, dropout=dropout, folded=True, background=background)

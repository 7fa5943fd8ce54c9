"""MobileNet v2, with its width multiplier.

Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: inverted residuals and linear bottlenecks, CVPR 2018
(arXiv:1801.04381), table 2; section 4 and table 4 for the multiplier. It multiplies the channels of every layer, in
multiples of 8; the last convolution keeps its 1280 below width 1.

Editions. ``paper``: what the paper leaves open is as its authors released it (TensorFlow's slim, nets/mobilenet): SAME
padding, BatchNorm of epsilon 0.001, weights that begin by a cut normal distribution of deviation 0.09, dropout 0.2.
``torchvision``: padding by 1 on every side, epsilon 1e-5 and torchvision's initial weights; shapes, counts and names of
the parameters are the same. ``tf`` is the network of TensorFlow's released graph: SAME padding, each BatchNorm folded
into the convolution before it, and one more output, background, before the classes.

Fine-tuning ``tf``: a folded network is one whose BatchNorm statistics are frozen for good: an affine map of fixed
statistics has been multiplied into each kernel. So there is nothing that a batch could overwrite, no batch is too
small, and training and answering are the same function. Its kernels are trained directly, with Adam or AdamW at a rate
of about 1e-4 and a warm-up. (Measured once, torch 2.15 on one CPU core, 20 steps of 16 photos of cats and dogs at
128x128, on 120 others: AdamW of 1e-4 for the body and 1e-3 for the head 95.8 %, the head alone 94.2 %. AdamW of 1e-3,
or SGD of 1e-3 with momentum, destroys the features: 50 %. Nothing here normalises a step that is too long.)

Letters: N images, C input channels, K classes, H x W pixels, a = width multiplier, t = expansion, s =
stride.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d
from visus.models.classification.channel_rounding import round_channels
from visus.models.classification.numbered_layers import NumberedLayers

Edition = Literal["paper", "torchvision", "tf"]

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
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, edition: Edition
) -> list[nn.Module]:
    """A convolution and its BatchNorm, or, in the ``tf`` edition, the two folded into one convolution."""
    if edition == "tf":
        return [SameConv2d(in_channels, out_channels, kernel_size, stride=stride, groups=groups)]
    norm = nn.BatchNorm2d(out_channels, eps=0.001 if edition == "paper" else 1e-5)
    if edition == "paper" and stride > 1:
        return [SameConv2d(in_channels, out_channels, kernel_size, stride=stride, groups=groups, bias=False), norm]
    half = kernel_size // 2  # of an odd kernel: at stride 1 that is TensorFlow's SAME, too
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=half, groups=groups, bias=False),
        norm,
    ]


def activated(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1, edition: Edition
) -> nn.Sequential:
    """:func:`convolution` and ReLU6."""
    layers = convolution(in_channels, out_channels, kernel_size, stride=stride, groups=groups, edition=edition)
    return nn.Sequential(*layers, nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project linearly (table 1, figure 4d). [N,C,H,W] -> [N,c,H/s,W/s]."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int, edition: Edition) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(activated(in_channels, width, 1, edition=edition))  # [N, tC, H, W]
        layers.append(activated(width, width, 3, stride=stride, groups=width, edition=edition))  # [N, tC, H/s, W/s]
        layers += convolution(width, out_channels, 1, edition=edition)  # [N, c, H/s, W/s]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.is_residual else y


class MobileNetV2Features(NumberedLayers):
    """The first convolution, the 17 bottlenecks and the last convolution.

    [N,C,H,W] -> {2: [N,16a,H/2,W/2], 4: [N,24a,..], 8: [N,32a,..], 16: [N,96a,..], 32: [N,1280,H/32,W/32]}.
    """

    def __init__(self, in_channels: int, *, width: float, edition: Edition) -> None:
        channels = round_channels(32 * width)
        layers: list[nn.Module] = [activated(in_channels, channels, 3, stride=2, edition=edition)]
        for t, c, n, s in BOTTLENECKS:
            for repeat in range(n):
                stride = s if repeat == 0 else 1
                out_channels = round_channels(c * width)
                layers.append(InvertedResidual(channels, out_channels, stride=stride, expansion=t, edition=edition))
                channels = out_channels
        layers.append(activated(channels, last_channels(width), 1, edition=edition))
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


def last_channels(width: float) -> int:
    """Channels of the last convolution, which a multiplier below 1 leaves (section 4)."""
    return round_channels(1280 * max(width, 1))


class MobileNetV2(nn.Module):
    """MobileNet v2, for images of any size. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        edition: whose padding, BatchNorm and initial weights.
        width: a, by which the number of every layer's channels is multiplied.
        dropout: share of the pooled values that is dropped in training.
        background: whether the last layer has one more output before the classes; it is no class, and is not returned.
    """

    head: tuple[str, ...] = ("classifier.1",)
    classifier_modules: tuple[str, ...] = ("avgpool", "classifier")

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int,
        edition: Edition,
        width: float,
        dropout: float,
        background: bool,
    ) -> None:
        super().__init__()
        last = last_channels(width)
        c2, c4, c8, _, c16, _, _ = (round_channels(c * width) for _, c, _, _ in BOTTLENECKS)
        self.channels: Mapping[int, int] = {2: c2, 4: c4, 8: c8, 16: c16, 32: last}
        self.features = MobileNetV2Features(in_channels, width=width, edition=edition)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.first_class = 1 if background else 0
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, self.first_class + classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                initialise(layer, edition)

    def all_logits(self, features: dict[int, Tensor]) -> Tensor:
        """Every output of the last layer, [N,K] or, background first, [N,1+K]."""
        x = self.avgpool(features[32]).flatten(1)  # [N, 1280 or 1280a]
        return self.classifier(x)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.all_logits(features)[:, self.first_class :]  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def initialise(layer: nn.Conv2d | nn.Linear, edition: Edition) -> None:
    """Draws the weights as the edition's source does; biases are 0."""
    if edition == "paper":
        nn.init.trunc_normal_(layer.weight, std=0.09, a=-0.18, b=0.18)  # slim's training_scope
    elif isinstance(layer, nn.Conv2d):
        # Without BatchNorm the signal must keep its size by itself.
        nn.init.kaiming_normal_(layer.weight, mode="fan_in" if edition == "tf" else "fan_out")
    else:
        nn.init.normal_(layer.weight, 0, 0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


Share = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[float, Field(gt=0, le=4)]


def mobilenet_v2(
    *,
    classes: int,
    in_channels: int,
    edition: Literal["paper", "torchvision"] = "paper",
    width: Width = 1.0,
    dropout: Share = 0.2,
) -> nn.Module:
    """MobileNet v2.

    ``edition``: whose padding, BatchNorm and initial weights; ``width``: multiplier of the channels, 0.35 to 1.4 in the
    paper; ``dropout``: before the last layer.
    """
    return MobileNetV2(
        classes=classes, in_channels=in_channels, edition=edition, width=width, dropout=dropout, background=False
    )


def mobilenet_v2_tf(
    *, classes: int, in_channels: int, width: Width = 1.0, dropout: Share = 0.2, background: bool = True
) -> nn.Module:
    """MobileNet v2 of TensorFlow's released graph.

    ``width``: multiplier of the channels; ``dropout``: before the last layer; ``background``: one more output, before
    the classes, as the ImageNet weights have it.
    """
    return MobileNetV2(
        classes=classes, in_channels=in_channels, edition="tf", width=width, dropout=dropout, background=background
    )

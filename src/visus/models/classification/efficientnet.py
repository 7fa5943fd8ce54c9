"""EfficientNet-B0 to -B7.

Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019 (arXiv:1905.11946), table 1
for B0 and section 3.3 for its scaling; the coefficients of B1 to B7, the rounding of what they give, and the way the
weights begin are those of the released code (tensorflow/tpu, efficientnet_builder.py and efficientnet_model.py).

Editions. ``paper``: BatchNorm of momentum 0.99 (section 5.2) and epsilon 0.001, and TensorFlow's SAME padding; the
paper says nothing of the latter two, which are the released code's. ``torchvision``: padding of half a kernel on all
sides and, up to B4, BatchNorm of momentum 0.9 and epsilon 1e-5; shapes and counts are the same. The parameters have
torchvision's names.

Squeeze-and-excitation squeezes to a quarter of the channels that enter a block, before its expansion. Drop-connect (the
stochastic depth of section 5.2) leaves out the residual function of an image with a probability that grows linearly
from 0 at the first block to 0.2 past the last.

Letters: N images, C input channels, K classes, H x W pixels, t = expansion, k = kernel, s = stride, w = width
coefficient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from torch import Tensor, nn

from visus.layers.drop_path import DropPath
from visus.layers.same_padding import SameConv2d
from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.classification.channel_rounding import round_channels
from visus.models.classification.input_checks import check_batch

Edition = Literal["paper", "torchvision"]

STAGES = (  # table 1, stages 2 to 8: t, k, s, channels, layers
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class EfficientNetStyle(NamedTuple):
    """The differences of the editions: the padding of convolutions, and BatchNorm's constants."""

    pads_as_tensorflow: bool
    epsilon: float
    momentum: float  # the share of the new, as torch has it


class MBConv(nn.Module):
    """Expand, filter each channel, gate, project linearly; add the input where it fits. [N,C,H,W] -> [N,c,H/s,W/s].

    Args:
        in_channels: C.
        out_channels: c.
        expansion: t.
        kernel: k of the depthwise convolution.
        stride: s.
        drop: the probability with which an image's residual function is left out in training.
        style: of the edition.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        kernel: int,
        stride: int,
        drop: float,
        style: EfficientNetStyle,
    ) -> None:
        super().__init__()
        width = expansion * in_channels
        self.block = nn.Sequential()
        if expansion != 1:
            self.block.append(convolution(in_channels, width, 1, style=style))  # [N, tC, H, W]
        self.block.append(convolution(width, width, kernel, stride=stride, groups=width, style=style))
        self.block.append(SqueezeExcitation(width, 4 * expansion, nn.SiLU))  # [N, tC, H/s, W/s]
        self.block.append(convolution(width, out_channels, 1, style=style, is_linear=True))  # [N, c, H/s, W/s]
        self.is_residual = stride == 1 and in_channels == out_channels
        self.drop = DropPath(drop if self.is_residual else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + self.drop(y) if self.is_residual else y


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    style: EfficientNetStyle,
    is_linear: bool = False,
) -> nn.Sequential:
    """A convolution that keeps the size / stride, BatchNorm and, unless linear, SiLU."""
    conv: nn.Conv2d
    if style.pads_as_tensorflow and kernel > 1:
        conv = SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)
    else:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
    norm = nn.BatchNorm2d(out_channels, eps=style.epsilon, momentum=style.momentum)
    return nn.Sequential(conv, norm) if is_linear else nn.Sequential(conv, norm, nn.SiLU(inplace=True))


class EfficientNetFeatures(nn.Sequential):
    """All layers of table 1 except the last pooling and the dense layer.

    [N,C,H,W] -> {2: [N,16w,H/2,W/2], 4: [N,24w,..], 8: [N,40w,..], 16: [N,112w,..], 32: [N,1280w,H/32,W/32]}.
    """

    def __init__(
        self, in_channels: int, *, width: float, depth: float, drop_connect: float, style: EfficientNetStyle
    ) -> None:
        channels = round_channels(32 * width)
        layers: list[nn.Module] = [convolution(in_channels, channels, 3, stride=2, style=style)]
        blocks = sum(math.ceil(depth * n) for *_, n in STAGES)
        number = 0
        for t, k, s, c, n in STAGES:
            stage = nn.Sequential()
            for index in range(math.ceil(depth * n)):
                out_channels = round_channels(c * width)
                stage.append(
                    MBConv(
                        channels,
                        out_channels,
                        expansion=t,
                        kernel=k,
                        stride=s if index == 0 else 1,
                        drop=drop_connect * number / blocks,
                        style=style,
                    )
                )
                channels = out_channels
                number += 1
            layers.append(stage)
        layers.append(convolution(channels, round_channels(1280 * width), 1, style=style))
        super().__init__(*layers)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, training=self.training)
        x = self[0](images)  # [N, 32w, H/2, W/2]
        x2 = self[1](x)  # [N, 16w, H/2, W/2]
        x4 = self[2](x2)  # [N, 24w, H/4, W/4]
        x8 = self[3](x4)  # [N, 40w, H/8, W/8]
        x = self[4](x8)  # [N, 80w, H/16, W/16]
        x16 = self[5](x)  # [N, 112w, H/16, W/16]
        x = self[6](x16)  # [N, 192w, H/32, W/32]
        x = self[7](x)  # [N, 320w, H/32, W/32]
        x32 = self[8](x)  # [N, 1280w, H/32, W/32]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}


def check_size(images: Tensor, *, training: bool) -> None:
    """Raises ShapeError if BatchNorm would get a single value a channel in training."""
    check_batch(images, 33, learns=training)


class EfficientNet(nn.Module):
    """EfficientNet, for images of any size. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        width: coefficient of the channels, w.
        depth: coefficient of the layers of each stage.
        style: of the edition.
        dropout: share of the pooled values that is dropped in training.
        drop_connect: probability with which a block past the last would be left out in training.
    """

    head: tuple[str, ...] = ("classifier.1",)
    classifier_modules: tuple[str, ...] = ("avgpool", "classifier")

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int,
        width: float,
        depth: float,
        style: EfficientNetStyle,
        dropout: float,
        drop_connect: float,
    ) -> None:
        super().__init__()
        self.features = EfficientNetFeatures(
            in_channels, width=width, depth=depth, drop_connect=drop_connect, style=style
        )
        last = round_channels(1280 * width)
        c = [round_channels(c * width) for *_, c, _ in STAGES]
        self.channels: Mapping[int, int] = {2: c[0], 4: c[1], 8: c[2], 16: c[4], 32: last}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        for layer in self.modules():  # as the released code
            if isinstance(layer, nn.Conv2d):
                fan_out = math.prod(layer.kernel_size) * layer.out_channels // layer.groups
                nn.init.normal_(layer.weight, 0, math.sqrt(2 / fan_out))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Linear):
                bound = 1 / math.sqrt(layer.out_features)
                nn.init.uniform_(layer.weight, -bound, bound)
                nn.init.zeros_(layer.bias)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 1280w]
        return self.classifier(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


COEFFICIENTS: Mapping[str, tuple[float, float]] = {  # width, depth
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
}
LARGE = ("b5", "b6", "b7")  # torchvision has these with BatchNorm as the paper has it

Share = Annotated[float, Field(ge=0, lt=1)]


def scaled(
    name: str, classes: int, in_channels: int, edition: Edition, dropout: float, drop_connect: float
) -> nn.Module:
    """Builds the network of these coefficients."""
    width, depth = COEFFICIENTS[name]
    is_tensorflow = edition == "paper"
    style = (
        EfficientNetStyle(True, 0.001, 0.01) if is_tensorflow or name in LARGE else EfficientNetStyle(False, 1e-5, 0.1)
    )
    return EfficientNet(
        classes=classes,
        in_channels=in_channels,
        width=width,
        depth=depth,
        style=style._replace(pads_as_tensorflow=is_tensorflow),
        dropout=dropout,
        drop_connect=drop_connect,
    )


# Section 5.2: dropout grows from 0.2 for B0 to 0.5 for B7; the steps between are the released code's.


def efficientnet_b0(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.2,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B0. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b0", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b1(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.2,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B1. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b1", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b2(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.3,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B2. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b2", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b3(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.3,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B3. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b3", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b4(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.4,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B4. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b4", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b5(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.4,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B5. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b5", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b6(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.5,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B6. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b6", classes, in_channels, edition, dropout, drop_connect)


def efficientnet_b7(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.5,
    drop_connect: Share = 0.2,
) -> nn.Module:
    """EfficientNet-B7. ``edition``: whose; ``dropout``: before the last layer; ``drop_connect``: of the last block."""
    return scaled("b7", classes, in_channels, edition, dropout, drop_connect)

"""MobileNet v1, with its width and resolution multipliers.

Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam: MobileNets: efficient convolutional neural networks for
mobile vision applications, 2017 (arXiv:1704.04861), table 1; sections 3.3 and 3.4 for the multipliers. The resolution
multiplier is the size of the images, and any is taken. Table 1 prints stride 2 for the last depthwise convolution,
whose input and output are both 7x7; it has stride 1.

Editions. ``paper``: ReLU after every BatchNorm, as section 3.2 says. The paper is silent on the padding, on how the
weights begin, on BatchNorm's epsilon and on dropout; these are those of the released code (slim's mobilenet_v1.py),
which pads as TensorFlow's SAME (option ``padded``: by half a kernel on every side, all else the same). ``timm``: ReLU6
as in the released code, padding by 1 on every side, and another epsilon. ``tf``: the network of TensorFlow's released
graphs: ReLU6, TensorFlow's SAME padding, each BatchNorm folded into the convolution before it, and one more output,
background, before the classes (see mobilenet_v2.py for what that means for fine-tuning). The parameters have timm's
names.

Letters: N images, C input channels, K classes, H x W pixels, a = width multiplier, s = stride.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d
from visus.models.classification.input_checks import check_batch

Edition = Literal["paper", "padded", "timm", "tf"]

STAGES = ((64,), (128, 128), (256, 256), (512,) * 6, (1024, 1024))  # table 1; each but the first stage begins by s = 2
SHALLOW = (*STAGES[:3], (512,), STAGES[4])  # section 4.1: without the five layers of 14x14x512


class DepthwiseSeparableBlock(nn.Module):
    """Filter each channel, then mix them (figure 3, right). [N,C,H,W] -> [N,c,H/s,W/s]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, edition: Edition) -> None:
        super().__init__()
        self.conv_dw = convolution(in_channels, in_channels, 3, stride=stride, groups=in_channels, edition=edition)
        self.bn1 = normalisation(in_channels, edition)
        self.act1 = activation(edition)
        self.conv_pw = convolution(in_channels, out_channels, 1, edition=edition)
        self.bn2 = normalisation(out_channels, edition)
        self.act2 = activation(edition)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act1(self.bn1(self.conv_dw(x)))  # [N, C, H/s, W/s]
        return self.act2(self.bn2(self.conv_pw(x)))


class FullConvolution(nn.Module):
    """What table 4 compares with (figure 3, left). [N,C,H,W] -> [N,c,H/s,W/s]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, edition: Edition) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels, 3, stride=stride, edition=edition)
        self.bn1 = normalisation(out_channels, edition)
        self.act1 = activation(edition)

    def forward(self, x: Tensor) -> Tensor:
        return self.act1(self.bn1(self.conv(x)))


def convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, edition: Edition
) -> nn.Conv2d:
    """A convolution that keeps the size / stride; in the ``tf`` edition with a bias, BatchNorm's share."""
    if edition == "tf":
        return SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups)
    if edition == "paper" and stride > 1:
        return SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)
    half = kernel // 2  # of an odd kernel: at stride 1 that is TensorFlow's SAME, too
    return nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=half, groups=groups, bias=False)


def normalisation(channels: int, edition: Edition) -> nn.Module:
    if edition == "tf":
        return nn.Identity()  # folded into the convolution before
    return nn.BatchNorm2d(channels, eps=1e-5 if edition == "timm" else 0.001)


def activation(edition: Edition) -> nn.Module:
    return nn.ReLU(inplace=True) if edition in ("paper", "padded") else nn.ReLU6(inplace=True)


class MobileNetV1(nn.Module):
    """MobileNet v1, for images of any size. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        edition: whose network.
        width: a, by which the number of every layer's channels is multiplied.
        is_separable: False: a full convolution in place of each separable one, for table 4.
        is_shallow: without the five layers of 14x14x512, for table 5.
        dropout: share of the pooled values that is dropped in training.
        background: whether the last layer has one more output before the classes; it is no class, and is not returned.
    """

    head: tuple[str, ...] = ("classifier",)
    classifier_modules: tuple[str, ...] = ("avgpool", "dropout", "classifier")

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int,
        edition: Edition,
        width: float,
        is_separable: bool = True,
        is_shallow: bool = False,
        dropout: float,
        background: bool = False,
    ) -> None:
        super().__init__()
        stages = [[scaled(channels, width) for channels in stage] for stage in (SHALLOW if is_shallow else STAGES)]
        block = DepthwiseSeparableBlock if is_separable else FullConvolution
        channels = scaled(32, width)
        self.channels: Mapping[int, int] = {2 ** (k + 1): stage[-1] for k, stage in enumerate(stages)}
        self.conv_stem = convolution(in_channels, channels, 3, stride=2, edition=edition)
        self.bn1 = normalisation(channels, edition)
        self.act1 = activation(edition)
        self.blocks = nn.Sequential()
        for number, stage in enumerate(stages):
            blocks = nn.Sequential()
            for index, out_channels in enumerate(stage):
                stride = 2 if number > 0 and index == 0 else 1
                blocks.append(block(channels, out_channels, stride, edition))
                channels = out_channels
            self.blocks.append(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.first_class = 1 if background else 0
        self.classifier = nn.Linear(channels, self.first_class + classes)
        self._initialise(edition)

    def _initialise(self, edition: Edition) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if edition == "tf" and isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)  # without BatchNorm the signal must keep its size by itself
                else:
                    nn.init.trunc_normal_(layer.weight, std=0.09, a=-0.18, b=0.18)  # slim's mobilenet_v1_arg_scope
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, self.training and isinstance(self.bn1, nn.BatchNorm2d))
        x = self.act1(self.bn1(self.conv_stem(images)))  # [N, 32a, H/2, W/2]
        x2 = self.blocks[0](x)  # [N, 64a, H/2, W/2]
        x4 = self.blocks[1](x2)  # [N, 128a, H/4, W/4]
        x8 = self.blocks[2](x4)  # [N, 256a, H/8, W/8]
        x16 = self.blocks[3](x8)  # [N, 512a, H/16, W/16]
        x32 = self.blocks[4](x16)  # [N, 1024a, H/32, W/32]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}

    def all_logits(self, features: dict[int, Tensor]) -> Tensor:
        """Every output of the last layer, [N,K] or, background first, [N,1+K]."""
        x = self.avgpool(features[32]).flatten(1)  # [N, 1024a]
        return self.classifier(self.dropout(x))

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.all_logits(features)[:, self.first_class :]  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def scaled(channels: int, width: float) -> int:
    """``width`` times as many channels; at least 8, and rounded down, as in the released code."""
    return max(int(channels * width), 8)


def check_size(images: Tensor, normalises: bool) -> None:
    """Raises ShapeError if BatchNorm, where the batch ``normalises``, has a single value a channel."""
    check_batch(images, 33, learns=normalises)


Share = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[float, Field(gt=0, le=1)]


def mobilenet_v1(
    *,
    classes: int,
    in_channels: int,
    edition: Literal["paper", "padded", "timm"] = "paper",
    width: Width = 1.0,
    separable: bool = True,
    shallow: bool = False,
    dropout: Share = 0.001,
) -> nn.Module:
    """MobileNet v1.

    ``edition``: whose; ``width``: multiplier of the channels; ``separable``: False for the full convolutions of table
    4; ``shallow``: True for the network of table 5, without the five layers of 14x14x512; ``dropout``: before the last
    layer.
    """
    return MobileNetV1(
        classes=classes,
        in_channels=in_channels,
        edition=edition,
        width=width,
        is_separable=separable,
        is_shallow=shallow,
        dropout=dropout,
    )


def mobilenet_v1_tf(
    *, classes: int, in_channels: int, width: Width = 1.0, dropout: Share = 0.001, background: bool = True
) -> nn.Module:
    """MobileNet v1 of TensorFlow's released graphs.

    ``width``: multiplier of the channels; ``dropout``: before the last layer; ``background``: one more output, before
    the classes, as the ImageNet weights have it.
    """
    return MobileNetV1(
        classes=classes, in_channels=in_channels, edition="tf", width=width, dropout=dropout, background=background
    )

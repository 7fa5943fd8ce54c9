"""BN-Inception, GoogLeNet's successor with BatchNorm.

Ioffe, Szegedy: Batch normalization: accelerating deep network training by reducing internal covariate shift, ICML 2015
(arXiv:1502.03167), figure 5.

Every convolution is followed by BatchNorm, which takes the place of dropout and response normalisation (section
4.2.1), and ReLU. Two 3x3 convolutions replace one of 5x5; modules 3c and 4e halve the map. The figure has no auxiliary
heads.

Editions. ``paper``: figure 5. Its rows 4c and 4d contradict themselves, for a pooling projection of 128 maps makes 608,
not the 576 that they state; here it has 96, as in the inception_v2 of the authors' TensorFlow-Slim, and all sizes fit.
Rows 3c and 4e state the size before their stride. The asterisk at the first convolution means that the authors computed
it as a separable one, of depth multiplier 8: that is the option ``first``. From TensorFlow-Slim, where the paper is
silent: the truncated normal weights at the beginning, BatchNorm's epsilon of 0.001, SAME padding, and means of the
pixels that there are at the border. ``caffe``: the network whose Caffe weights the world uses (the temporal segment
networks begin with them): projections of 128 maps, a bias beside every BatchNorm, its epsilon of 1e-5, half a kernel of
padding on every side, poolings that are not padded and round up, and zeros that count at the border of means.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d, SameMaxPool2d
from visus.models.classification.input_checks import check_batch, check_sides

First = Literal["full", "separable"]
Padding = Literal["same", "half"]
"""Of strided layers: TensorFlow's SAME, or half a kernel on every side and none around the stem's poolings."""
Row = tuple[int, int, int, int, int, Literal["avg", "max"], int]
"""#1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool, proj: the columns of figure 5."""

FIGURE_5: Mapping[str, Row] = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 96),  # 128 in the figure
    "4d": (96, 128, 192, 160, 192, "avg", 96),  # 128 in the figure
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
CAFFE: Mapping[str, Row] = {
    **FIGURE_5,
    "4c": (160, 128, 160, 128, 160, "avg", 128),
    "4d": (96, 128, 192, 160, 192, "avg", 128),
}


class BNInceptionStyle(NamedTuple):
    """The choices that the paper leaves open.

    Args:
        epsilon: of BatchNorm.
        bias: whether a bias stands beside BatchNorm.
        zeros_count: whether average pooling counts zeros beyond the border.
        pads_as_tensorflow: whether strided layers have TensorFlow's SAME padding.
    """

    epsilon: float
    bias: bool
    zeros_count: bool
    pads_as_tensorflow: bool


SLIM_STYLE = BNInceptionStyle(epsilon=1e-3, bias=False, zeros_count=False, pads_as_tensorflow=True)
CAFFE_STYLE = BNInceptionStyle(epsilon=1e-5, bias=True, zeros_count=True, pads_as_tensorflow=False)


class BNInceptionConvolution(nn.Module):
    """A convolution that keeps the size / stride, BatchNorm and ReLU. [N,C,H,W] -> [N,O,H/s,W/s].

    Args:
        in_channels: C.
        out_channels: O.
        kernel: its side.
        stride: s.
        std: of the weights at the beginning, before they are cut at two deviations; None for a variance of 2 / fan-in.
        style: its bias, and BatchNorm's epsilon.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        std: float | None = None,
        style: BNInceptionStyle,
    ) -> None:
        super().__init__()
        self.conv: nn.Module = convolution(in_channels, out_channels, kernel, stride=stride, std=std, style=style)
        self.bn = nn.BatchNorm2d(out_channels, eps=style.epsilon)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    std: float | None,
    style: BNInceptionStyle,
) -> nn.Conv2d:
    layer: nn.Conv2d
    if style.pads_as_tensorflow and stride > 1:
        layer = SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=style.bias)
    else:  # at stride 1 half of an odd kernel is TensorFlow's padding, too
        half = kernel // 2
        layer = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=half, groups=groups, bias=style.bias
        )
    truncated_normal(layer.weight, std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def truncated_normal(weight: Tensor, std: float | None) -> None:
    """Normal values cut off at two deviations; by default of a variance of 2 / fan-in after that."""
    if std is None:
        std = math.sqrt(1.3 * 2 / weight[0].numel())  # the cut takes away the 1.3, as TensorFlow-Slim reckons
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def stem_pooling(style: BNInceptionStyle) -> nn.MaxPool2d:
    """3x3 max pooling of stride 2: SAME, or Caffe's, which is not padded and rounds up."""
    return SameMaxPool2d(3, stride=2) if style.pads_as_tensorflow else nn.MaxPool2d(3, stride=2, ceil_mode=True)


class BNInceptionModule(nn.Module):
    """Four branches side by side. [N,C,H,W] -> [N,sum,H,W]."""

    def __init__(self, in_channels: int, row: Row, style: BNInceptionStyle) -> None:
        super().__init__()
        ones, reduce, threes, reduce_double, doubles, pool, projection = row
        self.branch1 = BNInceptionConvolution(in_channels, ones, 1, style=style)
        self.branch2 = nn.Sequential(
            BNInceptionConvolution(in_channels, reduce, 1, std=0.09, style=style),
            BNInceptionConvolution(reduce, threes, 3, style=style),
        )
        self.branch3 = nn.Sequential(
            BNInceptionConvolution(in_channels, reduce_double, 1, std=0.09, style=style),
            BNInceptionConvolution(reduce_double, doubles, 3, style=style),
            BNInceptionConvolution(doubles, doubles, 3, style=style),
        )
        average = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=style.zeros_count)
        self.branch4 = nn.Sequential(
            average if pool == "avg" else nn.MaxPool2d(3, stride=1, padding=1),
            BNInceptionConvolution(in_channels, projection, 1, std=0.1, style=style),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class Reduction(nn.Module):
    """Two strided branches, and max pooling "passed through". [N,C,H,W] -> [N,sum+C,H/2,W/2]."""

    def __init__(self, in_channels: int, row: Row, style: BNInceptionStyle) -> None:
        super().__init__()
        _, reduce, threes, reduce_double, doubles, _, _ = row
        self.branch2 = nn.Sequential(
            BNInceptionConvolution(in_channels, reduce, 1, std=0.09, style=style),
            BNInceptionConvolution(reduce, threes, 3, stride=2, style=style),
        )
        self.branch3 = nn.Sequential(
            BNInceptionConvolution(in_channels, reduce_double, 1, std=0.09, style=style),
            BNInceptionConvolution(reduce_double, doubles, 3, style=style),
            BNInceptionConvolution(doubles, doubles, 3, stride=2, style=style),
        )
        # Caffe's, too, on even sides; on odd ones its pooling is smaller than what the convolutions beside it make.
        self.branch4 = SameMaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class BNInception(nn.Module):
    """BN-Inception. [N,C,H,W] -> [N,K] logits; H, W >= 7 in Caffe's.

    Args:
        rows: the table's, by the module's name.
        classes: K.
        in_channels: C.
        style: what the paper leaves open.
        first: how the first convolution is computed.
        behind: what follows each module's concatenation, for that many channels.
    """

    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("avgpool", "fc")

    def __init__(
        self,
        rows: Mapping[str, Row],
        *,
        classes: int,
        in_channels: int,
        style: BNInceptionStyle,
        first: First = "full",
        behind: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.style = style
        self.conv1 = BNInceptionConvolution(in_channels, 64, 7, stride=2, style=style)
        if first == "separable":
            self.conv1.conv = separable_convolution(in_channels, style)
        self.maxpool1 = stem_pooling(style)
        self.conv2 = BNInceptionConvolution(64, 64, 1, std=0.1, style=style)
        self.conv3 = BNInceptionConvolution(64, 192, 3, style=style)
        self.maxpool2 = stem_pooling(style)
        self.inception = nn.ModuleDict()
        width, widths = 192, {}
        for name, row in rows.items():
            module = BNInceptionModule(width, row, style) if row[0] else Reduction(width, row, style)
            width = row[0] + row[2] + row[4] + (row[6] if row[0] else width)
            self.inception[name] = module if behind is None else nn.Sequential(module, behind(width))
            widths[name] = width
        self.channels: Mapping[int, int] = {2: 64, 4: 192, 8: widths["3b"], 16: widths["4d"], 32: widths["5b"]}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(width, classes)
        truncated_normal(self.fc.weight, None)
        nn.init.zeros_(self.fc.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, self.style, training=self.training)
        inception = self.inception
        x2 = self.conv1(images)  # [N, 64, H/2, W/2]
        x4 = self.conv3(self.conv2(self.maxpool1(x2)))  # [N, 192, H/4, W/4]
        x8 = inception["3b"](inception["3a"](self.maxpool2(x4)))  # [N, 320, H/8, W/8]
        x = inception["4a"](inception["3c"](x8))  # [N, 576, H/16, W/16]
        x16 = inception["4d"](inception["4c"](inception["4b"](x)))  # [N, 576, H/16, W/16]; 608 in Caffe's
        x32 = inception["5b"](inception["5a"](inception["4e"](x16)))  # [N, 1024, H/32, W/32]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 1024]
        return self.fc(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def separable_convolution(in_channels: int, style: BNInceptionStyle) -> nn.Sequential:
    """Eight 7x7 kernels a channel, then 1x1 over them (the appendix's last paragraph). [N,C,H,W] -> [N,64,H/2,W/2]."""
    return nn.Sequential(
        convolution(in_channels, 8 * in_channels, 7, stride=2, groups=in_channels, std=None, style=style),
        convolution(8 * in_channels, 64, 1, std=None, style=style),
    )


def check_size(images: Tensor, style: BNInceptionStyle, *, training: bool) -> None:
    """Raises ShapeError if the stem's poolings leave nothing, or BatchNorm gets a single value a channel."""
    if style.pads_as_tensorflow:
        check_batch(images, 33, learns=training)
    else:
        check_sides("BN-Inception with Caffe's poolings", images, smallest=7)
        check_batch(images, 39, learns=training)


def bn_inception(*, classes: int, in_channels: int, first: First = "full", padding: Padding = "same") -> nn.Module:
    """BN-Inception (figure 5).

    ``first``: how the first convolution is computed; the authors' was separable. ``padding``: of strided layers.
    """
    style = SLIM_STYLE._replace(pads_as_tensorflow=padding == "same")
    return BNInception(FIGURE_5, classes=classes, in_channels=in_channels, style=style, first=first)


def bn_inception_caffe(*, classes: int, in_channels: int) -> nn.Module:
    """BN-Inception as in Caffe."""
    return BNInception(CAFFE, classes=classes, in_channels=in_channels, style=CAFFE_STYLE)

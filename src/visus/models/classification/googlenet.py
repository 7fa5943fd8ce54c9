"""GoogLeNet (Inception-v1).

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going deeper with convolutions, CVPR 2015
(arXiv:1409.4842), table 1, figure 3 and section 5.

Editions. ``paper``: the network of the paper. It names neither the constants of the response normalisation nor a way to
begin; both are those of the network that Caffe released with its help (bvlc_googlenet): windows of 5 maps, k = 1,
alpha = 1e-4 over 5, beta = 0.75; weights of variance 1 / fan-in (Caffe's "xavier" filler), biases of 0.2.
``torchvision``: BatchNorm after every convolution instead of biases and response normalisation, 3x3 kernels where the
paper has 5x5, a 2x2 window in the last strided pooling, and a dropout of 0.2. The parameters have torchvision's names.

The auxiliary heads' first dense layer needs 4x4 positions. Section 5 makes them of 14x14 by windows of 5x5 at stride 3;
maps of other sizes, which the paper does not have, are averaged over 4x4 even windows (as torchvision does at any).

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.classification.input_checks import check_batch
from visus.models.protocols import Output

Edition = Literal["paper", "torchvision"]
Widths = tuple[int, int, int, int, int, int]
"""#1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj: the columns of table 1."""

INCEPTION: Mapping[str, Widths] = {  # table 1
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
AUXILIARY_WEIGHT = 0.3  # section 5


class GoogLeNetConvolution(nn.Module):
    """A convolution that keeps the size / stride, and ReLU. [N,C,H,W] -> [N,c,H/s,W/s].

    Args:
        in_channels: C.
        out_channels: c.
        kernel: its side.
        stride: s.
        normalised: with BatchNorm instead of a bias, as in torchvision's edition.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, normalised: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=not normalised
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001) if normalised else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


MakeConvolution = Callable[..., nn.Module]
""":class:`GoogLeNetConvolution` of one edition: (in_channels, out_channels, kernel) -> a layer."""


class InceptionModule(nn.Module):
    """Four branches side by side (figure 2b). [N,C,H,W] -> [N,sum,H,W].

    Args:
        conv: makes the edition's convolutions.
        in_channels: C.
        widths: of the branches.
        largest: side of the third branch's kernel.
    """

    def __init__(self, conv: MakeConvolution, in_channels: int, widths: Widths, largest: int) -> None:
        super().__init__()
        ones, reduce3, threes, reduce5, fives, projection = widths
        self.branch1 = conv(in_channels, ones, 1)
        self.branch2 = nn.Sequential(conv(in_channels, reduce3, 1), conv(reduce3, threes, 3))
        self.branch3 = nn.Sequential(conv(in_channels, reduce5, 1), conv(reduce5, fives, largest))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(in_channels, projection, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class PoolingTo4x4(nn.Module):
    """Means of windows of 5x5 at stride 3 if they are 4x4 and ``as_in_paper``, else of 4x4 even windows.

    [N,C,H,W] -> [N,C,4,4].
    """

    def __init__(self, *, as_in_paper: bool) -> None:
        super().__init__()
        self.as_in_paper = as_in_paper

    def forward(self, x: Tensor) -> Tensor:
        if self.as_in_paper and all(14 <= side <= 16 for side in x.shape[-2:]):
            return nn.functional.avg_pool2d(x, 5, stride=3)
        return nn.functional.adaptive_avg_pool2d(x, 4)


class GoogLeNetAuxiliaryHead(nn.Module):
    """A classifier on a map in between (section 5). [N,C,H,W] -> [N,K] logits."""

    def __init__(
        self, conv: MakeConvolution, in_channels: int, classes: int, *, dropout: float, as_in_paper: bool
    ) -> None:
        super().__init__()
        self.avgpool = PoolingTo4x4(as_in_paper=as_in_paper)
        self.conv = conv(in_channels, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.avgpool(x)).flatten(1)  # [N, 2048]
        x = self.dropout(self.relu(self.fc1(x)))  # [N, 1024]
        return self.fc2(x)  # [N, K]


class GoogLeNet(nn.Module):
    """GoogLeNet. [N,C,H,W] -> logits [N,K], in training with those of two auxiliary heads.

    H, W >= 31; in torchvision's edition >= 15.

    Args:
        classes: K.
        in_channels: C.
        edition: whose network.
        dropout: share of the pooled values that is dropped in training.
        auxiliary_dropout: that of the auxiliary heads' dense values.
    """

    channels: Mapping[int, int] = {2: 64, 4: 192, 8: 480, 16: 832, 32: 1024}
    auxiliary_heads: tuple[str, ...] = ("aux1", "aux2")
    auxiliary_weights: tuple[float, ...] = (AUXILIARY_WEIGHT, AUXILIARY_WEIGHT)
    head: tuple[str, ...] = ("fc", "aux1.fc2", "aux2.fc2")
    classifier_modules: tuple[str, ...] = ("avgpool", "dropout", "fc", "aux1", "aux2")

    def __init__(
        self, *, classes: int, in_channels: int, edition: Edition, dropout: float, auxiliary_dropout: float
    ) -> None:
        super().__init__()
        self.edition = edition
        is_paper = edition == "paper"
        conv = partial(GoogLeNetConvolution, normalised=not is_paper)

        def inception(in_channels: int, name: str) -> InceptionModule:
            # 3: torchvision's "known bug", kept because its weights have it
            return InceptionModule(conv, in_channels, INCEPTION[name], largest=5 if is_paper else 3)

        def norm() -> nn.Module:
            return response_normalisation() if is_paper else nn.Identity()

        def auxiliary_head(in_channels: int) -> GoogLeNetAuxiliaryHead:
            return GoogLeNetAuxiliaryHead(conv, in_channels, classes, dropout=auxiliary_dropout, as_in_paper=is_paper)

        self.conv1 = conv(in_channels, 64, 7, stride=2)
        self.maxpool1 = strided_pooling()
        self.norm1 = norm()
        self.conv2 = conv(64, 64, 1)
        self.conv3 = conv(64, 192, 3)
        self.norm2 = norm()
        self.maxpool2 = strided_pooling()
        self.inception3a = inception(192, "3a")
        self.inception3b = inception(256, "3b")
        self.maxpool3 = strided_pooling()
        self.inception4a = inception(480, "4a")
        self.inception4b = inception(512, "4b")
        self.inception4c = inception(512, "4c")
        self.inception4d = inception(512, "4d")
        self.inception4e = inception(528, "4e")
        self.maxpool4 = strided_pooling(3 if is_paper else 2)
        self.inception5a = inception(832, "5a")
        self.inception5b = inception(832, "5b")
        self.aux1 = auxiliary_head(512)
        self.aux2 = auxiliary_head(528)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, classes)
        self._initialise()

    def _initialise(self) -> None:
        classifiers = (self.fc, self.aux1.fc2, self.aux2.fc2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if self.edition == "torchvision":
                    nn.init.trunc_normal_(layer.weight, std=0.01, a=-2, b=2)
                    continue
                bound = math.sqrt(3 / layer.weight[0].numel())  # a variance of 1 / fan-in
                nn.init.uniform_(layer.weight, -bound, bound)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0.0 if layer in classifiers else 0.2)

    def stages(self, images: Tensor) -> tuple[dict[int, Tensor], tuple[Tensor, Tensor]]:
        """The features, and the maps of modules 4a and 4d, which feed the auxiliary heads."""
        self._check_size(images)
        x2 = self.conv1(images)  # [N, 64, H/2, W/2]
        x = self.norm1(self.maxpool1(x2))  # [N, 64, H/4, W/4]
        x4 = self.norm2(self.conv3(self.conv2(x)))  # [N, 192, H/4, W/4]
        x8 = self.inception3b(self.inception3a(self.maxpool2(x4)))  # [N, 480, H/8, W/8]
        x4a = self.inception4a(self.maxpool3(x8))  # [N, 512, H/16, W/16]
        x4d = self.inception4d(self.inception4c(self.inception4b(x4a)))  # [N, 528, H/16, W/16]
        x16 = self.inception4e(x4d)  # [N, 832, H/16, W/16]
        x32 = self.inception5b(self.inception5a(self.maxpool4(x16)))  # [N, 1024, H/32, W/32]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}, (x4a, x4d)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return self.stages(images)[0]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Output:
        x = self.avgpool(features[32]).flatten(1)  # [N, 1024]
        return Output(self.fc(self.dropout(x)))  # [N, K]

    def forward(self, images: Tensor) -> Output:
        features, (x4a, x4d) = self.stages(images)
        answer = self.from_features(features, images.shape[-2:])
        if not self.training:  # "at inference time, these auxiliary networks are discarded"
            return answer
        return Output(answer.logits, (self.aux1(x4a), self.aux2(x4d)))

    def _check_size(self, images: Tensor) -> None:
        height, width = images.shape[-2:]
        smallest = 31 if self.edition == "paper" else 15
        if min(height, width) < smallest:
            raise ShapeError(
                "images of this size are too small for GoogLeNet's last pooling",
                expected=f"{smallest}x{smallest} or more",
                got=f"{height}x{width}",
                remedy=f"resize the images to {max(height, smallest)}x{max(width, smallest)}",
            )
        check_batch(images, 47, learns=self.edition == "torchvision" and self.training)


def strided_pooling(kernel: int = 3) -> nn.MaxPool2d:
    """Max pooling at stride 2 whose last window may go over the edge, as Caffe rounds."""
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def response_normalisation() -> nn.LocalResponseNorm:
    """LocalRespNorm of figure 3, with the constants of bvlc_googlenet; Caffe and torch divide alpha by the size."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


Share = Annotated[float, Field(ge=0, lt=1)]


def googlenet(
    *,
    classes: int,
    in_channels: int,
    edition: Edition = "paper",
    dropout: Share = 0.4,
    auxiliary_dropout: Share = 0.7,
) -> nn.Module:
    """GoogLeNet. ``edition``: whose; ``dropout``: before the last layer; ``auxiliary_dropout``: in the heads."""
    return GoogLeNet(
        classes=classes,
        in_channels=in_channels,
        edition=edition,
        dropout=dropout,
        auxiliary_dropout=auxiliary_dropout,
    )

"""Inception-v3.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for computer vision, CVPR 2016
(arXiv:1512.00567), figures 5 to 7 and 10, last row of table 3.

The paper prints no widths inside its modules. It refers to a file of its submission, model.txt, which is not among
what was published with it, and its table 1 has other layers between the first pooling and the first module. What is
built here is the network that the authors released (tensorflow/models, inception_v3). Inception-v2, the paper's network
without the batch-normalised auxiliary head and the factorised first convolution, was never published layer by layer and
is not here.

Editions. ``paper``: the released network. ``torchvision``: zeros count at the border of average pooling, where
TensorFlow takes the mean of the pixels that there are, and dropout is 0.5 instead of 0.2. The parameters have
torchvision's names in both. The released code normalises without a learned scale; the scales here begin at 1.

From the released code, too: truncated normal weights of 0.1 at the beginning, in the auxiliary head's last layers of
0.01 and 0.001, in the last layer of 0.01; BatchNorm's epsilon of 0.001; and the share of 0.4 of the auxiliary loss. The
auxiliary head needs 17x17 positions, those of 299x299 images; smaller maps, which the paper does not have, are averaged
over 5x5 even windows.

Letters: N images, C input channels, K classes; the sizes in comments are for 299x299 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.protocols import Output

Edition = Literal["paper", "torchvision"]
Kernel = int | tuple[int, int]


class InceptionV3Convolution(nn.Module):
    """A convolution without bias, BatchNorm and ReLU; ``valid``: without padding, else as much as keeps the size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, *, stride: int = 1, valid: bool = False
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, sides, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


def strided(in_channels: int, out_channels: int) -> InceptionV3Convolution:
    """An unpadded 3x3 convolution of stride 2."""
    return InceptionV3Convolution(in_channels, out_channels, 3, stride=2, valid=True)


def average_pooling(edition: Edition) -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=edition == "torchvision")


class InceptionA(nn.Module):
    """Figure 5, in which the released network keeps a 5x5 convolution. [N,C,35,35] -> [N,224+projection,35,35]."""

    def __init__(self, in_channels: int, projection: int, edition: Edition) -> None:
        super().__init__()
        self.branch1x1 = InceptionV3Convolution(in_channels, 64, 1)
        self.branch5x5_1 = InceptionV3Convolution(in_channels, 48, 1)
        self.branch5x5_2 = InceptionV3Convolution(48, 64, 5)
        self.branch3x3dbl_1 = InceptionV3Convolution(in_channels, 64, 1)
        self.branch3x3dbl_2 = InceptionV3Convolution(64, 96, 3)
        self.branch3x3dbl_3 = InceptionV3Convolution(96, 96, 3)
        self.pool = average_pooling(edition)
        self.branch_pool = InceptionV3Convolution(in_channels, projection, 1)

    def forward(self, x: Tensor) -> Tensor:
        fives = self.branch5x5_2(self.branch5x5_1(x))  # [N, 64, 35, 35]
        doubles = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))  # [N, 96, 35, 35]
        return torch.cat((self.branch1x1(x), fives, doubles, self.branch_pool(self.pool(x))), 1)


class ReductionB(nn.Module):
    """Figure 10. [N,288,35,35] -> [N,768,17,17]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = strided(288, 384)
        self.branch3x3dbl_1 = InceptionV3Convolution(288, 64, 1)
        self.branch3x3dbl_2 = InceptionV3Convolution(64, 96, 3)
        self.branch3x3dbl_3 = strided(96, 96)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        doubles = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))  # [N, 96, 17, 17]
        return torch.cat((self.branch3x3(x), doubles, self.pool(x)), 1)


class InceptionC(nn.Module):
    """Figure 6 with n = 7: rows and columns of seven; c maps within. [N,768,17,17] -> the same."""

    def __init__(self, c: int, edition: Edition) -> None:
        super().__init__()
        self.branch1x1 = InceptionV3Convolution(768, 192, 1)
        self.branch7x7_1 = InceptionV3Convolution(768, c, 1)
        self.branch7x7_2 = InceptionV3Convolution(c, c, (1, 7))
        self.branch7x7_3 = InceptionV3Convolution(c, 192, (7, 1))
        self.branch7x7dbl_1 = InceptionV3Convolution(768, c, 1)
        self.branch7x7dbl_2 = InceptionV3Convolution(c, c, (7, 1))
        self.branch7x7dbl_3 = InceptionV3Convolution(c, c, (1, 7))
        self.branch7x7dbl_4 = InceptionV3Convolution(c, c, (7, 1))
        self.branch7x7dbl_5 = InceptionV3Convolution(c, 192, (1, 7))
        self.pool = average_pooling(edition)
        self.branch_pool = InceptionV3Convolution(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        sevens = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))  # [N, 192, 17, 17]
        doubles = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))  # [N, c, 17, 17]
        doubles = self.branch7x7dbl_5(self.branch7x7dbl_4(doubles))  # [N, 192, 17, 17]
        return torch.cat((self.branch1x1(x), sevens, doubles, self.branch_pool(self.pool(x))), 1)


class ReductionD(nn.Module):
    """The same idea as figure 10's. [N,768,17,17] -> [N,1280,8,8]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = InceptionV3Convolution(768, 192, 1)
        self.branch3x3_2 = strided(192, 320)
        self.branch7x7x3_1 = InceptionV3Convolution(768, 192, 1)
        self.branch7x7x3_2 = InceptionV3Convolution(192, 192, (1, 7))
        self.branch7x7x3_3 = InceptionV3Convolution(192, 192, (7, 1))
        self.branch7x7x3_4 = strided(192, 192)
        self.pool = nn.MaxPool2d(3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3_2(self.branch3x3_1(x))  # [N, 320, 8, 8]
        sevens = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))  # [N, 192, 17, 17]
        return torch.cat((threes, self.branch7x7x3_4(sevens), self.pool(x)), 1)


class InceptionE(nn.Module):
    """Figure 7: rows and columns of three beside each other. [N,C,8,8] -> [N,2048,8,8]."""

    def __init__(self, in_channels: int, edition: Edition) -> None:
        super().__init__()
        self.branch1x1 = InceptionV3Convolution(in_channels, 320, 1)
        self.branch3x3_1 = InceptionV3Convolution(in_channels, 384, 1)
        self.branch3x3_2a = InceptionV3Convolution(384, 384, (1, 3))
        self.branch3x3_2b = InceptionV3Convolution(384, 384, (3, 1))
        self.branch3x3dbl_1 = InceptionV3Convolution(in_channels, 448, 1)
        self.branch3x3dbl_2 = InceptionV3Convolution(448, 384, 3)
        self.branch3x3dbl_3a = InceptionV3Convolution(384, 384, (1, 3))
        self.branch3x3dbl_3b = InceptionV3Convolution(384, 384, (3, 1))
        self.pool = average_pooling(edition)
        self.branch_pool = InceptionV3Convolution(in_channels, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.branch3x3_1(x)  # [N, 384, 8, 8]
        doubles = self.branch3x3dbl_2(self.branch3x3dbl_1(x))  # [N, 384, 8, 8]
        return torch.cat(
            (
                self.branch1x1(x),
                self.branch3x3_2a(threes),
                self.branch3x3_2b(threes),
                self.branch3x3dbl_3a(doubles),
                self.branch3x3dbl_3b(doubles),
                self.branch_pool(self.pool(x)),
            ),
            1,
        )


class AuxiliaryPooling(nn.Module):
    """Means of windows of 5x5 at stride 3 from 17x17 positions on, else of 5x5 even windows.

    [N,C,17,17] -> [N,C,5,5].
    """

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) >= 17:
            return nn.functional.avg_pool2d(x, 5, stride=3)
        return nn.functional.adaptive_avg_pool2d(x, 5)


class InceptionV3AuxiliaryHead(nn.Module):
    """A classifier on the last 17x17 map, BatchNorm after its dense layer too (section 4). [N,768,H,W] -> [N,K]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pool = AuxiliaryPooling()
        self.conv0 = InceptionV3Convolution(768, 128, 1)
        self.conv1 = InceptionV3Convolution(
            128, 768, 5, valid=True
        )  # the dense layer, for it sees all of the 5x5 positions
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.conv0(self.pool(x)))  # [N, 768, 1, 1]
        return self.fc(self.avgpool(x).flatten(1))  # [N, K]


class InceptionV3(nn.Module):
    """Inception-v3. [N,C,H,W] -> logits [N,K], in training with those of an auxiliary head; H, W >= 75.

    Args:
        classes: K.
        in_channels: C.
        edition: whose network.
        dropout: share of the pooled values that is dropped in training.
    """

    channels: Mapping[int, int] = {2: 64, 4: 192, 8: 288, 16: 768, 32: 2048}
    auxiliary_heads: tuple[str, ...] = ("AuxLogits",)
    auxiliary_weights: tuple[float, ...] = (0.4,)
    head: tuple[str, ...] = ("fc", "AuxLogits.fc")
    classifier_modules: tuple[str, ...] = ("avgpool", "dropout", "fc", "AuxLogits")

    def __init__(self, *, classes: int, in_channels: int, edition: Edition, dropout: float) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = strided(in_channels, 32)
        self.Conv2d_2a_3x3 = InceptionV3Convolution(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = InceptionV3Convolution(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = InceptionV3Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = InceptionV3Convolution(80, 192, 3, valid=True)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32, edition)
        self.Mixed_5c = InceptionA(256, 64, edition)
        self.Mixed_5d = InceptionA(288, 64, edition)
        self.Mixed_6a = ReductionB()
        self.Mixed_6b = InceptionC(128, edition)
        self.Mixed_6c = InceptionC(160, edition)
        self.Mixed_6d = InceptionC(160, edition)
        self.Mixed_6e = InceptionC(192, edition)
        self.AuxLogits = InceptionV3AuxiliaryHead(classes)
        self.Mixed_7a = ReductionD()
        self.Mixed_7b = InceptionE(1280, edition)
        self.Mixed_7c = InceptionE(2048, edition)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, classes)
        deviations = {self.AuxLogits.conv1.conv: 0.01, self.AuxLogits.fc: 0.001, self.fc: 0.01}
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                std = deviations.get(layer, 0.1)
                nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def stages(self, images: Tensor) -> dict[int, Tensor]:
        x = self.Conv2d_1a_3x3(images)  # [N, 32, 149, 149]
        x2 = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(x))  # [N, 64, 147, 147]
        x = self.Conv2d_3b_1x1(self.maxpool1(x2))  # [N, 80, 73, 73]
        x4 = self.Conv2d_4a_3x3(x)  # [N, 192, 71, 71]
        x8 = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x4))))  # [N, 288, 35, 35]
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x8)))  # [N, 768, 17, 17]
        x16 = self.Mixed_6e(self.Mixed_6d(x))  # [N, 768, 17, 17]
        x32 = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x16)))  # [N, 2048, 8, 8]
        return {2: x2, 4: x4, 8: x8, 16: x16, 32: x32}

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images)
        if self.training:
            check_statistics(images, (1, 107))
        return self.stages(images)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Output:
        x = self.avgpool(features[32]).flatten(1)  # [N, 2048]
        return Output(self.fc(self.dropout(x)))  # [N, K]

    def forward(self, images: Tensor) -> Output:
        check_size(images)
        if not self.training:
            return self.from_features(self.stages(images), images.shape[-2:])
        check_statistics(images, (299, 347))  # what gives the auxiliary head's dense layer two positions
        features = self.stages(images)
        return Output(self.from_features(features, images.shape[-2:]).logits, (self.AuxLogits(features[16]),))


def check_size(images: Tensor) -> None:
    """Raises ShapeError if the unpadded layers leave nothing of images [N,C,H,W] of this size."""
    height, width = images.shape[-2:]
    if min(height, width) < 75:
        raise ShapeError(
            "the unpadded layers of Inception-v3 leave nothing of images of this size",
            expected="75x75 or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, 75)}x{max(width, 75)}",
        )


def check_statistics(images: Tensor, sides: tuple[int, int]) -> None:
    """Raises ShapeError for one image whose shorter and longer side leave a BatchNorm a single value a channel."""
    height, width = images.shape[-2:]
    if len(images) == 1 and (min(height, width) < sides[0] or max(height, width) < sides[1]):
        raise ShapeError(
            "BatchNorm needs more than one value a channel in training",
            expected=f"two images or more, or one whose sides are {sides[0]} and {sides[1]} or more",
            got=f"one image of {height}x{width}",
            remedy="use larger batches",
        )


Share = Annotated[float, Field(ge=0, lt=1)]


def inception_v3(*, classes: int, in_channels: int, edition: Edition = "paper", dropout: Share = 0.2) -> nn.Module:
    """Inception-v3. ``edition``: whose network; ``dropout``: before the last layer."""
    return InceptionV3(classes=classes, in_channels=in_channels, edition=edition, dropout=dropout)

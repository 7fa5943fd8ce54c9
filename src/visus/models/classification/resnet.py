"""ResNet-18, -34, -50, -101 and -152, and the plain networks of 18 and 34 layers.

He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016 (arXiv:1512.03385), tables 1 to 3 and
figure 3.

Editions. ``paper``: where a stage begins, the bottleneck strides in its first 1x1 convolution, as in the paper's
footnote and the authors' Caffe models. The first pooling is not padded and rounds up, as in these models' prototxt
(KaimingHe/deep-residual-networks: ResNet-50, -101 and -152); table 1 prints its window, its stride and the size of its
output. The authors released none of the plain networks, ResNet-18 and -34; they have the pooling of these.
``torchvision``: the pooling is padded by 1, so its windows lie one pixel higher and further left, and the bottleneck
strides in the 3x3 convolution ("ResNet v1.5"), which costs 6 % more operations in ResNet-50. No weight's shape differs.
The parameters have torchvision's names.

Shortcuts where sizes change are projections (option B). ``option_a``: they are identities, which have no weights, as in
table 2; the maps that are new hold zeros and follow the given ones. ``option_c``: every shortcut is a projection. Table
3 compares the three in ResNet-34.

Letters: N images, C input channels, K classes, H x W pixels, e = 1 (basic blocks) or 4 (bottlenecks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from torch import Tensor, nn

from visus.layers.zero_padding import ZeroPaddedIdentity
from visus.models.classification.input_checks import check_batch, check_sides

StrideIn = Literal["1x1", "3x3"]
StemPooling = Literal["unpadded", "padded"]
"""The first pooling's border: none, and a last window that is cut off; or one pixel on every side."""
Shortcuts = Literal["A", "B", "C"]
"""Section 3.3's options: identities and zeros; projections where sizes change, else identities; projections."""


class BlockMaker(Protocol):
    """A kind of residual block. [N,C,H,W] -> [N,expansion*width,H/s,W/s]."""

    expansion: int

    def __call__(self, in_channels: int, width: int, stride: int) -> nn.Module: ...


class PlainBlock(nn.Module):
    """Two 3x3 convolutions (figure 3, middle). [N,C,H,W] -> [N,width,H/s,W/s]."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def residual(self, x: Tensor) -> Tensor:
        """All of the block but what comes after the last BatchNorm."""
        y = self.relu(self.bn1(self.conv1(x)))  # [N, width, H/s, W/s]
        return self.bn2(self.conv2(y))  # [N, width, H/s, W/s]

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.residual(x))


class BasicBlock(PlainBlock):
    """Two 3x3 convolutions and a shortcut (figure 5, left). [N,C,H,W] -> [N,width,H/s,W/s]."""

    shortcuts: Shortcuts = "B"

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__(in_channels, width, stride)
        self.downsample = shortcut(in_channels, width, stride, self.shortcuts)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.residual(x) + self.downsample(x))


class IdentityBlock(BasicBlock):
    """The basic block whose shortcut never has weights."""

    shortcuts: Shortcuts = "A"


class ProjectionBlock(BasicBlock):
    """The basic block whose shortcut always has weights."""

    shortcuts: Shortcuts = "C"


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (figure 5, right). [N,C,H,W] -> [N,4*width,H/s,W/s]."""

    expansion = 4
    stride_in: StrideIn = "1x1"

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        first, second = (stride, 1) if self.stride_in == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(in_channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))  # [N, width, H or H/s, W or W/s]
        y = self.relu(self.bn2(self.conv2(y)))  # [N, width, H/s, W/s]
        y = self.bn3(self.conv3(y))  # [N, 4 width, H/s, W/s]
        y += self.downsample(x)  # in place: BatchNorm keeps what it was given, not what it gave
        return self.relu(y)


class LateBottleneck(Bottleneck):
    """The bottleneck of torchvision, which strides in its 3x3 convolution."""

    stride_in: StrideIn = "3x3"


def shortcut(in_channels: int, out_channels: int, stride: int, option: Shortcuts = "B") -> nn.Module:
    """A shortcut after one of the options of section 3.3."""
    is_same = stride == 1 and in_channels == out_channels
    if is_same and option != "C":
        return nn.Identity()
    if option == "A":
        return ZeroPaddedIdentity(in_channels, out_channels, stride)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class ResNet(nn.Module):
    """A residual or plain network, for images of any size.

    [N,C,H,W] -> [N,K] logits.

    Args:
        block: the kind of block.
        depths: blocks in the stages conv2_x to conv5_x.
        classes: K.
        in_channels: C.
        pooling: the first pooling's border.
    """

    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("avgpool", "fc")

    def __init__(
        self,
        block: BlockMaker,
        depths: tuple[int, int, int, int],
        *,
        classes: int,
        in_channels: int,
        pooling: StemPooling,
    ) -> None:
        super().__init__()
        e = block.expansion
        self.channels: Mapping[int, int] = {2: 64, 4: 64 * e, 8: 128 * e, 16: 256 * e, 32: 512 * e}
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.pooling = pooling
        self.maxpool = (
            nn.MaxPool2d(3, stride=2, ceil_mode=True) if pooling == "unpadded" else nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.layer1 = stage(block, depths[0], 64, 64, 1)
        self.layer2 = stage(block, depths[1], 64 * e, 128, 2)
        self.layer3 = stage(block, depths[2], 128 * e, 256, 2)
        self.layer4 = stage(block, depths[3], 256 * e, 512, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * e, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # He et al. 2015, as section 3.4 says
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, self.pooling, learns=self.bn1.training)
        c1 = self.relu(self.bn1(self.conv1(images)))  # [N, 64, H/2, W/2]
        c2 = self.layer1(self.maxpool(c1))  # [N, 64e, H/4, W/4]
        c3 = self.layer2(c2)  # [N, 128e, H/8, W/8]
        c4 = self.layer3(c3)  # [N, 256e, H/16, W/16]
        c5 = self.layer4(c4)  # [N, 512e, H/32, W/32]
        return {2: c1, 4: c2, 8: c3, 16: c4, 32: c5}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 512e]
        return self.fc(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def check_size(images: Tensor, pooling: StemPooling, *, learns: bool) -> None:
    """Raises ShapeError if nothing is left for the pooling, or BatchNorm gets a single value a channel."""
    if pooling == "unpadded":
        check_sides("a residual network whose first pooling is not padded", images, smallest=3)
        check_batch(images, 35, learns=learns)  # 18 before the pooling, 9 behind it, 2 at the end
    else:
        check_batch(images, 33, learns=learns)


def stage(block: BlockMaker, depth: int, in_channels: int, width: int, stride: int) -> nn.Sequential:
    """``depth`` blocks, of which the first strides."""
    blocks = [block(in_channels, width, stride)]
    blocks += [block(width * block.expansion, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


BASIC_BLOCKS: Mapping[Shortcuts, type[BasicBlock]] = {"A": IdentityBlock, "B": BasicBlock, "C": ProjectionBlock}
BOTTLENECKS: Mapping[StrideIn, type[Bottleneck]] = {"1x1": Bottleneck, "3x3": LateBottleneck}

# Table 1: the blocks of conv2_x, conv3_x, conv4_x and conv5_x.


def resnet18(
    *, classes: int, in_channels: int, shortcuts: Literal["A", "B"] = "B", pooling: StemPooling = "unpadded"
) -> nn.Module:
    """ResNet-18. ``shortcuts``: section 3.3's option; table 2 has A. ``pooling``: of the stem."""
    return ResNet(BASIC_BLOCKS[shortcuts], (2, 2, 2, 2), classes=classes, in_channels=in_channels, pooling=pooling)


def resnet34(
    *, classes: int, in_channels: int, shortcuts: Shortcuts = "B", pooling: StemPooling = "unpadded"
) -> nn.Module:
    """ResNet-34. ``shortcuts``: section 3.3's option; table 2 has A, table 3 all. ``pooling``: of the stem."""
    return ResNet(BASIC_BLOCKS[shortcuts], (3, 4, 6, 3), classes=classes, in_channels=in_channels, pooling=pooling)


def plain18(*, classes: int, in_channels: int, pooling: StemPooling = "unpadded") -> nn.Module:
    """The plain network of 18 layers. ``pooling``: of the stem."""
    return ResNet(PlainBlock, (2, 2, 2, 2), classes=classes, in_channels=in_channels, pooling=pooling)


def plain34(*, classes: int, in_channels: int, pooling: StemPooling = "unpadded") -> nn.Module:
    """The plain network of 34 layers. ``pooling``: of the stem."""
    return ResNet(PlainBlock, (3, 4, 6, 3), classes=classes, in_channels=in_channels, pooling=pooling)


def resnet50(
    *, classes: int, in_channels: int, stride_in: StrideIn = "1x1", pooling: StemPooling = "unpadded"
) -> nn.Module:
    """ResNet-50. ``stride_in``: the convolution of a bottleneck that strides. ``pooling``: of the stem."""
    return ResNet(BOTTLENECKS[stride_in], (3, 4, 6, 3), classes=classes, in_channels=in_channels, pooling=pooling)


def resnet101(
    *, classes: int, in_channels: int, stride_in: StrideIn = "1x1", pooling: StemPooling = "unpadded"
) -> nn.Module:
    """ResNet-101. ``stride_in``: the convolution of a bottleneck that strides. ``pooling``: of the stem."""
    return ResNet(BOTTLENECKS[stride_in], (3, 4, 23, 3), classes=classes, in_channels=in_channels, pooling=pooling)


def resnet152(
    *, classes: int, in_channels: int, stride_in: StrideIn = "1x1", pooling: StemPooling = "unpadded"
) -> nn.Module:
    """ResNet-152. ``stride_in``: the convolution of a bottleneck that strides. ``pooling``: of the stem."""
    return ResNet(BOTTLENECKS[stride_in], (3, 8, 36, 3), classes=classes, in_channels=in_channels, pooling=pooling)

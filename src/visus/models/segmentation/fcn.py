"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s on VGG-16, FCN-AlexNet, and FCNs on other backbones.

Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation, CVPR 2015, sections 3 and 4, figure 3;
borders, crops and the order of AlexNet's layers as in the authors' released networks (voc-fcn32s, -16s, -8s, -8s-atonce
and -alexnet), which the paper does not draw.

The classifier's dense layers become convolutions; a 1x1 convolution that begins at 0 scores the classes at every
position; transposed convolutions bring the scores back to the image's pixels. 100 pixels of border around the image
keep fc6's window inside; what that border adds is cut off at the end, so that images of any size are answered.

The last upsampling is bilinear for good, those before it begin so and learn (section 4.2); the released networks fix
both.

On another backbone (as section 4.1 does with GoogLeNet) the classifier is taken off, and the deepest map is scored
itself. The image is filled up with zeros to a multiple of 32, and every upsampling is exactly twofold.

Letters: N images, C input channels, K classes, H x W pixels; sizes in comments are those of 500x500 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from visus.layers.bilinear import BilinearUpsampling
from visus.models.backbone_maps import require_maps
from visus.models.protocols import Backbone
from visus.models.segmentation.alignment import crop, padded_to_multiple, resized

Stride = Literal[32, 16, 8]
"""Of the finest map whose scores are added: FCN-32s, -16s, -8s."""
Share = Annotated[float, Field(ge=0, lt=1)]
BORDER = 100  # pixels around the image, conv1's padding in the released networks


class ConvolutionalVGG16(nn.Module):
    """VGG-16 with fc6 and fc7 as convolutions. [N,C,H,W] -> {8: pool3, 16: pool4, 32: fc7}.

    Args:
        in_channels: C.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
    """

    def __init__(self, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.channels: Mapping[int, int] = {8: 256, 16: 512, 32: 4096}
        self.head: tuple[str, ...] = ()
        self.conv1 = _stage(in_channels, 64, 2, border=BORDER)
        self.conv2 = _stage(64, 128, 2)
        self.conv3 = _stage(128, 256, 3)
        self.conv4 = _stage(256, 512, 3)
        self.conv5 = _stage(512, 512, 3)
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.pool1, self.pool2, self.pool3, self.pool4, self.pool5 = (  # Caffe rounds up
            nn.MaxPool2d(2, ceil_mode=True) for _ in range(5)
        )
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.apply(_he)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        x = self.pool1(self.conv1(images))  # [N, 64, 349, 349]
        x = self.pool2(self.conv2(x))  # [N, 128, 175, 175]
        pool3 = self.pool3(self.conv3(x))  # [N, 256, 88, 88]
        pool4 = self.pool4(self.conv4(pool3))  # [N, 512, 44, 44]
        x = self.pool5(self.conv5(pool4))  # [N, 512, 22, 22]
        x = self.dropout(self.relu(self.fc6(x)))  # [N, 4096, 16, 16]
        fc7 = self.dropout(self.relu(self.fc7(x)))  # [N, 4096, 16, 16]
        return {8: pool3, 16: pool4, 32: fc7}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


class ConvolutionalAlexNet(nn.Module):
    """The AlexNet that Caffe ships, with fc6 and fc7 as convolutions. [N,C,H,W] -> {32: fc7}.

    It pools before it normalises, and its response normalisation divides alpha by the number of maps and has k = 1.

    Args:
        in_channels: C.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
    """

    def __init__(self, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.channels: Mapping[int, int] = {32: 4096}
        self.head: tuple[str, ...] = ()
        self.conv1 = nn.Conv2d(in_channels, 96, 11, stride=4, padding=BORDER)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm2 = nn.LocalResponseNorm(5)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.pool5 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.fc6 = nn.Conv2d(256, 4096, 6)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.apply(_he)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        x = self.norm1(self.pool1(self.relu(self.conv1(images))))  # [N, 96, 86, 86]
        x = self.norm2(self.pool2(self.relu(self.conv2(x))))  # [N, 256, 43, 43]
        x = self.relu(self.conv3(x))  # [N, 384, 43, 43]
        x = self.relu(self.conv4(x))  # [N, 384, 43, 43]
        x = self.pool5(self.relu(self.conv5(x)))  # [N, 256, 21, 21]
        x = self.dropout(self.relu(self.fc6(x)))  # [N, 4096, 16, 16]
        return {32: self.dropout(self.relu(self.fc7(x)))}  # [N, 4096, 16, 16]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


class FCN(nn.Module):
    """Figure 3 on a convolutionalised classifier. [N,C,H,W] -> [N,K,H,W] logits, for images of any size.

    Where a crop begins follows from the centres of the receptive fields: on VGG-16 the position i of fc7 looks at pixel
    32 i + 12.5, and so on; a test works all of them out.

    Args:
        trunk: gives the maps.
        stride: of the finest map whose scores are added.
        classes: K.
        last: (side of the last upsampling's kernel, first pixel of the image in its result).
        scales: what pool4 and pool3 are multiplied by before they are scored.
    """

    border = BORDER  # what the maps see beyond the image on every side

    def __init__(
        self,
        trunk: nn.Module,
        *,
        stride: Stride,
        classes: int,
        last: tuple[int, int],
        scales: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        super().__init__()
        self.backbone = trunk
        self.stride = stride
        self.scales = scales
        widths = cast(Backbone, trunk).channels
        self.channels: Mapping[int, int] = {s: c for s, c in widths.items() if s >= stride}
        self.score_fr = nn.Conv2d(widths[32], classes, 1)
        if stride <= 16:
            self.upscore2 = BilinearUpsampling(classes, 4, 2)
            self.score_pool4 = nn.Conv2d(widths[16], classes, 1)
        if stride == 8:
            self.upscore_pool4 = BilinearUpsampling(classes, 4, 2)
            self.score_pool3 = nn.Conv2d(widths[8], classes, 1)
        self.upscore = BilinearUpsampling(classes, last[0], stride, learns=False)
        self.first_pixel = last[1]
        self.head: tuple[str, ...] = tuple(name for name, _ in self.named_children() if name != "backbone")
        for name in self.head:
            if name.startswith("score"):  # section 4.3: scores begin at 0
                for parameter in self.get_submodule(name).parameters():
                    nn.init.zeros_(parameter)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(images)
        return {stride: map_ for stride, map_ in maps.items() if stride >= self.stride}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.score_fr(features[32])  # [N, K, 16, 16]
        if self.stride <= 16:
            x = self.upscore2(x)  # [N, K, 34, 34]
            pool4 = self.score_pool4(features[16] * self.scales[0])  # [N, K, 44, 44]
            x = x + crop(pool4, x.shape[2:], 5)
        if self.stride == 8:
            x = self.upscore_pool4(x)  # [N, K, 70, 70]
            pool3 = self.score_pool3(features[8] * self.scales[1])  # [N, K, 88, 88]
            x = x + crop(pool3, x.shape[2:], 9)
        x = self.upscore(x)  # [N, K, 544, 560 or 568, ...]
        return crop(x, size, self.first_pixel)  # [N, K, H, W]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])

    def initial_state_from(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
        """FCN-16s from the weights of FCN-32s, FCN-8s from those of FCN-16s: section 4.2.

        The new score begins at 0 and the new upsampling is bilinear, so that at first the finer network answers about
        as the coarser one.
        """
        return _initial_state(self, state)


class BackboneFCN(nn.Module):
    """An FCN on any backbone with maps of stride 8, 16 and 32. [N,C,H,W] -> [N,K,H,W] logits.

    Args:
        backbone: gives the maps.
        stride: of the finest map whose scores are added.
        classes: K.
        dropout: share of the deepest map's channels that is dropped in training.
    """

    def __init__(self, backbone: nn.Module, *, stride: Stride, classes: int, dropout: float) -> None:
        super().__init__()
        strides = [s for s in (8, 16, 32) if s >= stride]
        widths = require_maps(backbone, strides, f"FCN-{stride}s")
        self.backbone = backbone
        self.stride = stride
        self.channels: Mapping[int, int] = widths
        self.dropout = nn.Dropout2d(dropout)
        self.score_fr = nn.Conv2d(widths[32], classes, 1)
        if stride <= 16:
            self.upscore2 = BilinearUpsampling(classes, 4, 2, padding=1, apart=True)
            self.score_pool4 = nn.Conv2d(widths[16], classes, 1)
        if stride == 8:
            self.upscore_pool4 = BilinearUpsampling(classes, 4, 2, padding=1, apart=True)
            self.score_pool3 = nn.Conv2d(widths[8], classes, 1)
        self.upscore = BilinearUpsampling(classes, 2 * stride, stride, padding=stride // 2, learns=False, apart=True)
        self.head: tuple[str, ...] = tuple(
            name for name, _ in self.named_children() if name not in ("backbone", "dropout")
        )
        for name in self.head:
            if name.startswith("score"):
                for parameter in self.get_submodule(name).parameters():
                    nn.init.zeros_(parameter)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(padded_to_multiple(images, 32))
        return {stride: maps[stride] for stride in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.score_fr(self.dropout(features[32]))  # [N, K, H/32, W/32]
        if self.stride <= 16:
            x = self.upscore2(resized(x, _cells(size, 32)))  # [N, K, H/16, W/16]
            x = x + resized(self.score_pool4(features[16]), x.shape[2:])
        if self.stride == 8:
            x = self.upscore_pool4(x)  # [N, K, H/8, W/8]
            x = x + resized(self.score_pool3(features[8]), x.shape[2:])
        x = self.upscore(resized(x, _cells(size, self.stride)))  # [N, K, ~H, ~W]
        return crop(x, size, 0)  # [N, K, H, W]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])

    def initial_state_from(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
        """See :meth:`FCN.initial_state_from`."""
        return _initial_state(self, state)


def _cells(size: Sequence[int], stride: int) -> tuple[int, int]:
    """(height, width) of a map of this stride of images of this size filled up to multiples of 32."""
    height, width = (-(-side // 32) * 32 // stride for side in size)
    return height, width


def _initial_state(network: nn.Module, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
    current = network.state_dict()
    names = set(state)
    finer = {f"{name}.{part}" for name in _ADDED for part in ("weight", "bias")} & set(current)
    # An FCN of the same trunk that lacks what the finer one adds; its last upsampling has another stride.
    if "score_fr.weight" not in names or not finer - names or not names <= set(current):
        return None
    kept = {name: value for name, value in state.items() if name != "upscore.weight"}
    if any(current[name].shape != value.shape for name, value in kept.items()):
        return None  # of other classes: what is kept and what is new is decided as for any other file
    return {**current, **kept}, frozenset(name for name in current if name not in kept)


_ADDED = ("upscore2", "score_pool4", "upscore_pool4", "score_pool3")


def _stage(in_channels: int, out_channels: int, depth: int, border: int = 1) -> nn.Sequential:
    """``depth`` 3x3 convolutions with ReLU; the first one is padded by ``border``."""
    layers: list[nn.Module] = []
    for number in range(depth):
        before, padding = (in_channels, border) if number == 0 else (out_channels, 1)
        layers += [nn.Conv2d(before, out_channels, 3, padding=padding), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _he(module: nn.Module) -> None:
    # The paper only fine-tunes; without ImageNet's weights a network of this depth starts from He et al. 2015.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _on_vgg16(
    stride: Stride, classes: int, in_channels: int, dropout: float, scales: tuple[float, float] = (1.0, 1.0)
) -> nn.Module:
    first_pixel = {32: 19, 16: 27, 8: 31}[stride]
    trunk, last = ConvolutionalVGG16(in_channels, dropout), (2 * stride, first_pixel)
    return FCN(trunk, stride=stride, classes=classes, last=last, scales=scales)


def fcn32s(*, classes: int, in_channels: int, backbone: nn.Module | None = None, dropout: Share = 0.5) -> nn.Module:
    """FCN-32s on VGG-16, or on a backbone. ``dropout``: after fc6 and fc7, or of the backbone's deepest map."""
    if backbone is None:
        return _on_vgg16(32, classes, in_channels, dropout)
    return BackboneFCN(backbone, stride=32, classes=classes, dropout=dropout)


def fcn16s(*, classes: int, in_channels: int, backbone: nn.Module | None = None, dropout: Share = 0.5) -> nn.Module:
    """FCN-16s on VGG-16, or on a backbone. ``dropout``: after fc6 and fc7, or of the backbone's deepest map."""
    if backbone is None:
        return _on_vgg16(16, classes, in_channels, dropout)
    return BackboneFCN(backbone, stride=16, classes=classes, dropout=dropout)


def fcn8s(*, classes: int, in_channels: int, backbone: nn.Module | None = None, dropout: Share = 0.5) -> nn.Module:
    """FCN-8s on VGG-16, or on a backbone. ``dropout``: after fc6 and fc7, or of the backbone's deepest map."""
    if backbone is None:
        return _on_vgg16(8, classes, in_channels, dropout)
    return BackboneFCN(backbone, stride=8, classes=classes, dropout=dropout)


def fcn8s_at_once(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """FCN-8s to be trained without FCN-32s and FCN-16s before it: pool4 and pool3 are scaled to the size of fc7."""
    return _on_vgg16(8, classes, in_channels, dropout, scales=(0.01, 0.0001))


def fcn_alexnet(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """FCN-AlexNet (table 1), of stride 32. ``dropout``: after fc6 and fc7."""
    trunk = ConvolutionalAlexNet(in_channels, dropout)
    return FCN(trunk, stride=32, classes=classes, last=(63, 18))

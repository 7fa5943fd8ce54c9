"""U-Net.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, figure 1 and
sections 2 and 3.

Edition ``caffe``: the network that the authors released (phseg_v5), with a ReLU behind each up-convolution, the last
of which leaves 2W channels.

Edition ``padded``, and U-Net on a backbone: convolutions padded with zeros, batch normalisation, output as large as the
input; on a backbone, its maps take the place of the contracting path.

Letters: N images, C input channels, K classes, W the width (64 in the paper), l the level: 0 at the top, d = 4 at the
bottom.

| level | contracting, valid | copied and cropped by | expanding, valid | channels |
|---|---|---|---|---|
| 0 | 572 -> 568 | 88 a side -> 392 | 392 -> 388 | W |
| 1 | 284 -> 280 | 40 -> 200 | 200 -> 196 | 2W |
| 2 | 140 -> 136 | 16 -> 104 | 104 -> 100 | 4W |
| 3 | 68 -> 64 | 4 -> 56 | 56 -> 52 | 8W |
| 4 | 32 -> 28 | | | 16W |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import RecipeError, ShapeError
from visus.models.backbone_maps import channels_of, require_maps
from visus.models.protocols import Backbone
from visus.models.segmentation.alignment import resized

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Upsampling = Literal["learned", "nearest"]
Edition = Literal["paper", "caffe"]


class UNet(nn.Module):
    """A contracting path, an expanding path, and the maps of the one copied into the other.

    [N,C,H,W] -> [N,K,H',W'] logits; the output's size is :meth:`output_size`, its centre is the input's.

    Args:
        classes: K.
        in_channels: C.
        width: W, channels of level 0; each level has twice those above it.
        depth: d, the number of poolings; sides must fit 2^d.
        padded: False: convolutions without padding as published, 572 -> 388; True: with zeros around, so that input
            and output are of one size.
        norm: batch normalisation between convolution and ReLU (not in the paper); those convolutions have no bias.
        released: False: up-convolutions as in figure 1; True: as in the authors' release, each followed by a ReLU, the
            last with 2W channels.
        dropout: probability at the end of the contracting path: after the convolutions of its last two levels, before
            pooling and copying. The paper names no value; 0.5 is that of the network which its authors published.
    """

    head: tuple[str, ...] = ("output",)

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int,
        width: int,
        depth: int,
        padded: bool,
        norm: bool,
        dropout: float,
        released: bool = False,
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        raised = [2 * width if released and level == 0 else widths[level] for level in range(depth)]
        self.depth = depth
        self.channels: Mapping[int, int] = {2**level: widths[level] for level in range(depth + 1)}
        self.contracting = nn.ModuleList(
            two_convolutions(before, after, padded=padded, norm=norm)
            for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, up, 2, stride=2) for w, up in zip(widths, raised, strict=False)
        )
        self.expanding = nn.ModuleList(
            two_convolutions(w + up, w, padded=padded, norm=norm) for w, up in zip(widths, raised, strict=False)
        )
        self.activation = nn.ReLU() if released else nn.Identity()
        self.output = nn.Conv2d(width, classes, 1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self._step = 2**depth
        # Two convolutions take 4 pixels of a level, which are 4 * 2^l of the image; all but the last are passed twice.
        self._lost = 0 if padded else 4 * self._step + 8 * (self._step - 1)
        self._smallest = self._step
        if not padded:
            bottom = 4 * (self._step - 1) // self._step + 1  # the fewest pixels there that leave one of the output
            self._smallest = self._step * (bottom + 4) + 4 * (self._step - 1)
        initialise(self)

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest (height, width) that the network takes and that is not smaller than ``size``."""
        height, width = (
            self._smallest + math.ceil(max(side - self._smallest, 0) / self._step) * self._step for side in size
        )
        return height, width

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the output for an input of ``size``; all sides lose equally many pixels.

        Raises:
            ShapeError: if the network does not take that size.
        """
        require_fitting(size, self.fitting_size(size), self._smallest, self._step)
        return size[0] - self._lost, size[1] - self._lost

    def features(self, images: Tensor) -> dict[int, Tensor]:
        self.output_size((images.shape[2], images.shape[3]))  # refuses sizes that do not fit
        maps = {}
        x = images  # [N, C, 572, 572]
        for level, convolutions in enumerate(self.contracting):
            if level > 0:
                x = self.pool(x)  # [N, W 2^(l-1), 284 ... 32]
            x = convolutions(x)  # [N, W 2^l, 568, 280, 136, 64, 28]
            if level >= self.depth - 1:
                x = self.dropout(x)
            maps[2**level] = x
        return maps

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = features[2**self.depth]  # [N, 16W, 28, 28]
        for level in reversed(range(self.depth)):
            x = self.activation(self.up[level](x))  # [N, W 2^l, 56, 104, 200, 392]; 2W at last as released
            copied = crop(features[2**level], x)  # [N, W 2^l, 56, 104, 200, 392]
            x = self.expanding[level](torch.cat([copied, x], 1))  # [N, W 2^l, 52, 100, 196, 388]
        return self.output(x)  # [N, K, 388, 388]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def two_convolutions(before: int, after: int, *, padded: bool, norm: bool) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by a ReLU: the blue arrows of figure 1."""
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers.append(nn.Conv2d(channels, after, 3, padding=1 if padded else 0, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def initialise(part: nn.Module) -> None:
    """Draws weights from N(0, sqrt(2/N)) (section 3; He et al. 2015); N is the number of inputs of one neuron."""
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            # A 2x2 up-convolution of stride 2 never overlaps: one position of all maps below makes each pixel.
            up = isinstance(layer, nn.ConvTranspose2d)
            incoming = layer.in_channels if up else layer.weight[0].numel()
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / incoming))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def require_fitting(size: tuple[int, int], fitting: tuple[int, int], smallest: int, step: int) -> None:
    """Raises ShapeError unless an image's (height, width) is ``fitting`` already."""
    if size != fitting:
        raise ShapeError(
            "U-Net cannot halve the sides of this image at every level",
            expected=f"sides of {smallest}, {smallest + step}, {smallest + 2 * step} ... pixels",
            got=f"{size[0]}x{size[1]}",
            remedy=f"pad to {fitting[0]}x{fitting[1]} by mirroring",
        )


def crop(x: Tensor, like: Tensor) -> Tensor:
    """Crops the centre of ``x`` to the size of ``like``."""
    top, left = (x.shape[2] - like.shape[2]) // 2, (x.shape[3] - like.shape[3]) // 2
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


def unet(
    *,
    classes: int,
    in_channels: int,
    width: Positive = 64,
    depth: Positive = 4,
    dropout: Share = 0.5,
    edition: Edition = "paper",
) -> nn.Module:
    """U-Net as published.

    ``width``: channels of the first level; ``depth``: number of poolings; ``edition``: whose up-convolutions.
    """
    return UNet(
        classes=classes,
        in_channels=in_channels,
        width=width,
        depth=depth,
        padded=False,
        norm=False,
        dropout=dropout,
        released=edition == "caffe",
    )


class BackboneUNet(nn.Module):
    """U-Net's expanding path on the maps of any backbone, padded. [N,C,H,W] -> [N,K,H,W] logits.

    Level l has W 2^l channels. Where the backbone has no map of its stride, nothing is copied to it.

    Args:
        backbone: gives the maps.
        classes: K.
        width: W.
        depth: d, the level of the deepest map that is used; sides must fit 2^d.
        norm: batch normalisation between convolution and ReLU.
        dropout: probability in the deepest map.
        upsampling: "learned": 2x2 up-convolutions that leave W 2^l channels, as in figure 1; "nearest": each value is
            repeated, and the channels stay, as in the library segmentation_models.pytorch.
    """

    head: tuple[str, ...] = ("output",)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        width: int,
        depth: int,
        norm: bool,
        dropout: float,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        offered = channels_of(backbone, "U-Net")
        self.channels: Mapping[int, int] = {
            **{stride: offered[stride] for stride in sorted(offered) if stride < 2**depth},
            **require_maps(backbone, [2**depth], f"a U-Net of depth {depth}"),
        }
        self.backbone = backbone
        self.depth = depth
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList()
        self.expanding = nn.ModuleList()
        for level in range(depth):
            level_width = width * 2**level
            below = self.channels[2**depth] if level == depth - 1 else 2 * level_width
            learned = upsampling == "learned"
            self.up.append(
                nn.ConvTranspose2d(below, level_width, 2, stride=2) if learned else nn.Upsample(scale_factor=2.0)
            )
            joined = (level_width if learned else below) + self.channels.get(2**level, 0)
            self.expanding.append(two_convolutions(joined, level_width, padded=True, norm=norm))
        self.output = nn.Conv2d(width, classes, 1)
        for part in (self.up, self.expanding, self.output):
            initialise(part)

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest (height, width) that the network takes and that is not smaller than ``size``."""
        height, width = (max(math.ceil(side / 2**self.depth), 1) * 2**self.depth for side in size)
        return height, width

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """``size`` itself.

        Raises:
            ShapeError: if the network does not take that size.
        """
        require_fitting(size, self.fitting_size(size), 2**self.depth, 2**self.depth)
        return size

    def features(self, images: Tensor) -> dict[int, Tensor]:
        self.output_size((images.shape[2], images.shape[3]))  # refuses sizes that do not fit
        maps = cast(Backbone, self.backbone).features(images)
        # A network without padding gives maps that are a little smaller than the image by their stride.
        sides = images.shape[2:]
        return {s: resized(maps[s], (sides[0] // s, sides[1] // s)) for s in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.dropout(features[2**self.depth])  # [N, D, H/2^d, W/2^d]
        for level in reversed(range(self.depth)):
            x = self.up[level](x)  # [N, W 2^l, H/2^l, W/2^l]
            if 2**level in features:
                x = torch.cat([features[2**level], x], 1)
            x = self.expanding[level](x)  # [N, W 2^l, H/2^l, W/2^l]
        return self.output(x)  # [N, K, H, W]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def unet_padded(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    width: Positive | None = None,
    depth: Positive | None = None,
    norm: bool = True,
    dropout: Share = 0.0,
    upsampling: Upsampling = "learned",
) -> nn.Module:
    """U-Net with padded convolutions, by itself or on a backbone: the output is as large as the input.

    ``width``: channels of the first level; 64, or 32 on a backbone, when not given. ``depth``: number of poolings; 4,
    or on a backbone as many as lead to its deepest map. ``norm``: with batch normalisation. ``upsampling``: learned or
    nearest; nearest on a backbone only.
    """
    if backbone is None:
        if upsampling != "learned":
            raise RecipeError(
                "U-Net without a backbone has learned upsampling only", expected="upsampling=learned", got=upsampling
            )
        return UNet(
            classes=classes,
            in_channels=in_channels,
            width=width or 64,
            depth=depth or 4,
            padded=True,
            norm=norm,
            dropout=dropout,
        )
    deepest = max(channels_of(backbone, "U-Net"), default=1)
    return BackboneUNet(
        backbone,
        classes=classes,
        width=width or 32,
        depth=depth or deepest.bit_length() - 1,
        norm=norm,
        dropout=dropout,
        upsampling=upsampling,
    )

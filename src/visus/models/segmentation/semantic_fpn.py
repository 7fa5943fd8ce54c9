"""Semantic FPN: semantic segmentation on a feature pyramid.

Kirillov, Girshick, He, Dollar: Panoptic feature pyramid networks, CVPR 2019 (arXiv:1901.02446), section 3.1 and figure
3. From every level of the pyramid, one stage of (3x3 convolution, group normalisation, ReLU, twofold bilinear
upsampling) for each doubling leads to stride 4; the results are added; a 1x1 convolution and a fourfold upsampling give
the classes.

The image is filled up with zeros to a multiple of the deepest stride, and the answer is cut to the image. The paper
says nothing of the group normalisation's groups; 32 are its publication's and those of the authors' Detectron2. Their
Detectron, in which it was trained, pads the first pooling of ResNet by 1 and strides in the first 1x1 convolutions.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from pydantic import Field
from torch import Tensor, nn

from visus.layers.feature_pyramid import FeaturePyramid
from visus.models.backbone_maps import as_backbone, channels_of, require_maps
from visus.models.classification.resnet import resnet50
from visus.models.protocols import Backbone
from visus.models.segmentation.alignment import crop, padded_to_multiple, resized

GROUPS = 32
Width = Annotated[int, Field(ge=GROUPS, multiple_of=GROUPS)]
Share = Annotated[float, Field(ge=0, lt=1)]
FINEST = 4


class SemanticFPN(nn.Module):
    """[N,C,H,W] -> [N,K,H,W] logits, for images of any size.

    Args:
        backbone: gives maps of stride 4, 8 and 16, and 32 if it has one.
        classes: K.
        pyramid: channels of the pyramid; 256 in the paper.
        width: channels of the branches from its levels to stride 4; 128 in the paper.
        dropout: share of the channels before the last convolution that is dropped in training (not in the paper).
    """

    head: tuple[str, ...] = ("classifier",)

    def __init__(self, backbone: nn.Module, *, classes: int, pyramid: int, width: int, dropout: float) -> None:
        super().__init__()
        deepest = [32] if 32 in channels_of(backbone, "semantic FPN") else []
        widths = require_maps(backbone, [FINEST, 8, 16, *deepest], "semantic FPN")
        self.backbone = backbone
        self.channels: Mapping[int, int] = widths
        self.pyramid = FeaturePyramid(widths, pyramid)
        self.branches = nn.ModuleList(_branch(pyramid, width, level) for level in range(len(widths)))
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)
        self.upsampling = nn.Upsample(scale_factor=FINEST, mode="bilinear", align_corners=False)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(padded_to_multiple(images, max(self.channels)))
        return {stride: maps[stride] for stride in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        step = max(self.channels)
        cells = [-(-side // step) * step for side in size]
        maps = {s: resized(x, (cells[0] // s, cells[1] // s)) for s, x in features.items()}
        levels = self.pyramid(maps).values()  # [N, 256, H/4, W/4] ... [N, 256, H/32, W/32]
        x = sum(branch(level) for branch, level in zip(self.branches, levels, strict=True))  # [N, 128, H/4, W/4]
        x = self.upsampling(self.classifier(self.dropout(x)))  # [N, K, ~H, ~W]
        return crop(x, size, 0)  # [N, K, H, W]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def _branch(in_channels: int, width: int, doublings: int) -> nn.Sequential:
    """[N,D,H/s,W/s] -> [N,width,H/4,W/4]; the level of stride 4 has one convolution and no upsampling."""
    layers: list[nn.Module] = []
    for number in range(max(doublings, 1)):
        layers.append(nn.Conv2d(width if number else in_channels, width, 3, padding=1, bias=False))
        layers += [nn.GroupNorm(GROUPS, width), nn.ReLU(inplace=True)]
        nn.init.kaiming_normal_(layers[-3].weight, nonlinearity="relu")  # type: ignore[arg-type]
        if doublings:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


def semantic_fpn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    pyramid: Width = 256,
    width: Width = 128,
    dropout: Share = 0.0,
) -> nn.Module:
    """Semantic FPN on ResNet-50, or on another backbone.

    ``pyramid``: channels of the feature pyramid. ``width``: channels of the branches to stride 4. ``dropout``: share of
    their sum's channels that is dropped in training.
    """
    if backbone is None:
        backbone = as_backbone(resnet50(classes=1, in_channels=in_channels, pooling="padded"))
    return SemanticFPN(backbone, classes=classes, pyramid=pyramid, width=width, dropout=dropout)

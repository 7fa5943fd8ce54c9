"""Landmarks by regression: two coordinates a point from one head, on any classifier.

A. Ng's course (2017, lecture "Landmark detection") has a network answer l_1x, l_1y ... l_Kx, l_Ky; Toshev and Szegedy:
DeepPose, CVPR 2014, arXiv:1312.4659, section 3.1, regress the joints of a person so, from a classifier's last layers.
Here each point also has a logit that says whether it is visible.

The layers between the backbone's last map and the answer are visus's own: 1x1 convolution, average over 7 x 7 cells,
one hidden dense layer.

Letters: N images, C channels, H x W pixels, K points, h x w cells of the last map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.landmarks import LandmarkReader
from visus.models.backbone_maps import as_backbone, channels_of
from visus.models.classification.resnet import resnet18
from visus.models.codecs import ReaderCodec, arrays_of
from visus.models.protocols import Backbone
from visus.structures import Landmarks

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

CELLS = 7
UNIT = 0.1
"""Coordinates are measured in tenths of the image in the loss, as the variance 0.1 of SSD's coding does."""


class LandmarkOutput(NamedTuple):
    """Raw outputs.

    Args:
        points: [N,K,2] (x, y) as fractions of the image.
        visible: [N,K] logits.
        size: (height, width) of the input.
    """

    points: Tensor
    visible: Tensor
    size: tuple[int, int]


class PointTargets(NamedTuple):
    """Target points of a batch: points [N,K,2] as fractions, visible [N,K] 0 or 1."""

    points: Tensor
    visible: Tensor


class LandmarkCodec(ReaderCodec):
    """The loss of landmark regression, and the decoding of its outputs."""

    def encode(self, targets: Sequence[Landmarks], device: torch.device) -> PointTargets:
        """Moves a batch's points to the device, as fractions of the image."""
        fractions = [target.points / np.asarray(target.size[::-1], np.float32) for target in targets]
        points = torch.from_numpy(np.stack(fractions).astype(np.float32)).to(device)
        visible = torch.from_numpy(np.stack([target.visible for target in targets])).to(device, torch.float32)
        return PointTargets(points, visible)

    def terms(self, outputs: LandmarkOutput, encoded: PointTargets) -> dict[str, Tensor]:
        """ "points": smooth L1 of visible points, in tenths of the image; "visible": logistic; means over points."""
        distance = F.smooth_l1_loss(outputs.points.float() / UNIT, encoded.points / UNIT, reduction="none").sum(2)
        count = encoded.visible.sum().clamp(min=1)
        return {
            "points": (distance * encoded.visible).sum() / count,
            "visible": F.binary_cross_entropy_with_logits(outputs.visible.float(), encoded.visible),
        }

    def decode(self, outputs: LandmarkOutput) -> list[Landmarks]:
        """Decodes one Landmarks for each image; points are visible from probability 0.5; point names are numbers."""
        return LandmarkReader().read(arrays_of(self.named_outputs(outputs)), outputs.size)

    def named_outputs(self, outputs: LandmarkOutput) -> dict[str, Tensor]:
        """ "points" [N,K,2] and "visible" [N,K]."""
        return {"points": outputs.points, "visible": outputs.visible}

    def reader(self, network: nn.Module) -> LandmarkReader:
        """Reads points and visibility."""
        return LandmarkReader()


class LandmarkRegressor(nn.Module):
    """[N,C,H,W] -> points and their visibility, for images of any size that the backbone takes.

    Args:
        backbone: whose deepest map is read.
        classes: K.
        width: values of the hidden dense layer, and channels before it.
        dropout: share of the hidden values that is dropped in training.
    """

    head: tuple[str, ...] = ("points", "visible")

    def __init__(self, backbone: nn.Module, *, classes: int, width: int, dropout: float) -> None:
        super().__init__()
        offered = channels_of(backbone, "landmark regression")
        self.stride = max(offered)
        self.backbone = backbone
        self.channels: Mapping[int, int] = {self.stride: offered[self.stride]}
        self.narrow = nn.Conv2d(offered[self.stride], width, 1)
        self.cells = nn.AdaptiveAvgPool2d(CELLS)
        self.hidden = nn.Linear(width * CELLS * CELLS, width)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.points = nn.Linear(width, 2 * classes)
        self.visible = nn.Linear(width, classes)
        self.codec = LandmarkCodec()
        for layer in (self.narrow, self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer, middle in ((self.points, 0.5), (self.visible, 0.0)):
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.constant_(layer.bias, middle)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {self.stride: cast(Backbone, self.backbone).features(images)[self.stride]}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> LandmarkOutput:
        height, width = size
        x = self.relu(self.narrow(features[self.stride]))  # [N, 256, h, w]
        x = self.cells(x).flatten(1)  # [N, 256 * 7 * 7]
        x = self.dropout(self.relu(self.hidden(x)))  # [N, 256]
        points = self.points(x).reshape(x.shape[0], -1, 2)  # [N, K, 2]
        return LandmarkOutput(points, self.visible(x), (height, width))

    def forward(self, images: Tensor) -> LandmarkOutput:
        return self.from_features(self.features(images), images.shape[-2:])


def landmarks(
    *,
    classes: int,
    in_channels: int = 3,
    backbone: nn.Module | None = None,
    width: Width = 256,
    dropout: Share = 0.0,
) -> LandmarkRegressor:
    """Points by regression, on ResNet-18 or another backbone.

    ``width``: values of the hidden layer. ``dropout``: share of them that is dropped in training.
    """
    if backbone is None:
        backbone = as_backbone(resnet18(classes=1, in_channels=in_channels, pooling="padded"))
    return LandmarkRegressor(backbone, classes=classes, width=width, dropout=dropout)

"""What all two-stage detectors share: features -> proposals -> regions -> answers.

The first stage proposes boxes that may hold an object; it is a region proposal network, or the proposals come with the
batch. The second stage pools the features of each proposal, says which class it shows, and moves its box.

Letters: N images, P proposals of an image, R those of all images, K classes, B boxes of a region (K + 1, 2 or 1),
A anchors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import ShapeError
from visus.ops.box_coding import BoxCoding
from visus.ops.prediction_grid import Grid
from visus.ops.stopwatch import timed
from visus.structures import Batch

_ABSENT = -1e4
"""The logit of every class at places that are filled up, since images have different numbers of proposals."""


class ObjectnessOutput(NamedTuple):
    """What a region proposal network says of its anchors.

    Args:
        logits: [N,A]: the log-odds that an anchor shows any object.
        offsets: [N,A,4], encoded against the anchors.
        anchors: [A,4] float32 xyxy in network pixels.
        grids: the cells of each map, from fine to coarse.
        coding: of the offsets.
    """

    logits: Tensor
    offsets: Tensor
    anchors: Tensor
    grids: tuple[Grid, ...]
    coding: BoxCoding = BoxCoding()


class Proposed(NamedTuple):
    """The regions that the second stage looks at.

    Args:
        boxes: N tensors [P_n,4] xyxy in network pixels, without gradients; P_n may be 0.
        objectness: what they come from; None where they came with the batch.
    """

    boxes: list[Tensor]
    objectness: ObjectnessOutput | None = None


class RegionOutput(NamedTuple):
    """What the second stage says of R regions.

    Args:
        logits: [R,K+1]; background is the first.
        offsets: [R,B,4], encoded against the regions: B is K + 1 (background has a box too, as in the released code),
            2 (background, any object) or 1 (any object).
    """

    logits: Tensor
    offsets: Tensor


class LabelledBoxes(NamedTuple):
    """The objects of one image as tensors: boxes [N,4] xyxy, labels [N] int64, scores [N]; N may be 0."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


class FoundMasks(NamedTuple):
    """The objects that a network with a mask branch finds, and what that says of them.

    Args:
        found: the objects of each image after suppression, best first, without gradients.
        logits: [D,m,m]: the log-odds that a cell of an object's box shows it, for all objects, image by image. Where
            none is found, D is 1 nevertheless, and the first image is looked at as a whole.
    """

    found: list[LabelledBoxes]
    logits: Tensor


class TwoStageOutput(NamedTuple):
    """Raw outputs of a two-stage detector, and the data that decoding needs.

    Args:
        logits: [N,P,K+1]; P is that of the image with most, and at least 1; the places that others leave are filled up
            with boxes without area that show no class.
        offsets: [N,P,B,4].
        proposals: [N,P,4] xyxy in network pixels.
        counts: how many proposals of each image are its own.
        size: (height, width) of the input.
        coding: of the offsets.
        objectness: of the first stage; None where the proposals came with the batch.
        masked: the objects with their masks; None from a network without a mask branch.
    """

    logits: Tensor
    offsets: Tensor
    proposals: Tensor
    counts: tuple[int, ...]
    size: tuple[int, int]
    coding: BoxCoding
    objectness: ObjectnessOutput | None = None
    masked: FoundMasks | None = None

    def class_logits(self) -> Tensor:
        """[N,P,K]: the logits of the classes, without background."""
        return fine(self.logits[..., 1:])

    def boxes(self) -> Tensor:
        """[N,P,4] xyxy in network pixels, not clipped: the box of each proposal's best class."""
        best = self.class_logits().argmax(-1)  # [N, P]
        return self.coding.decode(fine(box_of_class(self.offsets, best)), self.proposals)

    @property
    def classes(self) -> int:
        """K."""
        return self.logits.shape[-1] - 1

    def boxes_of_classes(self, image: int, rows: Tensor, labels: Tensor) -> Tensor:
        """[M,4] xyxy: the boxes of M of an image's proposals, moved as those of these classes; rows, labels: [M]."""
        return self.coding.decode(fine(box_of_class(self.offsets[image, rows], labels)), self.proposals[image, rows])


def fine(values: Tensor) -> Tensor:
    """The values in float32 at least, in which losses are summed and boxes reckoned."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def box_of_class(offsets: Tensor, labels: Tensor) -> Tensor:
    """The offsets [...,4] of each region's class, from [...,B,4] and labels [...] in 0..K-1."""
    boxes = offsets.shape[-2]
    column = labels + 1 if boxes > 2 else torch.full_like(labels, boxes - 1)
    return offsets.gather(-2, column[..., None, None].expand(*column.shape, 1, 4)).squeeze(-2)


class TwoStageDetector(nn.Module, ABC):
    """[N,C,H,W] -> :class:`TwoStageOutput`; the base class of detectors with two stages.

    Attributes:
        coding: of the second stage's boxes.
    """

    channels: Mapping[int, int]
    coding: BoxCoding

    @abstractmethod
    def features(self, images: Tensor) -> dict[int, Tensor]:
        """[N,C,H,W] -> {stride: map}: what both stages look at."""

    @abstractmethod
    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        """The regions of interest: ``proposals`` where they are given, else the network's own, as many as at test."""

    @abstractmethod
    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        """The classes and boxes of regions, N x [P_n,4]; R may be 0."""

    def from_features(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> TwoStageOutput:
        with timed("proposals") if proposals is None else nullcontext():
            proposed = self.propose(features, size, proposals)
        with timed("heads"):
            regions = self.classify(features, proposed.boxes, size)
        return gathered(regions, proposed, (size[0], size[1]), self.coding)

    def forward(self, images: Tensor, proposals: Sequence[Tensor] | None = None) -> TwoStageOutput:
        if proposals is not None:
            require_regions(proposals, len(images))
        with timed("features"):
            features = self.features(images)
        return self.from_features(features, images.shape[-2:], proposals)


def require_regions(proposals: Sequence[Tensor], images: int) -> None:
    """Raises ShapeError unless there are boxes [P_n,4] for each of so many images."""
    shapes = [list(boxes.shape) for boxes in proposals]
    if len(shapes) != images or any(len(shape) != 2 or shape[1] != 4 for shape in shapes):
        raise ShapeError(
            "the regions are not those of the images",
            expected=f"{images} x [P, 4]: x1, y1, x2, y2 in pixels of the network's input, a tensor for each image",
            got=f"{len(shapes)} x {', '.join(map(str, shapes[:4]))}",
        )


def gathered(regions: RegionOutput, proposed: Proposed, size: tuple[int, int], coding: BoxCoding) -> TwoStageOutput:
    """Arranges the outputs of R regions by image, and fills up to the same number."""
    counts = tuple(len(boxes) for boxes in proposed.boxes)
    most = max((1, *counts))

    def by_image(rows: Tensor, filler: float) -> Tensor:
        """[R,...] -> [N,P,...]."""
        if set(counts) == {most}:
            return rows.reshape(len(counts), most, *rows.shape[1:])
        flat = [0, 0] * (rows.ndim - 1)
        parts = torch.split(rows, list(counts))
        return torch.stack([F.pad(part, (*flat, 0, most - len(part)), value=filler) for part in parts])

    boxes = torch.cat([fine(part) for part in proposed.boxes])
    # a box without area overlaps nothing, so that no answer is ever traced back to a place that is filled up
    return TwoStageOutput(
        by_image(regions.logits, _ABSENT),
        by_image(regions.offsets, 0.0),
        by_image(boxes, 0.0),
        counts,
        size,
        coding,
        proposed.objectness,
    )


def whole_images(features: Mapping[int, Tensor], size: Sequence[int]) -> list[Tensor]:
    """One region an image, all of it: what a network without a first stage looks at when it is given none."""
    map_ = next(iter(features.values()))
    return [torch.tensor([[0.0, 0.0, size[1], size[0]]], device=map_.device) for _ in range(len(map_))]


def given_boxes(batch: Batch) -> list[Tensor] | None:
    """The proposals of a batch as tensors on its images' device, N x [P_n,4]; None where it has none."""
    if batch.proposals is None:
        return None
    return [torch.from_numpy(given.boxes).to(batch.images.device) for given in batch.proposals]

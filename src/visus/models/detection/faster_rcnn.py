"""Faster R-CNN. Ren, He, Girshick, Sun: Towards real-time object detection with region proposal networks, NIPS 2015.

arXiv:1506.01497, figure 2: one map of stride 16 serves a region proposal network, whose best boxes are the regions, and
Fast R-CNN, which pools each of them to one size, says which class it shows, and moves its box.

Networks: ZF and VGG-16 (section 3.3), whose dense layers see a region; and the residual networks of He et al. (CVPR
2016, arXiv:1512.03385, appendix A), whose conv5_x does ("C4"). On any other backbone with a map of stride 16 two dense
layers see a region, as on VGG-16.

Editions. ``paper``: anchors of exactly 128^2, 256^2 and 512^2 pixels, the losses of equation 1, background that
overlaps an object by 0.1 to 0.5. ``caffe``: what py-faster-rcnn's end-to-end training has, and its weights were trained
with: anchors of whole pixels; boxes decoded a pixel larger; smooth L1 that turns at 1/9, and box losses divided by the
sampled anchors, in the first stage; background from an overlap of 0 on in the second one.

Letters: N images, C channels, H x W pixels, K classes (no background), D channels of the map, A anchors of an input,
B anchors of a cell, R regions of all images, p x p cells of a pooled region, F width of the dense layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.layers.region_pooling import RoIAlign, RoIMaxPool
from visus.models.backbone_maps import require_maps
from visus.models.detection.c4 import ResidualC4, ResidualRegions
from visus.models.detection.caffe_trunks import vgg16_trunk
from visus.models.detection.dense_regions import DenseRegions
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.region_proposals import (
    AnchorRules,
    Learns,
    ProposalRules,
    ProposingCodec,
    ProposingDetector,
    RegionProposalNetwork,
)
from visus.models.detection.two_stage import ObjectnessOutput, RegionOutput
from visus.models.detection.zf import ZF
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.cell_anchors import CellAnchors, rounded_shapes, shapes_by_area
from visus.ops.suppression import Method

STRIDE = 16  # of the map that both stages share
RATIOS = (0.5, 1.0, 2.0)  # section 3.3: height : width
PAPER_ANCHORS = shapes_by_area((128, 256, 512), RATIOS)
CAFFE_ANCHORS = rounded_shapes(16, (8, 16, 32), RATIOS)
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)  # by which the released code divides the offsets of the second stage

Released = Literal["paper", "caffe"]
Pooling = Literal["max", "align"]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Anchors = Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)]


class FasterRCNN(ProposingDetector):
    """[N,C,H,W] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`, for images of any size.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with a map of stride 16.
        rpn: the region proposal network.
        pool: pools the map's regions, [N,D,h,w] and N x [P,4] -> [R,D,p,p].
        regions: sees them, [R,D,p,p] -> [R,F]; its ``width`` is F.
        classes: K.
        codec: reads and writes the outputs.
        pretrained: whether the weights of the backbone's own network, for ImageNet, have some for ``regions`` too.
        rpn_backbone: of the first stage, like ``backbone``; None: both stages share theirs.
    """

    head: tuple[str, ...] = ("class_logits", "box_offsets")

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RegionProposalNetwork,
        pool: nn.Module,
        regions: DenseRegions | ResidualRegions,
        *,
        classes: int,
        codec: ProposingCodec,
        pretrained: bool = True,
        rpn_backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.pretrained = ("regions.",) if pretrained else ()
        self.depth = require_maps(backbone, (STRIDE,), "Faster R-CNN")[STRIDE]
        self.channels: Mapping[int, int] = {STRIDE: self.depth * (1 if rpn_backbone is None else 2)}
        self.classes = classes
        self.backbone = backbone
        self.rpn_backbone = rpn_backbone
        self.rpn = rpn
        self.pool = pool
        self.regions = regions
        self.class_logits = nn.Linear(regions.width, classes + 1)  # background first
        self.box_offsets = nn.Linear(regions.width, 4 * (classes + 1))
        self.codec = codec
        self.coding = codec.coding
        nn.init.normal_(self.class_logits.weight, std=0.01)  # Fast R-CNN, section 2.3
        nn.init.normal_(self.box_offsets.weight, std=0.001)
        nn.init.zeros_(self.class_logits.bias)
        nn.init.zeros_(self.box_offsets.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        map_ = cast(Backbone, self.backbone).features(images)[STRIDE]  # [N, D, H/16, W/16]
        if self.rpn_backbone is None:
            return {STRIDE: map_}
        other = cast(Backbone, self.rpn_backbone).features(images)[STRIDE]
        return {STRIDE: torch.cat([map_, other], 1)}  # [N, 2D, H/16, W/16]: of the second stage, of the first

    def objectness(self, features: dict[int, Tensor], size: Sequence[int]) -> ObjectnessOutput:
        return super().objectness({STRIDE: features[STRIDE][:, -self.depth :]}, size)

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        pooled = self.pool(features[STRIDE][:, : self.depth], boxes)  # [R, D, p, p]
        x = self.regions(pooled)  # [R, F]
        offsets = self.box_offsets(x).unflatten(1, (self.classes + 1, 4))  # [R, K+1, 4]
        return RegionOutput(self.class_logits(x), offsets)  # [R, K+1]


class FasterRCNNOnZF(FasterRCNN):
    """Faster R-CNN on ZF, whose padding lets a map reach a few pixels beyond the image."""

    border = 8


def faster_rcnn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    released: Released = "paper",
    anchors: Anchors | None = None,
    pooling: Pooling = "max",
    width: Count | None = None,
    rpn_width: Count = 512,
    dropout: Share = 0.5,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    background: Share | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
    learns: Learns = "both",
    shared: bool = True,
) -> FasterRCNN:
    """Faster R-CNN on VGG-16, or on any backbone with a map of stride 16.

    ``released``: "paper" or "caffe", see the file. ``anchors``: (width, height) in pixels; none: the nine of the paper,
    or of the released code; ``visus data anchors`` finds others. ``pooling``: "max" as published, or "align": RoIAlign.
    ``width``: of fc6 and fc7; none: 4096 on VGG-16, 1024 on others. ``rpn_width``: channels of the first stage.
    ``dropout``: of fc6 and fc7. ``smallest``: proposals with a shorter side, in pixels, are dropped. ``proposals``: of
    an image at test. ``sampled``: regions of an image that a step learns from. ``background``: the smallest overlap of
    its background; none: 0.1, or 0 in the released code. ``confidence``: scores that are looked at. ``keep``: objects
    an image at most. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian". ``learns``: "both" stages
    together, or "proposals" or "regions" alone: the steps of alternating training. ``shared``: whether both stages see
    the same map; else the first has a backbone of its own (section 3.2, and Table 2 of the NIPS version).

    Raises:
        TaskMismatchError: if the backbone lacks such a map.
    """
    published = backbone is None
    wide = width or (4096 if published else 1024)
    backbone = vgg16_trunk(in_channels) if backbone is None else backbone
    depth = require_maps(backbone, (STRIDE,), "Faster R-CNN")[STRIDE]
    return FasterRCNN(
        backbone,
        _first_stage(depth, rpn_width, released, anchors),
        _pool(7, pooling),
        DenseRegions(depth * 7 * 7, (wide, wide), dropout),
        classes=classes,
        codec=_codec(released, smallest, proposals, sampled, background, confidence, keep, suppression, learns),
        pretrained=published,
        rpn_backbone=None if shared else deepcopy(backbone),
    )


def faster_rcnn_zf(
    *,
    classes: int,
    in_channels: int,
    released: Released = "paper",
    anchors: Anchors | None = None,
    pooling: Pooling = "max",
    dropout: Share = 0.5,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    background: Share | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
    learns: Learns = "both",
    shared: bool = True,
) -> FasterRCNN:
    """Faster R-CNN on ZF. Options: as those of :func:`faster_rcnn`."""
    return FasterRCNNOnZF(
        ZF(in_channels),
        _first_stage(256, 256, released, anchors),
        _pool(6, pooling),
        DenseRegions(256 * 6 * 6, (4096, 4096), dropout),
        classes=classes,
        codec=_codec(released, smallest, proposals, sampled, background, confidence, keep, suppression, learns),
        rpn_backbone=None if shared else ZF(in_channels),
    )


def faster_rcnn_resnet50(
    *,
    classes: int,
    in_channels: int,
    anchors: Anchors | None = None,
    pooling: Pooling = "max",
    rpn_width: Count = 512,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    background: Share | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
    learns: Learns = "both",
    shared: bool = True,
) -> FasterRCNN:
    """Faster R-CNN on ResNet-50. Options: as those of :func:`faster_rcnn`."""
    codec = _codec("paper", smallest, proposals, sampled, background, confidence, keep, suppression, learns)
    rpn = _first_stage(1024, rpn_width, "paper", anchors)
    return _on_resnet(50, classes, in_channels, rpn, pooling, codec, shared=shared)


def faster_rcnn_resnet101(
    *,
    classes: int,
    in_channels: int,
    anchors: Anchors | None = None,
    pooling: Pooling = "max",
    rpn_width: Count = 512,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    background: Share | None = None,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
    learns: Learns = "both",
    shared: bool = True,
) -> FasterRCNN:
    """Faster R-CNN on ResNet-101. Options: as those of :func:`faster_rcnn`."""
    codec = _codec("paper", smallest, proposals, sampled, background, confidence, keep, suppression, learns)
    rpn = _first_stage(1024, rpn_width, "paper", anchors)
    return _on_resnet(101, classes, in_channels, rpn, pooling, codec, shared=shared)


def _on_resnet(
    depth: Literal[50, 101],
    classes: int,
    in_channels: int,
    rpn: RegionProposalNetwork,
    pooling: Pooling,
    codec: ProposingCodec,
    *,
    shared: bool,
) -> FasterRCNN:
    # Neither paper says how large a region is before conv5_x; at 14x14 it has conv5_x's size on a whole image.
    return FasterRCNN(
        ResidualC4(depth, in_channels),
        rpn,
        _pool(14, pooling),
        ResidualRegions(depth),
        classes=classes,
        codec=codec,
        rpn_backbone=None if shared else ResidualC4(depth, in_channels),
    )


def _first_stage(depth: int, width: int, released: Released, anchors: Anchors | None) -> RegionProposalNetwork:
    shapes = anchors or (PAPER_ANCHORS if released == "paper" else CAFFE_ANCHORS)
    coding = BoxCoding(inclusive=released == "caffe")
    return RegionProposalNetwork(depth, width, CellAnchors(STRIDE, tuple(shapes)), scores=2, coding=coding)


def _pool(size: int, pooling: Pooling) -> nn.Module:
    return RoIMaxPool(size, STRIDE) if pooling == "max" else RoIAlign(size, STRIDE)


def _codec(
    released: Released,
    smallest: float,
    proposals: int,
    sampled: int,
    background: float | None,
    confidence: float,
    keep: int,
    suppression: Method,
    learns: Learns,
) -> ProposingCodec:
    is_paper = released == "paper"
    lowest = background if background is not None else 0.1 if is_paper else 0.0
    return ProposingCodec(
        RegionRules(
            sampled=sampled,
            negative=(min(lowest, 0.5), 0.5),
            confidence=confidence,
            keep=keep,
            suppression=suppression,
        ),
        BoxCoding(DEVIATIONS, inclusive=not is_paper),
        # equation 1's lambda is 10; py-faster-rcnn's config.py and test.prototxt: sigma 3, lambda 1
        anchor_rules=AnchorRules(balance=10.0) if is_paper else AnchorRules(smooth=1 / 9),
        trained=ProposalRules(before=12_000, after=2000, smallest=smallest, small_first=not is_paper),
        tested=ProposalRules(before=6000, after=proposals, smallest=smallest, small_first=not is_paper),
        learns=learns,
    )

"""Faster R-CNN on a feature pyramid.

Lin, Dollar, Girshick, He, Hariharan, Belongie: Feature pyramid networks for object detection, CVPR 2017
(arXiv:1612.03144).

The pyramid has a map for every size of object, P2 to P5. The region proposal network slides over each of them and P6,
with anchors of one size a map (section 4.1). Each proposal is pooled from the map of its size (section 4.2, equation
1), and two layers of 1024 say its class and move its box.

Editions. ``paper``: regions are pooled by their maximum, as the paper has it (the authors' Detectron, which came later,
aligns them); anchors stand in the middle of their cells. What the paper leaves open is Detectron's: the first pooling
is padded by 1, smooth L1 turns at 1/9 in the first stage and at 1 in the second, 100 objects an image.
``torchvision``: RoIAlign half a cell off, anchors of whole pixels, smooth L1 turns at 1/9 in both stages, the backbone
strides in its 3x3 convolutions.

Letters: N images, C channels, H x W pixels, K classes, D channels of the pyramid, P proposals of an image, R those of
all images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.layers.feature_pyramid import FeaturePyramid
from visus.models.backbone_maps import as_backbone, require_maps
from visus.models.classification.resnet import StrideIn, resnet50, resnet101
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.region_proposals import (
    AnchorRules,
    ProposalRules,
    ProposingCodec,
    ProposingDetector,
    RegionProposalNetwork,
)
from visus.models.detection.two_stage import ObjectnessOutput, RegionOutput
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.ops.roi_pooling import Pooling, pyramid_pool
from visus.ops.suppression import Method

CODING = BoxCoding((0.1, 0.1, 0.2, 0.2))  # Fast R-CNN's deviations of the offsets, which Detectron and torchvision keep
STRIDES = (4, 8, 16, 32)  # of P2 to P5
COARSEST = 64  # the stride of P6
WIDTH = 256  # section 3: channels of the pyramid
BINS = 7  # section 4.2: a region is pooled to 7 x 7
HIDDEN = 1024  # section 4.2: of both fully connected layers

Count = Annotated[int, Field(ge=1)]
Depth = Literal[50, 101]


class FasterRCNNFPN(ProposingDetector):
    """[N,C,H,W] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`, for images of any size.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with maps of stride 4, 8, 16 and 32.
        classes: K.
        anchors: for the five levels.
        pooling: of the regions.
        width: D.
        hidden: of the two layers that see the pooled regions.
        codec: reads and writes the outputs.
    """

    head: tuple[str, ...] = ("class_logits", "box_offsets")

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        anchors: PyramidAnchors,
        pooling: Pooling,
        width: int,
        hidden: int,
        codec: ProposingCodec,
    ) -> None:
        super().__init__()
        maps = require_maps(backbone, STRIDES, type(self).__name__)
        self.backbone = backbone
        self.channels: Mapping[int, int] = dict.fromkeys(STRIDES, width)
        self.pooling: Pooling = pooling
        self.codec = codec
        self.coding = codec.coding
        self.pyramid = FeaturePyramid(maps, width)
        self.rpn = RegionProposalNetwork(width, width, anchors)
        self.fc6 = nn.Linear(BINS * BINS * width, hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        self.class_logits = nn.Linear(hidden, classes + 1)
        self.box_offsets = nn.Linear(hidden, 4 * (classes + 1))
        for layer, deviation in ((self.class_logits, 0.01), (self.box_offsets, 0.001)):  # as Fast R-CNN
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)
        for layer in (self.fc6, self.fc7):  # as Detectron
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(images)
        return cast("dict[int, Tensor]", self.pyramid(maps))  # {4: P2, ..., 32: P5}: [N, D, H/4, W/4] ...

    def objectness(self, features: dict[int, Tensor], size: Sequence[int]) -> ObjectnessOutput:
        p6 = F.max_pool2d(features[32], 1, stride=2)  # [N, D, H/64, W/64]: subsampled
        return super().objectness({**features, COARSEST: p6}, size)

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        regions, order = pyramid_pool(features, boxes, BINS, self.pooling)  # [R, D, 7, 7], level by level
        x = regions.permute(0, 2, 3, 1).flatten(1)  # [R, 49D]: bin by bin, as they lie in memory
        x = F.relu(self.fc6(x), inplace=True)  # [R, 1024]
        x = F.relu(self.fc7(x), inplace=True)[order]  # [R, 1024], as the boxes came
        offsets = self.box_offsets(x).unflatten(1, (-1, 4))  # [R, K+1, 4]
        return RegionOutput(self.class_logits(x), offsets)


def own_backbone(depth: Depth, in_channels: int, stride_in: StrideIn) -> nn.Module:
    """ResNet-50 or -101 without its last layer, whose first pooling is padded by 1 as in the authors' Detectron."""
    make = resnet50 if depth == 50 else resnet101
    return as_backbone(make(classes=1, in_channels=in_channels, stride_in=stride_in, pooling="padded"))


class PyramidRules(NamedTuple):
    """How a detector on a pyramid learns and answers."""

    regions: RegionRules
    anchors: AnchorRules
    trained: ProposalRules
    tested: ProposalRules


def pyramid_rules(*, turn: float, proposals: int, sampled: int, keep: int, suppression: Method) -> PyramidRules:
    """The rules of the paper: sections 5.1 and 5.2.

    Args:
        turn: where smooth L1 turns from a parabola to a line in the second stage.
        proposals: of an image at test; twice as many in training. Of each level, as many enter suppression.
        sampled: regions of an image that a step learns from.
        keep, suppression: see :class:`~visus.models.detection.region_codec.RegionRules`.
    """
    return PyramidRules(
        regions=RegionRules(
            sampled=sampled, negative=(0.0, 0.5), smooth=turn, overlap=0.5, keep=keep, suppression=suppression
        ),
        # section 5.1: anchors that reach beyond the image learn, too; 1/9: Detectron, as py-faster-rcnn
        anchors=AnchorRules(cross_boundary=True, smooth=1 / 9),
        trained=ProposalRules(before=2 * proposals, after=2 * proposals, smallest=0),
        tested=ProposalRules(before=proposals, after=proposals, smallest=0),
    )


def faster_rcnn_fpn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    depth: Depth = 50,
    stride_in: StrideIn = "1x1",
    pooling: Pooling = "max",
    whole_pixels: bool = False,
    turn: Annotated[float, Field(ge=0)] = 1.0,
    anchor_side: Annotated[float, Field(gt=0)] = 8.0,
    width: Count = WIDTH,
    hidden: Count = HIDDEN,
    proposals: Count = 1000,
    sampled: Count = 512,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> FasterRCNNFPN:
    """Faster R-CNN on a feature pyramid over ResNet, or over any backbone with maps of stride 4, 8, 16 and 32.

    ``depth``: of the own ResNet. ``stride_in``: of its bottlenecks. ``pooling``: of regions, "max" (the paper's),
    "align" (RoIAlign) or "legacy_align" (half a cell off, as first released). ``whole_pixels``: torchvision's anchors.
    ``turn``: where smooth L1 turns from a parabola to a line in the second stage; 0: L1. ``anchor_side``: of the
    smallest anchors, in strides; the paper's 8 makes them 32 pixels, 4 is for objects half as large. ``width``:
    channels of the pyramid; a CPU is glad of 64. ``hidden``: of the two layers that see the regions. ``proposals``: of
    an image at test; a training has twice as many. ``sampled``: regions of an image that a step learns from. ``keep``:
    objects an image at most. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such maps.
    """
    rules = pyramid_rules(turn=turn, proposals=proposals, sampled=sampled, keep=keep, suppression=suppression)
    return FasterRCNNFPN(
        own_backbone(depth, in_channels, stride_in) if backbone is None else backbone,
        classes=classes,
        anchors=pyramid_anchors(anchor_side, whole_pixels=whole_pixels),
        pooling=pooling,
        width=width,
        hidden=hidden,
        codec=ProposingCodec(
            rules.regions, CODING, anchor_rules=rules.anchors, trained=rules.trained, tested=rules.tested
        ),
    )


def pyramid_anchors(side: float, *, whole_pixels: bool) -> PyramidAnchors:
    """One size for each of P2 to P6, in three shapes (section 4.1); ``side`` strides long."""
    return PyramidAnchors((*STRIDES, COARSEST), side=side, octave=(1.0,), whole_pixels=whole_pixels)

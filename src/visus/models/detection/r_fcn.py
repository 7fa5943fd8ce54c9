"""R-FCN. Dai, Li, He, Sun: Object detection via region-based fully convolutional networks, NIPS 2016, arXiv:1605.06409.

All layers with weights see the whole image: the last one makes k x k maps of every class, each for one part of an
object (top left, top centre, ...). A region's score is the mean of its k x k parts, each read from its own maps; so is
the move of its box. Nothing is left to be learned behind the pooling, and a region costs next to nothing.

ResNet's conv5 has stride 1 and kernels with holes of 2, so that its map keeps a stride of 16; the region proposal
network looks at conv4. On another backbone the last stage is treated alike where its strides are those of convolutions
(see :mod:`visus.models.dilation`); where it pools, or there is none, both stages look at the map of stride 16.

Editions. ``paper``: one box a region (4 k^2 maps), the anchors and losses of Faster R-CNN's paper. ``caffe``: what the
authors released: a box for background beside that of any object (8 k^2 maps), anchors of whole pixels, and a first
stage that is trained as py-faster-rcnn's.

Letters: N images, C channels, H x W pixels, K classes (no background), D4 and D5 channels of conv4 and conv5, h x w
cells of a map, k x k parts, R regions of all images, B boxes of a region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.models.backbone_maps import as_backbone, require_maps
from visus.models.classification.resnet import resnet50, resnet101
from visus.models.detection.hard_regions import HardRegionsCodec
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.region_proposals import (
    AnchorRules,
    ProposalRules,
    ProposingCodec,
    ProposingDetector,
    RegionProposalNetwork,
)
from visus.models.detection.two_stage import ObjectnessOutput, RegionOutput
from visus.models.dilation import keep_stride_16
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.cell_anchors import CellAnchors, rounded_shapes, shapes_by_area
from visus.ops.roi_pooling import ps_roi_pool
from visus.ops.suppression import Method

STRIDE = 16
RATIOS = (0.5, 1.0, 2.0)  # height : width, as Faster R-CNN's
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)  # by which the released code divides offsets

Released = Literal["paper", "caffe"]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Anchors = Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)]


class RFCN(ProposingDetector):
    """[N,C,H,W] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`, for images of any size.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with a map of stride 16.
        last: the name of the map that regions are read from: 32 where the last stage keeps a stride of 16, else 16.
        rpn: the region proposal network.
        classes: K.
        boxes: B, 1 or 2.
        parts: k.
        width: channels between the backbone and the position-sensitive maps.
        codec: trains and reads the network.
    """

    head: tuple[str, ...] = ("class_maps",)

    def __init__(
        self,
        backbone: nn.Module,
        last: int,
        rpn: RegionProposalNetwork,
        *,
        classes: int,
        boxes: int,
        parts: int,
        width: int,
        codec: ProposingCodec,
    ) -> None:
        super().__init__()
        depths = require_maps(backbone, (STRIDE, last), "R-FCN")
        self.last = last
        self.proposing = depths[STRIDE]
        self.channels: Mapping[int, int] = {STRIDE: sum(depths.values())}
        self.parts = parts
        self.backbone = backbone
        self.rpn = rpn
        self.reduction = nn.Conv2d(depths[last], width, 1)
        self.class_maps = nn.Conv2d(width, parts * parts * (classes + 1), 1)
        self.box_maps = nn.Conv2d(width, parts * parts * 4 * boxes, 1)
        self.codec = codec
        self.coding = codec.coding
        for layer in (self.reduction, self.class_maps, self.box_maps):  # train_agnostic_ohem.prototxt
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(cast(Tensor, layer.bias))

    def features(self, images: Tensor) -> dict[int, Tensor]:
        """[N,C,H,W] -> {16: [N,D4+D5,h,w]}: conv4, and behind it conv5, which is as large."""
        maps = cast(Backbone, self.backbone).features(images)
        if self.last == STRIDE:
            return {STRIDE: maps[STRIDE]}
        return {STRIDE: torch.cat([maps[STRIDE], maps[self.last]], 1)}

    def objectness(self, features: dict[int, Tensor], size: Sequence[int]) -> ObjectnessOutput:
        conv4 = features[STRIDE][:, : self.proposing]  # [N, D4, h, w]
        return super().objectness({STRIDE: conv4}, size)

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        x = self.reduced(features)  # [N, 1024, h, w]
        classes = self.pool(self.class_maps(x), boxes)  # [R, K+1, k, k]
        moves = self.pool(self.box_maps(x), boxes)  # [R, 4B, k, k]
        offsets = moves.mean((2, 3)).reshape(len(moves), moves.shape[1] // 4, 4)  # [R, B, 4]
        return RegionOutput(classes.mean((2, 3)), offsets)  # [R, K+1]; the parts vote (section 2)

    def reduced(self, features: dict[int, Tensor]) -> Tensor:
        """{16: [N,D4+D5,h,w]} -> [N,1024,h,w]: what the position-sensitive maps are made from."""
        map_ = features[STRIDE]
        conv5 = map_ if self.last == STRIDE else map_[:, self.proposing :]
        return F.relu(self.reduction(conv5))

    def pool(self, maps: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """[N,V*k*k,h,w] -> [R,V,k,k]: each part of each region, read from its own maps (equation 1)."""
        return ps_roi_pool(maps, boxes, self.parts, 1 / STRIDE)

    def parts_of(self, features: dict[int, Tensor], boxes: Sequence[Tensor], label: int) -> tuple[Tensor, Tensor]:
        """What speaks for a class, part by part (figures 3 and 4).

        Args:
            features: of N images.
            boxes: N x [P,4] xyxy, in network pixels.
            label: the class, 0 to K - 1.

        Returns:
            [N,k,k,h,w]: the maps of the class, one a part; and [R,k,k]: what each region reads from them, whose mean is
            its logit.
        """
        maps = self.class_maps(self.reduced(features)).unflatten(1, (-1, self.parts**2))[:, label + 1]  # [N, k k, h, w]
        return maps.unflatten(1, (self.parts, self.parts)), self.pool(maps, boxes)[:, 0]


def r_fcn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    released: Released = "paper",
    anchors: Anchors | None = None,
    parts: Count = 7,
    width: Count = 1024,
    rpn_width: Count = 512,
    hard: bool = True,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> RFCN:
    """R-FCN on ResNet-101, or on any backbone with a map of stride 16.

    ``released``: "paper" or "caffe", see the file. ``anchors``: (width, height) in pixels; none: the nine of Faster
    R-CNN; ``visus data anchors`` finds others. ``parts``: k, of each side of a region. ``width``: channels before the
    position-sensitive maps. ``rpn_width``: of the first stage. ``hard``: learn from the regions with the largest losses
    (OHEM), else from a sample with a quarter of objects. ``smallest``: proposals with a shorter side, in pixels, are
    dropped. ``proposals``: of an image, in training and at test. ``sampled``: regions of an image that a step learns
    from. ``confidence``: scores that are looked at. ``keep``: objects an image at most. ``suppression``: "greedy", or
    soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such a map.
    """
    if backbone is None:
        backbone = as_backbone(resnet101(classes=1, in_channels=in_channels))
    return _r_fcn(
        backbone,
        classes,
        released=released,
        anchors=anchors,
        parts=parts,
        width=width,
        rpn_width=rpn_width,
        codec=_codec(released, hard, smallest, proposals, sampled, confidence, keep, suppression),
    )


def r_fcn_resnet50(
    *,
    classes: int,
    in_channels: int,
    released: Released = "paper",
    anchors: Anchors | None = None,
    parts: Count = 7,
    width: Count = 1024,
    rpn_width: Count = 512,
    hard: bool = True,
    smallest: NonNegative = 16.0,
    proposals: Count = 300,
    sampled: Count = 128,
    confidence: Share = 0.05,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> RFCN:
    """R-FCN on ResNet-50. Options: as those of :func:`r_fcn`."""
    return _r_fcn(
        as_backbone(resnet50(classes=1, in_channels=in_channels)),
        classes,
        released=released,
        anchors=anchors,
        parts=parts,
        width=width,
        rpn_width=rpn_width,
        codec=_codec(released, hard, smallest, proposals, sampled, confidence, keep, suppression),
    )


def _r_fcn(
    backbone: nn.Module,
    classes: int,
    *,
    released: Released,
    anchors: Anchors | None,
    parts: int,
    width: int,
    rpn_width: int,
    codec: ProposingCodec,
) -> RFCN:
    shapes = anchors or (
        shapes_by_area((128, 256, 512), RATIOS) if released == "paper" else rounded_shapes(16, (8, 16, 32), RATIOS)
    )
    depth = require_maps(backbone, (STRIDE,), "R-FCN")[STRIDE]
    coding = BoxCoding(inclusive=released == "caffe")
    return RFCN(
        backbone,
        2 * STRIDE if keep_stride_16(backbone) else STRIDE,
        RegionProposalNetwork(depth, rpn_width, CellAnchors(STRIDE, tuple(shapes)), scores=2, coding=coding),
        classes=classes,
        boxes=1 if released == "paper" else 2,
        parts=parts,
        width=width,
        codec=codec,
    )


def _codec(
    released: Released,
    hard: bool,
    smallest: float,
    proposals: int,
    sampled: int,
    confidence: float,
    keep: int,
    suppression: Method,
) -> ProposingCodec:
    is_paper = released == "paper"
    made = ProposalRules(before=6000, after=proposals, smallest=smallest)  # N = 300 in training too (section 3)
    rules = RegionRules(
        sampled=sampled,
        negative=(0.0, 0.5),  # section 3, "Training": all that are not positive
        confidence=confidence,
        keep=keep,
        suppression=suppression,
    )
    kind = HardRegionsCodec if hard else ProposingCodec
    return kind(
        rules,
        BoxCoding(DEVIATIONS, inclusive=not is_paper),
        anchor_rules=AnchorRules(balance=10.0) if is_paper else AnchorRules(smooth=1 / 9),
        trained=made,
        tested=made,
    )

"""Mask R-CNN. He, Gkioxari, Dollar, Girshick, ICCV 2017, arXiv:1703.06870.

Faster R-CNN with a third branch, which says of each region which of its cells show the object. On a feature pyramid
(figure 4, right) the branch has four convolutions of its own and answers with 28 x 28 cells; on "C4" (left) it shares
conv5_x with the other two, and answers with 14 x 14. Regions are pooled by RoIAlign, which rounds nothing.

Editions. ``paper``: what the paper leaves open is that of the authors' Detectron: the first pooling is padded by 1,
smooth L1 turns at 1/9 in the first stage and at 1 in the second, masks have a map for background, too. The RoIAlign
that Detectron released lies half a cell off (``legacy_align``); here it does not. A cell learns whether the object
covers half of it. ``torchvision``: that RoIAlign, anchors of whole pixels, smooth L1 that turns at 1/9 in both stages,
cells that learn the share of the mask that RoIAlign samples, bottlenecks that stride in their 3x3 convolutions.

Letters: N images, H x W pixels, K classes, D channels of the pyramid, R regions of all images, m x m cells of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.layers.region_pooling import RoIAlign
from visus.models.classification.resnet import StrideIn
from visus.models.detection.c4 import ResidualC4, ResidualRegions
from visus.models.detection.faster_rcnn import DEVIATIONS, RATIOS, STRIDE, FasterRCNN
from visus.models.detection.faster_rcnn_fpn import (
    CODING,
    HIDDEN,
    WIDTH,
    Count,
    Depth,
    FasterRCNNFPN,
    own_backbone,
    pyramid_anchors,
    pyramid_rules,
)
from visus.models.detection.masked_regions import MaskBranch, MaskCodec, MaskedDetector
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.region_proposals import AnchorRules, ProposalRules, RegionProposalNetwork
from visus.ops.box_coding import BoxCoding
from visus.ops.cell_anchors import CellAnchors, shapes_by_area
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.ops.roi_pooling import pyramid_pool
from visus.ops.suppression import Method

MASK_BINS = 14  # figure 4: a region is pooled to 14 x 14 for its mask
C4_SIDES = (32, 64, 128, 256, 512)  # section 3.1: anchors of 5 scales

Aligned = Literal["align", "legacy_align"]


class MaskRCNN(MaskedDetector, FasterRCNNFPN):
    """Mask R-CNN on a feature pyramid; arguments as of :class:`FasterRCNNFPN`.

    Args:
        mask_width, mask_depth: channels and number of the mask branch's convolutions.
    """

    head: tuple[str, ...] = ("class_logits", "box_offsets", "mask_branch.logits")

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        anchors: PyramidAnchors,
        pooling: Aligned,
        width: int,
        hidden: int,
        mask_width: int,
        mask_depth: int,
        codec: MaskCodec,
    ) -> None:
        super().__init__(
            backbone, classes=classes, anchors=anchors, pooling=pooling, width=width, hidden=hidden, codec=codec
        )
        self.mask_branch = MaskBranch(width, width=mask_width, depth=mask_depth, classes=classes)

    def masks(self, features: dict[int, Tensor], boxes: Sequence[Tensor], labels: Tensor) -> Tensor:
        regions, order = pyramid_pool(features, boxes, MASK_BINS, self.pooling)  # [R, D, 14, 14], level by level
        return self.mask_branch(regions)[order, labels + 1]  # [R, K+1, 28, 28] -> [R, 28, 28]


class MaskRCNNOnC4(MaskedDetector, FasterRCNN):
    """Mask R-CNN on ResNet's conv4_x, whose conv5_x sees the regions; arguments as of :class:`FasterRCNN`."""

    head: tuple[str, ...] = ("class_logits", "box_offsets", "mask_branch.logits")

    def __init__(
        self,
        backbone: nn.Module,
        rpn: RegionProposalNetwork,
        pool: nn.Module,
        regions: ResidualRegions,
        *,
        classes: int,
        codec: MaskCodec,
    ) -> None:
        super().__init__(backbone, rpn, pool, regions, classes=classes, codec=codec)
        self.mask_branch = MaskBranch(regions.width, width=256, depth=0, classes=classes)

    def masks(self, features: dict[int, Tensor], boxes: Sequence[Tensor], labels: Tensor) -> Tensor:
        pooled = self.pool(features[STRIDE], boxes)  # [R, 1024, 14, 14]
        x = cast(ResidualRegions, self.regions).layer4(pooled)  # [R, 2048, 7, 7]
        rows = torch.arange(len(labels), device=labels.device)
        return self.mask_branch(x)[rows, labels + 1]  # [R, K+1, 14, 14] -> [R, 14, 14]


def mask_rcnn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    depth: Depth = 50,
    stride_in: StrideIn = "1x1",
    pooling: Aligned = "align",
    whole_pixels: bool = False,
    soft_masks: bool = False,
    turn: Annotated[float, Field(ge=0)] = 1.0,
    anchor_side: Annotated[float, Field(gt=0)] = 8.0,
    width: Count = WIDTH,
    hidden: Count = HIDDEN,
    mask_width: Count = 256,
    mask_depth: Annotated[int, Field(ge=0)] = 4,
    proposals: Count = 1000,
    sampled: Count = 512,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> MaskRCNN:
    """Mask R-CNN on a feature pyramid over ResNet, or over any backbone with maps of stride 4, 8, 16 and 32.

    ``soft_masks``: cells learn the share of the mask that RoIAlign samples, as torchvision's; else whether the object
    covers half of them. ``mask_width``, ``mask_depth``: channels and number of the mask branch's convolutions. Others:
    as those of :func:`~visus.models.detection.faster_rcnn_fpn.faster_rcnn_fpn`.

    Raises:
        TaskMismatchError: if the backbone lacks such maps.
    """
    rules = pyramid_rules(turn=turn, proposals=proposals, sampled=sampled, keep=keep, suppression=suppression)
    return MaskRCNN(
        own_backbone(depth, in_channels, stride_in) if backbone is None else backbone,
        classes=classes,
        anchors=pyramid_anchors(anchor_side, whole_pixels=whole_pixels),
        pooling=pooling,
        width=width,
        hidden=hidden,
        mask_width=mask_width,
        mask_depth=mask_depth,
        codec=MaskCodec(
            rules.regions,
            CODING,
            anchor_rules=rules.anchors,
            trained=rules.trained,
            tested=rules.tested,
            soft=soft_masks,
        ),
    )


def mask_rcnn_c4(
    *,
    classes: int,
    in_channels: int,
    depth: Depth = 50,
    proposals: Count = 300,
    sampled: Count = 512,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> MaskRCNNOnC4:
    """Mask R-CNN on ResNet's conv4_x. Options: as those of :func:`mask_rcnn`."""
    anchors = CellAnchors(STRIDE, shapes_by_area(C4_SIDES, RATIOS))
    return MaskRCNNOnC4(
        ResidualC4(depth, in_channels, pooling="padded"),
        RegionProposalNetwork(1024, 1024, anchors),
        RoIAlign(MASK_BINS, STRIDE),
        ResidualRegions(depth),
        classes=classes,
        codec=MaskCodec(
            RegionRules(sampled=sampled, negative=(0.0, 0.5), overlap=0.5, keep=keep, suppression=suppression),
            BoxCoding(DEVIATIONS),
            anchor_rules=AnchorRules(smooth=1 / 9),  # Detectron: anchors that reach beyond the image learn nothing
            trained=ProposalRules(before=12_000, after=2000, smallest=0),
            tested=ProposalRules(before=6000, after=proposals, smallest=0),  # section 3.1, "Inference"
        ),
    )

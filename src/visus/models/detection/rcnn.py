"""R-CNN: regions with CNN features.

Girshick, Donahue, Darrell, Malik: Rich feature hierarchies for accurate object detection and semantic segmentation,
CVPR 2014 (arXiv:1311.2524), section 2 and appendices A to C. Every proposal is warped to the input of a classification
network with 16 pixels of what surrounds it; the network's last hidden layer is what linear SVMs tell classes from, its
last pooling what boxes are regressed from. Nothing is shared between regions but the decoded image.

``machines`` is False while the network is fine-tuned, with a softmax over K classes and background (section 2.3); with
the SVMs and the regressions that are fitted afterwards it is True, and the softmax layer is gone.

On another backbone, its last map averaged stands for fc7, as it does before that network's own classifier, and its
maximum in 3 x 3 bins for pool5.

Letters: N images, C channels, H x W pixels, P proposals of an image, R regions of all images, S side of a warped
region, K classes; the sizes in comments are for S = 227.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import RecipeError
from visus.models.backbone_maps import as_backbone, channels_of
from visus.models.classification.alexnet import SIDES
from visus.models.classification.vgg import vgg16
from visus.models.detection.caffe_trunks import CaffeNetTrunk
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.svm_regions import DenseLayers, RegionFeatures, SVMDetector
from visus.models.detection.two_stage import Proposed, TwoStageOutput, gathered
from visus.models.protocols import Backbone
from visus.ops.region_warping import warp_regions, warped_axes

AT_ONCE = 64
"""So many regions go through the network at once when it answers: 2,000 warped ones would take 1.2 GB."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Overlap = Annotated[float, Field(ge=0, le=1)]


class DenseNeck(DenseLayers):
    """pool5, fc6 and fc7 of a network with dense layers: [R,C,h,w] -> :class:`RegionFeatures`.

    Args:
        channels: C.
        pool: pool5.
        side: of its map.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
    """

    def __init__(self, channels: int, pool: nn.Module, side: int, *, dropout: float) -> None:
        # the released pascal_finetune_train.prototxt
        super().__init__(channels * side * side, 4096, dropout=dropout, deviation=0.005)
        self.pool5 = pool

    def forward(self, map_: Tensor) -> RegionFeatures:
        return super().forward(self.pool5(map_).flatten(1))  # from [R, 9216]


class AverageNeck(nn.Module):
    """The features of a network without dense layers: [R,C,h,w] -> :class:`RegionFeatures` [R,9C], [R,C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = (9 * channels, channels)

    def forward(self, map_: Tensor) -> RegionFeatures:
        return RegionFeatures(F.adaptive_max_pool2d(map_, 3).flatten(1), map_.mean((2, 3)))


class RCNN(SVMDetector):
    """[N,C,H,W] and N x [P_n,4] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`, for images of any size.

    Without proposals each image is one region.

    Args:
        backbone: whose map of stride ``stride`` the neck sees.
        neck: from that map to pool5 and fc7, whose lengths are its ``sizes``.
        stride: of that map.
        classes: K.
        side: S.
        context: pixels of a warped region, on every side, that surround the proposal.
        machines: whether SVMs answer, see above.
        rules: of the regions.
    """

    def __init__(
        self,
        backbone: nn.Module,
        neck: DenseNeck | AverageNeck,
        *,
        stride: int,
        classes: int,
        side: int,
        context: int,
        machines: bool,
        rules: RegionRules,
    ) -> None:
        super().__init__(neck.sizes, classes, machines=machines, rules=rules)
        if 2 * context >= side:
            raise RecipeError(
                "the context of R-CNN's regions fills them", expected=f"context below {side / 2:g}", got=str(context)
            )
        self.backbone = backbone
        self.neck = neck
        self.stride, self.side, self.context = stride, side, context

    def features(self, images: Tensor) -> dict[int, Tensor]:
        """The images themselves: regions share nothing else."""
        return {1: images}

    def described(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionFeatures:
        parts = [self.neck(self.region_map(warped)) for warped in self._warped(features[1], boxes)]
        if not parts:
            return RegionFeatures(*(features[1].new_zeros(0, length) for length in self.sizes))
        return RegionFeatures(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def region_map(self, warped: Tensor) -> Tensor:
        """[R,C,S,S] -> [R,256,13,13]: the map of warped regions that the neck sees."""
        return cast(Backbone, self.backbone).features(warped)[self.stride]

    def region_maps(self, images: Tensor, boxes: Sequence[Tensor]) -> dict[int, Tensor]:
        """[N,C,H,W] and N x [P_n,4] -> {16: [R,256,13,13]}: the maps that the neck sees."""
        warped = [warp_regions(image, own, self.side, self.context) for image, own in zip(images, boxes, strict=True)]
        return {self.stride: self.region_map(torch.cat(warped))}

    def from_region_maps(self, maps: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> TwoStageOutput:
        """The raw outputs from the maps of regions."""
        regions = self.answered(self.neck(maps[self.stride]))
        return gathered(regions, Proposed(list(boxes)), (size[0], size[1]), self.coding)

    def placed(self, heat: Tensor, boxes: Tensor, size: Sequence[int]) -> Tensor:
        """[R,h,w], of the maps of regions [R,4] -> [H,W]: put back where they were cut, the largest at each pixel."""
        whole = heat.new_zeros(size[0], size[1])
        side = (self.side, self.side)
        large = F.interpolate(heat[:, None], side, mode="bilinear", align_corners=False)  # [R, 1, S, S]
        windows = (
            torch.stack(axis, 1).tolist() for axis in warped_axes(boxes, (size[0], size[1]), self.side, self.context)
        )
        for region, (x1, x2, left, width), (y1, y2, top, height) in zip(large, *windows, strict=True):
            cut = region[None, :, top : top + height, left : left + width]
            part = F.interpolate(cut, (y2 - y1, x2 - x1), mode="bilinear", align_corners=False)[0, 0]
            whole[y1:y2, x1:x2] = torch.maximum(whole[y1:y2, x1:x2], part)
        return whole

    def _warped(self, images: Tensor, boxes: Sequence[Tensor]) -> Iterator[Tensor]:
        """Blocks of warped regions [r,C,S,S], in the order of the images; one block where the network trains."""
        most = max(sum(map(len, boxes)), 1) if self.training else AT_ONCE
        block: list[Tensor] = []
        for image, own in zip(images, boxes, strict=True):
            while len(own):
                room = most - sum(map(len, block))
                block.append(warp_regions(image, own[:room], self.side, self.context))
                own = own[room:]
                if sum(map(len, block)) == most:
                    yield torch.cat(block)
                    block = []
        if block:
            yield torch.cat(block)


def rcnn(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    side: Annotated[int, Field(ge=16)] = 227,
    context: Annotated[int, Field(ge=0)] = 16,
    machines: bool = False,
    sampled: Count = 8,
    dropout: Share = 0.5,
    confidence: Overlap = 0.05,
    overlap: Overlap = 0.3,
    keep: Count = 100,
) -> RCNN:
    """R-CNN on CaffeNet, or on any backbone.

    ``side``: of a warped region; CaffeNet's dense layers need 227 to 258. ``context``: pixels of it, on every side,
    that surround the region. ``machines``: whether SVMs answer, which the phases of a training fit, or the softmax
    layer of the fine-tuning. ``sampled``: regions of a step, for each image of the batch; a quarter of all may show
    objects. ``dropout``: of fc6 and fc7. ``confidence``: lowest score of an answer, which SVMs give as the sigmoid of
    their margin. ``overlap``: of suppression. ``keep``: objects an image at most.

    Raises:
        TaskMismatchError: if the backbone is none.
        RecipeError: if the context leaves no place for the region.
    """
    rules = _rules(sampled, confidence, overlap, keep)
    if backbone is not None:
        widths = channels_of(backbone, "R-CNN")
        stride = max(widths)
        neck = AverageNeck(widths[stride])
        return RCNN(
            backbone, neck, stride=stride, classes=classes, side=side, context=context, machines=machines, rules=rules
        )
    if side not in SIDES:
        raise RecipeError(
            "CaffeNet's dense layers do not fit regions of this side",
            expected=f"side within {SIDES[0]}..{SIDES[-1]}",
            got=str(side),
            remedy="choose another backbone for smaller regions, such as --backbone mobilenet_v2",
        )
    base = CaffeNetTrunk(in_channels, padded=False)
    dense = DenseNeck(256, nn.MaxPool2d(3, stride=2), 6, dropout=dropout)
    return RCNN(base, dense, stride=16, classes=classes, side=side, context=context, machines=machines, rules=rules)


def rcnn_vgg16(
    *,
    classes: int,
    in_channels: int,
    context: Annotated[int, Field(ge=0)] = 16,
    machines: bool = False,
    sampled: Count = 8,
    dropout: Share = 0.5,
    confidence: Overlap = 0.05,
    overlap: Overlap = 0.3,
    keep: Count = 100,
) -> RCNN:
    """R-CNN on VGG-16, whose regions have a side of 224 ("O-Net" in the journal's version). Options as R-CNN's."""
    base = as_backbone(vgg16(classes=1, in_channels=in_channels))
    neck = DenseNeck(512, nn.MaxPool2d(2), 7, dropout=dropout)
    rules = _rules(sampled, confidence, overlap, keep)
    return RCNN(base, neck, stride=16, classes=classes, side=224, context=context, machines=machines, rules=rules)


def _rules(sampled: int, confidence: float, overlap: float, keep: int) -> RegionRules:
    # Section 2.3: positive from an overlap of 0.5 on, negative below; a quarter of a batch is positive.
    return RegionRules(sampled=sampled, negative=(0.0, 0.5), confidence=confidence, overlap=overlap, keep=keep)

"""SPP-net's detector.

He, Zhang, Ren, Sun: Spatial pyramid pooling in deep convolutional networks for visual recognition, ECCV 2014
(arXiv:1406.4729), section 4 and appendix A. The convolutions see the image once, at one scale or at five; each
proposal's window of the map is pooled by a pyramid of 6x6, 3x3, 2x2 and 1x1 bins to a vector of one length. The dense
layers alone are fine-tuned; SVMs and box regressions are fitted to fc7 and to the pyramid as R-CNN's.

The map is that of ZF-5, padded by half a kernel everywhere, so that cell i stands at pixel 16 i (appendix A).
``machines`` as in :mod:`visus.models.detection.rcnn`.

Letters: N images, C channels of the map, h x w its cells, P proposals of an image, R regions of all images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.models.backbone_maps import require_maps
from visus.models.detection.region_codec import RegionRules
from visus.models.detection.svm_regions import DenseLayers, RegionFeatures, SVMDetector
from visus.models.detection.zf import ZF
from visus.models.protocols import Backbone
from visus.ops.roi_pooling import roi_max_pool

STRIDE = 16
LEVELS = (6, 3, 2, 1)  # section 4.1: 50 bins
SCALES = (480, 576, 688, 864, 1200)  # section 4.1: the image's shorter side
WANTED_SIDE = 224  # a region is seen at the scale where its area is nearest to the square of this

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Overlap = Annotated[float, Field(ge=0, le=1)]


def cell_windows(boxes: Tensor, cells: tuple[int, int], stride: int, offset: float) -> Tensor:
    """The cells whose centres lie inside boxes: [R,4] xyxy in pixels -> [R,4], the first and the last column and row.

    Appendix A: from floor(x / S) + 1 to ceil(x / S) - 1, of the first and the last pixel of a box. A box between the
    centres has the cell that is nearest to its own centre.

    Args:
        boxes: in pixels of the image that the map is of.
        cells: (h, w) of the map.
        stride: S.
        offset: the pixel of cell 0's centre.
    """
    limits = boxes.new_tensor([cells[1] - 1, cells[0] - 1])
    first = torch.floor((boxes[:, :2] - offset) / stride) + 1
    last = torch.ceil((boxes[:, 2:] - 1 - offset) / stride) - 1
    centre = torch.floor(((boxes[:, :2] + boxes[:, 2:] - 1) / 2 - offset) / stride + 0.5)
    empty = last < first
    first, last = torch.where(empty, centre, first), torch.where(empty, centre, last)
    return torch.cat([part.clamp(min=0).minimum(limits) for part in (first, last)], 1)


def pyramid_of(map_: Tensor, windows: Sequence[Tensor]) -> Tensor:
    """The maximum in each bin of windows N x [P_n,4] of a map [N,C,h,w]: [R, 50 C], ordered as in
    :class:`~visus.layers.spatial_pyramid.SpatialPyramidPooling`."""
    # RoI pooling's bins reach from floor(i a / n) to ceil((i + 1) a / n), as the pyramid's
    return torch.cat([roi_max_pool(map_, windows, level, 1.0).flatten(1) for level in LEVELS], 1)


class SPPNet(SVMDetector):
    """[N,C,H,W] and N x [P_n,4] -> :class:`~visus.models.detection.two_stage.TwoStageOutput`, for images of any size.

    Without proposals each image is one region.

    Args:
        backbone: with a map of stride 16.
        width: units of fc6 and fc7.
        offset: the pixel of the first cell's centre.
        scales: the input's shorter side, in pixels, at each scale; (): the input as it is.
        classes: K.
        machines: whether SVMs answer.
        dropout: of fc6 and fc7.
        rules: of the regions.
    """

    border = 8  # ZF-5's padding lets its map reach a few pixels beyond the image

    def __init__(
        self,
        backbone: nn.Module,
        *,
        width: int,
        offset: float,
        scales: Sequence[int],
        classes: int,
        machines: bool,
        dropout: float,
        rules: RegionRules,
    ) -> None:
        channels = require_maps(backbone, (STRIDE,), "SPP-net")[STRIDE]
        bins = sum(level * level for level in LEVELS)
        super().__init__((bins * channels, width), classes, machines=machines, rules=rules)
        self.backbone = backbone
        # pascal_finetune_fc_spm_train.prototxt (ShaoqingRen/SPP_net)
        self.neck = DenseLayers(bins * channels, width, dropout=dropout, deviation=0.01)
        self.offset = offset
        # From fine to coarse; a map is known by its stride in pixels of the largest of the scaled images.
        self.scales = {round(STRIDE * max(scales) / scale): scale for scale in sorted(scales, reverse=True)}
        self.channels: Mapping[int, int] = dict.fromkeys(self.scales or (STRIDE,), channels)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        """The last map, of the images as they are or at each scale."""
        if not self.scales:
            return {STRIDE: self._map(images)}
        shorter = min(images.shape[-2:])
        maps = {}
        for stride, scale in self.scales.items():
            size = [max(round(side * scale / shorter), 1) for side in images.shape[-2:]]
            maps[stride] = self._map(F.interpolate(images, size, mode="bilinear", align_corners=False))
        return maps

    def _map(self, images: Tensor) -> Tensor:
        return cast(Backbone, self.backbone).features(images)[STRIDE]

    def described(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionFeatures:
        return cast(RegionFeatures, self.neck(self.pyramids(features, boxes, size)))

    def pyramids(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """[R, 50 C]: each region pooled from the scale that shows it nearest to 224 x 224 pixels."""
        if len(features) == 1:
            return self._pooled(next(iter(features.values())), boxes, 1.0)
        shorter, scales = min(size), list(self.scales.values())
        chosen = torch.cat([self.scale_of(part, shorter) for part in boxes])  # [R]
        counts = [len(part) for part in boxes]
        pooled = None
        for number, map_ in enumerate(features.values()):
            here = torch.split(chosen == number, counts)
            part = self._pooled(map_, [b[h] for b, h in zip(boxes, here, strict=True)], scales[number] / shorter)
            pooled = part.new_zeros(len(chosen), part.shape[1]) if pooled is None else pooled
            pooled = pooled.index_copy(0, torch.nonzero(chosen == number).flatten(), part)
        return cast(Tensor, pooled)

    def scale_of(self, boxes: Tensor, shorter: int) -> Tensor:
        """[P]: the number of the scale for each box, among those from fine to coarse, as in spm_expected_scale.m.

        Args:
            boxes: [P,4] in network pixels.
            shorter: side of the network's input.
        """
        areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3).prod(1)
        expected = WANTED_SIDE * shorter / areas.sqrt()
        return (boxes.new_tensor(list(self.scales.values())) - expected[:, None]).abs().argmin(1)

    def _pooled(self, map_: Tensor, boxes: Sequence[Tensor], factor: float) -> Tensor:
        """The pyramids of boxes in network pixels, of which ``factor`` make one of the image that the map is of."""
        cells = (map_.shape[2], map_.shape[3])
        return pyramid_of(map_, [cell_windows(part * factor, cells, STRIDE, self.offset) for part in boxes])


def spp_net(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    scales: tuple[Count, ...] = (),
    width: Count = 4096,
    machines: bool = False,
    sampled: Count = 8,
    dropout: Share = 0.5,
    confidence: Overlap = 0.05,
    overlap: Overlap = 0.3,
    keep: Count = 100,
) -> SPPNet:
    """SPP-net on ZF-5, or on any backbone with a map of stride 16, whose cells then share the image evenly.

    ``scales``: shorter sides at which the input is seen; none: as it is; the paper's five are 480, 576, 688, 864 and
    1200. ``width``: of fc6 and fc7. ``machines``, ``sampled``, ``dropout``, ``confidence``, ``overlap``, ``keep``: as
    of R-CNN.

    Raises:
        TaskMismatchError: if the backbone lacks that map.
    """
    # Section 4.1: positive from an overlap of 0.5 on, negative from 0.1 to 0.5; a quarter of a batch is positive.
    rules = RegionRules(sampled=sampled, confidence=confidence, overlap=overlap, keep=keep)
    return SPPNet(
        ZF(in_channels) if backbone is None else backbone,
        width=width,
        offset=0.0 if backbone is None else (STRIDE - 1) / 2,
        scales=scales,
        classes=classes,
        machines=machines,
        dropout=dropout,
        rules=rules,
    )

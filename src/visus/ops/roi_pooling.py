"""Pools regions of interest (RoIs) of feature maps to one size.

Boxes are xyxy in pixels of the network's input; ``scale`` is one over the stride of the map. torchvision's operators do
most of the work; its import takes seconds, so it waits for the first call. Computed is in float32 where the map has
half precision: some operators know no bfloat16, and neither half precision holds the corners of a large image.
Gradients flow to the map, not to the boxes; without any region they are 0, not absent.

Letters: N images, C channels, h x w cells of a map, R regions of all images together, p x p the pooled size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from visus.ops.bilinear_bins import mean_of_samples

Pooling = Literal["max", "align", "legacy_align"]
"""How regions of a pyramid are pooled: by RoI max pooling; by RoIAlign; or by RoIAlign as it was released first, half a
cell off."""


def roi_max_pool(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """RoI max pooling: [N,C,h,w] and N x [P_n,4] -> [R,C,p,p]. Girshick, Fast R-CNN, ICCV 2015, section 2.1.

    Corners are rounded to whole cells, both of which belong to the region, and the bins' edges again outwards, as in
    the released Caffe layer; an empty bin gives 0.
    """
    return _max_pooled(map_, rows_of(boxes), size, scale)


def roi_align(
    map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float, *, samples: int = 2, aligned: bool = False
) -> Tensor:
    """RoIAlign: [N,C,h,w] and N x [P_n,4] -> [R,C,p,p]. He et al., Mask R-CNN, ICCV 2017, section 3.

    Nothing is rounded: each bin is the mean of ``samples`` x ``samples`` values, interpolated bilinearly.

    Args:
        map_, boxes, size, scale: as above.
        samples: points a side of a bin; 0: as many as the bin has cells.
        aligned: whether cell i has its centre at i + 0.5, as pixels have it; the first releases put it at i, and let no
            region be smaller than a cell.
    """
    return _aligned(map_, rows_of(boxes), size, scale, samples, aligned=aligned)


def ps_roi_pool(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """Position-sensitive RoI pooling: [N,C*p*p,h,w] and N x [P_n,4] -> [R,C,p,p]. Dai et al., R-FCN, NIPS 2016, eq. 1.

    Bin (i, j) of channel c is the mean over its cells of map ``(c * p + i) * p + j``; a bin without cells gives 0.
    Corners are rounded to whole pixels, and the bins' edges outwards to whole cells, as in the released
    psroi_pooling_layer.cu.

    torchvision's operator rounds corners to cells, never looks at the map's last row and column, and gives them
    gradients all the same.
    """
    rows = rows_of(boxes)  # [R, 5]
    images, corners = rows[:, 0].long(), rows[:, 1:]
    edges = (corners.abs() + 0.5).floor() * corners.sign() * scale  # C's round: halves go away from 0
    low, high = edges[:, None, :2], edges[:, None, 2:]  # [R, 1, 2] (x, y)
    step = (high - low).clamp(min=0.1) / size
    number = torch.arange(size, device=rows.device)[:, None]  # [p, 1]
    limits = rows.new_tensor([map_.shape[3], map_.shape[2]])
    first = (number * step + low).floor().clamp(min=0).minimum(limits).long()  # [R, p, 2]
    last = ((number + 1) * step + low).ceil().clamp(min=0).minimum(limits).long()
    # sums of all cells above and to the left give the sum of any rectangle by four of them
    sums = map_.double().reshape(len(map_), -1, size, size, *map_.shape[2:]).cumsum(-1).cumsum(-2)
    sums = torch.nn.functional.pad(sums, (1, 0, 1, 0))  # [N, C, p, p, h + 1, w + 1]

    def up_to(y: Tensor, x: Tensor) -> Tensor:
        """[R,p,p,C]: the sums of the maps of each bin up to rows y [R,p] and columns x [R,p]."""
        return sums[images[:, None, None], :, number, number.T, y[:, :, None], x[:, None, :]]

    (x0, y0), (x1, y1) = first.unbind(-1), last.unbind(-1)  # [R, p] each
    total = up_to(y1, x1) - up_to(y0, x1) - up_to(y1, x0) + up_to(y0, x0)
    cells = ((y1 - y0)[:, :, None] * (x1 - x0)[:, None, :])[..., None]  # [R, p, p, 1]
    mean = torch.where(cells > 0, total / cells.clamp(min=1), 0)
    return mean.movedim(-1, 1).to(map_.dtype)  # [R, C, p, p]


def rows_of(boxes: Sequence[Tensor]) -> Tensor:
    """N x [P_n,4] -> [R,5]: each box behind the number of its image."""
    numbers = [part.new_full((len(part), 1), n) for n, part in enumerate(boxes)]
    return torch.cat([torch.cat([number, part], 1) for number, part in zip(numbers, boxes, strict=True)])


def _max_pooled(map_: Tensor, rows: Tensor, size: int, scale: float) -> Tensor:
    from torchvision.ops import roi_pool

    return _pooled(roi_pool, map_, rows, size, scale)


def _aligned(map_: Tensor, rows: Tensor, size: int, scale: float, samples: int = 2, *, aligned: bool = False) -> Tensor:
    if map_.device.type == "cpu" and samples > 0:
        return _pooled(mean_of_samples, map_, rows, size, scale, samples, aligned)
    from torchvision.ops import roi_align

    return _pooled(roi_align, map_, rows, size, scale, samples, aligned)


def _pooled(pool: Callable[..., Any], map_: Tensor, rows: Tensor, size: int, *settings: Any) -> Tensor:
    """An operator of torchvision on a map and rows [R,5], in float32 at least, answered in the map's own type."""
    fine = torch.promote_types(map_.dtype, torch.float32)
    return pool(map_.to(fine), rows.to(fine), size, *settings).to(map_.dtype)  # type: ignore[no-any-return]


def pyramid_levels(
    boxes: Tensor, lowest: int, highest: int, *, canonical_side: float = 224, canonical_level: int = 4
) -> Tensor:
    """The level of a feature pyramid that each box [R,4] is pooled from: [R] int64, lowest..highest.

    ``k = floor(k0 + log2(sqrt(w h) / 224))``: Lin et al., Feature pyramid networks, CVPR 2017, section 4.2, equation 1.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
    # torchvision adds the epsilon too, so that a side of exactly 224 never falls below its level by rounding
    levels = torch.floor(canonical_level + torch.log2(sides / canonical_side) + 1e-6)
    return levels.clamp(lowest, highest).to(torch.int64)


def pyramid_pool(
    maps: Mapping[int, Tensor], boxes: Sequence[Tensor], size: int, pooling: Pooling = "align"
) -> tuple[Tensor, Tensor]:
    """Pools each box from its level of a pyramid.

    Args:
        maps: {stride: [N,C,h,w]} of the pyramid.
        boxes, size: as above.
        pooling: "max", whose released layer is given a box's last pixel and rounds that to a cell; "align"; or
            "legacy_align".

    Returns:
        the regions [R,C,p,p], level by level; and for each box where its region is among them, [R] int64: what is
        computed of the regions is put in the boxes' order when it has become small.
    """
    strides = sorted(maps)
    rows = rows_of(boxes)  # [R, 5]

    def pool(stride: int, rows: Tensor) -> Tensor:
        if pooling == "max":
            return _max_pooled(maps[stride], rows - rows.new_tensor([0, 0, 0, 1, 1]), size, 1 / stride)
        return _aligned(maps[stride], rows, size, 1 / stride, aligned=pooling == "align")

    if rows.is_meta:  # which level it is, only values tell; all give this shape
        return pool(strides[0], rows), torch.arange(len(rows), device=rows.device)
    levels = [round(math.log2(stride)) for stride in strides]
    chosen = pyramid_levels(rows[:, 1:], levels[0], levels[-1])
    of_levels = [torch.nonzero(chosen == level).flatten() for level in levels]
    # a level without regions too: its map then has gradients of 0
    parts = [pool(stride, rows[at]) for stride, at in zip(strides, of_levels, strict=True)]
    return torch.cat(parts), torch.cat(of_levels).argsort()

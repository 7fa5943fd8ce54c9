"""Pools regions of interest (RoIs) of feature maps to one size.

Boxes are xyxy in pixels of the network's input; ``scale`` is one over the stride of the map. torchvision's operators do
the work; its import takes seconds, so it waits for the first call.

Letters: N images, C channels, h x w cells of a map, R regions of all images together, p x p the pooled size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def roi_max_pool(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """RoI max pooling: [N,C,h,w] and N x [P_n,4] -> [R,C,p,p]. Girshick, Fast R-CNN, ICCV 2015, section 2.1.

    Corners are rounded to whole cells, both of which belong to the region, and the bins' edges again outwards, as in
    the released Caffe layer; an empty bin gives 0.
    """
    from torchvision.ops import roi_pool

    return roi_pool(map_, list(boxes), size, scale)  # type: ignore[no-any-return]


def roi_align(
    map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float, *, samples: int = 2, aligned: bool = False
) -> Tensor:
    """RoIAlign: [N,C,h,w] and N x [P_n,4] -> [R,C,p,p]. He et al., Mask R-CNN, ICCV 2017, section 3.

    Nothing is rounded: each bin is the mean of ``samples`` x ``samples`` values, interpolated bilinearly.

    Args:
        map_, boxes, size, scale: as above.
        samples: points a side of a bin; 0: as many as the bin has cells.
        aligned: whether cell i has its centre at i + 0.5, as pixels have it; the first releases put it at i.
    """
    from torchvision.ops import roi_align

    return roi_align(map_, list(boxes), size, scale, samples, aligned)  # type: ignore[no-any-return]


def ps_roi_pool(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """Position-sensitive RoI pooling: [N,C*p*p,h,w] and N x [P_n,4] -> [R,C,p,p]. Dai et al., R-FCN, NIPS 2016, eq. 1.

    Bin (i, j) of channel c is the mean over its cells of map ``(c * p + i) * p + j``.
    """
    from torchvision.ops import ps_roi_pool

    return ps_roi_pool(map_, list(boxes), size, scale)  # type: ignore[no-any-return]


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


def pyramid_roi_align(
    maps: Mapping[int, Tensor], boxes: Sequence[Tensor], size: int, *, samples: int = 2, aligned: bool = False
) -> Tensor:
    """RoIAlign of each box from its level of a pyramid {stride: [N,C,h,w]}; N x [P_n,4] -> [R,C,p,p]."""
    strides = sorted(maps)
    levels = [round(math.log2(stride)) for stride in strides]
    every = torch.cat(list(boxes))  # [R, 4]
    images = torch.repeat_interleave(
        torch.arange(len(boxes), device=every.device), torch.tensor([len(b) for b in boxes], device=every.device)
    )
    rows = torch.cat([images[:, None].to(every), every], 1)  # [R, 5]
    chosen = pyramid_levels(every, levels[0], levels[-1])
    first = maps[strides[0]]
    pooled = first.new_zeros(len(every), first.shape[1], size, size)
    from torchvision.ops import roi_align

    for stride, level in zip(strides, levels, strict=True):
        at = torch.nonzero(chosen == level).flatten()
        if len(at):
            part = roi_align(maps[stride], rows[at], size, 1 / stride, samples, aligned)
            pooled = pooled.index_copy(0, at, part.to(pooled.dtype))
    return pooled

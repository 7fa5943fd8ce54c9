"""Position-sensitive RoI pooling as R-FCN was released: Dai, Li, He, Sun, NIPS 2016, arXiv:1605.06409, equation 1.

The paper says that bin (i, j) holds the cells from floor(i w/k) to ceil((i+1) w/k) behind the region's corner, and not
how the corner is rounded. The authors' layer (daijifeng001/caffe-rfcn, psroi_pooling_layer.cu) rounds it to whole
pixels of the image, and keeps fractions of a cell; torchvision's ``ps_roi_pool`` rounds it to whole cells of the map,
half a stride at most.

Letters: N images, C values of a bin, h x w cells of a map, P regions of an image, R those of all, k x k bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_SMALLEST = 0.1  # cells: the least side of a region, in that layer


def position_sensitive_pool(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """[N,C*k*k,h,w] and N x [P_n,4] -> [R,C,k,k]: each bin is the mean over its cells of a map of its own.

    Bin (i, j) of value c sees channel ``(c * k + i) * k + j``; a bin without cells gives 0. The sums come from a table
    of sums over all cells above and to the left, so that a large region costs no more than a small one.

    Args:
        map_: with a multiple of k*k channels.
        boxes: xyxy in pixels of the network's input.
        size: k.
        scale: one over the stride of the map.
    """
    images, channels, height, width = map_.shape
    # float32 has too few digits for sums of thousands of cells; MPS has no float64
    fine = map_.float() if map_.device.type == "mps" else map_.double()
    table = F.pad(fine.cumsum(2).cumsum(3), (1, 0, 1, 0))  # [N, C k k, h + 1, w + 1]
    table = table.reshape(images, channels // size**2, size**2, (height + 1) * (width + 1))
    pooled = []
    for number, image_boxes in enumerate(boxes):
        rows = _edges(image_boxes[:, 1], image_boxes[:, 3], size, scale, height)  # [P, k] twice
        columns = _edges(image_boxes[:, 0], image_boxes[:, 2], size, scale, width)
        top, bottom = (edge[:, :, None].expand(-1, -1, size).flatten(1) for edge in rows)  # [P, k k]
        left, right = (edge[:, None, :].expand(-1, size, -1).flatten(1) for edge in columns)
        sums = [
            _at(table[number], y * (width + 1) + x)
            for y, x in ((bottom, right), (top, right), (bottom, left), (top, left))
        ]
        cells = ((bottom - top) * (right - left)).clamp(min=1)  # [P, k k]; no cells have the sum 0
        mean = (sums[0] - sums[1] - sums[2] + sums[3]) / cells.T  # [C, k k, P]
        pooled.append(mean.permute(2, 0, 1))
    return torch.cat(pooled).unflatten(2, (size, size)).to(map_.dtype)


def _edges(low: Tensor, high: Tensor, size: int, scale: float, cells: int) -> tuple[Tensor, Tensor]:
    """The first cell of each bin along one side, and the one behind its last: [P,k] int64 in 0..cells, twice.

    Args:
        low, high: [P], the sides' ends in pixels.
        size, scale: as above.
        cells: of the map along this side.
    """
    start = (low.float() + 0.5).floor() * scale  # halves away from zero, as C's round
    end = (high.float() + 0.5).floor() * scale
    step = (end - start).clamp(min=_SMALLEST)[:, None] / size  # [P, 1]
    numbers = torch.arange(size, device=low.device)
    first = (numbers * step + start[:, None]).floor().clamp(0, cells)
    last = ((numbers + 1) * step + start[:, None]).ceil().clamp(0, cells)
    return first.long(), last.long()


def _at(table: Tensor, places: Tensor) -> Tensor:
    """[C,k k,A] at [P,k k] of A -> [C,k k,P]."""
    return table.gather(2, places.T.expand(len(table), -1, -1))

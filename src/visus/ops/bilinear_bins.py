"""RoIAlign on processors, as weighted sums of whole cells.

The mean of a bin's samples, each interpolated between four cells, is a sum of few cells with weights that are equal for
all channels. Where the channels of a cell lie side by side in memory (``torch.channels_last``), the sum adds whole
rows of numbers, which torch's ``embedding_bag`` does at the speed of memory; torchvision's operator goes through the
map once for every channel.

Letters: N images, C channels, h x w cells of a map, R regions of all images together, p x p bins, s x s samples a bin.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def mean_of_samples(map_: Tensor, rows: Tensor, size: int, scale: float, samples: int, aligned: bool) -> Tensor:
    """The values of ``torchvision.ops.roi_align``, but for rounding; gradients flow to the map.

    Args:
        map_: [N,C,h,w] float32 or float64; quickest in the layout ``torch.channels_last``.
        rows: [R,5]: the number of its image, and the box xyxy in pixels, of each region; R may be 0.
        size: p.
        scale: cells a pixel.
        samples: s, at least 1.
        aligned: whether cell i has its centre at i + 0.5; else at i, and no region is smaller than a cell.

    Returns:
        [R,C,p,p] in the layout ``torch.channels_last``.
    """
    channels, height, width = map_.shape[1:]
    cells = map_.permute(0, 2, 3, 1).reshape(-1, channels)  # [Nhw, C]
    rows = rows.detach().to(cells)
    x1, y1, x2, y2 = (rows[:, 1:] * scale - (0.5 if aligned else 0.0)).unbind(1)  # [R] each
    row, row_weight = _side(y1, y2 - y1, size, samples, height, aligned=aligned)  # [R, p, 2s]
    column, column_weight = _side(x1, x2 - x1, size, samples, width, aligned=aligned)  # [R, p, 2s]
    first = rows[:, 0].to(torch.int64)[:, None, None] * height
    cell = ((first + row) * width)[:, :, None, :, None] + column[:, None, :, None, :]  # [R, p, p, 2s, 2s]
    weight = row_weight[:, :, None, :, None] * column_weight[:, None, :, None, :]
    each = (2 * samples) ** 2  # cells of a bin
    bins = F.embedding_bag(cell.reshape(-1, each), cells, mode="sum", per_sample_weights=weight.reshape(-1, each))
    return bins.view(len(rows), size, size, channels).permute(0, 3, 1, 2)


def _side(
    start: Tensor, length: Tensor, size: int, samples: int, cells: int, *, aligned: bool
) -> tuple[Tensor, Tensor]:
    """Where the samples of each bin lie along one side: the cells on both sides of them, and these cells' weights.

    Args:
        start, length: [R] of the regions, in cells.
        size: p.
        samples: s.
        cells: of the map along this side.
        aligned: as above.

    Returns:
        cells [R,p,2s] int64 and their weights [R,p,2s]; a sample that lies more than a cell outside has the weight 0.
    """
    step = (length if aligned else length.clamp(min=1)) / size  # [R]
    bins = torch.arange(size, dtype=start.dtype, device=start.device)
    inner = torch.arange(samples, dtype=start.dtype, device=start.device) + 0.5
    at = start[:, None] + bins * step[:, None]  # [R, p]
    at = at[:, :, None] + inner * step[:, None, None] / samples  # [R, p, s]
    inside = (at >= -1) & (at <= cells)
    at = at.clamp(0, cells - 1)
    low = at.to(torch.int64)
    high = (low + 1).clamp(max=cells - 1)
    share = at - low
    weight = torch.stack([1 - share, share], -1) * (inside.to(at) / samples)[..., None]  # [R, p, s, 2]
    return torch.stack([low, high], -1).flatten(2), weight.flatten(2)

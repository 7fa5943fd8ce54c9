"""Layers that pool the regions of one map to one size; see :mod:`visus.ops.roi_pooling`.

Letters: N images, C channels, h x w cells of a map, R regions of all images, p x p the pooled size.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from visus.ops.roi_pooling import roi_align, roi_max_pool


class RoIMaxPool(nn.Module):
    """[N,C,h,w] and N x [P_n,4] -> [R,C,p,p]: the largest value of each bin. Girshick, Fast R-CNN, ICCV 2015, sec. 2.1.

    A box ends behind its last pixel here. The released layer is given the last pixel itself, and rounds that to a cell.

    Args:
        size: p.
        stride: of the map.
    """

    def __init__(self, size: int, stride: int) -> None:
        super().__init__()
        self.size = size
        self.stride = stride

    def forward(self, map_: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        ends = [box - box.new_tensor([0.0, 0.0, 1.0, 1.0]) for box in boxes]
        return roi_max_pool(map_, ends, self.size, 1 / self.stride)

    def extra_repr(self) -> str:
        return f"{self.size}x{self.size}, stride={self.stride}"


class RoIAlign(nn.Module):
    """[N,C,h,w] and N x [P_n,4] -> [R,C,p,p]: means of interpolated values. He et al., Mask R-CNN, ICCV 2017, sec. 3.

    Args:
        size: p.
        stride: of the map.
        samples: points a side of a bin; 0: as many as the bin has cells.
        aligned: whether the centres of cells and pixels are told from their corners; see :func:`roi_align`.
    """

    def __init__(self, size: int, stride: int, *, samples: int = 2, aligned: bool = True) -> None:
        super().__init__()
        self.size = size
        self.stride = stride
        self.samples = samples
        self.aligned = aligned

    def forward(self, map_: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        return roi_align(map_, boxes, self.size, 1 / self.stride, samples=self.samples, aligned=self.aligned)

    def extra_repr(self) -> str:
        return f"{self.size}x{self.size}, stride={self.stride}, samples={self.samples}, aligned={self.aligned}"

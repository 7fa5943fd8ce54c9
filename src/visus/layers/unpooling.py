"""Unpooling: puts values back at the positions of the maxima of an earlier max pooling.

Noh, Hong, Han: Learning deconvolution network for semantic segmentation, ICCV 2015, section 3.2.1 and figure 3; the
switches are those of Zeiler and Fergus 2014, section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def switches(x: Tensor) -> Tensor:
    """The index y * W + x of the maximum of each 2x2 window: [N,C,H,W] -> [N,C,H/2,W/2] int64."""
    return F.max_pool2d(x, 2, return_indices=True)[1]


class Unpool(nn.Module):
    """Undoes 2x2 max pooling: [N,C,H/2,W/2] and the map [N,C,H,W] that was pooled -> [N,C,H,W].

    Each value comes to the position of the pooled map's largest one in its window; all other positions are 0. The
    switches are found again here, so that a network's maps are all there is to keep.
    """

    def forward(self, x: Tensor, pooled: Tensor) -> Tensor:
        # F.max_unpool2d is the same, but checks the size with sympy, whose import takes seconds.
        size = [2 * side for side in x.shape[-2:]]
        return torch.ops.aten.max_unpool2d(x, switches(pooled), size)

"""Transposed convolutions whose first (or fixed) weights interpolate bilinearly.

Long, Shelhamer, Darrell: Fully convolutional networks for semantic segmentation, CVPR 2015, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visus.errors import UsageError


def bilinear_kernel(size: int) -> Tensor:
    """The kernel [size,size] of bilinear interpolation.

    With the factor f = (size + 1) // 2, w(i, j) = (1 - |i - c| / f) (1 - |j - c| / f), c being the kernel's centre.

    Args:
        size: side of the kernel; 2 f for an even factor f, 2 f - 1 for an odd one.

    Raises:
        UsageError: for a size below 1.
    """
    if size < 1:
        raise UsageError("the kernel is too small", expected="1 or more", got=str(size))
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / factor  # [size]
    return line[:, None] * line


class BilinearUpsampling(nn.ConvTranspose2d):
    """A transposed convolution without bias, whose first weights interpolate each channel separately.

    [N,C,H,W] -> [N,C,(H-1)*factor+size-2*padding,(W-1)*factor+size-2*padding].

    Args:
        channels: C.
        size: side of the kernel.
        factor: stride.
        padding: pixels that are cut off on every side.
        learns: False: the weights stay as they are.
        apart: every channel has one kernel (C * size * size weights) instead of one for each pair of channels (C * C *
            size * size, of which all but the diagonal begin at 0).
    """

    def __init__(
        self, channels: int, size: int, factor: int, *, padding: int = 0, learns: bool = True, apart: bool = False
    ) -> None:
        groups = channels if apart else 1
        super().__init__(channels, channels, size, factor, padding, groups=groups, bias=False)
        self.weight.requires_grad_(learns)

    def reset_parameters(self) -> None:
        """Sets the weights to bilinear interpolation."""
        kernel = bilinear_kernel(self.kernel_size[0]).to(self.weight)
        with torch.no_grad():
            self.weight.zero_()
            for channel in range(self.in_channels):
                self.weight[channel, 0 if self.groups > 1 else channel] = kernel

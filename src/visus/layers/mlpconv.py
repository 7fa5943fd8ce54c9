"""The mlpconv layer of Network in Network."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class MlpConv(nn.Sequential):
    """A convolution, then two 1x1 convolutions, each with ReLU: a small perceptron that slides over the maps.

    [N,C,H,W] -> [N,widths[2],h,w], as the first convolution leaves h and w. Lin, Chen, Yan 2014, eq. 2 and figure 2;
    the 1x1 convolutions are its "cascaded cross channel parametric pooling" (cccp).

    Args:
        in_channels: C.
        widths: maps of the three convolutions.
        kernel_size, stride, padding: of the first convolution.
    """

    def __init__(
        self, in_channels: int, widths: tuple[int, int, int], kernel_size: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(
            OrderedDict[str, nn.Module](
                conv=nn.Conv2d(in_channels, widths[0], kernel_size, stride=stride, padding=padding),
                relu=nn.ReLU(inplace=True),
                cccp1=nn.Conv2d(widths[0], widths[1], 1),
                relu1=nn.ReLU(inplace=True),
                cccp2=nn.Conv2d(widths[1], widths[2], 1),
                relu2=nn.ReLU(inplace=True),
            )
        )

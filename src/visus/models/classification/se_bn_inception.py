"""SE-BN-Inception.

Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018 (arXiv:1709.01507), figure 2 and table 2.

BN-Inception with a squeeze-and-excitation block behind the concatenation of every module. The edition ``paper`` is the
network of the authors' prototxt: BN-Inception as it is in Caffe, with projections of 128 maps in 4c and 4d, but without
biases beside BatchNorm. The weights begin as He et al.'s (2015), as section 5.1 says.

Letters: N images, C channels, K classes, H x W pixels, r = reduction.
"""

from __future__ import annotations

from torch import Tensor, nn

from visus.models.classification.bn_inception import CAFFE, CAFFE_STYLE, BNInception

REDUCTION = 16  # r, "in all our models"


class SqueezeExcitation(nn.Module):
    """Scales each map by a share that all maps' means decide (figure 1). [N,C,H,W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.down = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.relu = nn.ReLU(inplace=True)
        self.up = nn.Conv2d(channels // REDUCTION, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        z = self.squeeze(x)  # [N, C, 1, 1]
        s = self.sigmoid(self.up(self.relu(self.down(z))))  # [N, C, 1, 1]
        return x * s  # type: ignore[no-any-return]


def se_bn_inception(*, classes: int, in_channels: int) -> nn.Module:
    """SE-BN-Inception."""
    style = CAFFE_STYLE._replace(bias=False)
    network = BNInception(CAFFE, classes=classes, in_channels=in_channels, style=style, behind=SqueezeExcitation)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network

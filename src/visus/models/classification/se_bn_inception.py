"""SE-BN-Inception.

Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018 (arXiv:1709.01507), figure 2 and table 2.

BN-Inception with a squeeze-and-excitation block behind the concatenation of every module. The edition ``paper`` is the
network of the authors' prototxt: BN-Inception as it is in Caffe, with projections of 128 maps in 4c and 4d, but without
biases beside BatchNorm. The weights begin as He et al.'s (2015), as section 5.1 says.
"""

from __future__ import annotations

from torch import nn

from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.classification.bn_inception import CAFFE, CAFFE_STYLE, BNInception


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

"""DeconvNet.

Noh, Hong, Han: Learning deconvolution network for semantic segmentation, ICCV 2015 (arXiv:1505.04366), section 3,
figure 2 and the appendix's table 2; BatchNorm and first weights as in the authors' released networks.

VGG-16 without its last layer leads to a 1x1 map of 4096 channels. Its mirror image leads back: unpooling puts each
value where the pooling of the same size had found the largest, transposed convolutions fill the gaps. BatchNorm stands
behind every convolution of both halves (section 4.1) but the last.

224x224 pixels make a 1x1 map; larger inputs of sides that 32 divides work too.

Letters: N images, C input channels, K classes, H x W pixels; sizes in comments are those of 224x224 images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.unpooling import Unpool

SMALLEST = 224
STEP = 32
EPSILON = 1e-9  # bn_layer.cpp of the authors' Caffe (HyeonwooNoh/caffe)


class DeconvNet(nn.Module):
    """[N,C,H,W] -> [N,K,H,W] logits.

    ``features`` gives the maps before each pooling, in which unpooling finds its switches, and fc7: {1: conv1_2, 2:
    conv2_2, 4: conv3_3, 8: conv4_3, 16: conv5_3, 32: fc7}.

    Args:
        classes: K.
        in_channels: C.
        epsilon: of BatchNorm.
    """

    head: tuple[str, ...] = ("score",)

    def __init__(self, *, classes: int, in_channels: int, epsilon: float) -> None:
        super().__init__()
        self.channels: Mapping[int, int] = {1: 64, 2: 128, 4: 256, 8: 512, 16: 512, 32: 4096}
        self.conv1 = _layers(nn.Conv2d, in_channels, 64, 64)
        self.conv2 = _layers(nn.Conv2d, 64, 128, 128)
        self.conv3 = _layers(nn.Conv2d, 128, 256, 256, 256)
        self.conv4 = _layers(nn.Conv2d, 256, 512, 512, 512)
        self.conv5 = _layers(nn.Conv2d, 512, 512, 512, 512)
        self.pool1, self.pool2, self.pool3, self.pool4, self.pool5 = (nn.MaxPool2d(2) for _ in range(5))
        self.fc6 = _layer(nn.Conv2d, 512, 4096, 7)
        self.fc7 = _layer(nn.Conv2d, 4096, 4096, 1)
        self.fc6_deconv = _layer(nn.ConvTranspose2d, 4096, 512, 7)
        self.unpool5, self.unpool4, self.unpool3, self.unpool2, self.unpool1 = (Unpool() for _ in range(5))
        self.deconv5 = _layers(nn.ConvTranspose2d, 512, 512, 512, 512)
        self.deconv4 = _layers(nn.ConvTranspose2d, 512, 512, 512, 256)
        self.deconv3 = _layers(nn.ConvTranspose2d, 256, 256, 256, 128)
        self.deconv2 = _layers(nn.ConvTranspose2d, 128, 128, 64)
        self.deconv1 = _layers(nn.ConvTranspose2d, 64, 64, 64)
        self.score = nn.Conv2d(64, classes, 1)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = epsilon
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.ConvTranspose2d) or layer is self.score:  # section 4.3: zero-mean Gaussians
                nn.init.normal_(layer.weight, 0, 0.01)
            elif isinstance(layer, nn.Conv2d):  # ImageNet's weights in the paper; He et al. 2015 without them
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.constant_(layer.bias, 0.001)
                continue
            else:
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest (height, width) that the network takes and that is not smaller than ``size``."""
        height, width = (max(SMALLEST, math.ceil(side / STEP) * STEP) for side in size)
        return height, width

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """``size`` itself.

        Raises:
            ShapeError: if the network does not take that size.
        """
        fitting = self.fitting_size(size)
        if size != fitting:
            raise ShapeError(
                "DeconvNet cannot halve the sides of this image five times, down to 7 pixels or more",
                expected=f"sides of {SMALLEST}, {SMALLEST + STEP}, {SMALLEST + 2 * STEP} ... pixels",
                got=f"{size[0]}x{size[1]}",
                remedy=f"scale or pad to {fitting[0]}x{fitting[1]}",
            )
        return size

    def features(self, images: Tensor) -> dict[int, Tensor]:
        self.output_size((images.shape[2], images.shape[3]))  # refuses sizes that do not fit
        if self.training and len(images) == 1 and max(images.shape[2:]) < SMALLEST + STEP:
            raise ShapeError(
                "BatchNorm after fc6 needs more than one value a channel in training",
                expected=f"two images or more, or images of {SMALLEST + STEP} pixels",
                got=f"one image of {images.shape[2]}x{images.shape[3]}",
                remedy="use larger images or batches",
            )
        c1 = self.conv1(images)  # [N, 64, 224, 224]
        c2 = self.conv2(self.pool1(c1))  # [N, 128, 112, 112]
        c3 = self.conv3(self.pool2(c2))  # [N, 256, 56, 56]
        c4 = self.conv4(self.pool3(c3))  # [N, 512, 28, 28]
        c5 = self.conv5(self.pool4(c4))  # [N, 512, 14, 14]
        fc7 = self.fc7(self.fc6(self.pool5(c5)))  # [N, 4096, 1, 1] from [N, 512, 7, 7]
        return {1: c1, 2: c2, 4: c3, 8: c4, 16: c5, 32: fc7}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.fc6_deconv(features[32])  # [N, 512, 7, 7]
        x = self.deconv5(self.unpool5(x, features[16]))  # [N, 512, 14, 14]
        x = self.deconv4(self.unpool4(x, features[8]))  # [N, 256, 28, 28]
        x = self.deconv3(self.unpool3(x, features[4]))  # [N, 128, 56, 56]
        x = self.deconv2(self.unpool2(x, features[2]))  # [N, 64, 112, 112]
        x = self.deconv1(self.unpool1(x, features[1]))  # [N, 64, 224, 224]
        return self.score(x)  # [N, K, 224, 224]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


ConvolutionClass = type[nn.Conv2d] | type[nn.ConvTranspose2d]


def _layer(kind: ConvolutionClass, before: int, after: int, size: int, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(kind(before, after, size, padding=padding), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _layers(kind: ConvolutionClass, before: int, *widths: int) -> nn.Sequential:
    """Makes 3x3 convolutions, or transposed ones, of stride 1, each followed by BatchNorm and ReLU."""
    return nn.Sequential(*(_layer(kind, b, a, 3, padding=1) for b, a in zip((before, *widths), widths, strict=False)))


def deconvnet(*, classes: int, in_channels: int, epsilon: Annotated[float, Field(gt=0)] = EPSILON) -> nn.Module:
    """DeconvNet as published. ``epsilon``: what BatchNorm adds to the variance."""
    return DeconvNet(classes=classes, in_channels=in_channels, epsilon=epsilon)

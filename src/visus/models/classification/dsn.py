"""The deeply-supervised net for CIFAR-10.

Lee, Xie, Gallagher, Zhang, Tu: Deeply-supervised nets, AISTATS 2015 (arXiv:1409.5185), with the layers of the authors'
configuration (DSN, examples/best_cifar10_9.65/cifar-10.prototxt): a network in network whose three larger convolutions
each have a companion classifier on their sums, before ReLU. Companions and output learn by the squared hinge loss of
L2-SVMs, one class against the others (loss_layer.cpp); all four count alike, as in that configuration. The paper lets
the companions' share fade during the training; the configuration leaves them out after 50,000 steps (companions=0).
Images were contrast-normalised; here a mean and a deviation for each channel take that place.

Letters: N images, C input channels, K classes; the sizes in comments are for 32x32 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.codecs import SoftmaxClassifierCodec
from visus.models.protocols import Output

SIDE = 32  # of the images in training, which the companions see whole


class SquaredHingeCodec(SoftmaxClassifierCodec):
    """Trains the margins [N,K] of one-against-all classifiers, and decodes them.

    The scores are the softmax of the margins, which orders the classes as they do and is no probability.

    Args:
        companions: weight of each companion's loss.
    """

    def __init__(self, companions: float = 1.0) -> None:
        super().__init__("margins")
        self.companions = companions

    def terms(self, outputs: Output, encoded: Tensor) -> dict[str, Tensor]:
        """Of output and companions: the mean over the images of the sum over the classes of max(0, 1 - y f)^2."""
        terms = {"output": squared_hinge(outputs.logits, encoded)}
        if outputs.auxiliary:
            losses = torch.stack([squared_hinge(f, encoded) for f in outputs.auxiliary])
            terms["companions"] = self.companions * losses.sum()
        return terms

    def logits(self, outputs: Output) -> Tensor:
        """The margins of the output [N,K]."""
        return outputs.logits.float()


def squared_hinge(margins: Tensor, classes: Tensor) -> Tensor:
    """The squared hinge loss, a scalar, of margins [N,K] and class ids [N]."""
    signs = 2.0 * nn.functional.one_hot(classes, margins.shape[1]) - 1
    return (1 - signs * margins.float()).clamp(min=0).square().sum(1).mean()


class DSN(nn.Module):
    """The deeply-supervised net. [N,C,H,W] -> margins [N,K] and, in training, those of three companions.

    Args:
        classes: K.
        in_channels: C.
        dropout: share of the values after each of the two poolings that is dropped in training.
        companions: weight of each companion's loss beside the output's; 0: the companions are not asked.
    """

    channels: Mapping[int, int] = {1: 96, 2: 192, 4: 192}
    head: tuple[str, ...] = ("cccp6", "companion_1", "companion_2", "companion_3")
    classifier_modules: tuple[str, ...] = ("cccp6", "average", "companion_1", "companion_2", "companion_3")
    auxiliary_heads: tuple[str, ...] = ("companion_1", "companion_2", "companion_3")

    def __init__(self, *, classes: int, in_channels: int, dropout: float, companions: float) -> None:
        super().__init__()
        self.auxiliary_weights: tuple[float, ...] = (companions,) * 3
        self.relu = nn.ReLU()
        self.drop = nn.Dropout(dropout)
        self.conv1 = nn.Conv2d(in_channels, 192, 5, padding=2)
        self.cccp1 = nn.Conv2d(192, 160, 1)
        self.cccp2 = nn.Conv2d(160, 96, 1)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = nn.Conv2d(96, 192, 5, padding=2)
        self.cccp3 = nn.Conv2d(192, 192, 1)
        self.cccp4 = nn.Conv2d(192, 192, 1)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv3 = nn.Conv2d(192, 192, 3, padding=1)
        self.cccp5 = nn.Conv2d(192, 192, 1)
        self.cccp6 = nn.Conv2d(192, classes, 1)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.companion_1 = nn.Linear(192 * SIDE * SIDE, classes)
        self.companion_2 = nn.Linear(192 * SIDE * SIDE // 4, classes)
        self.companion_3 = nn.Linear(192 * SIDE * SIDE // 16, classes)
        self.codec = SquaredHingeCodec(companions)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, std=0.05)
                else:
                    # Caffe's "xavier" of that time: uniform in +-sqrt(3 / inputs)
                    nn.init.uniform_(layer.weight, -((3 / layer.in_features) ** 0.5), (3 / layer.in_features) ** 0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def supervised(self, images: Tensor) -> tuple[dict[int, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """The maps by stride, and the outputs (before ReLU) of the three convolutions that feed companions."""
        check_size(images, training=self.training)
        conv1 = self.conv1(images)  # [N, 192, 32, 32]
        cccp2 = self.relu(self.cccp2(self.relu(self.cccp1(self.relu(conv1)))))  # [N, 96, 32, 32]
        conv2 = self.conv2(self.drop(self.pool1(cccp2)))  # [N, 192, 16, 16]
        cccp4 = self.relu(self.cccp4(self.relu(self.cccp3(self.relu(conv2)))))  # [N, 192, 16, 16]
        conv3 = self.conv3(self.drop(self.pool2(cccp4)))  # [N, 192, 8, 8]
        cccp5 = self.relu(self.cccp5(self.relu(conv3)))  # [N, 192, 8, 8]
        return {1: cccp2, 2: cccp4, 4: cccp5}, (conv1, conv2, conv3)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return self.supervised(images)[0]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Output:
        return Output(self.average(self.cccp6(features[4])).flatten(1))  # [N, K]

    def forward(self, images: Tensor) -> Output:
        features, sums = self.supervised(images)
        output = self.from_features(features, images.shape[-2:])
        if not self.training or not self.codec.companions:
            return output
        companions = (self.companion_1, self.companion_2, self.companion_3)
        return Output(output.logits, tuple(head(x.flatten(1)) for head, x in zip(companions, sums, strict=True)))


def check_size(images: Tensor, *, training: bool) -> None:
    """Raises ShapeError if nothing is left for the poolings, or if the companions get another size in training."""
    height, width = images.shape[-2:]
    if min(height, width) < 6 or (training and (height, width) != (SIDE, SIDE)):
        raise ShapeError(
            "the deeply-supervised net cannot take images of this size",
            expected=f"{SIDE}x{SIDE}" + ("" if training else ", or any of 6x6 or more outside training"),
            got=f"{height}x{width}",
            remedy=f"resize the images to {SIDE}x{SIDE}",
        )


def dsn(
    *,
    classes: int,
    in_channels: int,
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    companions: Annotated[float, Field(ge=0)] = 1.0,
) -> nn.Module:
    """The deeply-supervised net for CIFAR-10. ``dropout``: after each pooling; ``companions``: their losses' weight."""
    return DSN(classes=classes, in_channels=in_channels, dropout=dropout, companions=companions)

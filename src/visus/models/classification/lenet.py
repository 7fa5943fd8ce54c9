"""LeNet-5.

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. IEEE 86(11), 1998,
section II-B, figure 2, table I and appendix A.

Editions. ``paper``: as published. ``modern``: as most books restate it. ``course``: the network for 32x32 colour images
that Ng's course Convolutional neural networks (deeplearning.ai, 2017, lecture "CNN example") draws after LeNet-5.

Letters: N images, C input channels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.activations import ScaledTanh
from visus.layers.partial_convolution import PartialConv2d
from visus.layers.radial_basis import EuclideanRBF
from visus.layers.subsampling import TrainedSubsampling
from visus.models.classification.digit_bitmaps import digit_codes
from visus.models.codecs import SoftmaxClassifierCodec

C3_TABLE = (  # Table I: the maps of S2 that each map of C3 sees
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


class LeNet5(nn.Module):
    """LeNet-5 as published: partial C3, trained subsampling, RBF outputs. 60,000 trainable values for one channel.

    [N,C,32,32] -> [N,K] penalties (squared distances to the class codes; the smallest wins).

    Args:
        classes: K. Ten classes get the 7x12 bitmaps of the digits as codes; any other number gets random codes of -1
            and +1, which the paper names as the alternative.
        in_channels: C (the paper: 1).
        rubbish: the constant j > 0 of eq. 9: penalties above it are not pushed up any further. The paper names no
            value; of 1, 10, 40 and 100, 1 was best on scikit-learn's digits (98.5, 97.7, 96.7, 93.2 %; one run each).
    """

    channels: Mapping[int, int] = {2: 6, 4: 16}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("c5", "f6", "output")

    def __init__(self, *, classes: int, in_channels: int, rubbish: float) -> None:
        super().__init__()
        self.squash = ScaledTanh()  # A = 1.7159, S = 2/3
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = TrainedSubsampling(6)
        self.c3 = PartialConv2d(6, C3_TABLE, 5)
        self.s4 = TrainedSubsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = EuclideanRBF(digit_codes() if classes == 10 else random_codes(classes))
        self.codec = PenaltyCodec(rubbish)
        self._initialise()

    def _initialise(self) -> None:
        # Appendix A: uniform in +-2.4 / fan-in, the bias being one more connection of the unit.
        for layer in (self.c1, self.c5, self.f6):
            bound = 2.4 / layer.weight[0].numel()
            for values in layer.parameters():
                nn.init.uniform_(values, -bound, bound)
        self.c3.reset_parameters(gain=2.4, power=1.0)
        for values in (*self.s2.parameters(), *self.s4.parameters()):
            nn.init.uniform_(values, -2.4 / 4, 2.4 / 4)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images)
        x = self.squash(self.c1(images))  # [N, 6, 28, 28]
        s2 = self.squash(self.s2(x))  # [N, 6, 14, 14]
        x = self.squash(self.c3(s2))  # [N, 16, 10, 10]
        s4 = self.squash(self.s4(x))  # [N, 16, 5, 5]
        return {2: s2, 4: s4}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.squash(self.c5(features[4]))  # [N, 120, 1, 1]
        x = self.squash(self.f6(x.flatten(1)))  # [N, 84]
        return self.output(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class PenaltyCodec(SoftmaxClassifierCodec):
    """Reads LeNet-5's penalties and trains them with the paper's MAP criterion.

    Posterior probabilities are the softmax of the negative penalties.
    """

    def __init__(self, rubbish: float) -> None:
        super().__init__("penalties", sign=-1)
        self.rubbish = rubbish

    def terms(self, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
        """Equation 9: the penalty of the true class, plus the log of the sum over all classes and the rubbish class."""
        penalties = outputs.float()
        true = penalties.gather(1, encoded[:, None])[:, 0]  # [N]
        rubbish = penalties.new_full((len(penalties), 1), self.rubbish)
        competition = torch.logsumexp(-torch.cat([penalties, rubbish], 1), 1)  # [N]
        return {"map": (true + competition).mean()}

    def logits(self, outputs: Tensor) -> Tensor:
        """The negative penalties [N,K], whose softmax are the posterior probabilities."""
        return -outputs.float()


class ModernLeNet5(nn.Module):
    """LeNet-5 as it is taught: full C3, average pooling, linear output. 61,706 trainable values for one channel.

    [N,C,32,32] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {2: 6, 4: 16}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("c5", "f6", "output")

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)
        self.squash = nn.Tanh()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images)
        x = self.squash(self.c1(images))  # [N, 6, 28, 28]
        s2 = self.s2(x)  # [N, 6, 14, 14]
        x = self.squash(self.c3(s2))  # [N, 16, 10, 10]
        s4 = self.s4(x)  # [N, 16, 5, 5]
        return {2: s2, 4: s4}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.squash(self.c5(features[4]))  # [N, 120, 1, 1]
        x = self.squash(self.f6(x.flatten(1)))  # [N, 84]
        return self.output(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class CourseLeNet5(nn.Module):
    """The network of Ng's course after LeNet-5: max pooling, ReLU, dense layers. 62,958 trainable values for colour.

    [N,C,32,32] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C (the course: 3).
    """

    channels: Mapping[int, int] = {2: 8, 4: 16}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("fc3", "fc4", "output")

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 5)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 16, 5)
        self.pool2 = nn.MaxPool2d(2)
        self.fc3 = nn.Linear(16 * 5 * 5, 120)
        self.fc4 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)
        self.relu = nn.ReLU()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images)
        x = self.relu(self.conv1(images))  # [N, 8, 28, 28]
        p1 = self.pool1(x)  # [N, 8, 14, 14]
        x = self.relu(self.conv2(p1))  # [N, 16, 10, 10]
        p2 = self.pool2(x)  # [N, 16, 5, 5]
        return {2: p1, 4: p2}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.relu(self.fc3(features[4].flatten(1)))  # [N, 120]
        x = self.relu(self.fc4(x))  # [N, 84]
        return self.output(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def check_size(images: Tensor) -> None:
    """C5's 5x5 kernels (or the course's dense layer) must cover the last maps exactly, as only 32 to 35 pixels give.

    Raises:
        ShapeError: for any other size.
    """
    height, width = images.shape[-2:]
    if not (32 <= height < 36 and 32 <= width < 36):
        raise ShapeError(
            "LeNet-5 cannot take images of this size",
            expected="32x32",
            got=f"{height}x{width}",
            remedy="resize the images to 32x32",
        )


def random_codes(classes: int) -> Tensor:
    """[K,84] of -1 and +1 with equal probability, the same in every process."""
    generator = torch.Generator().manual_seed(1998)
    return torch.randint(0, 2, (classes, 84), generator=generator) * 2.0 - 1.0


def lenet5(*, classes: int, in_channels: int, rubbish: Annotated[float, Field(gt=0)] = 1.0) -> nn.Module:
    """LeNet-5 as published. ``rubbish``: the constant j of eq. 9."""
    return LeNet5(classes=classes, in_channels=in_channels, rubbish=rubbish)


def lenet5_modern(*, classes: int, in_channels: int) -> nn.Module:
    """LeNet-5 as it is taught."""
    return ModernLeNet5(classes=classes, in_channels=in_channels)


def lenet5_course(*, classes: int, in_channels: int) -> nn.Module:
    """The network of Ng's course after LeNet-5."""
    return CourseLeNet5(classes=classes, in_channels=in_channels)

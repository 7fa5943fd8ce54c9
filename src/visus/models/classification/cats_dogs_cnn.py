"""The CNN for cats and dogs of the teaching books.

Chollet: Deep Learning with Python, 2017, listing 5.5 (and 5.13: a dropout of 0.5 before the dense layers);
3,453,121 trainable values.

Letters: N images, C input channels, K classes; the sizes in comments are for 150x150 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.answers.classification import BinaryReader
from visus.models.classification.mnist_networks import check_rest, check_size, initialise_as_keras, pooled
from visus.models.codecs import ClassifierCodec, arrays_of


class CatsDogsCNN(nn.Module):
    """Four convolutions with max pooling, then two dense layers.

    [N,C,H,W] -> [N,1], the logit of class 1, for two classes; [N,K] logits for any other number.

    Args:
        classes: K.
        in_channels: C.
        size: (H, W); the first dense layer's width follows from it.
        dropout: share of the values before the dense layers that is dropped in training.

    Raises:
        ShapeError: if ``size`` leaves no pixel for the dense layers.
    """

    channels: Mapping[int, int] = {1: 32, 2: 64, 4: 128, 8: 128}
    head: tuple[str, ...] = ("dense_2",)
    classifier_modules: tuple[str, ...] = ("pool_4", "dropout", "dense_1", "dense_2")

    def __init__(self, *, classes: int, in_channels: int, size: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.size = size
        self.conv_1 = nn.Conv2d(in_channels, 32, 3)
        self.conv_2 = nn.Conv2d(32, 64, 3)
        self.conv_3 = nn.Conv2d(64, 128, 3)
        self.conv_4 = nn.Conv2d(128, 128, 3)
        height, width = (pooled(pooled(pooled(pooled(n)))) for n in size)
        check_rest(size, (height, width), smallest=46)
        self.dropout = nn.Dropout(dropout)
        self.dense_1 = nn.Linear(128 * height * width, 512)
        self.dense_2 = nn.Linear(512, 1 if classes == 2 else classes)
        self.codec = BinaryCodec() if classes == 2 else None
        self.pool_1 = nn.MaxPool2d(2)
        self.pool_2 = nn.MaxPool2d(2)
        self.pool_3 = nn.MaxPool2d(2)
        self.pool_4 = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        initialise_as_keras(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size("cats and dogs CNN", images, self.size)
        c1 = self.relu(self.conv_1(images))  # [N, 32, 148, 148]
        c2 = self.relu(self.conv_2(self.pool_1(c1)))  # [N, 64, 72, 72]
        c3 = self.relu(self.conv_3(self.pool_2(c2)))  # [N, 128, 34, 34]
        c4 = self.relu(self.conv_4(self.pool_3(c3)))  # [N, 128, 15, 15]
        return {1: c1, 2: c2, 4: c3, 8: c4}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.pool_4(features[8]).flatten(1)  # [N, 6272]
        x = self.relu(self.dense_1(self.dropout(x)))  # [N, 512]
        return self.dense_2(x)  # [N, 1] or [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class BinaryCodec(ClassifierCodec):
    """Reads one logit as the probability of class 1 of two, and trains it with binary cross-entropy."""

    def encode(self, targets: Tensor, device: torch.device) -> Tensor:
        """Class ids [N] as probabilities of class 1: [N,1] float32."""
        return targets.to(device, torch.float32)[:, None]

    def terms(self, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
        """The mean binary cross-entropy of logits [N,1]."""
        return {"binary_cross_entropy": nn.functional.binary_cross_entropy_with_logits(outputs.float(), encoded)}

    def logits(self, outputs: Tensor) -> Tensor:
        """The logit of class 1, and its negative for class 0: [N,2]."""
        return torch.cat([-outputs.float(), outputs.float()], 1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Logits [N,1] as probabilities [N,2]."""
        scores = BinaryReader().scores(arrays_of(self.named_outputs(outputs)))
        return torch.from_numpy(scores).to(outputs.device)

    def named_outputs(self, outputs: Tensor) -> dict[str, Tensor]:
        """ "logit" [N,1] of class 1."""
        return {"logit": outputs}

    def reader(self, network: nn.Module) -> BinaryReader:
        """Reads the logit."""
        return BinaryReader()


def cats_dogs_cnn(
    *,
    classes: int,
    in_channels: int,
    size: tuple[int, int] = (150, 150),
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
) -> nn.Module:
    """Chollet's CNN for cats and dogs. ``size``: (height, width) of the images; ``dropout``: 0.5 in listing 5.13."""
    return CatsDogsCNN(classes=classes, in_channels=in_channels, size=size, dropout=dropout)

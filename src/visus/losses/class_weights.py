"""Weights that make rare classes count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.errors import ShapeError
from visus.structures import Label, SegmentationMap


def balanced_weights(frequencies: Tensor) -> Tensor:
    """[K] weights 1 / (P f), P being the number of classes that occur: their mean over the data is 1.

    Args:
        frequencies: [K] >= 0, counts or shares of the classes.

    Returns:
        [K] float32; 1 for classes that do not occur.
    """
    shares = frequencies.to(torch.float32) / frequencies.sum().clamp(min=1e-12)
    present = shares > 0
    weights = 1 / (present.sum() * shares)  # infinite for absent classes
    return torch.where(present, weights, 1.0)


def count_classes(targets: Tensor, classes: int) -> Tensor:
    """[K] int64: how often each class occurs in a batch's ids [N,...]; ids outside 0..K-1 are left out."""
    counted = (targets >= 0) & (targets < classes)
    return torch.bincount(targets.where(counted, classes).flatten(), minlength=classes + 1)[:classes]


def class_frequencies(targets: Iterable[Label | SegmentationMap], classes: int) -> tuple[float, ...]:
    """The share of each class in labels or in the pixels of maps; ignored pixels are left out.

    Args:
        targets: the truth of the training images, one after the other.
        classes: K.

    Returns:
        K shares in [0, 1] that sum to 1, or zeros when there is nothing to count.
    """
    counts: NDArray[np.int64] = np.zeros(256, np.int64) if classes <= 256 else np.zeros(classes, np.int64)
    for target in targets:
        if isinstance(target, Label):
            counts[target.index] += 1
        else:
            counts[:256] += np.bincount(target.map.ravel(), minlength=256)
    shares = counts[:classes] / max(int(counts[:classes].sum()), 1)
    return tuple(float(share) for share in shares)


def check_frequencies(frequencies: Sequence[float], classes: int) -> Tensor:
    """[K] float32.

    Raises:
        ShapeError: unless there is one finite number >= 0 a class, and one of them is above 0.
    """
    values = torch.tensor(list(frequencies), dtype=torch.float32)
    if len(values) != classes or not torch.isfinite(values).all() or (values < 0).any() or values.sum() == 0:
        raise ShapeError(
            "class frequencies need one share a class",
            expected=f"{classes} numbers >= 0, not all of them 0",
            got=str(list(frequencies)[:20]),
        )
    return values

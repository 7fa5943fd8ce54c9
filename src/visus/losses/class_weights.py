"""Weights that make rare classes count as much as frequent ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.errors import ShapeError
from visus.structures import Value


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


def positive_weights(shares: Tensor) -> Tensor:
    """[K] weights (1 - p) / p of the images that show a class: together they count as much as those that do not.

    Args:
        shares: [K] p in [0, 1], the share of the images that show each class.

    Returns:
        [K] float32; 1 for classes that no image or every image shows.
    """
    p = shares.to(torch.float32)
    return torch.where((p > 0) & (p < 1), (1 - p) / p, 1.0)


def median_weights(frequencies: Tensor) -> Tensor:
    """[K] weights median(f) / f over the classes that occur: median frequency balancing.

    Eigen and Fergus, ICCV 2015, section 6.3.2: f is the share of a class in the pixels of those images that show it
    (:func:`shown_frequencies`); the class of the median has weight 1.

    Args:
        frequencies: [K] >= 0.

    Returns:
        [K] float32; 1 for classes that do not occur.
    """
    shares = frequencies.to(torch.float32)
    present = shares > 0
    middle = shares[present].quantile(0.5) if present.any() else shares.new_ones(())
    return torch.where(present, middle / shares, 1.0)


def shown_frequencies(counts: Tensor) -> Tensor:
    """[K] float32: the share of each class in the pixels of those images that show it; 0 for one that none shows.

    Args:
        counts: [N,K], how often each class occurs in each image.
    """
    shown = counts > 0
    pixels = (shown * counts.sum(1, keepdim=True)).sum(0)  # [K]
    return counts.sum(0).to(torch.float32) / pixels.clamp(min=1)


def count_classes(targets: Tensor, classes: int) -> Tensor:
    """[K] int64: how often each class occurs in a batch's ids [N,...]; ids outside 0..K-1 are left out."""
    counted = (targets >= 0) & (targets < classes)
    return torch.bincount(targets.where(counted, classes).flatten(), minlength=classes + 1)[:classes]


def class_frequencies(targets: Iterable[Value], classes: int, *, where_shown: bool = False) -> tuple[float, ...]:
    """The share of each class in labels or in the pixels of maps; ignored pixels are left out.

    Args:
        targets: the truth of the training images, one after the other.
        classes: K.
        where_shown: the share in the pixels of those images that show the class (see :func:`shown_frequencies`).

    Returns:
        K shares in [0, 1], zeros when there is nothing to count; without ``where_shown`` they sum to 1.
    """
    counts: NDArray[np.int64] = np.zeros(classes, np.int64)
    pixels: NDArray[np.int64] = np.zeros(classes, np.int64)
    for target in targets:
        shown = target.class_counts()
        counts += shown
        pixels += shown.sum() * (shown > 0 if where_shown else 1)
    shares = counts / np.maximum(pixels, 1)
    return tuple(float(share) for share in shares)


def image_shares(targets: Iterable[Value], classes: int) -> tuple[float, ...]:
    """The share of the images that show each class, of those of which it is known.

    Args:
        targets: the truth of the training images, one after the other.
        classes: K.

    Returns:
        K shares in [0, 1]; 0 for a class of which nothing is known. Where each image has one class, they sum to 1.
    """
    shown: NDArray[np.int64] = np.zeros(classes, np.int64)
    known: NDArray[np.int64] = np.zeros(classes, np.int64)
    for target in targets:
        shown += target.class_counts() > 0
        ignored = getattr(target, "ignored", None)  # a class of a whole image may be unknown
        known += 1 if ignored is None else ~ignored
    return tuple((shown / np.maximum(known, 1)).tolist())


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

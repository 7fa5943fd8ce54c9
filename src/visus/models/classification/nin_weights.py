"""Renames the weights that Network in Network's authors released for Caffe to the names of visus."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from visus.models.caffe_layers import Arrays, Kernel, Source, converted

_CIFAR = (("conv1", "cccp1", "cccp2"), ("conv2", "cccp3", "cccp4"), ("conv3", "cccp5", "cccp6"))
_IMAGENET = (*_CIFAR, ("conv4-1024", "cccp7-1024", "cccp8-1024"))


def from_caffe_cifar(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of cifar10_nin as our state.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, table(_CIFAR), "cifar10_nin")


def from_caffe_imagenet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of nin_imagenet as our state.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, table(_IMAGENET), "nin_imagenet")


def table(layers: Sequence[Sequence[str]]) -> dict[str, Source]:
    """The three convolutions of each of our mlpconv layers with Caffe's."""
    return {
        f"mlpconv{number}.{ours}": Kernel(its)
        for number, names in enumerate(layers, 1)
        for ours, its in zip(("conv", "cccp1", "cccp2"), names, strict=True)
    }

"""Renames the weights that VGG's authors released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.vgg import KERNELS, Configuration


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG_ILSVRC_16_layers (configuration D) or VGG_ILSVRC_19_layers (E) as our state.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    if "conv3_4.0" in arrays:
        return converted(arrays, table("E"), "VGG_ILSVRC_19_layers")
    return converted(arrays, table("D"), "VGG_ILSVRC_16_layers")


def table(configuration: Configuration) -> dict[str, Source]:
    """Our layers with Caffe's."""
    sources: dict[str, Source] = {}
    index = 0
    for stage, kernels in enumerate(KERNELS[configuration], 1):
        for number in range(1, len(kernels) + 1):
            sources[f"features.{index}"] = Kernel(f"conv{stage}_{number}")
            index += 2  # a ReLU follows each
        index += 1  # and a pooling the stage
    return sources | {f"classifier.{index}": Dense(f"fc{number}") for index, number in ((0, 6), (3, 7), (6, 8))}

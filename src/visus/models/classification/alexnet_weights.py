"""Renames the weights of Caffe's AlexNet to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_file import CaffeLayer
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted

TABLE: dict[str, Source] = {
    **{name: Kernel(name) for name in ("conv1", "conv2", "conv3", "conv4", "conv5")},
    **{name: Dense(name) for name in ("fc6", "fc7", "fc8")},
}
"""The layers have Caffe's names."""


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of bvlc_alexnet as our state.

    CaffeNet (bvlc_reference_caffenet) has the same names and shapes, but pools before it normalises. Only the order of
    the file's layers tells the two apart.

    Raises:
        WeightsError: if an array is missing or not one of that network's, the file is CaffeNet's, or it does not say
            which of the two it is.
    """
    state = converted(arrays, TABLE, "Caffe's AlexNet")
    if normalises_first(getattr(arrays, "layers", ())):
        return state
    raise WeightsError(
        "these are the weights of CaffeNet, which pools before it normalises",
        expected="those of bvlc_alexnet, whose response normalisation comes first",
        got="the layers of bvlc_reference_caffenet: equal shapes and names, in another order",
        remedy="take bvlc_alexnet.caffemodel; CaffeNet's file is what fcn_alexnet begins with",
    )


def normalises_first(layers: tuple[CaffeLayer, ...]) -> bool:
    """Whether the first response normalisation comes before the first pooling, as in AlexNet, or after, as in CaffeNet.

    Raises:
        WeightsError: if the layers do not say it.
    """
    order = [layer.type for layer in layers if layer.type in ("LRN", "Pooling")]
    if {"LRN", "Pooling"} <= set(order):
        return order[0] == "LRN"
    raise WeightsError(
        "AlexNet's weights cannot be told from CaffeNet's in this file",
        expected="a file that lists the layers without weights, too: pooling and response normalisation",
        got="arrays of equal names and shapes in both",
        remedy="take the file as Caffe wrote it, with all layers of its network",
    )

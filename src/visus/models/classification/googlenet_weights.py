"""Renames the weights of Caffe's GoogLeNet to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.googlenet import INCEPTION

_STEM = {"conv1": "conv1/7x7_s2", "conv2": "conv2/3x3_reduce", "conv3": "conv2/3x3"}
_BRANCHES = {
    "branch1": "1x1",
    "branch2.0": "3x3_reduce",
    "branch2.1": "3x3",
    "branch3.0": "5x5_reduce",
    "branch3.1": "5x5",
    "branch4.1": "pool_proj",
}
_HEADS = {"aux1": "loss1", "aux2": "loss2"}


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of bvlc_googlenet, which has both auxiliary heads, as our state.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, table(), "bvlc_googlenet")


def table() -> dict[str, Source]:
    """Our layers with Caffe's."""
    convolutions = dict(_STEM)
    for module in INCEPTION:
        convolutions |= {f"inception{module}.{ours}": f"inception_{module}/{its}" for ours, its in _BRANCHES.items()}
    convolutions |= {f"{ours}.conv": f"{its}/conv" for ours, its in _HEADS.items()}
    sources: dict[str, Source] = {f"{ours}.conv": Kernel(its) for ours, its in convolutions.items()}
    for ours, its in _HEADS.items():
        sources |= {f"{ours}.fc1": Dense(f"{its}/fc"), f"{ours}.fc2": Dense(f"{its}/classifier")}
    return sources | {"fc": Dense("loss3/classifier")}

"""Renames the weights that the authors of SE-BN-Inception released for Caffe to the names of visus."""

from __future__ import annotations

from torch import Tensor

from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.bn_inception import CAFFE
from visus.models.classification.senet_weights import with_norm

_STEM = {"conv1": "conv1/7x7_s2", "conv2": "conv2/3x3_reduce", "conv3": "conv2/3x3"}
_BRANCHES = {
    "branch1": "1x1",
    "branch2.0": "3x3_reduce",
    "branch2.1": "3x3",
    "branch3.0": "double3x3_reduce",
    "branch3.1": "double3x3a",
    "branch3.2": "double3x3b",
    "branch4.1": "pool_proj",
}
_OF_EVERY_MODULE = ("branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch3.2")


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of SE-BN-Inception as our state.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, table(), "the authors' SE-BN-Inception")


def table() -> dict[str, Source]:
    """Our layers with Caffe's."""
    convolutions = dict(_STEM)
    gates: dict[str, Source] = {}
    for module, row in CAFFE.items():
        for ours, its in _BRANCHES.items():
            if row[0] or ours in _OF_EVERY_MODULE:  # 3c and 4e, which halve the map, have two convolved branches
                convolutions[f"inception.{module}.0.{ours}"] = f"inception_{module}/{its}"
        gates[f"inception.{module}.1.fc1"] = Kernel(f"inception_{module}_1x1_down")
        gates[f"inception.{module}.1.fc2"] = Kernel(f"inception_{module}_1x1_up")
    sources = dict(gates)
    for ours, its in convolutions.items():
        sources |= with_norm(f"{ours}.conv", f"{ours}.bn", its)
    return sources | {"fc": Dense("classifier")}

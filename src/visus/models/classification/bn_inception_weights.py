"""Renames the weights of Caffe's BN-Inception, as ported to PyTorch, to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError

_STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2", "conv2_3x3": "conv3"}
_BRANCHES = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "double_3x3_reduce": "branch3.0",
    "double_3x3_1": "branch3.1",
    "double_3x3_2": "branch3.2",
    "pool_proj": "branch4.1",
}


def from_caffe(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts the state of the ports by Xiong (temporal segment networks) and Cadene (pretrained-models.pytorch).

    Some files hold BatchNorm's values as [1,C], as Caffe does.

    Raises:
        WeightsError: if a name is none of that network's.
    """
    return {_name(name): value.flatten() if "_bn." in name else value for name, value in values.items()}


def _name(name: str) -> str:
    layer, _, value = name.rpartition(".")
    if layer in ("last_linear", "fc"):
        return f"fc.{value}"
    part = "bn" if layer.endswith("_bn") else "conv"
    layer = layer.removesuffix("_bn")
    match = re.fullmatch(r"inception_(3[a-c]|4[a-e]|5[ab])_(\w+)", layer)
    if match is not None and match[2] in _BRANCHES:
        return f"inception.{match[1]}.{_BRANCHES[match[2]]}.{part}.{value}"
    if layer in _STEM:
        return f"{_STEM[layer]}.{part}.{value}"
    raise WeightsError(
        "these are not the weights of Caffe's BN-Inception",
        got=f"a value named {name}",
        remedy="choose a file of that network",
    )

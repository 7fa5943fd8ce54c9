"""Renames the weights of Caffe's BN-Inception, its own file or its ports to PyTorch, to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, WholeNorm, converted
from visus.models.classification.bn_inception import CAFFE

_CAFFE_STEM = {"conv1/7x7_s2": "conv1", "conv2/3x3_reduce": "conv2", "conv2/3x3": "conv3"}
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


def from_caffemodel(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of Caffe's BN-Inception, as the temporal segment networks begin with it, as our state.

    Its convolutions and BatchNorms have the names of the ports, with other signs; its BatchNorm is yjxiong/caffe's, of
    four arrays. The last layer, whatever its name, is the dense one.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    sources: dict[str, Source] = {}
    convolutions = dict(_CAFFE_STEM)
    for module, row in CAFFE.items():
        for its, ours in _BRANCHES.items():
            if row[0] or ours.startswith(("branch2", "branch3")):  # 3c and 4e have two convolved branches
                convolutions[f"inception_{module}/{its}"] = f"inception.{module}.{ours}"
    for its, ours in convolutions.items():
        sources |= {f"{ours}.conv": Kernel(its), f"{ours}.bn": WholeNorm(f"{its}_bn")}
    used = {name for source in sources.values() for name in source.arrays}
    last = [name.rpartition(".")[0] for name in arrays if name not in used]
    sources["fc"] = Dense(last[0] if last else "fc")
    return converted(arrays, sources, "Caffe's BN-Inception")

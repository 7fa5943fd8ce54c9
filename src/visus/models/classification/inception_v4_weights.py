"""Renames timm's weights of Inception-v4 and Inception-ResNet-v2 to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError

_TAILS = (  # of a layer's name, the first that fits
    (r"^branch1_0\.", "1.0."),  # Inception-v4's C modules, whose branches fork
    (r"^branch1_1a\.", "1.1.0."),
    (r"^branch1_1b\.", "1.1.1."),
    (r"^branch2_([012])\.", r"2.\1."),
    (r"^branch2_3a\.", "2.3.0."),
    (r"^branch2_3b\.", "2.3.1."),
    (r"^branch(\d)\.", r"\1."),
)
_V4_STEM = {"3": "1.", "5": "0."}  # the convolution's index beside a pooling
_V2_INDICES = {"1a": 0, "2a": 1, "2b": 2, "3b": 4, "4a": 5, "5b": 7, "6a": 18, "7a": 39, "7b": 50}
_V2_REPEATS = {"repeat": 8, "repeat_1": 19, "repeat_2": 40}


def v4_from_timm(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of timm's ``inception_v4``.

    Raises:
        WeightsError: if a name is none of that network's.
    """
    return {_v4_name(name): value for name, value in values.items()}


def _v4_name(name: str) -> str:
    if name.startswith("last_linear."):
        return name.replace("last_linear", "classifier")
    match = re.fullmatch(r"features\.(\d+)\.(.*)", name)
    if match is None:
        raise _foreign(name, "inception_v4")
    index, rest = match.groups()
    if index in _V4_STEM:
        rest = rest.replace("conv.", _V4_STEM[index], 1)
    return f"features.{index}.{_tail(rest)}"


def resnet_v2_from_timm(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of timm's ``inception_resnet_v2``.

    Raises:
        WeightsError: if a name is none of that network's.
    """
    return {_resnet_v2_name(name): value for name, value in values.items()}


def _resnet_v2_name(name: str) -> str:
    if name.startswith("classif."):
        return name.replace("classif", "classifier")
    if match := re.fullmatch(r"(?:conv2d|mixed)_(\d[ab])\.(.*)", name):
        return f"features.{_V2_INDICES.get(match[1], match[1])}.{_tail(match[2])}"
    if match := re.fullmatch(r"(repeat(?:_[12])?)\.(\d+)\.(.*)", name):
        return f"features.{_V2_REPEATS[match[1]] + int(match[2])}.{_residual_tail(match[3])}"
    if match := re.fullmatch(r"block8\.(.*)", name):
        return f"features.49.{_residual_tail(match[1])}"
    raise _foreign(name, "inception_resnet_v2")


def _tail(rest: str) -> str:
    for theirs, ours in _TAILS:
        if re.search(theirs, rest):
            return re.sub(theirs, ours, rest, count=1)
    return rest


def _residual_tail(rest: str) -> str:
    """A name within a residual module; a branch of one convolution is a chain of one here."""
    if rest.startswith("conv2d."):
        return rest.replace("conv2d", "linear")
    return re.sub(r"^branch0\.", "branches.0.0.", rest) if rest.startswith("branch0.") else f"branches.{_tail(rest)}"


def _foreign(name: str, network: str) -> WeightsError:
    return WeightsError(
        f"these are not the weights of timm's {network}",
        got=f"a value named {name}",
        remedy="choose a file of that network",
    )

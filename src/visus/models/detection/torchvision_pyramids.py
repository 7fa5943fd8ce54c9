"""What torchvision's detectors on a feature pyramid share: the names of their backbone's layers, and frozen norms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from visus.errors import WeightsError

EPSILON = 1e-5  # of our BatchNorm
Names = Sequence[tuple[str, str]]
"""Patterns of their names, newer or older than the layers that torchvision put in sequences, and ours."""

PYRAMID: Names = (
    (r"backbone\.body\.(.+)", r"backbone.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"pyramid.lateral.\1.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"pyramid.output.\1.\2"),
)


def renamed(state: Mapping[str, Tensor], names: Names, network: str) -> dict[str, Tensor]:
    """The state under our names.

    Raises:
        WeightsError: if a value is none of that network's.
    """
    return {_name(theirs, names, network): value for theirs, value in state.items()}


def _name(theirs: str, names: Names, network: str) -> str:
    for pattern, ours in names:
        if re.fullmatch(pattern, theirs):
            return re.sub(pattern, ours, theirs)
    raise WeightsError(
        f"these are not the weights of torchvision's {network}",
        expected="its layers only",
        got=theirs,
        remedy="choose a file of that network",
    )


def correct_norms(state: dict[str, Tensor], epsilon: float, network: str) -> None:
    """Corrects each norm's factor in place, so that the network answers the same with our epsilon.

    The published files were trained with frozen norms that add no epsilon to the variance. Ours add 1e-5.

    Args:
        state: under our names.
        epsilon: what the file's norms add to the variance.
        network: torchvision's name of it, for the error.

    Raises:
        WeightsError: if a norm has no factor.
    """
    for name in [name for name in state if name.endswith("running_var")]:
        norm = name.removesuffix("running_var")
        if f"{norm}weight" not in state:
            raise WeightsError(f"these are not the weights of torchvision's {network}", expected=f"{norm}weight")
        variance = state[name].double()
        factor = ((variance + EPSILON) / (variance + epsilon)).sqrt()
        state[f"{norm}weight"] = (state[f"{norm}weight"].double() * factor).to(state[f"{norm}weight"].dtype)
        state.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))

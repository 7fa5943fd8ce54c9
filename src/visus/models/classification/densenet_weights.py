"""Renames torchvision's published DenseNet weights, whose files keep older layer names than its code."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError

_OLD_NAME = re.compile(r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|conv))\.([12])\.")


def from_torchvision(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts the state of a DenseNet: "denselayer1.norm.1.weight" is "denselayer1.norm1.weight".

    Raises:
        WeightsError: if no name is that of a DenseNet's layer.
    """
    if not any(name.startswith("features.denseblock1.denselayer1.") for name in values):
        raise WeightsError(
            "these are not the weights of a DenseNet",
            got=f"values such as {next(iter(values), 'none')}",
            remedy="choose a file of that network",
        )
    return {_OLD_NAME.sub(r"\1\2.", name): value for name, value in values.items()}

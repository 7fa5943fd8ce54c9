"""Renames timm's EfficientNet weights to the names of visus."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError

_OUTER = {
    "conv_stem": "features.0.0",
    "bn1": "features.0.1",
    "conv_head": "features.8.0",
    "bn2": "features.8.1",
    "classifier": "classifier.1",
}
_FIRST_STAGE = {  # its blocks do not expand
    "conv_dw": "0.0",
    "bn1": "0.1",
    "se.conv_reduce": "1.fc1",
    "se.conv_expand": "1.fc2",
    "conv_pw": "2.0",
    "bn2": "2.1",
}
_OTHER_STAGES = {
    "conv_pw": "0.0",
    "bn1": "0.1",
    "conv_dw": "1.0",
    "bn2": "1.1",
    "se.conv_reduce": "2.fc1",
    "se.conv_expand": "2.fc2",
    "conv_pwl": "3.0",
    "bn3": "3.1",
}


def from_timm(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of timm's ``efficientnet_b0`` to ``tf_efficientnet_b7``.

    Raises:
        WeightsError: if there is a name that these networks do not have.
    """
    return {_ours(name): value for name, value in values.items()}


def _ours(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    if layer in _OUTER:
        return f"{_OUTER[layer]}.{kind}"
    blocks, _, rest = layer.partition(".")
    stage, _, rest = rest.partition(".")
    block, _, part = rest.partition(".")
    parts = _FIRST_STAGE if stage == "0" else _OTHER_STAGES
    if blocks != "blocks" or not stage.isdigit() or part not in parts:
        raise WeightsError(
            "these are not the weights of timm's EfficientNet",
            expected=f"names such as {next(iter(_OUTER))}.weight",
            got=name,
            remedy="choose a file of this network",
        )
    return f"features.{int(stage) + 1}.{block}.block.{parts[part]}.{kind}"

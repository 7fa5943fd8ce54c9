"""Renames torchvision's ``retinanet_resnet50_fpn`` weights to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from visus.errors import WeightsError

_EPSILON = 1e-5  # of our BatchNorm
_NAMES = (  # theirs, newer or older than the layers that torchvision put in sequences, and ours
    (r"backbone\.body\.(.+)", r"backbone.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"pyramid.lateral.\1.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"pyramid.output.\1.\2"),
    (r"backbone\.fpn\.extra_blocks\.(p6|p7)\.(weight|bias)", r"\1.\2"),
    (r"head\.classification_head\.cls_logits\.(weight|bias)", r"class_logits.\1"),
    (r"head\.regression_head\.bbox_reg\.(weight|bias)", r"box_offsets.\1"),
)
_SUBNETS = {"classification": "class_subnet", "regression": "box_subnet"}


def from_torchvision(state: Mapping[str, Tensor], *, epsilon: float = 0.0) -> dict[str, Tensor]:
    """The state of torchvision's ``retinanet_resnet50_fpn`` as that of our edition ``torchvision``.

    The published file was trained with frozen norms that add no epsilon to the variance. Ours add 1e-5; each norm's
    factor is corrected for it, so that the network answers the same.

    Args:
        state: the file's values; the older names of its layers and the newer ones are both understood.
        epsilon: what the file's norms add to the variance; 1e-5 for a network that torchvision builds without weights.

    Raises:
        WeightsError: if a value is none of that network's.
    """
    converted = {_name(theirs): value for theirs, value in state.items()}
    for name in [name for name in converted if name.endswith("running_var")]:
        norm = name.removesuffix("running_var")
        if f"{norm}weight" not in converted:
            raise WeightsError(
                "these are not the weights of torchvision's retinanet_resnet50_fpn", expected=f"{norm}weight"
            )
        variance = converted[name].double()
        factor = ((variance + _EPSILON) / (variance + epsilon)).sqrt()
        converted[f"{norm}weight"] = (converted[f"{norm}weight"].double() * factor).to(converted[f"{norm}weight"].dtype)
        converted.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))
    return converted


def _name(theirs: str) -> str:
    match = re.fullmatch(r"head\.(classification|regression)_head\.conv\.(\d)(\.0)?\.(weight|bias)", theirs)
    if match:  # newer: conv.1.0 is the second block's convolution; older: conv.2 is the second convolution
        kind, index, newer, part = match.groups()
        return f"{_SUBNETS[kind]}.{2 * int(index) if newer else int(index)}.{part}"
    for pattern, ours in _NAMES:
        if re.fullmatch(pattern, theirs):
            return re.sub(pattern, ours, theirs)
    raise WeightsError(
        "these are not the weights of torchvision's retinanet_resnet50_fpn",
        expected="its layers only",
        got=theirs,
        remedy="choose a file of that network",
    )

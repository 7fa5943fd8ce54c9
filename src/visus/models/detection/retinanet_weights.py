"""Renames torchvision's ``retinanet_resnet50_fpn`` weights to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.models.detection.torchvision_pyramids import PYRAMID, correct_norms, renamed

_NETWORK = "retinanet_resnet50_fpn"
_NAMES = (
    *PYRAMID,
    (r"backbone\.fpn\.extra_blocks\.(p6|p7)\.(weight|bias)", r"\1.\2"),
    (r"head\.classification_head\.cls_logits\.(weight|bias)", r"class_logits.\1"),
    (r"head\.regression_head\.bbox_reg\.(weight|bias)", r"box_offsets.\1"),
    (r"head\.classification_head\.conv\.(\d)\.(weight|bias)", r"class_subnet.\1.\2"),
    (r"head\.regression_head\.conv\.(\d)\.(weight|bias)", r"box_subnet.\1.\2"),
)


def from_torchvision(state: Mapping[str, Tensor], *, epsilon: float = 0.0) -> dict[str, Tensor]:
    """The state of torchvision's ``retinanet_resnet50_fpn`` as that of our edition ``torchvision``.

    Args:
        state: the file's values; the older names of its layers and the newer ones are both understood.
        epsilon: what the file's norms add to the variance; 1e-5 for a network that torchvision builds without weights.

    Raises:
        WeightsError: if a value is none of that network's.
    """
    converted = renamed({_older(name): value for name, value in state.items()}, _NAMES, _NETWORK)
    correct_norms(converted, epsilon, _NETWORK)
    return converted


def _older(name: str) -> str:
    """A subnet's layer by its older name: ``conv.1.0``, the second block's convolution, was ``conv.2``."""
    return re.sub(
        r"(head\.\w+_head\.conv)\.(\d)\.0\.(weight|bias)",
        lambda match: f"{match[1]}.{2 * int(match[2])}.{match[3]}",
        name,
    )

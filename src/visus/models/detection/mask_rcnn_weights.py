"""Renames torchvision's ``maskrcnn_resnet50_fpn`` weights to the names of visus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from visus.models.detection.faster_rcnn_fpn_weights import NAMES, arrange_bins
from visus.models.detection.torchvision_pyramids import correct_norms, renamed

_NETWORK = "maskrcnn_resnet50_fpn"
_NAMES = (
    *NAMES,
    (r"mask_branch\.convs\.([0246])\.(weight|bias)", r"mask_branch.convs.\1.\2"),
    (r"roi_heads\.mask_predictor\.conv5_mask\.(weight|bias)", r"mask_branch.deconv.\1"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.(weight|bias)", r"mask_branch.logits.\1"),
)


def from_torchvision(state: Mapping[str, Tensor], *, epsilon: float = 0.0) -> dict[str, Tensor]:
    """The state of torchvision's ``maskrcnn_resnet50_fpn`` as that of our edition ``torchvision``.

    Args:
        state: the file's values; the older names of its layers and the newer ones are both understood.
        epsilon: what the file's norms add to the variance; 1e-5 for a network that torchvision builds without weights.

    Raises:
        WeightsError: if a value is none of that network's.
    """
    converted = renamed({_ours(name): value for name, value in state.items()}, _NAMES, _NETWORK)
    correct_norms(converted, epsilon, _NETWORK)
    arrange_bins(converted)
    return converted


def _ours(name: str) -> str:
    """The convolutions of the mask branch by our names: the second one is ``1.0``, and was ``mask_fcn2``; ours is 2."""
    for pattern, first in ((r"roi_heads\.mask_head\.(\d)\.0\.", 0), (r"roi_heads\.mask_head\.mask_fcn(\d)\.", 1)):
        if match := re.match(pattern, name):
            return f"mask_branch.convs.{2 * (int(match[1]) - first)}.{name[match.end() :]}"
    return name

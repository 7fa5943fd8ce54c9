"""Renames torchvision's ``fasterrcnn_resnet50_fpn`` weights to the names of visus."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from visus.models.detection.torchvision_pyramids import PYRAMID, correct_norms, renamed

_NETWORK = "fasterrcnn_resnet50_fpn"
NAMES = (
    *PYRAMID,
    (r"rpn\.head\.conv\.(?:0\.0\.)?(weight|bias)", r"rpn.conv.\1"),
    (r"rpn\.head\.cls_logits\.(weight|bias)", r"rpn.objectness.\1"),
    (r"rpn\.head\.bbox_pred\.(weight|bias)", r"rpn.offsets.\1"),
    (r"roi_heads\.box_head\.(fc6|fc7)\.(weight|bias)", r"\1.\2"),
    (r"roi_heads\.box_predictor\.cls_score\.(weight|bias)", r"class_logits.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(weight|bias)", r"box_offsets.\1"),
)


def from_torchvision(state: Mapping[str, Tensor], *, epsilon: float = 0.0) -> dict[str, Tensor]:
    """The state of torchvision's ``fasterrcnn_resnet50_fpn`` as that of our edition ``torchvision``.

    Args:
        state: the file's values; the older names of its layers and the newer ones are both understood.
        epsilon: what the file's norms add to the variance; 1e-5 for a network that torchvision builds without weights.

    Raises:
        WeightsError: if a value is none of that network's.
    """
    converted = renamed(state, NAMES, _NETWORK)
    correct_norms(converted, epsilon, _NETWORK)
    arrange_bins(converted)
    return converted


def arrange_bins(state: dict[str, Tensor]) -> None:
    """Puts the inputs of ``fc6`` in our order, in place: theirs come channel by channel, ours bin by bin."""
    weight = state.get("fc6.weight")
    channels = state.get("pyramid.output.0.weight")
    if weight is not None and channels is not None:  # what is missing is told where the state is loaded
        state["fc6.weight"] = weight.reshape(len(weight), len(channels), -1).transpose(1, 2).flatten(1)

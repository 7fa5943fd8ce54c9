"""Published weights that fit SSD, under our names.

Layouts are written down as tables from our names to theirs, so that a key too many or too few shows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visus.errors import WeightsError

# (our stage, its convolutions' places in torchvision's ``features``): conv1_1 ... conv4_3
_TO_CONV4_3 = {"conv1": (0, 2), "conv2": (5, 7), "conv3": (10, 12, 14), "conv4": (17, 19, 21)}
_CONV5 = {"conv5": (24, 26, 28)}
_MAPS = 6
_EXTRAS = 4


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of torchvision's ``ssd300_vgg16`` as that of our SSD300.

    Raises:
        WeightsError: if a value is missing or not one of that network's.
    """
    names: dict[str, str] = {}
    for stage, places in _TO_CONV4_3.items():
        for number, place in enumerate(places):
            names[f"backbone.{stage}.{2 * number}"] = f"backbone.features.{place}"
    for number, place in enumerate((1, 3, 5)):  # after pool4
        names[f"backbone.conv5.{2 * number}"] = f"backbone.extra.0.{place}"
    names["backbone.fc6"] = "backbone.extra.0.7.1"
    names["backbone.fc7"] = "backbone.extra.0.7.3"
    for extra in range(_EXTRAS):
        for layer in (0, 2):
            names[f"extras.{extra}.{layer}"] = f"backbone.extra.{extra + 1}.{layer}"
    for level in range(_MAPS):
        names[f"class_heads.{level}"] = f"head.classification_head.module_list.{level}"
        names[f"box_heads.{level}"] = f"head.regression_head.module_list.{level}"
    table = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in names.items() for part in ("weight", "bias")}
    table["backbone.norm4_3.scale"] = "backbone.scale_weight"
    _check(state, set(table.values()), "torchvision's ssd300_vgg16")
    return {ours: state[theirs] for ours, theirs in table.items()}


def from_vgg16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of VGG-16 (torchvision's names) as that of :class:`~visus.models.detection.ssd.ReducedVGG16`.

    fc6 and fc7 are thinned out as the paper's section 3 and the released code do: every fourth of their 4096
    channels, and in fc6 every third of the 7 rows and columns. The L2 norm's scale, which VGG-16 lacks, is left out,
    and so are fc6 and fc7 where the file has no finite values for them (torchvision's "features" weights).

    Raises:
        WeightsError: if a convolution is missing.
    """
    table = {
        f"{stage}.{2 * number}.{part}": f"features.{place}.{part}"
        for stage, places in (_TO_CONV4_3 | _CONV5).items()
        for number, place in enumerate(places)
        for part in ("weight", "bias")
    }
    dense = {f"classifier.{place}.{part}" for place in (0, 3, 6) for part in ("weight", "bias")}
    _check({name: value for name, value in state.items() if name not in dense}, set(table.values()), "VGG-16")
    found = {ours: state[theirs] for ours, theirs in table.items()}
    for ours, theirs, sides in (("fc6", "classifier.0", (512, 7, 7)), ("fc7", "classifier.3", (4096, 1, 1))):
        weight, bias = state.get(f"{theirs}.weight"), state.get(f"{theirs}.bias")
        if weight is None or bias is None or not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            continue
        kernel = weight.reshape(4096, *sides)[::4]
        found[f"{ours}.weight"] = kernel[:, :, ::3, ::3] if ours == "fc6" else kernel[:, ::4]
        found[f"{ours}.bias"] = bias[::4]
    return found


def _check(state: Mapping[str, Tensor], names: set[str], network: str) -> None:
    missing, foreign = sorted(names - set(state)), sorted(set(state) - names)
    if missing or foreign:
        raise WeightsError(
            f"these are not the weights of {network}",
            expected=missing[0] if missing else "no further values",
            got=f"{len(missing)} values missing, {len(foreign)} of another network"
            + (f", such as {foreign[0]}" if foreign else ""),
            remedy="choose a file of that network",
        )

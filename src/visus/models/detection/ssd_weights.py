"""Renames published weights that fit SSD to the names of visus.

Layouts are written down as tables from our names to theirs, so that a key too many or too few shows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Kernel, Source, Values, converted

# (our stage, its convolutions' indices in torchvision's ``features``): conv1_1 ... conv4_3
_TO_CONV4_3: dict[str, tuple[int, ...]] = {
    "conv1": (0, 2),
    "conv2": (5, 7),
    "conv3": (10, 12, 14),
    "conv4": (17, 19, 21),
}
_CONV5: dict[str, tuple[int, ...]] = {"conv5": (24, 26, 28)}
_MAPS = 6
_EXTRAS = 4
_HEADS = ("conv4_3_norm", "fc7")  # Caffe's names of what the first heads read; the others read conv6_2, conv7_2 ...


def from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of torchvision's ``ssd300_vgg16`` as that of our SSD300.

    Raises:
        WeightsError: if a value is missing or not one of that network's.
    """
    names: dict[str, str] = {}
    for stage, indices in _TO_CONV4_3.items():
        for number, index in enumerate(indices):
            names[f"backbone.{stage}.{2 * number}"] = f"backbone.features.{index}"
    for number, index in enumerate((1, 3, 5)):  # after pool4
        names[f"backbone.conv5.{2 * number}"] = f"backbone.extra.0.{index}"
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
        f"{stage}.{2 * number}.{part}": f"features.{index}.{part}"
        for stage, indices in (_TO_CONV4_3 | _CONV5).items()
        for number, index in enumerate(indices)
        for part in ("weight", "bias")
    }
    dense = {f"classifier.{index}.{part}" for index in (0, 3, 6) for part in ("weight", "bias")}
    _check({name: value for name, value in state.items() if name not in dense}, set(table.values()), "VGG-16")
    converted = {ours: state[theirs] for ours, theirs in table.items()}
    for ours, theirs, sides in (("fc6", "classifier.0", (512, 7, 7)), ("fc7", "classifier.3", (4096, 1, 1))):
        weight, bias = state.get(f"{theirs}.weight"), state.get(f"{theirs}.bias")
        if weight is None or bias is None or not bool(torch.isfinite(weight).all() and torch.isfinite(bias).all()):
            continue
        kernel = weight.reshape(4096, *sides)[::4]
        converted[f"{ours}.weight"] = kernel[:, :, ::3, ::3] if ours == "fc6" else kernel[:, ::4]
        converted[f"{ours}.bias"] = bias[::4]
    return converted


def from_caffe(values: Arrays) -> dict[str, Tensor]:
    """The arrays of the authors' SSD300 or SSD512 (weiliu89/caffe, python/caffe/model_libs.py) as our state.

    Nothing is turned round: their order of default boxes (prior_box_layer.cpp), of classes, background first, and of
    offsets (bbox_util.cpp, CENTER_SIZE) is ours. The layers behind fc7 are called conv6_1 to conv9_2, or conv10_2,
    there, and conv8_1 to conv11_2, or conv12_2, in the paper.

    Raises:
        WeightsError: if an array is missing or not one of these networks', or the heads are not of one network.
    """
    extras = _EXTRAS + ("conv10_2.0" in values)
    sources = _vgg16("backbone.")
    heads = list(_HEADS)
    for extra in range(extras):
        for ours, its in ((0, 1), (2, 2)):
            sources[f"extras.{extra}.{ours}"] = Kernel(f"conv{6 + extra}_{its}")
        heads.append(f"conv{6 + extra}_2")
    for level, head in enumerate(heads):
        sources[f"class_heads.{level}"] = Kernel(f"{head}_mbox_conf")
        sources[f"box_heads.{level}"] = Kernel(f"{head}_mbox_loc")
    sources["backbone.norm4_3"] = Values("conv4_3_norm", "scale")
    state = converted(values, sources, "the authors' SSD300 or SSD512")
    boxes = [len(values[f"{head}_mbox_loc.0"]) / 4 for head in heads]
    classes = [len(values[f"{head}_mbox_conf.0"]) / count for head, count in zip(heads, boxes, strict=True)]
    if len(set(classes)) > 1:
        raise WeightsError(
            "the heads of this SSD have different numbers of classes",
            expected="the same number of classes on all maps",
            got=", ".join(f"{count:g}" for count in classes),
            remedy="download the file again, or choose one of SSD300 or SSD512",
        )
    return state


def from_caffe_vgg16(values: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG_ILSVRC_16_layers_fc_reduced, from which the authors begin, as the reduced VGG-16's.

    The L2 norm's scale is not among them; the classifier, fc8, is left.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(values, _vgg16(""), "the reduced VGG-16 (VGG_ILSVRC_16_layers_fc_reduced)", unused=("fc8",))


def _vgg16(prefix: str) -> dict[str, Source]:
    """Our layers of the reduced VGG-16 with Caffe's."""
    sources: dict[str, Source] = {
        f"{prefix}{stage}.{2 * number}": Kernel(f"{stage}_{number + 1}")
        for stage, indices in (_TO_CONV4_3 | _CONV5).items()
        for number in range(len(indices))
    }
    return sources | {f"{prefix}{layer}": Kernel(layer) for layer in ("fc6", "fc7")}


def _check(state: Mapping[str, object], names: set[str], network: str) -> None:
    missing, foreign = sorted(names - set(state)), sorted(set(state) - names)
    if missing or foreign:
        raise WeightsError(
            f"these are not the weights of {network}",
            expected=missing[0] if missing else "no further values",
            got=f"{len(missing)} values missing, {len(foreign)} of another network"
            + (f", such as {foreign[0]}" if foreign else ""),
            remedy="choose a file of that network",
        )

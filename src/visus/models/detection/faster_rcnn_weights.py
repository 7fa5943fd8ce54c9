"""Renames released weights that fit Faster R-CNN to the names of visus."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.vgg import convolutions
from visus.models.detection.faster_rcnn import DEVIATIONS

_ZF_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")


def from_caffe_vgg16(values: Arrays) -> dict[str, Tensor]:
    """The arrays of py-faster-rcnn's network on VGG-16, such as VGG16_faster_rcnn_final.caffemodel.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return _from_caffe(values, _vgg16(), "py-faster-rcnn's network on VGG-16")


def from_caffe_zf(values: Arrays) -> dict[str, Tensor]:
    """The arrays of py-faster-rcnn's network on ZF, such as ZF_faster_rcnn_final.caffemodel.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return _from_caffe(values, _zf(), "py-faster-rcnn's network on ZF")


def from_caffe_base_vgg16(values: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG-16 for ImageNet (VGG16.v2.caffemodel) as the backbone and the dense layers of regions.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(values, _vgg16(), "VGG-16 (VGG_ILSVRC_16_layers)", unused=("fc8",))


def from_caffe_base_zf(values: Arrays) -> dict[str, Tensor]:
    """The arrays of ZF for ImageNet (ZF.v2.caffemodel) as the backbone and the dense layers of regions.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(values, _zf(), "ZF (ZF.v2)", unused=("fc8",))


def from_vgg16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of VGG-16 (torchvision's names) as the backbone and the dense layers of regions, without its last one.

    Dense layers without finite values (torchvision's "features" weights) are left out.

    Raises:
        WeightsError: if a convolution is missing, or a value is not one of that network's.
    """
    names = {f"{layer}.{part}": f"backbone.{layer}.{part}" for layer in _convolutions() for part in ("weight", "bias")}
    dense = {f"classifier.{n}.{part}": ours for n, ours in _DENSE.items() for part, ours in _parts(ours)}
    last = {"classifier.6.weight", "classifier.6.bias"}
    missing, foreign = sorted(names.keys() - state), sorted(state.keys() - names.keys() - dense.keys() - last)
    if missing or foreign:
        raise _other("VGG-16", missing, foreign)
    finite = {name: ours for name, ours in dense.items() if name in state and bool(torch.isfinite(state[name]).all())}
    return {ours: state[name] for name, ours in (names | finite).items()}


def from_resnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of ResNet-50 or -101 (torchvision's names) as the backbone and conv5_x of regions.

    Raises:
        WeightsError: if it is not that of a residual network of four stages.
    """
    stages = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
    missing = [stage for stage in stages if not any(name.startswith(stage) for name in state)]
    foreign = [name for name in state if not name.startswith((*stages, "fc."))]
    if missing or foreign:
        raise _other("a residual network", missing, foreign)
    return {
        ("regions." if name.startswith("layer4.") else "backbone.") + name: value
        for name, value in state.items()
        if not name.startswith("fc.")
    }


_DENSE = {0: "regions.fc6", 3: "regions.fc7"}


def _parts(layer: str) -> list[tuple[str, str]]:
    return [(part, f"{layer}.{part}") for part in ("weight", "bias")]


def _convolutions() -> list[str]:
    return [name for _, name in convolutions("D")]


def _vgg16() -> dict[str, Source]:
    """Our layers of the backbone and the dense layers with Caffe's."""
    layers: dict[str, Source] = {
        f"backbone.{name}": Kernel(f"conv{stage + 1}_{index + 1}") for (stage, index), name in convolutions("D")
    }
    return layers | {"regions.fc6": Dense("fc6"), "regions.fc7": Dense("fc7")}


def _zf() -> dict[str, Source]:
    layers: dict[str, Source] = {f"backbone.{name}": Kernel(name) for name in _ZF_LAYERS}
    return layers | {"regions.fc6": Dense("fc6"), "regions.fc7": Dense("fc7")}


def _from_caffe(values: Arrays, layers: dict[str, Source], network: str) -> dict[str, Tensor]:
    """A whole network of py-faster-rcnn.

    The first convolution of the first stage is called rpn_conv1 after alternating training, else rpn_conv/3x3. The
    files predict offsets as they are: the trainer multiplied the box layer by the deviations of the targets before
    it wrote them (lib/fast_rcnn/train.py, snapshot). Ours predicts offsets divided by them.
    """
    heads: dict[str, Source] = {
        "rpn.conv": Kernel("rpn_conv1" if "rpn_conv1.0" in values else "rpn_conv/3x3"),
        "rpn.objectness": Kernel("rpn_cls_score"),
        "rpn.offsets": Kernel("rpn_bbox_pred"),
        "class_logits": Dense("cls_score"),
        "box_offsets": Dense("bbox_pred"),
    }
    state = converted(values, layers | heads, network)
    bias = state["box_offsets.bias"]
    deviations = torch.tensor(DEVIATIONS).repeat(len(bias) // 4)
    state["box_offsets.bias"] = bias / deviations
    state["box_offsets.weight"] = state["box_offsets.weight"] / deviations[:, None]
    return state


def _other(network: str, missing: list[str], foreign: list[str]) -> WeightsError:
    return WeightsError(
        f"these are not the weights of {network}",
        expected=missing[0] if missing else "no further values",
        got=f"{len(missing)} values missing, {len(foreign)} of another network"
        + (f", such as {foreign[0]}" if foreign else ""),
        remedy="choose a file of that network",
    )

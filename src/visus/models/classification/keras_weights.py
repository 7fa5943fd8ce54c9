"""Converts the values of keras.applications' files to our names and axes.

Keras stores a convolution's kernel as height x width x inputs x outputs, a channel's own kernels as height x width x
channels x multiplier, and a dense layer's matrix as inputs x outputs; of BatchNorm scale, shift, mean and variance.
Layers that have a name in keras.applications have it in every file; the others, such as Xception's shortcuts, have
numbers, which go on counting from network to network, so that only their order says which they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.errors import WeightsError

Values = Mapping[str, NDArray[Any]]
"""By "layer/0", "layer/1" ..., as :func:`visus.models.keras_file.read_keras` gives them."""

Layer = tuple[str, str, str]
"""A layer's name in Keras, the path of ours, and its kind, a key of ``_PARTS``."""

_UNNAMED = re.compile(r"(conv(?:olution)?2d|batch_?normalization)(?:_(\d+))?$")


def xception(values: Values) -> dict[str, Tensor]:
    """Xception, as its author released it; without the last layer, too (``_notop``).

    Raises:
        WeightsError: for the values of another network.
    """
    return _converted(values, list(_xception(values)), last="predictions", network="Xception")


def _xception(values: Values) -> Iterator[Layer]:
    shortcuts = _unnamed(values)
    for number in (1, 2):
        yield f"block1_conv{number}", f"conv{number}", "conv"
        yield f"block1_conv{number}_bn", f"bn{number}", "norm"
    for number in range(2, 14):
        ours = f"block{number - 1}"
        for index in (1, 2, 3) if 5 <= number <= 12 else (1, 2):
            place = 3 * (index - 1) + (number > 2)  # all but the first block begin with a ReLU
            yield f"block{number}_sepconv{index}", f"{ours}.rep.{place}", "separable"
            yield f"block{number}_sepconv{index}_bn", f"{ours}.rep.{place + 1}", "norm"
        if number in (2, 3, 4, 13):
            at = (2, 3, 4, 13).index(number)
            yield (*shortcuts["conv"], "", "", "", "")[at], f"{ours}.skip", "conv"
            yield (*shortcuts["norm"], "", "", "", "")[at], f"{ours}.skipbn", "norm"
    for index in (1, 2):
        yield f"block14_sepconv{index}", f"conv{index + 2}", "separable"
        yield f"block14_sepconv{index}_bn", f"bn{index + 2}", "norm"
    yield "predictions", "fc", "dense"


def densenet(values: Values) -> dict[str, Tensor]:
    """DenseNet-121, -169 and -201; without the last layer, too.

    Raises:
        WeightsError: for the values of another network.
    """
    values = {name.replace("conv1/", "conv1_").replace("fc1000/", "predictions/"): v for name, v in values.items()}
    return _converted(values, list(_densenet(values)), last="predictions", network="DenseNet")


def _densenet(values: Values) -> Iterator[Layer]:
    yield "conv1_conv", "features.conv0", "conv"
    yield "conv1_bn", "features.norm0", "norm"
    for block in (1, 2, 3, 4):
        layers = {name.split("_")[1] for name in values if name.startswith(f"conv{block + 1}_block")}
        for number in range(1, len(layers) + 1):
            theirs, ours = f"conv{block + 1}_block{number}", f"features.denseblock{block}.denselayer{number}"
            yield f"{theirs}_0_bn", f"{ours}.norm1", "norm"
            yield f"{theirs}_1_conv", f"{ours}.conv1", "conv"
            yield f"{theirs}_1_bn", f"{ours}.norm2", "norm"
            yield f"{theirs}_2_conv", f"{ours}.conv2", "conv"
        if block < 4:
            yield f"pool{block + 1}_bn", f"features.transition{block}.norm", "norm"
            yield f"pool{block + 1}_conv", f"features.transition{block}.conv", "conv"
    yield "bn", "features.norm5", "norm"
    yield "predictions", "classifier", "dense"


def mobilenet_v2(values: Values) -> dict[str, Tensor]:
    """MobileNet v2 of any width; without the last layer, too.

    Raises:
        WeightsError: for the values of another network.
    """
    values = {name.replace("Logits/", "predictions/"): value for name, value in values.items()}
    return _converted(values, list(_mobilenet_v2()), last="predictions", network="MobileNetV2")


def _mobilenet_v2() -> Iterator[Layer]:
    yield "Conv1", "features.0.0", "conv"
    yield "bn_Conv1", "features.0.1", "norm"
    for number in range(17):
        theirs, ours = f"block_{number}" if number else "expanded_conv", f"features.{number + 1}.conv"
        if number:
            yield f"{theirs}_expand", f"{ours}.0.0", "conv"
            yield f"{theirs}_expand_BN", f"{ours}.0.1", "norm"
        at = 1 if number else 0
        yield f"{theirs}_depthwise", f"{ours}.{at}.0", "depthwise"
        yield f"{theirs}_depthwise_BN", f"{ours}.{at}.1", "norm"
        yield f"{theirs}_project", f"{ours}.{at + 1}", "conv"
        yield f"{theirs}_project_BN", f"{ours}.{at + 2}", "norm"
    yield "Conv_1", "features.18.0", "conv"
    yield "Conv_1_bn", "features.18.1", "norm"
    yield "predictions", "classifier.1", "dense"


def efficientnet(values: Values) -> dict[str, Tensor]:
    """EfficientNet-B0 to -B7; without the last layer, too. What normalises the images there stands on the card here.

    Raises:
        WeightsError: for the values of another network.
    """
    values = {name: value for name, value in values.items() if not name.startswith("normalization")}
    return _converted(values, list(_efficientnet(values)), last="predictions", network="EfficientNet")


def _efficientnet(values: Values) -> Iterator[Layer]:
    yield "stem_conv", "features.0.0", "conv"
    yield "stem_bn", "features.0.1", "norm"
    for stage in range(1, 8):
        letters = sorted({name[6] for name in values if re.match(rf"block{stage}[a-z]_", name)})
        for index, letter in enumerate(letters):
            theirs, ours = f"block{stage}{letter}", f"features.{stage}.{index}.block"
            at = 0
            if f"{theirs}_expand_conv/0" in values:
                yield f"{theirs}_expand_conv", f"{ours}.0.0", "conv"
                yield f"{theirs}_expand_bn", f"{ours}.0.1", "norm"
                at = 1
            yield f"{theirs}_dwconv", f"{ours}.{at}.0", "depthwise"
            yield f"{theirs}_bn", f"{ours}.{at}.1", "norm"
            yield f"{theirs}_se_reduce", f"{ours}.{at + 1}.fc1", "biased"
            yield f"{theirs}_se_expand", f"{ours}.{at + 1}.fc2", "biased"
            yield f"{theirs}_project_conv", f"{ours}.{at + 2}.0", "conv"
            yield f"{theirs}_project_bn", f"{ours}.{at + 2}.1", "norm"
    yield "top_conv", "features.8.0", "conv"
    yield "top_bn", "features.8.1", "norm"
    yield "predictions", "classifier.1", "dense"


def _unnamed(values: Values) -> dict[str, list[str]]:
    """The layers without a name of their own, in their order: "conv" and "norm"."""
    found: dict[str, list[tuple[int, str]]] = {"conv": [], "norm": []}
    for layer in dict.fromkeys(name.rpartition("/")[0] for name in values):
        if match := _UNNAMED.match(layer):
            found["conv" if match[1].startswith("conv") else "norm"].append((int(match[2] or 0), layer))
    return {kind: [layer for _, layer in sorted(layers)] for kind, layers in found.items()}


def _kernel(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(3, 2, 0, 1)


def _own_kernels(array: NDArray[Any]) -> NDArray[Any]:
    height, width, channels, multiplier = array.shape
    return array.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _matrix(array: NDArray[Any]) -> NDArray[Any]:
    return array.transpose(1, 0)


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(-1)


_PARTS: Mapping[str, tuple[tuple[str, Callable[[NDArray[Any]], NDArray[Any]]], ...]] = {
    "conv": (("weight", _kernel),),
    "separable": (("conv1.weight", _own_kernels), ("pointwise.weight", _kernel)),
    "depthwise": (("weight", _own_kernels),),
    "biased": (("weight", _kernel), ("bias", _same)),
    "norm": (("weight", _same), ("bias", _same), ("running_mean", _same), ("running_var", _same)),
    "dense": (("weight", _matrix), ("bias", _same)),
}


def _converted(values: Values, layers: list[Layer], *, last: str, network: str) -> dict[str, Tensor]:
    """The state under our names. The last layer may be missing, but nothing else, and nothing may be left over."""
    state: dict[str, Tensor] = {}
    used = 0
    for layer, ours, kind in layers:
        if layer == last and f"{layer}/0" not in values:
            continue
        for number, (part, change) in enumerate(_PARTS[kind]):
            array = values.get(f"{layer}/{number}")
            if array is None:
                raise _foreign(network, f"array {number} of {layer or 'another shortcut'}", values)
            try:
                state[f"{ours}.{part}"] = torch.from_numpy(np.ascontiguousarray(change(array)))
            except ValueError:
                raise _foreign(network, f"{layer}/{number} of another number of sides", values) from None
            used += 1
    if used != len(values):
        known = {layer for layer, _, _ in layers}
        other = next((name for name in values if name.rpartition("/")[0] not in known), "more arrays a layer")
        raise _foreign(network, "nothing else", values, got=f"{len(values)} arrays, {other} among them")
    return state


def _foreign(network: str, expected: str, values: Values, *, got: str = "") -> WeightsError:
    return WeightsError(
        f"the values are not those of Keras's {network}",
        expected=expected,
        got=got or f"{len(values)} arrays such as {next(iter(values), 'none')}",
        remedy="choose a file of this network",
    )

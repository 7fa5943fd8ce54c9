"""Converts the weights of TensorFlow's released MobileNet graphs to the names of visus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.errors import WeightsError
from visus.models.classification.mobilenet_v1 import STAGES
from visus.models.classification.mobilenet_v2 import BOTTLENECKS

PARTS = ("weight_q", "weight_scale", "weight_zero_point", "bias")


def from_tflite(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, Tensor]:
    """Converts the 8-bit convolutions of a TFLite graph to the float32 state of the ``tf`` edition.

    Args:
        arrays: for each convolution NN = 00.., in order of execution: ``NN.weight_q`` uint8 [O,I,k,k],
            ``NN.weight_scale``, ``NN.weight_zero_point`` and ``NN.bias`` float32 [O]; a weight is
            ``scale * (q - zero_point)``. The last one, after the average pooling, gives background and 1000 classes.
            28 of them are MobileNet v1's, 53 are v2's.

    Raises:
        WeightsError: if an array is missing, or there are others.
    """
    networks = [list(v1_layers()), list(v2_layers())]
    layers = min(networks, key=lambda layers: abs(len(PARTS) * len(layers) - len(arrays)))
    expected = {f"{number:02d}.{part}" for number in range(len(layers)) for part in PARTS}
    if set(arrays) != expected:
        raise WeightsError(
            "these are not the weights of TensorFlow's MobileNet v1 or v2",
            expected=" or ".join(str(len(layers)) for layers in networks) + f" convolutions of {len(PARTS)} arrays",
            got=f"{len(expected - set(arrays))} arrays missing, {len(set(arrays) - expected)} foreign ones",
            remedy="choose a file of that network",
        )
    state = {}
    for number, layer in enumerate(layers):
        quantised, scale, zero_point, bias = (np.asarray(arrays[f"{number:02d}.{part}"]) for part in PARTS)
        weight = scale.astype(np.float32) * (quantised.astype(np.float32) - zero_point.astype(np.float32))
        if layer.startswith("classifier"):
            weight = weight.reshape(weight.shape[:2])  # a 1x1 convolution on a 1x1 map is a linear layer
        state[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        state[f"{layer}.bias"] = torch.from_numpy(bias.astype(np.float32))
    return state


def v1_layers() -> Iterator[str]:
    """The names in visus of MobileNet v1's convolutions, in order of execution."""
    yield "conv_stem"
    for stage, widths in enumerate(STAGES):
        for block in range(len(widths)):
            yield f"blocks.{stage}.{block}.conv_dw"
            yield f"blocks.{stage}.{block}.conv_pw"
    yield "classifier"


def v2_layers() -> Iterator[str]:
    """The names in visus of MobileNet v2's convolutions, in order of execution."""
    yield "features.0.0"
    block = 1
    for t, _, n, _ in BOTTLENECKS:
        for _ in range(n):
            if t != 1:
                yield f"features.{block}.conv.0.0"
            yield f"features.{block}.conv.{0 if t == 1 else 1}.0"
            yield f"features.{block}.conv.{1 if t == 1 else 2}"
            block += 1
    yield f"features.{block}.0"
    yield "classifier.1"

"""Released weights for R-CNN: CaffeNet and VGG-16 to start from, and the authors' fine-tuned network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from visus.errors import WeightsError
from visus.models.caffe_file import CaffeLayer
from visus.models.catalog import find
from visus.models.detection.rcnn_weights import from_caffenet, from_vgg16
from visus.models.on_meta import build_on_meta

CAFFENET = {  # BVLC/caffe, models/bvlc_reference_caffenet: outputs, inputs of a group, side of the kernel
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 48, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3),
    "fc6": (4096, 9216),
    "fc7": (4096, 4096),
}


class Layered(dict[str, Any]):
    """Arrays of a file that lists its layers, too."""

    layers: tuple[CaffeLayer, ...] = ()


def arrays(shapes: dict[str, tuple[int, ...]], last: str, classes: int) -> Layered:
    """Arrays of 0 without memory of their own, but for the biases, which are numbered by layer."""
    every = {**shapes, last: (classes, 4096)}
    found = Layered()
    for number, (name, shape) in enumerate(every.items()):
        found[f"{name}.0"] = np.broadcast_to(np.float32(0), shape)
        found[f"{name}.1"] = np.full(shape[0], number, np.float32)
    return found


@pytest.mark.parametrize(("last", "classes", "kept"), [("fc8", 1000, False), ("fc8_pascal", 21, True)])
def test_caffenet_fills_all_but_other_classes(last: str, classes: int, kept: bool) -> None:
    state = from_caffenet(arrays(CAFFENET, last, classes))
    own = build_on_meta(find("rcnn")).state_dict()
    assert own.keys() - state.keys() == (set() if kept else {"fc8.weight", "fc8.bias"})
    assert all(state[name].shape == own[name].shape for name in state)
    assert float(state["backbone.conv3.bias"][0]) == 2
    assert float(state["neck.fc7.bias"][0]) == 6
    assert not kept or torch.equal(state["fc8.bias"], torch.full((21,), 7.0))


def test_alexnet_is_refused() -> None:
    alexnet = arrays(CAFFENET, "fc8", 1000)
    alexnet.layers = tuple(CaffeLayer(kind, kind) for kind in ("LRN", "Pooling"))
    with pytest.raises(WeightsError, match="AlexNet, which normalises before it pools"):
        from_caffenet(alexnet)


@pytest.mark.slow
def test_vgg16_fills_all_but_other_classes() -> None:
    shapes = {
        f"conv{stage}_{number}": (width, before if number == 1 else width, 3, 3)
        for stage, (before, width, depth) in enumerate(
            [(3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3)], 1
        )
        for number in range(1, depth + 1)
    }
    state = from_vgg16(arrays({**shapes, "fc6": (4096, 25088), "fc7": (4096, 4096)}, "fc8", 1000))
    own = build_on_meta(find("rcnn_vgg16")).state_dict()
    assert own.keys() - state.keys() == {"fc8.weight", "fc8.bias"}
    assert all(state[name].shape == own[name].shape for name in state)

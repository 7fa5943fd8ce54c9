"""The released files of Fast R-CNN and R-FCN: written here field by field, read back, and played in Caffe's own way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from caffe_nets import CaffeNet, Layer
from made_up import normal_numbers
from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.caffe_layers import Dense, Kernel
from visus.models.detection.fast_rcnn_weights import Offsets, from_caffe_caffenet
from visus.models.detection.faster_rcnn_weights import from_vgg16
from visus.models.weights import load_weights
from visus.testing.cheap_values import CheapValues

pytestmark = pytest.mark.usefixtures("cheap_weights")

Arrays = dict[str, list[NDArray[np.float32]]]
"""By Caffe's name of the layer."""


def write(path: Path, arrays: Arrays) -> Path:
    net = CaffeNet((3, 8, 8))
    net.layers += [Layer(name, "Convolution", [], [name], arrays=values) for name, values in arrays.items()]
    return net.write(path)


CAFFENET = {  # models/CaffeNet/train.prototxt: outputs, inputs of a group, side of the kernel
    "conv1": (96, 3, 11),
    "conv2": (256, 48, 5),
    "conv3": (384, 256, 3),
    "conv4": (384, 192, 3),
    "conv5": (256, 192, 3),
}
DENSE = {"fc6": (4096, 9216), "fc7": (4096, 4096), "cls_score": (21, 4096), "bbox_pred": (84, 4096)}
DEVIATIONS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)


def drawn(*, base: bool = False) -> Arrays:
    random = np.random.default_rng(0)
    arrays: Arrays = {}
    shapes: dict[str, tuple[int, ...]] = {name: (o, i, side, side) for name, (o, i, side) in CAFFENET.items()}
    shapes |= {name: shape for name, shape in DENSE.items() if not base or name.startswith("fc")}
    if base:
        shapes["fc8"] = (1000, 4096)
    for name, shape in shapes.items():
        scale = math.sqrt(2 / math.prod(shape[1:]))
        kernel = normal_numbers(random, shape) * np.float32(scale) if not base else np.zeros(shape, np.float32)
        arrays[name] = [kernel, 0.1 * random.standard_normal(shape[0], np.float32)]
    return arrays


def in_caffes_way(arrays: Arrays, image: NDArray[np.float32], box: list[int]) -> tuple[Tensor, Tensor]:
    """The scores and the offsets of a region of an image of BGR pixels less their mean; the box has its last pixel."""
    values = {name: [torch.from_numpy(array) for array in pair] for name, pair in arrays.items()}
    x = torch.from_numpy(image)[None]
    x = F.relu(F.conv2d(x, *values["conv1"], stride=4, padding=5))
    x = lrn(F.max_pool2d(x, 3, 2, 1, ceil_mode=True))
    x = F.relu(F.conv2d(x, *values["conv2"], padding=2, groups=2))
    x = lrn(F.max_pool2d(x, 3, 2, 1, ceil_mode=True))
    x = F.relu(F.conv2d(x, *values["conv3"], padding=1))
    x = F.relu(F.conv2d(x, *values["conv4"], padding=1, groups=2))
    x = F.relu(F.conv2d(x, *values["conv5"], padding=1, groups=2))[0]
    left, top, right, bottom = (math.floor(corner / 16 + 0.5) for corner in box)
    height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
    pooled = torch.zeros(256, 6, 6)
    for i in range(6):
        for j in range(6):
            rows = slice(top + math.floor(i * height / 6), min(top + math.ceil((i + 1) * height / 6), x.shape[1]))
            columns = slice(left + math.floor(j * width / 6), min(left + math.ceil((j + 1) * width / 6), x.shape[2]))
            pooled[:, i, j] = x[:, rows, columns].amax((1, 2))
    y = F.relu(F.linear(pooled.flatten(), *values["fc6"]))
    y = F.relu(F.linear(y, *values["fc7"]))
    return F.linear(y, *values["cls_score"]), F.linear(y, *values["bbox_pred"])


def lrn(x: Tensor) -> Tensor:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)(x)  # divides alpha by 5, as Caffe


def test_the_released_caffenet_answers_as_in_caffe(tmp_path: Path) -> None:
    arrays = drawn()
    card = catalog.find("fast_rcnn_caffenet")
    with CheapValues():
        network = build(card).eval()
    report = load_weights(network, card, write(tmp_path / "caffenet_fast_rcnn_iter_40000.caffemodel", arrays))
    assert report.part == "network"
    assert not report.left_random
    image = 60 * np.random.default_rng(1).standard_normal((3, 120, 160), np.float32)
    box = [21, 9, 119, 97]
    scores, offsets = in_caffes_way(arrays, image, box)
    ours = torch.tensor([[box[0], box[1], box[2] + 1, box[3] + 1]]).float()  # ends behind the last pixel
    with torch.no_grad():
        outputs = network(torch.from_numpy(image)[None], [ours])
    torch.testing.assert_close(outputs.logits[0, 0], scores, rtol=1e-4, atol=1e-3)
    plain = outputs.offsets[0, 0] * torch.from_numpy(DEVIATIONS)
    torch.testing.assert_close(plain.flatten(), offsets, rtol=1e-4, atol=1e-3)
    assert outputs.coding.variances == pytest.approx(DEVIATIONS.tolist())


def test_caffenet_begins_the_training_and_alexnet_does_not(tmp_path: Path) -> None:
    arrays = {f"{name}.{k}": array for name, pair in drawn(base=True).items() for k, array in enumerate(pair)}
    state = from_caffe_caffenet(arrays)
    assert "class_logits.weight" not in state
    np.testing.assert_array_equal(state["regions.fc6.weight"].numpy(), arrays["fc6.0"])

    class WithLayers(dict):  # type: ignore[type-arg]
        layers: tuple[object, ...] = ()

    class Layer:
        def __init__(self, kind: str) -> None:
            self.type = kind

    alexnet = WithLayers(arrays)
    alexnet.layers = (Layer("LRN"), Layer("Pooling"))
    with pytest.raises(WeightsError, match="AlexNet"):
        from_caffe_caffenet(alexnet)
    caffenet = WithLayers(arrays)
    caffenet.layers = (Layer("Pooling"), Layer("LRN"))
    assert from_caffe_caffenet(caffenet).keys() == state.keys()


def test_vgg16_of_torchvision_fills_convolutions_and_dense_layers() -> None:
    with torch.device("meta"):
        state = build(catalog.find("vgg16")).state_dict()
        network = build(catalog.find("fast_rcnn")).state_dict()
    state = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    filled = from_vgg16(state)
    assert network.keys() - filled.keys() == {
        f"{head}.{part}" for head in ("class_logits", "box_offsets") for part in ("weight", "bias")
    }
    assert all(network[name].shape == value.shape for name, value in filled.items())
    with pytest.raises(WeightsError, match="not the weights of VGG-16"):
        from_vgg16({name: value for name, value in state.items() if name != "features.0.bias"})


def test_offsets_are_divided_by_their_deviations() -> None:
    dense = {"bbox_pred.0": np.ones((8, 2), np.float32), "bbox_pred.1": np.ones(8, np.float32)}
    state = Offsets(Dense("bbox_pred")).state(dense)
    assert state["bias"].tolist() == pytest.approx([10, 10, 5, 5] * 2)
    assert state["weight"][:, 1].tolist() == pytest.approx([10, 10, 5, 5] * 2)
    maps = {"rfcn_bbox.0": np.ones((2 * 4 * 9, 3, 1, 1), np.float32), "rfcn_bbox.1": np.ones(72, np.float32)}
    state = Offsets(Kernel("rfcn_bbox"), cells=9).state(maps)
    assert state["bias"].reshape(2, 4, 9)[1, :, 5].tolist() == pytest.approx([10, 10, 5, 5])
    assert state["weight"].shape == (72, 3, 1, 1)
    with pytest.raises(WeightsError, match="does not predict offsets"):
        Offsets(Dense("a")).state({"a.0": np.ones((6, 2), np.float32), "a.1": np.ones(6, np.float32)})


def names_of_resnet(depth: int) -> dict[str, tuple[int, ...]]:
    """Kernels by the names of ResNet-50-model.caffemodel: the letters of the blocks, the branches of each."""
    shapes: dict[str, tuple[int, ...]] = {"conv1": (64, 3, 7, 7)}
    inputs = 64
    for stage, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 2):
        for block in "abcdef"[:blocks]:
            name = f"res{stage}{block}"
            if block == "a":
                shapes[f"{name}_branch1"] = (4 * width, inputs, 1, 1)
            shapes[f"{name}_branch2a"] = (width, inputs, 1, 1)
            shapes[f"{name}_branch2b"] = (width, width, 3, 3)
            shapes[f"{name}_branch2c"] = (4 * width, width, 1, 1)
            inputs = 4 * width
    return shapes


def test_the_released_r_fcn_fills_every_value(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def ones(*shape: int) -> NDArray[np.float32]:
        return np.broadcast_to(np.float32(random.random()), shape).astype(np.float32)

    arrays: Arrays = {}
    for name, shape in names_of_resnet(50).items():
        arrays[name] = [ones(*shape)] + ([ones(shape[0])] if name == "conv1" else [])
        end = name.removeprefix("res") if name.startswith("res") else f"_{name}"
        arrays[f"bn{end}"] = [ones(shape[0]), ones(shape[0]), np.ones(1, np.float32)]
        arrays[f"scale{end}"] = [ones(shape[0]), ones(shape[0])]
    heads = {
        "rpn_conv/3x3": (512, 1024, 3, 3),
        "rpn_cls_score": (18, 512, 1, 1),
        "rpn_bbox_pred": (36, 512, 1, 1),
        "conv_new_1": (1024, 2048, 1, 1),
        "rfcn_cls": (1029, 1024, 1, 1),
        "rfcn_bbox": (392, 1024, 1, 1),
    }
    arrays |= {name: [ones(*shape), ones(shape[0])] for name, shape in heads.items()}
    card = catalog.find("r_fcn_resnet50@caffe")
    with CheapValues():
        network, other = build(card), build(catalog.find("r_fcn_resnet50"))
    file = write(tmp_path / "resnet50_rfcn_final.caffemodel", arrays)
    report = load_weights(network, card, file)
    assert (report.part, report.left_random) == ("network", ())
    assert float(network.class_maps.weight[500, 0].detach()) == pytest.approx(float(arrays["rfcn_cls"][0][0, 0, 0, 0]))
    unscaled = float(arrays["rfcn_bbox"][1][0])
    biases = network.box_maps.bias.detach().reshape(2, 4, 49)
    assert biases[1, :, 7].tolist() == pytest.approx([unscaled / d for d in DEVIATIONS.tolist()])
    assert float(network.rpn.offsets.weight[0, 0].detach()) == pytest.approx(
        float(arrays["rpn_bbox_pred"][0][0, 0, 0, 0])
    )
    with pytest.raises(WeightsError):
        load_weights(other, catalog.find("r_fcn_resnet50"), file)

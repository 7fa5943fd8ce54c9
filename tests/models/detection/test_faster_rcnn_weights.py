"""Files of others as Faster R-CNN: each value finds its place, and the box layer is divided again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.detection.faster_rcnn_weights import (
    from_caffe_base_vgg16,
    from_caffe_base_zf,
    from_caffe_vgg16,
    from_caffe_zf,
    from_resnet,
    from_vgg16,
)
from visus.models.on_meta import build_on_meta

VGG16 = [f"conv{stage}_{n}" for stage, count in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, count + 1)]
ZF = [f"conv{n}" for n in range(1, 6)]
FIRST = ["rpn_conv/3x3", "rpn_cls_score", "rpn_bbox_pred"]
Arrays = dict[str, NDArray[np.float32]]


def arrays(convolutions: list[str], dense: list[str]) -> Arrays:
    """Small arrays of all layers, each with values of its own, as Caffe names them."""
    random = np.random.default_rng(0)
    found: Arrays = {}
    for name in convolutions:
        found[f"{name}.0"] = random.standard_normal((2, 3, 1, 1), np.float32)
        found[f"{name}.1"] = random.standard_normal(2, np.float32)
    for name in dense:
        rows = {"bbox_pred": 12, "cls_score": 3}.get(name, 2)
        found[f"{name}.0"] = random.standard_normal((rows, 5), np.float32)
        found[f"{name}.1"] = random.standard_normal(rows, np.float32)
    return found


@pytest.mark.parametrize(
    ("convert", "layers", "card"),
    [(from_caffe_vgg16, VGG16, "faster_rcnn@caffe"), (from_caffe_zf, ZF, "faster_rcnn_zf@caffe")],
)
def test_a_whole_network_of_py_faster_rcnn(convert: Callable[[Arrays], Any], layers: list[str], card: str) -> None:
    file = arrays([*layers, *FIRST], ["fc6", "fc7", "cls_score", "bbox_pred"])
    state = convert(file)
    assert state.keys() == build_on_meta(catalog.find(card)).state_dict().keys()
    assert torch.equal(state["rpn.objectness.weight"], torch.from_numpy(file["rpn_cls_score.0"]))
    assert torch.equal(state["regions.fc6.weight"], torch.from_numpy(file["fc6.0"]))
    # test.py reads offsets as they are; ours are of targets divided by these
    deviations = np.tile(np.asarray([0.1, 0.1, 0.2, 0.2], np.float32), 3)
    np.testing.assert_allclose(state["box_offsets.weight"], file["bbox_pred.0"] / deviations[:, None], rtol=1e-6)
    np.testing.assert_allclose(state["box_offsets.bias"], file["bbox_pred.1"] / deviations, rtol=1e-6)
    alternating = {name.replace("rpn_conv/3x3", "rpn_conv1"): value for name, value in file.items()}
    assert torch.equal(convert(alternating)["rpn.conv.weight"], state["rpn.conv.weight"])
    with pytest.raises(WeightsError, match="py-faster-rcnn"):
        convert({name: value for name, value in file.items() if not name.startswith("bbox_pred")})


def test_channels_of_blue_green_and_red_stay_as_they_are() -> None:
    """The card's preprocessing gives BGR, as Caffe's networks were given."""
    card = catalog.find("faster_rcnn@caffe")
    assert (card.preprocessing.order, card.preprocessing.mean[0]) == ("BGR", 102.9801)
    file = arrays([*VGG16, *FIRST], ["fc6", "fc7", "cls_score", "bbox_pred"])
    assert torch.equal(from_caffe_vgg16(file)["backbone.features.0.weight"], torch.from_numpy(file["conv1_1.0"]))


@pytest.mark.parametrize(
    ("convert", "layers", "card"),
    [(from_caffe_base_vgg16, VGG16, "faster_rcnn"), (from_caffe_base_zf, ZF, "faster_rcnn_zf")],
)
def test_a_network_for_imagenet_begins_one(convert: Callable[[Arrays], Any], layers: list[str], card: str) -> None:
    state = convert(arrays(layers, ["fc6", "fc7", "fc8"]))
    own = build_on_meta(catalog.find(card)).state_dict().keys()
    assert state.keys() == {name for name in own if name.startswith(("backbone.", "regions."))}


def test_torchvisions_vgg16_begins_one() -> None:
    theirs = {name: torch.full_like(value, n, device="cpu") for n, (name, value) in enumerate(meta("vgg16").items())}
    state = from_vgg16(theirs)
    own = build_on_meta(catalog.find("faster_rcnn")).state_dict().keys()
    assert state.keys() == {name for name in own if name.startswith(("backbone.", "regions."))}
    assert state["regions.fc7.bias"] is theirs["classifier.3.bias"]
    empty = {**theirs, "classifier.0.weight": torch.full((2, 2), torch.nan)}
    assert "regions.fc6.weight" not in from_vgg16(empty)
    with pytest.raises(WeightsError, match="VGG-16"):
        from_vgg16({**theirs, "fc.weight": torch.zeros(1)})


@pytest.mark.parametrize("depth", [50, 101])
def test_a_residual_network_begins_one(depth: int) -> None:
    theirs = {name: torch.zeros(1) for name in meta(f"resnet{depth}")}
    own = build_on_meta(catalog.find(f"faster_rcnn_resnet{depth}")).state_dict().keys()
    assert from_resnet(theirs).keys() == {name for name in own if name.startswith(("backbone.", "regions."))}
    with pytest.raises(WeightsError, match="residual"):
        from_resnet({"conv1.weight": torch.zeros(1)})


def meta(name: str) -> dict[str, torch.Tensor]:
    """The state of a network, each value as small as it can be."""
    state = build_on_meta(catalog.find(name)).state_dict()
    return {key: torch.zeros((1,) * value.ndim) for key, value in state.items()}

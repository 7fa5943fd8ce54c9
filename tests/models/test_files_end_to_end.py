"""From a file of random values in its authors' format, without the name of an edition, to the boxes that are answered.

Raw outputs and boxes are those of the right edition; with another edition of the same layers the boxes are others, so
that a file that was taken for another would show itself.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import visus
from blank_weights import write_caffe
from visus.models import building, catalog
from visus.models.detection.darknet_weights import slots
from visus.models.on_meta import build_on_meta
from visus.models.weights import load_weights
from visus.structures import Detections
from visus.testing.cheap_values import CheapValues


def write_darknet(path: Path, edition: str) -> None:
    """A Darknet file of today's header; kernels keep the size of what they see, variances are above 0."""
    random = np.random.default_rng(0)
    with path.open("wb") as out:
        out.write(struct.pack("<3iQ", 0, 2, 0, 7))
        for slot in slots(build_on_meta(catalog.find(edition))):
            part = slot.name.rpartition(".")[2]
            if len(slot.shape) > 1:
                values = random.standard_normal(slot.size, np.float32) * math.sqrt(2 / math.prod(slot.shape[1:]))
            elif part in ("weight", "running_var"):
                values = random.uniform(0.5, 1.5, slot.size).astype(np.float32)
            else:
                values = random.uniform(-0.1, 0.1, slot.size).astype(np.float32)
            out.write(values.tobytes())


VGG = "1_1:64 1_2:64 2_1:128 2_2:128 3_1:256 3_2:256 3_3:256 4_1:512 4_2:512 4_3:512 5_1:512 5_2:512 5_3:512"
"""weiliu89/caffe, python/caffe/model_libs.py: the outputs of its convolutions."""

HEADS = {  # examples/ssd: the default boxes of a cell
    300: {"conv4_3_norm": 4, "fc7": 6, "conv6_2": 6, "conv7_2": 6, "conv8_2": 4, "conv9_2": 4},
    512: {"conv4_3_norm": 4, "fc7": 6, "conv6_2": 6, "conv7_2": 6, "conv8_2": 6, "conv9_2": 4, "conv10_2": 4},
}


def write_ssd(path: Path, side: int, classes: int) -> None:
    """A .caffemodel of SSD300 or SSD512."""
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {}
    depth = 3
    for layer, outputs in (item.split(":") for item in VGG.split()):
        shapes[f"conv{layer}"] = ((int(outputs), depth, 3, 3), (int(outputs),))
        depth = int(outputs)
    shapes |= {"fc6": ((1024, 512, 3, 3), (1024,)), "fc7": ((1024, 1024, 1, 1), (1024,))}
    depth = 1024
    for number in range(6, 10 if side == 300 else 11):
        narrow, wide = (256, 512) if number == 6 else (128, 256)
        kernel = 4 if number == 10 else 3
        shapes[f"conv{number}_1"] = ((narrow, depth, 1, 1), (narrow,))
        shapes[f"conv{number}_2"] = ((wide, narrow, kernel, kernel), (wide,))
        depth = wide
    sources = {"conv4_3_norm": 512, **{name: arrays[0][0] for name, arrays in shapes.items()}}
    for name, boxes in HEADS[side].items():
        shapes[f"{name}_mbox_loc"] = ((4 * boxes, sources[name], 3, 3), (4 * boxes,))
        shapes[f"{name}_mbox_conf"] = (((1 + classes) * boxes, sources[name], 3, 3), ((1 + classes) * boxes,))
    write_caffe(path, shapes | {"conv4_3_norm": ((512,),)}, random=np.random.default_rng(0))


def answer(network: Any, side: int) -> tuple[Any, Detections]:
    """Raw outputs for one random image, and the boxes read from them."""
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs: Any = network.eval()(image)
        return outputs, network.codec.decode(outputs)[0]


def raw(outputs: Any) -> list[Tensor]:
    """All tensors that the network itself gives."""
    return [value for value in outputs if isinstance(value, Tensor)]


def equal_boxes(one: Detections, other: Detections) -> bool:
    return one.boxes.shape == other.boxes.shape and np.allclose(one.boxes, other.boxes, rtol=1e-4, atol=1e-2)


def check(file: Path, right: str, wrong: str | None, side: int, classes: int | None = None) -> None:
    """A file that is named by its model alone answers as the right edition, and not as the wrong one.

    ``classes``: as the wrong edition reads them from a file of this length, where not alike.
    """
    with CheapValues():  # all are replaced
        network = visus.create(right.partition("@")[0], weights=file, quiet=True)
        expected = building.build(catalog.find(right))
        load_weights(expected, catalog.find(right), file)
    outputs, found = answer(network, side)
    expected_outputs, expected_found = answer(expected, side)
    assert len(raw(outputs)) > 0
    torch.testing.assert_close(raw(outputs), raw(expected_outputs), rtol=0, atol=0)
    assert len(found.boxes) > 0
    assert equal_boxes(found, expected_found)
    if wrong is not None:
        with CheapValues():
            other = building.build(catalog.find(wrong), classes=classes or catalog.find(right).classes)
        other.load_state_dict(network.state_dict())
        assert not equal_boxes(found, answer(other, side)[1])


def test_yolov3_tinys_file(tmp_path: Path) -> None:
    file = tmp_path / "yolov3-tiny.weights"
    write_darknet(file, "yolov3_tiny@darknet")
    check(file, "yolov3_tiny@darknet", "yolov3_tiny@darknet-corrected", 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "right", "wrong", "side"),
    [
        ("tiny-yolo.weights", "yolov1_tiny@darknet", None, 448),
        ("tiny-coco.weights", "yolov1_tiny@darknet-coco", "yolov1_tiny@darknet", 448),
        ("yolov1.weights", "yolov1@darknet", None, 448),
        ("yolov2-voc.weights", "yolov2@darknet-voc", "yolov2@darknet-coco", 96),
        ("yolov2.weights", "yolov2@darknet-coco", "yolov2@darknet-voc", 96),
        ("yolo-voc.weights", "yolov2@darknet-voc-2016", "yolov2@paper", 96),
        ("yolo.weights", "yolov2@darknet-coco-2016", "yolov2@darknet-voc-2016", 96),
        ("yolov3.weights", "yolov3@paper", None, 96),
    ],
)
def test_darknets_files(name: str, right: str, wrong: str | None, side: int, tmp_path: Path) -> None:
    write_darknet(tmp_path / name, right)
    # As long with 85 classes and two boxes a cell as with 80 and three.
    check(tmp_path / name, right, wrong, side, 85 if name == "tiny-coco.weights" else None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side", "classes", "right", "wrong"),
    [
        ("VGG_VOC0712_SSD_300x300_iter_120000", 300, 20, "ssd@paper", "ssd@caffe-coco"),
        ("VGG_coco_SSD_300x300_iter_400000", 300, 80, "ssd@caffe-coco", "ssd@paper"),
        ("renamed", 512, 20, "ssd512@caffe-voc", "ssd512@paper"),
        ("VGG_coco_SSD_512x512_iter_360000", 512, 80, "ssd512@caffe-coco", "ssd512@caffe-voc"),
    ],
)
def test_caffes_files(name: str, side: int, classes: int, right: str, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.caffemodel"
    write_ssd(file, side, classes)
    check(file, right, wrong, side)


def torchvisions(builder: str) -> Mapping[str, Tensor]:
    """The state of a detector of torchvision, with a last layer whose answers are not all alike."""
    from torchvision.models import detection

    torch.manual_seed(0)
    state = dict(getattr(detection, builder)(weights=None, weights_backbone=None).state_dict())
    for name, value in state.items():
        if name.endswith("cls_logits.weight") or ("classification_head" in name and name.endswith("weight")):
            state[name] = 8 * value
    return state


@pytest.mark.slow
def test_torchvisions_ssd(tmp_path: Path) -> None:
    torch.save(torchvisions("ssd300_vgg16"), tmp_path / "a.pth")
    check(tmp_path / "a.pth", "ssd@torchvision", "ssd@caffe-coco", 300)


@pytest.mark.slow
def test_torchvisions_retinanet(tmp_path: Path) -> None:
    save_file(dict(torchvisions("retinanet_resnet50_fpn")), tmp_path / "a.safetensors")
    check(tmp_path / "a.safetensors", "retinanet@torchvision", None, 128)

"""SSD judged by OpenCV: default boxes of every edition, and what it finds with a file in Caffe's format.

OpenCV reads Caffe's networks up to version 4; without such a version these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from caffe_nets import CaffeNet
from visus.models import catalog
from visus.models.building import build
from visus.models.on_meta import build_on_meta
from visus.models.weights import load_weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="OpenCV 5 reads no networks of Caffe"),
]

MAPS = {300: (38, 19, 10, 5, 3, 1), 512: (64, 32, 16, 8, 4, 2, 1)}
STEPS = {300: (8, 16, 32, 64, 100, 300), 512: (8, 16, 32, 64, 128, 256, 512)}
RATIOS = {300: ([2], [2, 3], [2, 3], [2, 3], [2], [2]), 512: ([2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2])}
SIZES = {  # examples/ssd of weiliu89/caffe; whole pixels, as its prior_box_layer.cpp cuts them
    "ssd@paper": (30, 60, 111, 162, 213, 264, 315),
    "ssd@caffe-coco": (21, 45, 99, 153, 207, 261, 315),
    "ssd512@caffe-voc": (35, 76, 153, 230, 307, 384, 460, 537),
    "ssd512@caffe-coco": (20, 51, 133, 215, 296, 378, 460, 542),
}


def prior_parameters(edition: str, level: int, side: int) -> dict[str, object]:
    low, high = SIZES[edition][level : level + 2]
    return {
        "min_size": low,
        "max_size": high,
        "aspect_ratio": RATIOS[side][level],
        "flip": "true",
        "clip": "false",
        "variance": [0.1, 0.1, 0.2, 0.2],
        "step": STEPS[side][level],
        "offset": 0.5,
    }


@pytest.mark.parametrize("edition", SIZES)
def test_default_boxes(edition: str, tmp_path: Path) -> None:
    side = catalog.find(edition).input[1]
    network = build_on_meta(catalog.find(edition))
    found = []
    for level, cells in enumerate(MAPS[side]):
        net = CaffeNet((3, side, side))
        kernel = side - (cells - 1) * (side // cells)  # any map of so many cells will do
        x = net.pool("map", "data", kernel, side // cells)
        assert net.maps[x].shape[2] == cells
        net.without_value("priors", "PriorBox", [x, "data"], prior_box_param=prior_parameters(edition, level, side))
        description, weights = tmp_path / "a.prototxt", net.write(tmp_path / "a.caffemodel")
        description.write_text(net.prototxt())
        reader = cv2.dnn.readNetFromCaffe(str(description), str(weights))
        reader.setInput(net.image.numpy())
        found.append(torch.from_numpy(reader.forward("priors")[0, 0].reshape(-1, 4) * side))
    ours = network.default_boxes.place([(cells, cells) for cells in MAPS[side]], (side, side))
    torch.testing.assert_close(ours, torch.cat(found), rtol=0, atol=1e-3)


def ssd300() -> CaffeNet:
    """deploy.prototxt of SSD300 for PASCAL VOC."""
    net = CaffeNet((3, 300, 300))
    x = "data"
    for stage, (depth, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for number in range(1, depth + 1):
            x = net.relu(net.conv(f"conv{stage}_{number}", x, width, 3, pad=1))
        if stage == 4:
            conv4_3 = x
        x = net.pool(f"pool{stage}", x, 3, 1, pad=1) if stage == 5 else net.pool(f"pool{stage}", x, 2, 2)
    x = net.relu(net.conv("fc6", x, 1024, 3, pad=6, dilation=6))
    maps = [net.normalize("conv4_3_norm", conv4_3, 20 * net.random.random(512, np.float32))]
    maps.append(x := net.relu(net.conv("fc7", x, 1024, 1)))
    for number, (narrow, wide, stride, pad) in enumerate(
        ((256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 1, 0), (128, 256, 1, 0)), 6
    ):
        x = net.relu(net.conv(f"conv{number}_1", x, narrow, 1))
        maps.append(x := net.relu(net.conv(f"conv{number}_2", x, wide, 3, stride=stride, pad=pad)))
    parts: dict[str, list[str]] = {"loc": [], "conf": [], "priorbox": []}
    for level, source in enumerate(maps):
        boxes = 2 + 2 * len(RATIOS[300][level])
        for kind, width in (("loc", 4), ("conf", 21)):
            gain = 1 / net.maps[source].std().item()  # so that boxes stay near the default ones
            head = net.conv(f"{source}_mbox_{kind}", source, boxes * width, 3, pad=1, gain=gain)
            turned = net.without_value(f"{head}_perm", "Permute", [head], permute_param={"order": [0, 2, 3, 1]})
            flat = net.without_value(f"{head}_flat", "Flatten", [turned], flatten_param={"axis": 1})
            parts[kind].append(flat)
        priors = {"prior_box_param": prior_parameters("ssd@paper", level, 300)}
        parts["priorbox"].append(net.without_value(f"{source}_priorbox", "PriorBox", [source, "data"], **priors))
    for kind, axis in (("loc", 1), ("conf", 1), ("priorbox", 2)):
        net.without_value(f"mbox_{kind}", "Concat", parts[kind], concat_param={"axis": axis})
    shape = {"reshape_param": {"shape": {"dim": [0, -1, 21]}}}
    net.without_value("mbox_conf_reshape", "Reshape", ["mbox_conf"], **shape)
    net.without_value("mbox_conf_softmax", "Softmax", ["mbox_conf_reshape"], softmax_param={"axis": 2})
    net.without_value("mbox_conf_flatten", "Flatten", ["mbox_conf_softmax"], flatten_param={"axis": 1})
    net.without_value(
        "detection_out",
        "DetectionOutput",
        ["mbox_loc", "mbox_conf_flatten", "mbox_priorbox"],
        detection_output_param={
            "num_classes": 21,
            "share_location": "true",
            "background_label_id": 0,
            "nms_param": {"nms_threshold": 0.45, "top_k": 400},
            "code_type": "CENTER_SIZE",
            "keep_top_k": 200,
            "confidence_threshold": 0.01,
        },
    )
    return net


def test_what_is_found(tmp_path: Path, cheap_values: Callable[[], object]) -> None:
    """Raw outputs; and each box that OpenCV finds is one of ours, of that class and score."""
    net = ssd300()
    path = net.write(tmp_path / "VGG_VOC0712_SSD_300x300_iter_120000.caffemodel")
    card = catalog.find("ssd@paper")
    with cheap_values():  # type: ignore[attr-defined]
        network = build(card).eval()
    assert load_weights(network, card, path).left_random == ()
    answers = net.opencv(path, tmp_path, "mbox_loc", "mbox_conf", "detection_out")
    with torch.no_grad():
        outputs = network(net.image)
    for ours, theirs in ((outputs.offsets, "mbox_loc"), (outputs.logits, "mbox_conf")):
        expected = answers[theirs].reshape(ours.shape)
        assert (ours - expected).abs().max() < 1e-3 * expected.std()
    boxes, scores = outputs.boxes()[0].clamp(0, 300), outputs.logits.softmax(-1)[0, :, 1:]
    found = answers["detection_out"].reshape(-1, 7)
    assert len(found) == 200
    for _, label, score, *box in found.tolist():
        near = (scores[:, int(label) - 1] - score).abs() < 1e-4
        away = (boxes[near] - 300 * torch.tensor(box).clamp(0, 1)).abs().amax(1)
        assert away.min() < 0.5  # of boxes up to 300 pixels; sizes are exponentials of random numbers

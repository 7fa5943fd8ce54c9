"""Darknet's files read by an interpreter of its cfg files: raw answers, and the boxes that they mean.

The interpreter knows tables of layers, written from the authors' cfg files, and the formulas of Darknet's layers; it
shares nothing with the networks. Files hold random values in the real format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from visus.models import catalog
from visus.models.building import build
from visus.models.detection.darknet_layers import layer_numbers
from visus.models.on_meta import build_on_meta
from visus.models.weights import load_weights

# Convolutions are width/kernel/stride/activation (3, 1, leaky), with BatchNorm where they are leaky; M: pooling, S:
# shortcut, R: route, U: upsample, G: reorg, D: dropout, L: locally connected, F: connected, Y and Z: answers.
DARKNET19 = "32 M 64 M 128 64/1 128 M 256 128/1 256 M 512 256/1 512 256/1 512 M 1024 512/1 1024 512/1 1024"
DARKNET53 = "32 " + " ".join(
    f"{width}/3/2 " + " ".join([f"{width // 2}/1 {width} S"] * count)
    for width, count in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
)
TINY_V3 = "16 M 32 M 64 M 128 M 256 M 512 M/1 1024"
V1 = (
    "64/7/2 M 192 M 128/1 256 256/1 512 M 256/1 512 256/1 512 256/1 512 256/1 512 512/1 1024 M "
    "512/1 1024 512/1 1024 1024 1024/3/2 1024 1024"
)
TINY_ANCHORS = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
V3_ANCHORS = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326))
VOC_ANCHORS = ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
VOC_2016_ANCHORS = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))


def tiny_v3(mask: str, classes: int = 80) -> str:
    answer = f"{3 * (5 + classes)}/1/1/linear"
    return f"{TINY_V3} 256/1 512 {answer} Y:3,4,5 R:-4 128/1 U R:-1,8 256 {answer} Y:{mask}"


def v3(classes: int) -> str:
    answer, parts = f"{3 * (5 + classes)}/1/1/linear", [DARKNET53]
    for narrow, mask, joined in ((512, "6,7,8", ""), (256, "3,4,5", "61"), (128, "0,1,2", "36")):
        if joined:
            parts.append(f"R:-4 {narrow}/1 U R:-1,{joined}")
        parts.append(" ".join([f"{narrow}/1 {2 * narrow}"] * 3) + f" {answer} Y:{mask}")
    return " ".join(parts)


BIASED = "{0}/3/1/biased"
FAST_YOLO = " ".join(f"{BIASED.format(width)} M" for width in (16, 32, 64, 128, 256, 512))
FAST_YOLO += f" {' '.join([BIASED.format(1024)] * 3)} F:256/linear F:4096/leaky D F:1470/linear"

TABLES: dict[str, tuple[str, Sequence[tuple[float, float]]]] = {
    "yolov1@darknet": (f"{V1} L D F:1715/linear", ()),
    "yolov1_tiny@darknet": ("16 M 32 M 64 M 128 M 256 M 512 M 1024 256 F:1470/linear", ()),
    "yolov1_tiny@darknet-2015": (FAST_YOLO, ()),
    "yolov2@darknet-voc": (f"{DARKNET19} 1024 1024 R:-9 64/1 G R:-1,-4 1024 125/1/1/linear Z", VOC_ANCHORS),
    "yolov2@darknet-voc-2016": (f"{DARKNET19} 1024 1024 R:-9 G R:-1,-3 1024 125/1/1/linear Z", VOC_2016_ANCHORS),
    "yolov3@paper": (v3(80), V3_ANCHORS),
    "yolov3_tiny@darknet": (tiny_v3("1,2,3"), TINY_ANCHORS),
    "yolov3_tiny@darknet-corrected": (tiny_v3("0,1,2"), TINY_ANCHORS),
    "darknet19@paper": (f"{DARKNET19} 1000/1/1/linear", ()),
    "yolov1_classifier@darknet": (f"{V1.rpartition(' 1024 1024/3/2')[0]} 1000/1/1/biased", ()),
}


class Values:
    """Random values, drawn as they are asked for in the order of a file, which they make."""

    def __init__(self, seed: int, *, transposed: bool, gain: float) -> None:
        self.random = torch.Generator().manual_seed(seed)
        self.gain = gain
        self.transposed = transposed
        self.written: list[Tensor] = []

    def near(self, middle: float, *shape: int) -> Tensor:
        """Values around ``middle``; those around 1 are positive."""
        self.written.append(middle + 0.3 * (2 * torch.rand(shape, generator=self.random) - 1))
        return self.written[-1]

    def weights(self, *shape: int) -> Tensor:
        """[outputs, inputs ...], so small that answers keep to ordinary numbers."""
        inputs = int(np.prod(shape[1:]))
        values = torch.randn(shape, generator=self.random) * self.gain * (2 / inputs) ** 0.5
        self.written.append(values.T if len(shape) == 2 and self.transposed else values)
        return values

    def write(self, path: Path, *, old: bool = False) -> Path:
        """Writes the file: with a header of version 0.2, or that of 2015 (rate, momentum, decay, seen)."""
        with path.open("wb") as out:
            out.write(struct.pack("<3fi", 0.0005, 0.9, 0.0005, 77) if old else struct.pack("<3iQ", 0, 2, 0, 77))
            for values in self.written:
                out.write(values.contiguous().numpy().astype("<f4").tobytes())
        return path


def interpreted(layers: str, values: Values, x: Tensor) -> list[tuple[str, Tensor]]:
    """The answers of a cfg file's layers to images [1,3,H,W]: (answering layer, what came to it)."""
    maps: list[Tensor] = []
    answers = []
    for layer in layers.split():
        kind, _, argument = layer.partition(":")
        if kind[0].isdigit():
            x = convolution(layer, values, x)
        elif kind == "M":
            x = F.max_pool2d(x, 2)
        elif kind == "M/1":  # maxpool_layer.c: windows reach over the far edges, where nothing is
            x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 2, 1)
        elif kind == "S":
            x = x + maps[-3]
        elif kind == "R":
            x = torch.cat([maps[int(place)] for place in argument.split(",")], 1)
        elif kind == "U":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif kind == "G":
            x = reorg(x)
        elif kind == "L":
            x = locally_connected(values, x)
        elif kind == "F":
            width, activation = argument.split("/")
            bias = values.near(0, int(width))
            x = x.flatten(1) @ values.weights(int(width), x[0].numel()).T + bias
            x = torch.where(x > 0, x, 0.1 * x) if activation == "leaky" else x
        elif kind in "YZ":
            answers.append((layer, x))
        maps.append(x)
    return answers or [("", x)]


def convolution(layer: str, values: Values, x: Tensor) -> Tensor:
    given = layer.split("/")
    width, kernel, stride, activation = (*given, *("3", "1", "leaky")[len(given) - 1 :])
    out, size, bias = int(width), int(kernel), values.near(0, int(width))
    if activation == "leaky":
        scale, mean, variance = (values.near(middle, out) for middle in (1, 0, 1))
    x = F.conv2d(x, values.weights(out, x.shape[1], size, size), stride=int(stride), padding=size // 2)
    if activation == "leaky":
        x = (x - mean[:, None, None]) / (variance + 1e-5)[:, None, None].sqrt() * scale[:, None, None]
    x = x + bias[:, None, None]
    return x if activation == "linear" else torch.where(x > 0, x, 0.1 * x)


def reorg(x: Tensor) -> Tensor:
    """blas.c, reorg_cpu with forward=0, in its own loops' words: out[in_index] = x[out_index]."""
    _, c, h, w = x.shape
    flat, out = x.flatten(), torch.empty(x.numel())
    k, j, i = torch.meshgrid(torch.arange(c), torch.arange(h), torch.arange(w), indexing="ij")
    quarter = c // 4
    row, column = j * 2 + k // quarter // 2, i * 2 + k // quarter % 2
    out[(i + w * (j + h * k)).flatten()] = flat[(column + w * 2 * (row + h * 2 * (k % quarter))).flatten()]
    return out.reshape(1, 4 * c, h // 2, w // 2)


def locally_connected(values: Values, x: Tensor) -> Tensor:
    """local_layer.c with size 3, padding 1 and 256 filters."""
    _, c, h, w = x.shape
    bias = values.near(0, 256, h, w)
    kernels = values.weights(h * w * 256, c, 3, 3).reshape(h * w, 256, c * 9)
    padded, out = F.pad(x, (1, 1, 1, 1))[0], torch.empty(1, 256, h, w)
    for place in range(h * w):
        row, column = divmod(place, w)
        out[0, :, row, column] = kernels[place] @ padded[:, row : row + 3, column : column + 3].flatten()
    out = out + bias
    return torch.where(out > 0, out, 0.1 * out)


def decoded(
    answers: Sequence[tuple[str, Tensor]], anchors: Sequence[tuple[float, float]], side: int
) -> Iterator[Tensor]:
    """[h*w*B,4] of each answer: centre and sides in shares of the image (yolo_layer.c, region_layer.c)."""
    for layer, x in answers:
        mask = [int(one) for one in layer[2:].split(",")] if layer[0] == "Y" else range(len(anchors))
        height, width = x.shape[2:]
        boxes = x[0].reshape(len(mask), -1, height, width)[:, :4]
        unit = torch.tensor([anchors[n] for n in mask]) / (side if layer[0] == "Y" else width)
        column, row = torch.arange(width), torch.arange(height)[:, None]
        rows = [(boxes[:, 0].sigmoid() + column) / width, (boxes[:, 1].sigmoid() + row) / height]
        rows += [boxes[:, 2 + axis].exp() * unit[:, axis, None, None] for axis in (0, 1)]
        yield torch.stack(rows, -1).permute(1, 2, 0, 3).reshape(-1, 4)


def judged(name: str, folder: Path, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Raw values and boxes of the interpreter, and ours of the same file: boxes as centres and sides, in shares."""
    layers, anchors = TABLES[name]
    old = name.endswith("2015")
    values = Values(5, transposed=old, gain=0.3 if " S " in layers else 1)  # sums of 23 blocks would grow without end
    images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    answers = interpreted(layers, values, images)
    network = build(catalog.find(name)).eval()
    report = load_weights(network, catalog.find(name), values.write(folder / "net.weights", old=old))
    assert report.left_random == ()
    with torch.no_grad():
        outputs = network(images)
    if "yolov1" in name:
        if "classifier" in name:
            return answers[0][1].mean((2, 3)), torch.zeros(0), outputs, torch.zeros(0)
        raw = torch.cat([outputs.probabilities.flatten(), outputs.confidences.flatten(), outputs.raw.flatten()])
        theirs = answers[0][1].flatten()
        return theirs, v1_boxes(theirs, outputs.confidences.shape[2]), raw, shares(outputs.boxes()[0], side)
    raw = torch.cat(
        [
            x[0].reshape(-1, 5 + 80 if "v3" in name else 25, *x.shape[2:]).permute(2, 3, 0, 1).flatten(0, 2)
            for _, x in answers
        ]
    )
    return raw, torch.cat(list(decoded(answers, anchors, side))), outputs.values[0], shares(outputs.boxes()[0], side)


def v1_boxes(values: Tensor, count: int) -> Tensor:
    """detection_layer.c, get_detection_detections: [7*7*B,4] centre and sides, in shares of the image."""
    raw = values[-49 * count * 4 :].reshape(49, count, 4)
    cell = torch.arange(49)[:, None]
    centres = [(raw[..., 0] + cell % 7) / 7, (raw[..., 1] + cell // 7) / 7]
    return torch.stack([*centres, raw[..., 2] ** 2, raw[..., 3] ** 2], -1).reshape(-1, 4)


def shares(boxes: Tensor, side: int) -> Tensor:
    low, high = boxes[:, :2] / side, boxes[:, 2:] / side
    return torch.cat([(low + high) / 2, high - low], 1)


def assert_judged(name: str, folder: Path, side: int) -> tuple[Tensor, Tensor]:
    raw, boxes, our_raw, our_boxes = judged(name, folder, side)
    torch.testing.assert_close(our_raw, raw, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(our_boxes, boxes, rtol=1e-3, atol=1e-4)
    return raw, boxes


def test_the_tiny_form_and_its_two_tables_of_anchors(tmp_path: Path) -> None:
    """The same file means other boxes in the other edition: all of the finer map's."""
    raw, boxes = assert_judged("yolov3_tiny@darknet", tmp_path, 64)
    others_raw, others = assert_judged("yolov3_tiny@darknet-corrected", tmp_path, 64)
    assert torch.equal(raw, others_raw)
    is_other = ((boxes - others).abs() > 0.02).any(1)
    assert (len(boxes), int(is_other[:12].sum()), int(is_other[12:].sum())) == (60, 0, 48)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TABLES if name.startswith(("yolov1", "yolov2", "yolov3@"))])
def test_whole_files(name: str, tmp_path: Path) -> None:
    assert_judged(name, tmp_path, 64 if "yolov1" not in name or "classifier" in name else 448)


@pytest.mark.slow
def test_the_first_release_of_yolov2_has_other_boxes(tmp_path: Path) -> None:
    """Its files have as many values as the paper's network: the edition tells how to reorganise and decode them."""
    raw, boxes, *_ = judged("yolov2@darknet-voc-2016", tmp_path, 64)
    paper = build(catalog.find("yolov2@paper")).eval()
    load_weights(paper, catalog.find("yolov2@paper"), tmp_path / "net.weights")
    with torch.no_grad():
        outputs = paper(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    assert (outputs.values[0] - raw).abs().max() > 0.1
    assert (shares(outputs.boxes()[0], 64) - boxes).abs().max() > 0.1


@pytest.mark.parametrize("name", [name for name in TABLES if name != "yolov1_tiny@darknet-2015"])
def test_layers_have_the_numbers_of_the_cfg_file(name: str) -> None:
    layers = TABLES[name][0].split()
    numbered = [number for number, layer in enumerate(layers) if layer[0].isdigit() or layer[0] in "LF"]
    assert list(layer_numbers(build_on_meta(catalog.find(name))).values()) == numbered

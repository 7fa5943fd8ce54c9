"""Caffe's files: written here field by field, read back into SSD, played in Caffe's own way, and what is wrong with
others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from made_up import normal_numbers
from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.caffe_file import read_caffe
from visus.models.detection.ssd import SSD, ssd, ssd512
from visus.models.weights import load_weights

pytestmark = pytest.mark.usefixtures("cheap_weights")

Arrays = dict[str, list[NDArray[np.float32]]]
"""Kernel and biases (or the scale alone) by Caffe's name of the layer."""

# Serialised by Google's protobuf 7.36.2 from the fields of caffe.proto: a net of an Input layer; a Convolution with a
# kernel [2,3,1,1] of 0 to 5, biases 0.5 and -1.5 and their gradients; and a Normalize layer with float64 values.
GOOGLES = bytes.fromhex(
    "0a06676f6c64656ea206150a04646174611205496e7075742204646174615001a206630a04636f6e76120b436f6e766f6c7574696f6e1a0464"
    "6174612204636f6e762d0000003f3a222a18000000000000803f0000004000004040000080400000a0403a060a04020301013a192a08000000"
    "3f0000c0bf32080000e040000000413a030a0102a2062a0a046e6f726d12094e6f726d616c697a653a173a030a010242100000000000003440"
    "0000000000003540"
)
# The same for a file in the form before 2015: one dense layer, its shapes as four numbers.
GOOGLES_OLD = bytes.fromhex(
    "0a036f6c64124b12017822026663280e322208011001180220032a18000000000000803f0000004000004040000080400000a0403212080110"
    "01180120022a080000803f000000403d0000803f3d00000040"
)

BODY = {  # weiliu89/caffe, python/caffe/model_libs.py, VGGNetBody: outputs, inputs, side of the kernel
    "conv1_1": (64, 3, 3),
    "conv1_2": (64, 64, 3),
    "conv2_1": (128, 64, 3),
    "conv2_2": (128, 128, 3),
    "conv3_1": (256, 128, 3),
    "conv3_2": (256, 256, 3),
    "conv3_3": (256, 256, 3),
    "conv4_1": (512, 256, 3),
    "conv4_2": (512, 512, 3),
    "conv4_3": (512, 512, 3),
    "conv5_1": (512, 512, 3),
    "conv5_2": (512, 512, 3),
    "conv5_3": (512, 512, 3),
    "fc6": (1024, 512, 3),
    "fc7": (1024, 1024, 1),
}
EXTRAS = {  # examples/ssd/ssd_coco.py, AddExtraLayers
    "conv6_1": (256, 1024, 1),
    "conv6_2": (512, 256, 3),
    "conv7_1": (128, 512, 1),
    "conv7_2": (256, 128, 3),
    "conv8_1": (128, 256, 1),
    "conv8_2": (256, 128, 3),
    "conv9_1": (128, 256, 1),
    "conv9_2": (256, 128, 3),
}
EXTRAS_512 = {**EXTRAS, "conv10_1": (128, 256, 1), "conv10_2": (256, 128, 4)}
HEADS = {  # CreateMultiBoxHead: what each pair of heads reads, its channels, and the boxes of a place
    "conv4_3_norm": (512, 4),
    "fc7": (1024, 6),
    "conv6_2": (512, 6),
    "conv7_2": (256, 6),
    "conv8_2": (256, 4),
    "conv9_2": (256, 4),
}
HEADS_512 = {**HEADS, "conv8_2": (256, 6), "conv10_2": (256, 4)}


def drawn(extras: Mapping[str, tuple[int, int, int]], heads: Mapping[str, tuple[int, int]], classes: int) -> Arrays:
    """Arrays of every layer; ``classes`` counts background."""
    random = np.random.default_rng(0)
    shapes = {**BODY, **extras}
    for source, (depth, boxes) in heads.items():
        shapes[f"{source}_mbox_loc"] = (4 * boxes, depth, 3)
        shapes[f"{source}_mbox_conf"] = (classes * boxes, depth, 3)
    arrays: Arrays = {}
    for name, (after, before, side) in shapes.items():
        kernel = normal_numbers(random, (after, before, side, side)) * np.float32(math.sqrt(2 / (before * side**2)))
        arrays[name] = [kernel, 0.1 * random.standard_normal(after, np.float32)]
    if heads:
        arrays["conv4_3_norm"] = [20 * random.random(512, np.float32)]
    return arrays


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def write(path: Path, arrays: Arrays, *, old: bool = False) -> Path:
    """A .caffemodel as Net::ToProto and WriteProtoToBinaryFile leave it; ``old``: in the form before 2015."""
    name, blobs, layers = (4, 6, 2) if old else (1, 7, 100)
    with path.open("wb") as out:
        out.write(field(1, b"VGG_train") + field(layers, field(name, b"data")))  # a layer that learns nothing
        for layer, values in arrays.items():
            content = field(name, layer.encode()) + (varint(5 << 3) + varint(4) if old else field(2, b"Convolution"))
            for value in values:
                if old:
                    sides = [1] * (4 - value.ndim) + list(value.shape)
                    shape = b"".join(
                        varint(key << 3) + varint(side) for key, side in zip((1, 2, 3, 4), sides, strict=True)
                    )
                else:
                    shape = field(7, field(1, b"".join(varint(side) for side in value.shape)))
                content += field(blobs, shape + field(5, value.astype("<f4").tobytes()))
            out.write(field(layers, content) + field(layers, field(name, layer.encode() + b"_relu")))
    return path


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return drawn(EXTRAS, HEADS, 21)


@pytest.fixture(scope="module")
def file(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("caffe") / "VGG_VOC0712_SSD_300x300_iter_120000.caffemodel", arrays)


def test_what_googles_protobuf_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    path.write_bytes(GOOGLES)
    found = read_caffe(path)
    assert set(found) == {"conv.0", "conv.1", "norm.0"}
    np.testing.assert_array_equal(found["conv.0"], np.arange(6).reshape(2, 3, 1, 1))
    assert found["conv.1"].tolist() == [0.5, -1.5]
    assert found["norm.0"].tolist() == [20, 21]
    path.write_bytes(GOOGLES_OLD)
    found = read_caffe(path)
    np.testing.assert_array_equal(found["fc.0"], np.arange(6).reshape(1, 1, 2, 3))
    assert found["fc.1"].tolist() == [[[[1, 2]]]]


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """A file may end between two layers, which only the missing layers show, and nowhere else."""
    path = tmp_path / "a.caffemodel"
    whole = {8, 32, 134, len(GOOGLES)}  # behind the name and each layer
    for length in range(len(GOOGLES)):
        path.write_bytes(GOOGLES[:length])
        if length in whole - {8, 32}:
            assert set(read_caffe(path)) == {"conv.0", "conv.1"}
            continue
        with pytest.raises(WeightsError) as error:
            read_caffe(path)
        assert error.value.remedy


def played(arrays: Arrays, images: Tensor) -> tuple[Tensor, Tensor]:
    """deploy.prototxt of SSD300 by hand: logits [N,8732,21] and offsets [N,8732,4]; Caffe's pooling rounds up."""
    parts = {name: [torch.from_numpy(value) for value in values] for name, values in arrays.items()}

    def conv(x: Tensor, name: str, **more: int) -> Tensor:
        return F.relu(F.conv2d(x, *parts[name], **more))

    x = images
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, count + 1):
            x = conv(x, f"conv{stage}_{number}", padding=1)
        if stage == 4:
            scale = parts["conv4_3_norm"][0][None, :, None, None]
            normal = x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt() * scale  # normalize_layer.cpp
        x = F.max_pool2d(x, 2, ceil_mode=True) if stage < 5 else F.max_pool2d(x, 3, 1, 1, ceil_mode=True)
    fc7 = conv(conv(x, "fc6", padding=6, dilation=6), "fc7")
    maps = {"conv4_3_norm": normal, "fc7": fc7}
    x = fc7
    for number, (stride, padding) in enumerate(((2, 1), (2, 1), (1, 0), (1, 0)), 6):
        x = conv(conv(x, f"conv{number}_1"), f"conv{number}_2", stride=stride, padding=padding)
        maps[f"conv{number}_2"] = x
    said: dict[str, list[Tensor]] = {"conf": [], "loc": []}
    for source, map_ in maps.items():
        for kind, answers in said.items():
            head = F.conv2d(map_, *parts[f"{source}_mbox_{kind}"], padding=1)
            answers.append(head.permute(0, 2, 3, 1).flatten(1))  # the layers _perm and _flat
    logits, offsets = torch.cat(said["conf"], 1), torch.cat(said["loc"], 1)
    return logits.reshape(len(images), -1, 21), offsets.reshape(len(images), -1, 4)


def prior_boxes(least: list[int], most: list[int], steps: list[int], ratios: list[list[int]], side: int) -> Tensor:
    """prior_box_layer.cpp with flip, offset 0.5 and no clipping, in pixels: [A,4] xyxy. The sizes are of type int."""
    boxes = []
    for low, high, step, others in zip(least, most, steps, ratios, strict=True):
        shapes = [(low, low), (math.sqrt(low * high),) * 2]
        for ratio in others:
            shapes += [(low * math.sqrt(r), low / math.sqrt(r)) for r in (ratio, 1 / ratio)]
        cells = math.ceil(side / step)
        for h in range(cells):
            for w in range(cells):
                x, y = (w + 0.5) * step, (h + 0.5) * step
                boxes += [(x - a / 2, y - b / 2, x + a / 2, y + b / 2) for a, b in shapes]
    return torch.tensor(boxes)


def test_the_network_answers_as_caffes(arrays: Arrays, file: Path) -> None:
    network = build(catalog.find("ssd")).eval()
    report = load_weights(network, catalog.find("ssd"), file)
    assert (report.part, report.left_random) == ("network", ())
    assert torch.equal(network.state_dict()["extras.3.2.weight"], torch.from_numpy(arrays["conv9_2"][0]))
    assert torch.equal(network.state_dict()["backbone.norm4_3.scale"], torch.from_numpy(arrays["conv4_3_norm"][0]))
    images = 50 * torch.randn(1, 3, 300, 300, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = network(images)
        logits, offsets = played(arrays, images)
    assert logits.std() > 0.5
    torch.testing.assert_close(outputs.logits, logits, rtol=1e-3, atol=1e-3 * logits.std().item())
    torch.testing.assert_close(outputs.offsets, offsets, rtol=1e-3, atol=1e-3 * offsets.std().item())
    priors = prior_boxes(
        [30, 60, 111, 162, 213, 264],
        [60, 111, 162, 213, 264, 315],
        [8, 16, 32, 64, 100, 300],
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        300,
    )
    torch.testing.assert_close(outputs.default_boxes, priors, rtol=0, atol=1e-3)
    # bbox_util.cpp, DecodeBBox, CENTER_SIZE: (xmin, ymin, xmax, ymax) of an answer are centre x, y, width and height
    sides, middles = priors[:, 2:] - priors[:, :2], (priors[:, 2:] + priors[:, :2]) / 2
    middles = 0.1 * offsets[0, :, :2] * sides + middles
    sides = torch.exp((0.2 * offsets[0, :, 2:]).clamp(max=math.log(1000 / 16))) * sides
    decoded = torch.cat([middles - sides / 2, middles + sides / 2], 1)
    torch.testing.assert_close(outputs.boxes()[0], decoded, rtol=5e-3, atol=0.5)


@pytest.mark.parametrize(
    ("edition", "sizes"),
    [
        ("caffe-voc", [35, 76, 153, 230, 307, 384, 460, 537]),  # 35.84, 76.8, 153.6 ... as the prototxt has them
        ("caffe-coco", [20, 51, 133, 215, 296, 378, 460, 542]),  # 20.48, 51.2, 133.12 ...
    ],
)
def test_the_released_default_boxes_of_ssd512(edition: str, sizes: list[int]) -> None:
    with torch.device("meta"):
        network = build(catalog.find(f"ssd512@{edition}"))
    places = network.default_boxes.place([(s, s) for s in (64, 32, 16, 8, 4, 2, 1)], (512, 512))
    ratios = [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]]
    priors = prior_boxes(sizes[:-1], sizes[1:], [8, 16, 32, 64, 128, 256, 512], ratios, 512)
    assert places.shape == (24564, 4)
    torch.testing.assert_close(places, priors, rtol=0, atol=1e-3)


def test_the_released_default_boxes_of_ssd300_for_coco() -> None:
    with torch.device("meta"):
        network = build(catalog.find("ssd@caffe-coco"))
    places = network.default_boxes.place([(s, s) for s in (38, 19, 10, 5, 3, 1)], (300, 300))
    sizes, ratios = [21, 45, 99, 153, 207, 261, 315], [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    priors = prior_boxes(sizes[:-1], sizes[1:], [8, 16, 32, 64, 100, 300], ratios, 300)
    torch.testing.assert_close(places, priors, rtol=0, atol=1e-3)


def values(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_ssd512_with_cocos_classes(tmp_path: Path) -> None:
    source = drawn(EXTRAS_512, HEADS_512, 81)
    path = write(tmp_path / "VGG_coco_SSD_512x512_iter_360000.caffemodel", source)
    network = build(catalog.find("ssd512@caffe-coco"))
    assert load_weights(network, catalog.find("ssd512@caffe-coco"), path).left_random == ()
    state = network.state_dict()
    assert len(state) == sum(map(len, source.values()))
    last = {"extras.4.2": "conv10_2", "class_heads.6": "conv10_2_mbox_conf", "box_heads.4": "conv8_2_mbox_loc"}
    for ours, theirs in last.items():
        assert torch.equal(state[f"{ours}.weight"], torch.from_numpy(source[theirs][0]))
        assert torch.equal(state[f"{ours}.bias"], torch.from_numpy(source[theirs][1]))
    small = ssd()
    before = values(small)
    with pytest.raises(WeightsError, match="another network"):
        load_weights(small, catalog.find("ssd"), path)
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


def test_own_classes_begin_anew(arrays: Arrays, file: Path) -> None:
    own = build(catalog.find("ssd"), classes=2, in_channels=1)
    report = load_weights(own, catalog.find("ssd"), file)
    assert {name.rpartition(".")[0] for name in report.left_random} == {f"class_heads.{level}" for level in range(6)}
    assert report.adapted == ("backbone.conv1.0.weight",)
    assert torch.equal(own.box_heads[1].weight, torch.from_numpy(arrays["fc7_mbox_loc"][0]))


@pytest.mark.parametrize("old", [True, False])
def test_the_base_that_the_authors_begin_from(tmp_path: Path, old: bool) -> None:
    source = drawn({}, {}, 0)
    source["fc8"] = [np.zeros((1000, 1024, 1, 1), np.float32), np.zeros(1000, np.float32)]
    path = write(tmp_path / "VGG_ILSVRC_16_layers_fc_reduced.caffemodel", source, old=old)
    network: SSD = ssd512(classes=3, in_channels=3)
    head = network.class_heads[0].weight.clone()
    report = load_weights(network, catalog.find("ssd512"), path)
    assert (report.part, report.left_random) == ("backbone", ("norm4_3.scale",))
    assert torch.equal(network.backbone.fc6.weight, torch.from_numpy(source["fc6"][0]))
    assert torch.equal(network.backbone.conv4[4].bias, torch.from_numpy(source["conv4_3"][1]))
    assert (network.backbone.norm4_3.scale == 20).all()
    assert torch.equal(network.class_heads[0].weight, head)


def test_files_that_do_not_fit(arrays: Arrays, file: Path, tmp_path: Path) -> None:
    card = catalog.find("ssd")
    network = build(card)
    before = values(network)
    path = tmp_path / "bad.caffemodel"

    def refused(what: str) -> WeightsError:
        with pytest.raises(WeightsError, match=what) as error:
            load_weights(network, card, path)
        assert error.value.remedy
        return error.value

    refused("no weights file")
    path.write_bytes(file.read_bytes()[:-5])
    assert "are left" in refused("not a complete Caffe file").got
    path.write_bytes(b"PK\x03\x04 something else entirely")
    refused("is a zip archive")
    path.write_bytes(b"\x07 something else entirely")
    refused("not a complete Caffe file")
    path.write_bytes(field(1, b"empty"))
    refused("does not hold the weights of a network")
    write(path, {name: value for name, value in arrays.items() if name != "conv9_2_mbox_loc"})
    assert "2 values missing" in refused("SSD300 or SSD512").got
    write(path, {"conv1": [np.zeros((96, 3, 11, 11), np.float32), np.zeros(96, np.float32)]})
    assert "such as conv1.0" in refused("VGG-16").got
    fewer = [value[: 4 * 20] for value in arrays["conv9_2_mbox_conf"]]
    write(path, {**arrays, "conv9_2_mbox_conf": fewer})
    assert refused("different numbers of classes").got == "21, 21, 21, 21, 21, 20"
    wrong = field(7, field(1, varint(3))) + field(5, np.zeros(2, "<f4").tobytes())
    path.write_bytes(field(100, field(1, b"conv1_1") + field(7, wrong)))
    assert "2 values for the shape [3]" in refused("not a complete Caffe file").got
    write(path, {**arrays, "conv9_2_mbox_loc": [np.zeros((0, 256, 3, 3), np.float32), np.zeros(0, np.float32)]})
    assert "shape [0, 256, 3, 3]" in refused("not a complete Caffe file").got
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    other = build(catalog.find("lenet5@modern"))
    with pytest.raises(WeightsError, match="another network"):
        load_weights(other, catalog.find("lenet5@modern"), file)

"""Darknet's files: written here layer by layer in the cfg files' order, read back, and what is wrong with others."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from visus.errors import WeightsError
from visus.layers.locally_connected import LocallyConnected
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.darknet_weights import classes_of, count, fit, read_darknet, slots, state_of, stop
from visus.models.on_meta import build_on_meta
from visus.models.weights import load_weights
from visus.proof.published import fact

LAYERS = ("conv", "linear", "locally connected")


def drawn(name: str, classes: int | None = None) -> nn.Module:
    """A network whose every value is drawn, statistics too."""
    network = build(catalog.find(name), classes=classes)
    random = torch.Generator().manual_seed(3)
    for value in (*network.parameters(), *(b for n, b in network.named_buffers() if "running" in n)):
        value.data = torch.rand(value.shape, generator=random) + 0.1
    return network


def layers_of(name: str) -> list[str]:
    """The paths of a network's convolutions in the order of the cfg file, which is that of its published table."""
    return [row["at"] for row in fact(catalog.find(name).fact)["layers"] if row["kind"] in LAYERS]


def write(
    path: Path, network: nn.Module, layers: Sequence[str], *, version: tuple[int, int, int] = (0, 2, 0), seen: int = 7
) -> Path:
    with path.open("wb") as out:
        out.write(struct.pack("<3i", *version))
        out.write(struct.pack("<Q" if version[:2] >= (0, 2) else "<I", seen))
        for layer in layers:
            block = network.get_submodule(layer)
            if isinstance(block, nn.Sequential):
                norm = block[1]
                parts = [norm.bias, norm.weight, norm.running_mean, norm.running_var, block[0].weight]
            else:
                parts = [block.bias, block.weight]
            for part in parts:
                out.write(part.detach().numpy().astype("<f4").tobytes())
    return path


def assert_same(network: nn.Module, source: nn.Module, *, but: tuple[str, ...] = ("-",)) -> None:
    theirs = source.state_dict()
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, theirs[name]) is not name.startswith(but), name


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    return drawn("yolov3_tiny")


@pytest.fixture
def file(tiny: nn.Module, tmp_path: Path) -> Path:
    return write(tmp_path / "yolov3-tiny.weights", tiny, layers_of("yolov3_tiny"))


def test_the_released_files_have_as_many_bytes(file: Path) -> None:
    """35,434,956: the size of the released yolov3-tiny.weights."""
    assert file.stat().st_size == 35_434_956
    assert 20 + 4 * count(slots(build_on_meta(catalog.find("yolov3_tiny")))) == 35_434_956


def test_every_value_comes_to_its_place(tiny: nn.Module, file: Path) -> None:
    fresh = build(catalog.find("yolov3_tiny"))
    report = load_weights(fresh, catalog.find("yolov3_tiny"), file)
    assert report.part == "network"
    assert report.left_random == ()
    assert_same(fresh, tiny)


@pytest.mark.parametrize(
    "name", ["yolov1@darknet", "yolov1_tiny", "yolov2@darknet-voc", "yolov3", "yolov3_tiny", "darknet19"]
)
def test_the_order_is_that_of_the_cfg_file(name: str) -> None:
    layers = layers_of(name)
    owners = [
        next(at for at in layers if slot.name.startswith(f"{at}.")) for slot in slots(build_on_meta(catalog.find(name)))
    ]
    assert list(dict.fromkeys(owners)) == layers


def test_own_classes_leave_the_answering_layers_random(tiny: nn.Module, file: Path) -> None:
    own = build(catalog.find("yolov3_tiny"), classes=2, in_channels=1)
    report = load_weights(own, catalog.find("yolov3_tiny"), file)
    assert {name.rpartition(".")[0] for name in report.left_random} == {"scales.0.predict", "scales.1.predict"}
    assert report.adapted == ("backbone.fine.0.0.weight",)
    theirs = tiny.state_dict()
    assert torch.equal(own.state_dict()["scales.1.widen.0.weight"], theirs["scales.1.widen.0.weight"])


def test_a_file_of_own_classes(tmp_path: Path) -> None:
    source = drawn("yolov3_tiny", classes=4)
    path = write(tmp_path / "own.weights", source, layers_of("yolov3_tiny"))
    own = build(catalog.find("yolov3_tiny"), classes=4)
    load_weights(own, catalog.find("yolov3_tiny"), path)
    assert_same(own, source)


def test_the_first_layers_alone(tiny: nn.Module, tmp_path: Path) -> None:
    """yolov3-tiny.conv.15 is what people begin from: here the backbone's layers, 0 to 12."""
    layers = [layer for layer in layers_of("yolov3_tiny") if layer.startswith("backbone")]
    path = write(tmp_path / "yolov3-tiny.conv.13", tiny, layers)
    own = build(catalog.find("yolov3_tiny"), classes=2)
    report = load_weights(own, catalog.find("yolov3_tiny"), path)
    assert report.part == "backbone"
    assert_same(own.backbone, tiny.backbone)


@pytest.mark.parametrize(
    ("stated", "layers", "random"),
    [
        (15, 9, {"scales.0.predict", "scales.1.route.0", "scales.1.route.1", "scales.1.widen.0", "scales.1.widen.1"}),
        (11, 6, {"backbone.coarse.4.0", "backbone.coarse.4.1", "scales.0.block.0.0", "scales.0.widen.0"}),
    ],
)
def test_the_first_layers_of_a_name(
    tiny: nn.Module, tmp_path: Path, stated: int, layers: int, random: set[str]
) -> None:
    """yolov3-tiny.conv.15 holds layers 0 to 14: nine with values, and six poolings without."""
    card = catalog.find("yolov3_tiny")
    path = write(tmp_path / f"yolov3-tiny.conv.{stated}", tiny, layers_of("yolov3_tiny")[:layers])
    own = build_on_meta(card, classes=2)
    fitted = fit(path, own, build_on_meta(card), for_backbone=False)
    assert (fitted.part, fitted.is_partial, fitted.classes) == ("network", True, None)
    left = {name.rpartition(".")[0] for name in tiny.state_dict() if name not in fitted.state}
    assert left >= random
    theirs = tiny.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in fitted.state.items())
    wrong = path.rename(tmp_path / f"yolov3-tiny.conv.{stated + 1 if stated == 15 else stated - 1}")
    with pytest.raises(WeightsError, match="does not hold the layers that its name states") as error:
        fit(wrong, own, build_on_meta(card), for_backbone=False)
    assert f"up to layer {stated - 1} (" in error.value.got
    with pytest.raises(WeightsError, match="does not fit YOLOv3"):  # only a name that says so makes a start of a stump
        fit(wrong.rename(tmp_path / "cut.weights"), own, build_on_meta(card), for_backbone=False)


def test_the_number_of_classes_follows_from_the_length(tmp_path: Path) -> None:
    """Darknet's rule for filters= before [yolo] and [region] is anchors * (classes + 5), in detection_layer.c
    7 * 7 * (classes + 5 boxes)."""
    for name, classes in (
        *(("yolov3@paper", 7), ("yolov3@paper", 601), ("yolov2@darknet-voc", 1), ("yolov1@darknet", 3)),
        *(("yolov3_tiny@darknet", 80), ("darknet53@paper", 9), ("yolov1_classifier@darknet", 12)),
    ):
        published, own = build_on_meta(catalog.find(name)), build_on_meta(catalog.find(name), classes=classes)
        assert classes_of(count(slots(own)), published) == classes
        assert classes_of(count(slots(own)) - 1, published) is None
        assert [slot.shape for slot in slots(own)] == [slot.shape for slot in slots(published, classes)]


def test_values_that_are_no_weights_name_their_layer(tiny: nn.Module, file: Path) -> None:
    card, content = catalog.find("yolov3_tiny"), bytearray(file.read_bytes())
    own = build_on_meta(card)
    for value, place, words in (
        (float("nan"), 0, "values that are no numbers in layer 0 (backbone.fine.0.0)"),
        (-0.1, 16 * 3, "variances below 0 in layer 0 (backbone.fine.0.0)"),
    ):
        file.write_bytes(content[: 20 + 4 * place] + struct.pack("<f", value) + content[24 + 4 * place :])
        with pytest.raises(WeightsError) as error:
            fit(file, own, own, for_backbone=False)
        assert error.value.got == words


def test_where_values_end() -> None:
    network = build_on_meta(catalog.find("yolov2@darknet-voc"))
    before = count(slots(network)) - 125 * 1025 - 1024 * 1280 * 9
    assert stop(before + 512, network) == (
        "which end within layer 29 (join.0): 1,024 x 1,280 x 3 x 3 of weight expected, 512 left"
    )
    assert stop(count(slots(network)) + 7, network) == "7 more than the last layer takes"
    assert stop(count(slots(network)), network) == "which end behind layer 30 (predict)"


def test_a_classifiers_file_begins_a_detector(tmp_path: Path) -> None:
    source = drawn("darknet19")
    layers = layers_of("darknet19")
    path = write(tmp_path / "darknet19.weights", source, layers)
    card = catalog.find("yolov3_tiny+darknet19")
    detector = build(card, classes=2)
    assert load_weights(detector, card, path).part == "backbone"
    assert_same(detector.backbone, source)
    first = write(tmp_path / "darknet19.conv.23", source, layers[:-1])
    classifier = build(catalog.find("darknet19"), classes=5)
    report = load_weights(classifier, catalog.find("darknet19"), first)
    assert set(report.left_random) == {"classifier.weight", "classifier.bias"}
    assert_same(classifier, source, but=("classifier.",))


@pytest.mark.parametrize(
    ("version", "size", "transposed"), [((0, 1, 0), 16, False), ((0, 2, 5), 20, False), ((0, 1001, 0), 16, True)]
)
def test_headers(tmp_path: Path, version: tuple[int, int, int], size: int, transposed: bool) -> None:
    path = tmp_path / "a.weights"
    seen = struct.pack("<Q" if size == 20 else "<I", 32_013_312)
    path.write_bytes(struct.pack("<3i", *version) + seen + np.arange(3, dtype="<f4").tobytes())
    file = read_darknet(path)
    assert (file.version, file.seen, file.transposed) == (version, 32_013_312, transposed)
    assert file.values.tolist() == [0, 1, 2]


def test_a_truncated_file_is_refused_and_changes_nothing(file: Path) -> None:
    own = build(catalog.find("yolov3_tiny"))
    before = {name: value.clone() for name, value in own.state_dict().items()}
    content = file.read_bytes()
    for length, message in ((-4, "8,858,733 values"), (-3, "bytes"), (-len(content) + 9, "9 bytes")):
        file.write_bytes(content[:length])
        with pytest.raises(WeightsError) as error:
            load_weights(own, catalog.find("yolov3_tiny"), file)
        assert message in error.value.got
        assert "truncated" in error.value.remedy
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


def test_a_file_of_another_network(file: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit Darknet19") as error:
        load_weights(build(catalog.find("darknet19")), catalog.find("darknet19"), file)
    assert "20,856,776 values" in error.value.expected  # 20,842,376 parameters and 14,400 statistics
    with pytest.raises(WeightsError, match="no weights file"):
        load_weights(build(catalog.find("darknet19")), catalog.find("darknet19"), file.with_name("none.weights"))


def test_headers_from_before_there_were_versions(tmp_path: Path) -> None:
    """Darknet of 2015 wrote the rate, momentum and decay; read as versions, they are far too high."""
    path = tmp_path / "yolo.weights"
    path.write_bytes(struct.pack("<3fI", 0.0005, 0.9, 0.0005, 5_120_000) + np.arange(3, dtype="<f4").tobytes())
    file = read_darknet(path)
    assert (file.version, file.seen, file.transposed, len(file.values)) == ((0, 0, 0), 5_120_000, True, 3)


@pytest.mark.parametrize("minor", [2, 1001])
def test_dense_and_locally_connected_layers(tmp_path: Path, minor: int) -> None:
    """connected_layer.c's matrices are outputs x inputs, in old files the other way; local_layer.c's weights go place
    by place, each outputs x inputs, and its biases channel by channel."""
    network = nn.Sequential(LocallyConnected(1, 2, 1, (2, 3)), nn.Flatten(), nn.Linear(12, 3))
    random = np.random.default_rng(0)
    places, channels = random.random((6, 2, 1), np.float32), random.random((2, 2, 3), np.float32)
    matrix, biases = random.random((3, 12), np.float32), random.random(3, np.float32)
    stored = matrix.T if minor > 1000 else matrix
    path = tmp_path / "a.weights"
    header = struct.pack("<3iQ", 0, minor, 0, 0) if minor == 2 else struct.pack("<4i", 0, minor, 0, 0)
    path.write_bytes(header + b"".join(part.tobytes() for part in (channels, places, biases, stored)))
    state = state_of(read_darknet(path), slots(network))
    network.load_state_dict(state)
    np.testing.assert_array_equal(network[0].weight.detach(), places)
    np.testing.assert_array_equal(network[0].bias.detach(), channels)
    np.testing.assert_array_equal(network[2].weight.detach(), matrix)
    np.testing.assert_array_equal(network[2].bias.detach(), biases)

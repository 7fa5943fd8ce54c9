"""Caffe's files of all generations, read back; where a file stops; and files that are others of Caffe's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffe_nets import CaffeNet, blob, message, number
from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.caffe_file import CaffeLayer, read_caffe
from visus.models.weight_files import read_values


def small() -> CaffeNet:
    net = CaffeNet((3, 9, 9))
    x = net.pool("pool1", net.lrn("norm1", net.relu(net.conv("conv1", "data", 4, 3, group=1))), 2, 2)
    net.dense("fc2", x, 5)
    return net


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_every_generation_is_read(generation: int, double: bool, tmp_path: Path) -> None:
    net = small()
    found = read_caffe(net.write(tmp_path / "a.caffemodel", generation=generation, double=double))
    assert found.keys() == net.arrays.keys()
    for name, array in net.arrays.items():
        np.testing.assert_array_equal(found[name].reshape(array.shape), array)
        assert found[name].dtype == np.float32
        assert found[name].ndim == (array.ndim if generation == 2 else 4)
    kinds = [layer.type for layer in found.layers if layer.name in ("conv1", "norm1", "pool1", "fc2")]
    assert kinds == ["Convolution", "LRN", "Pooling", "InnerProduct"]
    assert next(layer for layer in found.layers if layer.name == "pool1").bottoms == ("norm1",)
    assert next(layer for layer in found.layers if layer.name == "pool1").tops == ("pool1",)


def test_numbers_that_are_not_packed(tmp_path: Path) -> None:
    """Old writers may give each number of an array a field of its own."""
    path = tmp_path / "a.caffemodel"
    loose = b"".join(bytes([5 << 3 | 5]) + np.float32(value).tobytes() for value in (1, 2, 3))
    shape = message(7, bytes([1 << 3, 3]))
    path.write_bytes(message(100, message(1, b"scale") + message(7, shape + loose)))
    found = read_caffe(path)
    assert found["scale.0"].tolist() == [1, 2, 3]
    assert found.layers == (CaffeLayer("scale"),)


def test_a_number_without_axes(tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    path.write_bytes(message(100, message(1, b"scale") + message(7, blob(np.float32(7).reshape(())))))
    assert read_caffe(path)["scale.0"].shape == ()


def refused(path: Path, content: bytes) -> WeightsError:
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        read_caffe(path)
    assert error.value.remedy
    return error.value


def test_a_cut_file_says_at_which_layer_it_stops(tmp_path: Path) -> None:
    path = small().write(tmp_path / "a.caffemodel")
    whole = path.read_bytes()
    assert "within layer fc2, after layer pool1, at byte" in refused(path, whole[:-20]).got
    place = whole.index(b"conv1")
    assert "within layer conv1, after layer data" in refused(path, whole[: place + 60]).got
    assert "within a layer, after layer data" in refused(path, whole[: place - 1]).got
    assert "before its first layer ends, at byte 9" in refused(path, whole[:9]).got


def test_a_damaged_layer_is_named(tmp_path: Path) -> None:
    path = small().write(tmp_path / "a.caffemodel")
    whole = path.read_bytes()
    broken = whole.replace(b"\x3a\x04\x0a\x02\x05\x40", b"\x3a\x04\x0a\x02\x05\x41")  # the shape [5,64] of fc2
    assert broken != whole
    got = refused(path, broken).got
    assert "layer fc2 has an array of 320 values for the shape [5, 65]" in got
    assert "after layer pool1" in got


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.binaryproto", blob(np.zeros((1, 3, 4, 4), np.float32), legacy=True), "a mean image"),
        (
            "a.solverstate",
            number(1, 450000)
            + message(2, b"net_iter_450000.caffemodel")
            + message(3, blob(np.zeros((2, 3), np.float32))),
            "a solver's state",
        ),
        ("a.caffemodel.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        ("a.caffemodel", b'name: "AlexNet"\nlayer {\n  name: "data"\n', "text"),
        ("a.caffemodel", b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>", "text"),
        ("a.caffemodel", b"", "0 bytes without learned layers"),
        ("a.caffemodel", number(1, 3), "another message"),
    ],
)
def test_files_that_are_no_networks_are_named(name: str, content: bytes, what: str, tmp_path: Path) -> None:
    assert what in refused(tmp_path / name, content).got
    network = build(catalog.find("lenet5@modern"))
    with pytest.raises(WeightsError) as error:
        read_values(tmp_path / name, network)
    assert what in error.value.got

"""Keras's files, written here in their three layouts with small layers, read back; and what is refused of others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from visus.errors import MissingExtraError, WeightsError
from visus.models.keras_file import read_keras

LIMIT = 1 << 20
Layers = Mapping[str, list[NDArray[Any]]]
LAYERS: Layers = {
    "block1_conv1": [np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2)],
    "conv2d_10": [np.ones((1, 1, 2, 2), np.float32), np.zeros(2, np.float32)],
    "conv2d_9": [np.full((1, 1, 2, 2), 9, np.float32)],
    "predictions": [np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(3, dtype=np.float32)],
}


def write_old(group: Any, layers: Layers, *, parts: int = 1) -> None:
    """As Keras 1 and 2: the names as attributes, in parts where they are long."""
    names = [name.encode() for name in ("input_1", *layers, "normalization")]
    for number in range(parts):
        share = names[number * len(names) // parts : (number + 1) * len(names) // parts]
        group.attrs[f"layer_names{number}" if parts > 1 else "layer_names"] = share
    for layer, arrays in {"input_1": [], **layers}.items():
        inner = group.create_group(layer)
        inner.attrs["weight_names"] = [f"{layer}/{n}_W_1:0".encode() for n in range(len(arrays))]
        for number, array in enumerate(arrays):
            inner[f"{layer}/{number}_W_1:0"] = array
    seen = group.create_group("normalization")
    seen["count"] = 3
    seen.attrs["weight_names"] = [b"count"]


def old(path: Path, layers: Layers) -> None:
    with h5py.File(path, "w") as file:
        write_old(file, layers)


def in_parts(path: Path, layers: Layers) -> None:
    with h5py.File(path, "w") as file:
        write_old(file, layers, parts=2)


def whole_model(path: Path, layers: Layers) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = b"{}"
        write_old(file.create_group("model_weights"), layers)
        file["optimizer_weights/iterations"] = 3


def new(path: Path, layers: Layers) -> None:
    """As Keras 3: groups named after the layers' classes, alphabetical; the order is in their numbers."""
    classes = {"block1_conv1": "conv2d", "conv2d_9": "conv2d_1", "conv2d_10": "conv2d_2", "predictions": "dense"}
    with h5py.File(path, "w") as file:
        for layer, arrays in layers.items():
            inner = file.create_group(f"layers/{classes[layer]}/vars")
            inner.attrs["name"] = layer
            for number, array in enumerate(arrays):
                inner[str(number)] = array
        seeds = file.create_group("layers/dropout/seed_generator/vars")
        seeds.attrs["name"] = "seed_generator"
        seeds["0"] = np.zeros(2, np.uint32)
        file.create_group("optimizer/vars").attrs["name"] = "adam"
        file["optimizer/vars/0"] = np.zeros(2, np.float32)


@pytest.mark.parametrize("write", [old, in_parts, whole_model, new])
def test_the_layouts(tmp_path: Path, write: Callable[[Path, Layers], None]) -> None:
    path = tmp_path / "a.weights.h5"
    write(path, LAYERS)
    arrays = read_keras(path, limit=LIMIT)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        f"{layer}/{number}": array.tolist() for layer, arrays in LAYERS.items() for number, array in enumerate(arrays)
    }
    if write is new:
        assert [name for name in arrays if "conv2d" in name] == ["conv2d_9/0", "conv2d_10/0", "conv2d_10/1"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "a.h5", tmp_path / "b.h5"
    old(path, LAYERS)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(WeightsError, match="cannot read the weights file"):
        read_keras(path, limit=LIMIT)
    old(other, LAYERS)
    with h5py.File(path, "w") as file:
        write_old(file, {"a": []})
        file["a"].create_dataset("large", (1 << 30,), "f4")  # which takes no room in the file
        file["a"].attrs["weight_names"] = [b"large"]
    assert path.stat().st_size < LIMIT
    with pytest.raises(WeightsError, match="far more than the network needs"):
        read_keras(path, limit=LIMIT)
    for make in (
        lambda file: file.create_dataset("layers/a/vars/0", data=[1, 2]),
        lambda file: file.create_dataset("x", (2,), "f4", external=[(str(other), 0, 8)]),
        lambda file: file.__setitem__("model_weights", h5py.ExternalLink(str(other), "/")),
        lambda file: file.create_group("nothing"),
    ):
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(WeightsError):
            read_keras(path, limit=LIMIT)
    with pytest.raises(WeightsError, match="no file"):
        read_keras(tmp_path / "none.h5", limit=LIMIT)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="needs h5py") as error:
        read_keras(tmp_path / "a.h5", limit=LIMIT)
    assert error.value.remedy == "pip install 'visus[keras]'"

"""Exported files run, and files that cannot run say why."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from onnx_files import write_pooling_network
from visus.errors import MissingExtraError, ShapeError, UsageError, WeightsError
from visus.runtimes.runtime import cores, open_runtime

WEIGHTS = np.asarray([[1, 0, -1, 2], [0, 1, 2, -2], [3, -1, 0, 1]], np.float32)
BIAS = np.asarray([0, 1, -1, 0.5], np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_pooling_network(tmp_path / "model.onnx", WEIGHTS, BIAS, {"visus": "{}", "note": "Grüße"})


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 3, 5, 7), (3, 3, 8, 4)])
def test_outputs_are_those_of_the_formula(file: Path, shape: tuple[int, ...]) -> None:
    runtime = open_runtime(file)
    given = images(*shape)
    found = runtime.run(given)
    assert list(found) == ["logits"] == list(runtime.outputs)
    np.testing.assert_allclose(found["logits"], given.mean((2, 3)) @ WEIGHTS + BIAS, atol=1e-5)


def test_it_says_what_it_is(file: Path) -> None:
    runtime = open_runtime(file, threads=2)
    assert runtime.metadata == {"visus": "{}", "note": "Grüße"}
    assert runtime.inputs == {"images": (None, 3, None, None)}
    assert runtime.threads == 2
    assert runtime.engine.startswith("onnxruntime ")
    assert open_runtime(file).threads == cores() >= 1


@pytest.mark.parametrize(("stated", "wanted"), [("3", 3), ("0", None), ("", None), ("many", None)])
def test_threads_are_those_of_pytorch(stated: str, wanted: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = cores()
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert cores() == (wanted or alone)


def test_nothing_is_written_beside_the_file(file: Path) -> None:
    open_runtime(file).run(images(1, 3, 4, 4))
    assert os.listdir(file.parent) == ["model.onnx"]


@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 4, 8, 8), (3, 8, 8), (0, 3, 8, 9)])
def test_images_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    runtime = open_runtime(write_pooling_network(tmp_path / "a.onnx", WEIGHTS, BIAS, size=(8, 8)))
    with pytest.raises(ShapeError, match=r"\[any, 3, 8, 8\]"):
        runtime.run(images(*shape))


def test_a_file_cut_off_is_named(file: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match="no whole ONNX file"):
            open_runtime(file)


@pytest.mark.parametrize("content", [b"hello, world\n" * 50, b"\x89PNG\r\n" + bytes(9), bytes(200), b"\xff" * 99])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="no whole ONNX file"):
        open_runtime(path)


def test_a_changed_byte_is_an_error_or_another_value_but_no_crash(file: Path) -> None:
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    for at in random.integers(len(whole), size=60).tolist():
        changed = bytearray(whole)
        changed[at] ^= 1 << int(random.integers(8))
        file.write_bytes(changed)
        with suppress(WeightsError, ShapeError):
            open_runtime(file, threads=1).run(images(1, 3, 4, 4))


@pytest.mark.parametrize(("opset", "ir_version"), [(999, 10), (20, 999)])
def test_a_file_of_a_later_format_says_which(tmp_path: Path, opset: int, ir_version: int) -> None:
    path = write_pooling_network(tmp_path / "a.onnx", WEIGHTS, BIAS, opset=opset, ir_version=ir_version)
    with pytest.raises(WeightsError, match=f"opset {opset}, IR {ir_version}") as error:
        open_runtime(path)
    assert "onnxruntime" in error.value.remedy


def test_a_missing_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no file"):
        open_runtime(tmp_path / "none.onnx")
    with pytest.raises(WeightsError, match="is a folder"):
        open_runtime(tmp_path)


def test_a_missing_package_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        open_runtime(file)


def test_an_unknown_runtime_and_no_threads(file: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime"):
        open_runtime(file, "tensorrt")
    with pytest.raises(UsageError, match="1 or more"):
        open_runtime(file, threads=0)

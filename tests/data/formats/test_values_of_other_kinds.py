"""Values of another type, rank or size than a reader expects are refused in words, before room is made for them."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.formats.masks.class_lists import fill_gaps
from visus.data.formats.objects.outlined_objects import run_lengths
from visus.data.formats.published.cifar import read_pickle
from visus.data.formats.published.idx import read_idx
from visus.data.formats.texts.safe_xml import parse_xml
from visus.data.reading.opening import open_data
from visus.errors import DataError

JPEG = np.frombuffer(b"\xff\xd8\xff\xd9", np.uint8)
ARRAYS: dict[str, Any] = {
    "data": np.concatenate([JPEG, JPEG]),
    "offsets": np.array([0, 4, 8]),
    "labels": np.array([0, 1]),
    "classes": np.array(["cat", "dog"]),
}


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": np.array([0.0, 4.0, 8.0])},
        {"offsets": np.array([0, 4, 9])},
        {"offsets": np.array([0, 2**63, 8], np.uint64)},
        {"offsets": np.array([["0", "4", "8"]])},
        {"labels": np.array([0, 2])},
        {"labels": np.array(["0", "1"])},
        {"labels": np.array(1)},
        {"classes": np.array([[b"cat", b"dog"]])},
        {"classes": np.array([1, 2])},
        {"data": np.array([[1, 2], [3, 4]], np.uint8)},
        {"is_train": np.array(["yes", "no"])},
    ],
)
def test_arrays_of_packed_images(tmp_path: Path, change: dict[str, Any]) -> None:
    np.savez(tmp_path / "a.npz", **ARRAYS | change)
    with pytest.raises(DataError, match="arrays of"):
        open_data(tmp_path)


@pytest.mark.parametrize("shape", [(1 << 31, 1 << 31, 4), (1 << 16,) * 4, (1,) * 70, (0, 2**32 - 1)])
def test_idx_headers_whose_product_overflows(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "a").write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + b"\1")
    with pytest.raises(DataError, match="not a complete IDX file"):
        read_idx(tmp_path / "a")


def test_gzip_that_unpacks_to_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(100_000)))
    monkeypatch.setattr("visus.files.arrays._ANYHOW", 50_000)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "a.gz")


class Calls:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def test_pickles_make_no_room_by_themselves(tmp_path: Path) -> None:
    for index, call in enumerate(((np.ndarray, ((2,),)), (np._core.multiarray._reconstruct, (np.ndarray, (3,), b"b")))):
        (tmp_path / f"{index}").write_bytes(pickle.dumps({"data": Calls(*call)}, protocol=2))
    with pytest.raises(DataError, match="cannot be read safely"):
        read_pickle(tmp_path / "0")  # only the call that fills an array may be made
    assert read_pickle(tmp_path / "1")["data"].size == 0


def test_numbers_of_classes() -> None:
    assert fill_gaps({0: "cat", 2: "dog"}) == ("cat", "class_1", "dog")
    with pytest.raises(DataError, match="no list of classes reaches"):
        fill_gaps({0: "cat", 4_000_000_000: "dog"})


@pytest.mark.parametrize("encoding", ["x-unknown", "rot13", "zlib", "utf-7"])
def test_encodings_of_xml(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.xml").write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><a><b></a>'.encode())
    with pytest.raises(DataError, match="cannot be read as XML"):
        parse_xml(tmp_path / "a.xml")


@pytest.mark.parametrize("counts", [[1.5, 2], ["3"], [None], [[1]]])
def test_run_lengths_of_other_types(counts: list[Any]) -> None:
    with pytest.raises(DataError, match="run-length code is damaged"):
        run_lengths(counts)


def test_pipes_where_files_belong(tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / ("cats", "dogs")[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    for name in ("labels.csv", "a.json", "data.yaml", "b.npz", "c.xml", "classes.txt", "cats/d.jpg", "cats/e"):
        os.mkfifo(tmp_path / name)
    dataset = open_data(tmp_path, format="class-folders")
    assert sum(map(len, dataset.splits.values())) == 5  # the pipe that is called d.jpg is found as unreadable

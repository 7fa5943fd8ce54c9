"""The cache of features on disk: what goes in comes out, and what was broken off or damaged is done again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visus.engine import disk
from visus.engine.feature_cache import INDEX, MANIFEST, Column, FeatureCache
from visus.errors import DataError, DiskError

COLUMNS = {"deep": Column("float16", 3), "labels": Column("int64", 1)}
ORIGIN = {"network": "abc", "overlap": 0.6}


def arrays(number: int, rows: int, labels: int) -> dict[str, Any]:
    return {"deep": np.full((rows, 3), number, np.float32), "labels": np.full(labels, number)}


def filled(folder: Path) -> FeatureCache:
    cache = FeatureCache.open(folder, COLUMNS, ORIGIN)
    for number, (rows, labels) in enumerate([(2, 1), (0, 0), (4, 2)]):
        cache.append(f"image {number}", arrays(number, rows, labels))
    return cache


def test_rows_come_back_image_by_image(tmp_path: Path) -> None:
    filled(tmp_path)
    cache = FeatureCache.read(tmp_path)
    assert len(cache) == 3
    assert [entry.id for entry in cache.entries] == ["image 0", "image 1", "image 2"]
    assert cache[2]["deep"].tolist() == [[2.0] * 3] * 4
    assert cache[1]["labels"].shape == (0, 1)
    assert cache.array("labels")[:, 0].tolist() == [0, 2, 2]
    assert isinstance(cache.array("deep"), np.memmap)
    assert cache.rows("deep") == 6
    assert sorted(cache.files) == sorted(path.name for path in tmp_path.iterdir())


def test_without_any_row(tmp_path: Path) -> None:
    cache = FeatureCache.open(tmp_path, COLUMNS, ORIGIN)
    cache.append("nothing", arrays(0, 0, 0))
    assert FeatureCache.read(tmp_path).array("deep").shape == (0, 3)


@pytest.mark.parametrize("harm", ["rows", "half a line", "line without rows", "flipped", "later flipped"])
def test_what_was_broken_off_goes_on_with_the_first_image_that_is_not_whole(tmp_path: Path, harm: str) -> None:
    filled(tmp_path)
    index, deep = tmp_path / INDEX, tmp_path / "deep.float16"
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    lines = index.read_text().splitlines(keepends=True)
    kept = 2
    if harm == "rows":  # killed between the rows and the line
        index.write_text("".join(lines[:2]))
    elif harm == "half a line":
        index.write_text("".join(lines)[:-9])
    elif harm == "line without rows":
        deep.write_bytes(deep.read_bytes()[:-2])
    else:
        position, kept = (0, 0) if harm == "flipped" else (-1, 2)
        content = bytearray(deep.read_bytes())
        content[position] ^= 1
        deep.write_bytes(content)
    cache = FeatureCache.open(tmp_path, COLUMNS, ORIGIN)
    assert len(cache) == kept
    for number, (rows, labels) in list(enumerate([(2, 1), (0, 0), (4, 2)]))[kept:]:
        cache.append(f"image {number}", arrays(number, rows, labels))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


@pytest.mark.parametrize(
    ("columns", "origin"),
    [(COLUMNS, ORIGIN | {"network": "other"}), (COLUMNS | {"deep": Column("float16", 4)}, ORIGIN)],
)
def test_features_of_another_origin_do_not_count(tmp_path: Path, columns: Any, origin: Any) -> None:
    filled(tmp_path)
    cache = FeatureCache.open(tmp_path, columns, origin)
    assert len(cache) == 0
    assert (tmp_path / "deep.float16").stat().st_size == 0


@pytest.mark.parametrize("harm", ["short", "missing", "manifest", "kind"])
def test_a_damaged_cache_is_an_error_with_a_way_out(tmp_path: Path, harm: str) -> None:
    filled(tmp_path)
    if harm == "short":
        (tmp_path / "labels.int64").write_bytes(b"12345678")
    elif harm == "missing":
        (tmp_path / "deep.float16").unlink()
    elif harm == "manifest":
        (tmp_path / MANIFEST).write_text("{")
    else:
        known = json.loads((tmp_path / MANIFEST).read_text())
        known["columns"]["deep"]["dtype"] = "no such"
        (tmp_path / MANIFEST).write_text(json.dumps(known))
    with pytest.raises(DataError):
        FeatureCache.read(tmp_path)


def test_a_disk_without_room_for_all_images_is_told_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: disk.shutil._ntuple_diskusage(10**9, 0, 10**7))
    cache = FeatureCache.open(tmp_path, COLUMNS, ORIGIN)
    with pytest.raises(DiskError, match="is full"):
        cache.append("image", arrays(0, 100, 1), images=10**6)
    assert len(cache) == 0
    assert (tmp_path / "deep.float16").stat().st_size == 0

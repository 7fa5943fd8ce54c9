"""Hugging Face's rows: of classes, of objects, of captions; in lines of JSON and in Parquet."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.errors import DataError, MissingExtraError


def picture(seed: int) -> bytes:
    """A PNG file of noise, 40 x 30."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def lines(folder: Path, *rows: Mapping[str, Any]) -> None:
    """metadata.jsonl with these rows, and a picture for each."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(len(rows)):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def kinds(dataset: Dataset) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in dataset.findings}


def test_classes_in_the_folders_of_splits(tmp_path: Path) -> None:
    lines(tmp_path / "train", {"file_name": "0.png", "label": "dog"}, {"file_name": "1.png", "label": "cat"})
    lines(tmp_path / "validation", {"file_name": "0.png", "label": "cat"})
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes) == ("hugging-face", {"classification": ("cat", "dog")})
    found = {s.id: s.target("classification").name for part in dataset.splits.values() for s in part}
    assert found == {"train/0.png": "dog", "train/1.png": "cat", "validation/0.png": "cat"}
    assert set(dataset.splits) == {"train", "val"}


def test_objects_as_lists_and_as_mappings(tmp_path: Path) -> None:
    lines(
        tmp_path,
        {"file_name": "0.png", "objects": {"bbox": [[5, 6, 20, 14], [1, 2, 10, 20]], "categories": [1, 0]}},
        {"file_name": "1.png", "objects": [{"bbox": [1, 2, 10, 20], "category": 0}]},
        {"file_name": "2.png", "objects": {"bbox": [], "categories": []}},
    )
    dataset = open_data(tmp_path)
    assert dataset.classes["detection"] == ("0", "1")
    found = {s.id: s.target("detection") for part in dataset.splits.values() for s in part}
    assert found["0.png"].boxes.tolist() == [[5, 6, 25, 20], [1, 2, 11, 22]]
    assert found["0.png"].labels.tolist() == [1, 0]
    assert found["1.png"].boxes.tolist() == [[1, 2, 11, 22]]
    assert len(found["2.png"].boxes) == 0
    assert dataset.ledger.to_dict()["objects"] == {"found": 3, "used": 3, "left": {}}


def test_objects_that_lack_a_part_stop(tmp_path: Path) -> None:
    lines(
        tmp_path,
        {"file_name": "0.png", "objects": {"bbox": [[5, 6, 20, 14], [1, 2, 10, 20]], "categories": [1]}},
        {"file_name": "1.png", "objects": [{"bbox": [1, 2, 10], "category": 0}, {"bbox": None, "category": 0}]},
        {
            "file_name": "1.png",
            "objects": [{"bbox": [1, 2, 10, 8], "category": {}}, {"bbox": [1, 2, 3, 4], "category": ""}],
        },
        {
            "file_name": "2.png",
            "objects": [{"bbox": [1, 2, 10, 8], "category": {}}, {"bbox": [1, 2, 3, 4], "category": ""}],
        },
    )
    dataset = open_data(tmp_path)
    assert kinds(dataset)["box-not-a-number"] == kinds(dataset)["object-without-class"] == "stop"
    assert kinds(dataset)["unreadable-object"] == "repair"
    assert kinds(dataset)["duplicate-row"] == "note"


def test_captions_are_no_task_and_unused_keys_are_told(tmp_path: Path) -> None:
    lines(tmp_path / "a", {"file_name": "0.png", "text": "A cat."}, {"file_name": "1.png", "text": "A dog."})
    assert open_data(tmp_path / "a").tasks == ()
    lines(tmp_path / "b", *({"file_name": f"{n}.png", "label": n % 2, "author": "Ann"} for n in range(2)))
    (finding,) = [finding for finding in open_data(tmp_path / "b").findings if finding.kind == "unused-key"]
    assert finding.examples == ("metadata.jsonl: author",)


def test_missing_images_and_damaged_lines(tmp_path: Path) -> None:
    lines(
        tmp_path, *({"file_name": name, "label": n % 2} for n, name in enumerate(("0.png", "1.png", "8.png", "9.png")))
    )
    assert kinds(open_data(tmp_path))["missing-image"] == "stop"
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "label": 0}\n{"file_name": \n')
    with pytest.raises(DataError, match=r"metadata\.jsonl, line 2: no JSON"):
        open_data(tmp_path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match="needs pyarrow") as caught:
        open_data(tmp_path)
    assert caught.value.remedy == "pip install 'visus[parquet]'"


def packed(path: Path, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
    """A Parquet file as the library datasets writes it."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path.parent.mkdir(exist_ok=True)
    table = pyarrow.Table.from_pylist(rows)
    schema = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    parquet.write_table(table.replace_schema_metadata(schema), path)


def test_parquet_with_classes(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": {"names": ["zebra", "ant", "bee"], "_type": "ClassLabel"}}
    rows = [{"image": {"bytes": picture(n), "path": f"{n}.png"}, "label": n % 2} for n in range(6)]
    for number in range(2):
        packed(tmp_path / "data" / f"train-0000{number}-of-00002.parquet", rows[2 * number : 2 * number + 2], features)
    packed(tmp_path / "data" / "test-00000-of-00001.parquet", rows[4:], features)
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("zebra", "ant", "bee")
    (first, _) = dataset.split("test")
    assert (first.id, first.target("classification").name) == ("test-00000-of-00001/000000", "zebra")
    with Image.open(io.BytesIO(picture(4))) as image:
        np.testing.assert_array_equal(first.image.load(), np.asarray(image).transpose(2, 0, 1))


def test_parquet_with_objects(tmp_path: Path) -> None:
    category = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    box = {"feature": {"dtype": "float32", "_type": "Value"}, "length": 4, "_type": "List"}
    features = {
        "image": {"_type": "Image"},
        "objects": {"feature": {"bbox": box, "category": category}, "_type": "Sequence"},
    }
    objects = {"bbox": [[5.0, 6.0, 20.0, 14.0]], "category": [1]}
    rows = [{"image": {"bytes": picture(n), "path": None}, "objects": objects} for n in range(3)]
    packed(tmp_path / "train.parquet", rows, features)
    dataset = open_data(tmp_path)
    assert dataset.classes["detection"] == ("cat", "dog")
    target = dataset.split("train")[0].target("detection")
    assert (target.boxes.tolist(), target.labels.tolist()) == ([[5, 6, 25, 20]], [1])


def test_a_damaged_parquet_file_is_an_ordinary_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"train\.parquet cannot be read"):
        open_data(tmp_path)

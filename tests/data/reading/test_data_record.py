"""What has changed in data is told in numbers and names; what has not changed gives no word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.data_record import DataRecord, changes
from visus.data.reading.fingerprint import fingerprint
from visus.data.reading.opening import open_data
from visus.errors import DataError


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path.with_suffix(".bmp"))  # all files have one size in bytes
    path.with_suffix(".bmp").rename(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Classes a and b, with the same file names in both."""
    for place, name in enumerate("ab"):
        for k in range(5):
            paint(tmp_path / "data" / "train" / name / f"{k}.png", 10 * place + k)
            paint(tmp_path / "data" / "val" / name / f"{k + 5}.png", 10 * place + k + 5)
    return tmp_path / "data"


def swap(root: Path) -> None:
    for split in ("train", "val"):
        here = root / split
        (here / "a").rename(here / "t")
        (here / "b").rename(here / "a")
        (here / "t").rename(here / "b")


def rename(root: Path) -> None:
    for split in ("train", "val"):
        (root / split / "a").rename(root / split / "z")


def add(root: Path) -> None:
    for k in range(3):
        paint(root / "train" / "a" / f"new{k}.png", 100 + k)


def remove(root: Path) -> None:
    (root / "val" / "b" / "7.png").unlink()


def relabel(root: Path) -> None:
    (root / "train" / "a" / "3.png").rename(root / "train" / "b" / "was-3.png")
    (root / "train" / "b" / "was-3.png").rename(root / "train" / "b" / "3b.png")


def move(root: Path) -> None:
    (root / "train" / "a" / "3.png").rename(root / "val" / "a" / "3.png")


def repaint(root: Path) -> None:
    size = (root / "train" / "a" / "3.png").stat().st_size
    paint(root / "train" / "a" / "3.png", 99)
    assert (root / "train" / "a" / "3.png").stat().st_size == size


def touch(root: Path) -> None:
    os.utime(root / "train" / "a" / "3.png", (0, 0))
    shutil.copytree(root, root.with_name("copy"))
    shutil.rmtree(root)
    root.with_name("copy").rename(root)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swap, ["20 images are changed in pixels: train/a/0.png"]),
        (rename, ["classes of classification: a gone; z new", "10 images are in another folder: train/a/0.png is now"]),
        (add, ["3 images are new: train/a/new0.png, train/a/new1.png, train/a/new2.png"]),
        (remove, ["1 image is gone: val/b/7.png"]),
        (relabel, ["1 image is new: train/b/3b.png", "1 image is gone: train/a/3.png"]),
        (move, ["1 image is in another folder: train/a/3.png is now val/a/3.png", "1 image is in another split"]),
        (repaint, ["1 image is changed in pixels: train/a/3.png"]),
        (touch, []),
    ],
)
def test_changes_of_folders(change: Callable[[Path], None], words: list[str], folders: Path) -> None:
    before = DataRecord.of(open_data(folders))
    assert before.fingerprint == fingerprint(open_data(folders))
    change(folders)
    told = changes(DataRecord.from_bytes(before.to_bytes()), DataRecord.of(open_data(folders)))
    assert len(told) == len(words), told
    for sentence, word in zip(told, words, strict=True):
        assert sentence.startswith(word)


def test_swapped_folders_of_other_file_names_have_moved_and_are_labelled_otherwise(tmp_path: Path) -> None:
    for place, name in enumerate("ab"):
        for k in range(4):
            for split in ("train", "val"):
                paint(
                    tmp_path / "data" / split / name / f"{split}-{name}{k}.png", 10 * place + k + 4 * (split == "val")
                )
    before = DataRecord.of(open_data(tmp_path / "data"))
    swap(tmp_path / "data")
    told = changes(before, DataRecord.of(open_data(tmp_path / "data")))
    assert [sentence.split(":")[0] for sentence in told] == [
        "16 images are in another folder",
        "16 images are labelled otherwise",
    ]


def coco(root: Path, boxes: list[list[int]], names: tuple[str, ...] = ("cat", "dog"), labels: tuple[int, ...] = (1, 2)):
    for k in range(len(boxes)):
        if not (root / "images" / f"{k}.png").exists():
            paint(root / "images" / f"{k}.png", k)
    document = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 8, "height": 8} for k in range(len(boxes))],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": labels[k % 2], "bbox": box, "area": 9, "iscrowd": 0}
            for k, box in enumerate(boxes)
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
    }
    (root / "annotations.json").write_text(json.dumps(document))
    return DataRecord.of(open_data(root, task="detection"))


def test_edited_boxes_and_categories_are_told(tmp_path: Path) -> None:
    boxes = [[1, 1, 3, 3]] * 8
    before = coco(tmp_path, boxes)
    assert changes(before, coco(tmp_path, boxes)) == []
    assert changes(before, coco(tmp_path, [[1, 1, 4, 3], *boxes[1:]]))[0].startswith("1 image is labelled otherwise")
    assert changes(before, coco(tmp_path, boxes, labels=(2, 1)))[0].startswith("8 images are labelled otherwise")
    swapped = changes(before, coco(tmp_path, boxes, names=("dog", "cat")))
    assert swapped[0] == "classes of detection come in another order: dog, cat, before cat, dog"
    assert changes(before, coco(tmp_path, boxes, names=("cat", "fox")))[0] == "classes of detection: dog gone; fox new"


@pytest.mark.parametrize("data", [b"", b"no gzip", DataRecord("", {}, {}).to_bytes()[:-9], b"\x1f\x8b" + b"0" * 20])
def test_a_damaged_record_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="is damaged"):
        DataRecord.from_bytes(data)

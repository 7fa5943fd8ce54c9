"""``visus data split``, ``sample`` and ``merge``: what they write is read again, and the originals stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.data.dataset import Dataset
from visus.errors import TaskMismatchError, UsageError


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """20 images of each of two classes; four of each person."""
    for k in range(40):
        paint(tmp_path / "pets" / ("cats", "dogs")[k % 2] / f"person{k // 4}_{k}.png", k)
    return tmp_path / "pets"


def coco(root: Path, names: tuple[str, ...], seed: int, count: int = 8, split: str = "") -> Path:
    """Image k shows the class k mod K; every image is called k.png."""
    for k in range(count):
        paint(root / "images" / split / f"{k}.png", seed + k)
    document = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 32, "height": 24} for k in range(count)],
        "annotations": [
            {"id": k + 1, "image_id": k, "category_id": k % len(names) + 1, "bbox": [2 + k, 3, 9, 8], "area": 72,
             "iscrowd": 0, "segmentation": [[2 + k, 3, 11 + k, 3, 11 + k, 11, 2 + k, 11]]}
            for k in range(count)
        ],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
    }  # fmt: skip
    (root / "annotations.json").write_text(json.dumps(document))
    return root


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def sizes(dataset: Dataset) -> dict[str, int]:
    return {name: len(part) for name, part in dataset.splits.items()}


def test_a_split_is_read_again_as_it_was_said(pets: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    before = content(pets)
    told = cli("data", "split", pets, "--val", 0.2, "--test", 0.1, "--save", tmp_path / "out", "--json")
    assert told.code == 0, told.err
    values = json.loads(told.out)
    assert values["splits"] == {"train": 28, "val": 8, "test": 4}
    assert values["classes"]["dogs"] == {"train": 14, "val": 4, "test": 2}
    assert values["format"] == "folders"
    dataset = visus.open_data(tmp_path / "out")
    assert sizes(dataset) == values["splits"]
    assert dataset.made_splits == ()
    written = {data for name, data in content(tmp_path / "out").items() if name.endswith(".png")}
    assert written == set(before.values())
    assert content(pets) == before
    again = cli("data", "split", pets, "--val", 0.2, "--test", 0.1, "--save", tmp_path / "again")
    assert "written: " in again.out
    assert content(tmp_path / "again") == content(tmp_path / "out")
    assert "images" in again.out
    # Its test split stays where only val is asked for anew; a split of its own is not overruled in silence.
    refused = cli("data", "split", tmp_path / "out", "--val", 0.2, "--save", tmp_path / "more")
    assert refused.code == 2
    assert "--anew" in refused.err
    assert cli("data", "split", tmp_path / "out", "--val", 0.5, "--anew", "--save", tmp_path / "more").code == 0
    assert sizes(visus.open_data(tmp_path / "more")) == {"train": 20, "val": 20} | {}
    for shares in ((), ("--val", 1), ("--val", 0.6, "--test", 0.4)):
        assert cli("data", "split", pets, *shares, "--save", tmp_path / "none").code == 2
    assert cli("data", "split", pets, "--val", 0.2, "--save", tmp_path / "out").code == 2  # not empty
    assert not (tmp_path / "none").exists()


def test_persons_stay_together_and_a_dry_run_writes_nothing(pets: Path, tmp_path: Path) -> None:
    told = visus.split_data(pets, tmp_path / "out", val=0.2, group_by=r"(person\d+)_", link=True)
    assert "10 groups by" in str(told)
    assert told.linked == 40
    homes: dict[str, set[str]] = {}
    for split, part in visus.open_data(tmp_path / "out").splits.items():
        for sample in part:
            homes.setdefault(Path(sample.id).name.split("_")[0], set()).add(split)
    assert len(homes) == 10
    assert all(len(splits) == 1 for splits in homes.values())
    dry = visus.split_data(pets, tmp_path / "dry", val=0.2, dry_run=True)
    assert dry.splits == {"train": 32, "val": 8}
    assert not (tmp_path / "dry").exists()


def test_boxes_and_outlines_survive_a_split_and_a_sample(tmp_path: Path, cli: Callable[..., Any]) -> None:
    root = coco(tmp_path / "data", ("cat", "dog"), 0)
    visus.split_data(root, tmp_path / "out", val=0.25)
    boxes = {}
    for part in visus.open_data(tmp_path / "out", task="detection").splits.values():
        for sample in part:
            target = sample.target("detection")
            boxes[Path(sample.id).stem] = (target.boxes.tolist(), target.mentions(), target.masks is not None)
    for k in range(8):
        assert boxes[str(k)] == ([[2 + k, 3, 11 + k, 11]], [("cat", "dog")[k % 2]], True)
    told = cli("data", "sample", tmp_path / "out", "--count", 5, "--save", tmp_path / "five", "--json")
    assert told.code == 0, told.err
    assert sum(json.loads(told.out)["splits"].values()) == 5
    sampled = visus.open_data(tmp_path / "five", task="detection")
    assert {"train", "val"} == set(sampled.splits)
    assert cli("data", "sample", root, "--count", 9, "--save", tmp_path / "nine").code == 2


def test_merged_data_have_all_images_and_the_classes_of_both_by_name(tmp_path: Path, cli: Callable[..., Any]) -> None:
    one = coco(tmp_path / "one", ("cat", "dog"), 0)
    two = coco(tmp_path / "two", ("dog", "fox", "cat"), 100)
    told = cli("data", "merge", one, two, "--save", tmp_path / "both")
    assert told.code == 0, told.err
    assert "one does not label fox" in told.out
    dataset = visus.open_data(tmp_path / "both", task="detection")
    assert dataset.classes["detection"] == ("cat", "dog", "fox")
    samples = [sample for part in dataset.splits.values() for sample in part]
    assert len({sample.id for sample in samples}) == 16
    pixels = {sample.image.load().tobytes(): sample.target("detection").mentions()[0] for sample in samples}
    for root, names in ((one, ("cat", "dog")), (two, ("dog", "fox", "cat"))):
        for k in range(8):
            read = np.asarray(Image.open(root / "images" / f"{k}.png")).transpose(2, 0, 1)
            assert pixels[np.ascontiguousarray(read).tobytes()] == names[k % len(names)]


def test_data_without_splits_go_to_train_where_others_have_splits(pets: Path, tmp_path: Path) -> None:
    visus.split_data(pets, tmp_path / "out", val=0.5)
    more = visus.merge_data([tmp_path / "out", pets], tmp_path / "more")
    assert more.splits == {"train": 60, "val": 20}
    assert "pets has no splits: all its 40 images go to train" in more.notes
    with pytest.raises(TaskMismatchError, match="no task in common"):
        visus.merge_data([pets, coco(tmp_path / "boxes", ("cat",), 0)], tmp_path / "x")
    with pytest.raises(UsageError, match="two or more"):
        visus.merge_data([pets], tmp_path / "x")
    with pytest.raises(UsageError, match="lies within the data"):
        visus.split_data(pets, pets / "split", val=0.5)

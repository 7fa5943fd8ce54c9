"""A conversion is whole or not at all, says first what is lost, and leaves the data that it reads alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.data.pixels.images import ArrayImage, BytesImage
from visus.data.writing.image_files import ImageFiles, portable, unique_names
from visus.errors import DataError, TaskMismatchError, UsageError
from visus.structures import Sample


def photos(root: Path, names: tuple[str, ...]) -> Path:
    """One small image a name; no two alike."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 16, 3), 7 * number, np.uint8)).save(path)
    return root


def boxed(root: Path, **changes: Any) -> Path:
    """COCO with two images, three objects, one of them a crowd."""
    photos(root, ("images/a.png", "images/b.png"))
    content: dict[str, Any] = {
        "images": [{"id": k, "file_name": f"{name}.png", "width": 16, "height": 12} for k, name in enumerate("ab")],
        "categories": [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 9, "bbox": [1, 2, 5, 4], "iscrowd": 0},
            {"id": 1, "image_id": 0, "category_id": 4, "bbox": [3.25, 2, 5, 6.5], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 4, "bbox": [0, 0, 16, 12], "iscrowd": 1},
        ],
    }
    (root / "annotations.json").write_text(json.dumps(content | changes))
    return root


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_names_are_there_once() -> None:
    names = unique_names(["day1/x.jpg", "day2/x.png", "y.jpg", "Y.png", "day1/z.jpg", "z.jpg", "a:b.jpg"])
    assert names == ["day1_x", "day2_x", "y", "Y-2", "day1_z", "z", "a_b"]
    assert unique_names(["a b.jpg", "a_b.jpg"], spaces=False) == ["a_b", "a_b-2"]
    assert unique_names(["x.jpg", "x.png", "x-2.jpg"]) == ["x", "x-3", "x-2"]
    assert [portable(text) for text in ("a/b", "..", "é ü", "x. ")] == ["a_b", "_", "é ü", "x"]


def test_pixels_in_memory_become_files(tmp_path: Path) -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    deep = (np.arange(48 * 5, dtype=np.uint16) * 99).reshape(6, 8, 5)
    Image.fromarray(grey).save(tmp_path / "a.jpg")
    encoded = (tmp_path / "a.jpg").read_bytes()
    samples = [
        Sample("train/1", ArrayImage(grey)),
        Sample("train/2", ArrayImage(deep)),
        Sample("train/3", BytesImage(encoded, "3")),
    ]
    images = ImageFiles.of({"train": samples})
    assert images.names == {"train": ["1.png", "2.npy", "3.jpg"]}
    for name, sample in images.named("train", samples):
        images.place(sample, tmp_path / name)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "1.png")), grey)
    np.testing.assert_array_equal(np.load(tmp_path / "2.npy"), deep)
    assert (tmp_path / "3.jpg").read_bytes() == encoded


def test_coco_ids_begin_at_one_and_crowds_stay(tmp_path: Path) -> None:
    told: list[bool] = []
    result = visus.convert_data(
        boxed(tmp_path / "in"),
        "coco",
        tmp_path / "out",
        tell=lambda _: told.append((tmp_path / "out").exists()),
    )
    assert told == [False]
    assert (result.written, result.changes, result.splits) == (True, (), {"train": 2})
    assert files(tmp_path / "out") == ["annotations/instances_train.json", "images/train/a.png", "images/train/b.png"]
    text = (tmp_path / "out" / "annotations" / "instances_train.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    written = json.loads(text)
    assert [image["id"] for image in written["images"]] == [1, 2]
    assert [(c["id"], c["name"]) for c in written["categories"]] == [(1, "cat"), (2, "dog")]
    found = [(a["id"], a["category_id"], a["bbox"], a["area"], a["iscrowd"]) for a in written["annotations"]]
    assert found == [(1, 2, [1, 2, 5, 4], 20, 0), (2, 1, [3.25, 2, 5, 6.5], 32.5, 0), (3, 1, [0, 0, 16, 12], 192, 1)]


def test_brush_masks_that_a_tool_marked_as_crowds_are_not_left_out_in_silence(tmp_path: Path) -> None:
    marked = [{"id": k, "image_id": 0, "category_id": 4, "bbox": [k, 2, 5, 4], "iscrowd": 1} for k in (1, 2)]
    source = boxed(tmp_path / "in", annotations=marked)
    with pytest.raises(DataError, match="--crowds objects"):
        visus.convert_data(source, "yolo", tmp_path / "out")
    kept = visus.convert_data(source, "coco", tmp_path / "kept")  # a format that has the marks keeps them
    assert "ignored" not in {change.kind for change in kept.changes}
    visus.convert_data(source, "yolo", tmp_path / "out", crowds="objects")
    lines = (tmp_path / "out" / "labels" / "train" / "a.txt").read_text().splitlines()
    # 16 x 12 pixels: centres (1 + 2.5) / 16 and (2 + 2.5) / 16, 4 / 12; sides 5 / 16, 4 / 12
    assert lines == ["0 0.218750 0.333333 0.312500 0.333333", "0 0.281250 0.333333 0.312500 0.333333"]


def test_images_that_are_stored_turned_are_told(tmp_path: Path) -> None:
    source = boxed(tmp_path / "in")
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    Image.new("RGB", (12, 16)).save(source / "images" / "c.jpg", exif=exif)
    images = [{"id": k, "file_name": name, "width": 16, "height": 12} for k, name in enumerate(("c.jpg", "b.png"))]
    boxed(source, images=images)
    result = visus.convert_data(source, "coco", tmp_path / "out")
    assert [(change.kind, change.count) for change in result.changes] == [("turned-images", 1)]


def test_class_folders_keep_names_apart_and_say_what_they_rename(tmp_path: Path) -> None:
    names = ("train/x/1.png", "train/x/2.png", "train/x/3.png", "train/y/1.png", "train/y/4.png", "train/y/5.png")
    source = photos(tmp_path / "in", (*names, "val/x/6.png", "val/y/7.png"))
    result = visus.convert_data(source, "folders", tmp_path / "out")
    assert [(change.kind, change.count) for change in result.changes] == [("image-names", 2)]
    assert files(tmp_path / "out") == sorted(
        ["train/x/x_1.png", *names[1:3], "train/y/y_1.png", *names[4:], "val/x/6.png", "val/y/7.png"]
    )


def test_links_share_the_file_and_made_splits_can_be_left_away(tmp_path: Path) -> None:
    source = photos(tmp_path / "in", tuple(f"{'xy'[k % 2]}/{k}.png" for k in range(14)))
    result = visus.convert_data(source, "folders", tmp_path / "out", link=True, unsplit=True)
    assert (result.linked, result.splits) == (14, {"all": 14})
    assert files(tmp_path / "out") == files(source)
    assert os.path.samefile(source / "x" / "2.png", tmp_path / "out" / "x" / "2.png")
    split = visus.convert_data(source, "folders", tmp_path / "split")
    assert set(split.splits) == {"train", "val", "test"}
    assert "split off by visus" in str(split)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = visus.convert_data(boxed(tmp_path / "in"), "coco", tmp_path / "out", dry_run=True)
    assert not result.written
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("target", ["out", "in/out", "in"])
def test_a_folder_with_files_or_within_the_data_is_refused(tmp_path: Path, target: str) -> None:
    boxed(tmp_path / "in")
    photos(tmp_path / "out", ("a.png",))
    before = files(tmp_path)
    with pytest.raises(UsageError, match=r"is not empty|lies within the data"):
        visus.convert_data(tmp_path / "in", "coco", tmp_path / target)
    assert files(tmp_path) == before


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = boxed(tmp_path / "in")
    place = ImageFiles.place

    def lose_the_second(self: ImageFiles, sample: Sample, target: Path) -> None:
        if target.name == "b.png":
            (source / "images" / "b.png").unlink()
        place(self, sample, target)

    monkeypatch.setattr(ImageFiles, "place", lose_the_second)
    with pytest.raises(DataError, match=r"b\.png cannot be read"):
        visus.convert_data(source, "coco", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_data_with_errors_are_not_converted(tmp_path: Path) -> None:
    twice = [{"id": 1, "file_name": f"{name}.png", "width": 16, "height": 12} for name in "ab"]
    with pytest.raises(DataError, match="has errors"):
        visus.convert_data(boxed(tmp_path / "in", images=twice), "coco", tmp_path / "out")


def test_lost_images_can_be_accepted(tmp_path: Path) -> None:
    listed = [{"id": k, "file_name": f"{name}.png", "width": 16, "height": 12} for k, name in enumerate("abcd")]
    source = boxed(tmp_path / "in", images=listed)
    with pytest.raises(DataError, match="--accept missing-image"):
        visus.convert_data(source, "coco", tmp_path / "out")
    result = visus.convert_data(source, "coco", tmp_path / "out", accept=["missing-image"])
    assert result.splits == {"train": 2}
    assert any("2 annotated images are missing" in note for note in result.notes)


def test_a_format_that_cannot_hold_the_labels_names_those_that_can(tmp_path: Path) -> None:
    with pytest.raises(TaskMismatchError) as caught:
        visus.convert_data(boxed(tmp_path / "in"), "folders", tmp_path / "out")
    assert "coco" in caught.value.remedy
    with pytest.raises(UsageError, match="does not write the format parquet"):
        visus.convert_data(tmp_path / "in", "parquet", tmp_path / "out")

"""Where YOLO data sets have their files: beside the images, in Darknet's lists, elsewhere than the YAML file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset, Finding
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError

BOX = "0.5 0.5 0.3 0.4"


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)).save(path)
    return path


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def pairs(images: Path, labels: Path, count: int, first: int = 0) -> None:
    """Images of two classes and their text files."""
    for i in range(first, first + count):
        picture(images / f"{i}.png", i)
        text(labels / f"{i}.txt", f"{i % 2} {BOX}\n")


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(item for item in dataset.findings if item.kind == kind)


def summary(root: Path) -> tuple[str, tuple[str, ...], dict[str, int], int]:
    """Format, classes, images of each split, and the number of objects that the samples hold."""
    dataset = open_data(root)
    objects = sum(len(s.target("detection").labels) for part in dataset.splits.values() for s in part)
    sizes = {split: len(part) for split, part in dataset.splits.items() if split not in dataset.made_splits}
    return dataset.format, dataset.classes["detection"], sizes, objects


# --- beside the images


@pytest.mark.parametrize(
    "folders", [("",), ("train", "val"), ("images",), ("day1", "day2"), ("images/train", "images/val")]
)
def test_text_files_beside_the_images(folders: tuple[str, ...], tmp_path: Path) -> None:
    for number, folder in enumerate(folders):
        pairs(tmp_path / folder, tmp_path / folder, 8, 10 * number)
        text(tmp_path / folder / "classes.txt", "cat\ndog\n")
    kind, classes, sizes, objects = summary(tmp_path)
    assert (kind, classes, objects) == ("yolo", ("cat", "dog"), 8 * len(folders))
    if "val" in folders[-1]:
        assert sizes == {"train": 8, "val": 8}


def test_roboflow_darknet(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid")):
        pairs(tmp_path / split, tmp_path / split, 6, 10 * number)
        text(tmp_path / split / "_darknet.labels", "cat\ndog\n")
    assert summary(tmp_path) == ("yolo", ("cat", "dog"), {"train": 6, "val": 6}, 12)


def test_texts_that_are_no_labels_beside_images(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"{i}.png", i)
        text(tmp_path / f"{i}.txt", "A photo of five words.\n")
    assert open_data(tmp_path).format == "images"


# --- Darknet


@pytest.mark.parametrize("prefix", ["data/", "", "/home/ann/darknet/data/", "data\\"])
@pytest.mark.parametrize("subsets", [("train", "validation"), ("train", "valid")])
def test_darknet_lists(prefix: str, subsets: tuple[str, str], tmp_path: Path) -> None:
    for number, subset in enumerate(subsets):
        folder = f"obj_{subset}_data"
        pairs(tmp_path / folder, tmp_path / folder, 6, 10 * number)
        text(
            tmp_path / f"{subset}.txt",
            "".join(f"{prefix}{folder}/{i}.png\n" for i in range(10 * number, 10 * number + 6)),
        )
    text(tmp_path / "obj.names", "cat\ndog\n")
    text(tmp_path / "obj.data", f"classes = 2\ntrain = {prefix}{subsets[0]}.txt\nvalid = {prefix}{subsets[1]}.txt\n"
         f"names = {prefix}obj.names\nbackup = backup/\n")  # fmt: skip
    assert summary(tmp_path) == ("yolo", ("cat", "dog"), {"train": 6, "val": 6}, 12)


def test_darknets_own_layout(tmp_path: Path) -> None:
    pairs(tmp_path / "obj", tmp_path / "obj", 8)
    text(tmp_path / "train.txt", "".join(f"data/obj/{i}.png\n" for i in range(6)))
    text(tmp_path / "test.txt", "".join(f"data/obj/{i}.png\n" for i in (6, 7, 8, 9)))
    text(tmp_path / "obj.names", "cat\ndog\n")
    text(tmp_path / "obj.data", "classes=2\ntrain=data/train.txt\nvalid=data/test.txt\nnames=data/obj.names\n")
    dataset = open_data(tmp_path)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 6, "val": 2}
    missing = finding(dataset, "missing-image")
    assert (missing.severity, missing.count) == ("stop", 2)


# --- a YAML file


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (".", "train.txt"),  # CVAT: the list names data/images/train/0.png
        ("/content/drive/MyDrive/traffic", "/content/drive/MyDrive/traffic/images/train"),
        ("C:\\Users\\ann\\traffic", "C:\\Users\\ann\\traffic\\images\\train"),
        ("../datasets/traffic", "images/train"),
        (".", "data/images/train"),
    ],
)
def test_paths_of_other_machines(path: str, entry: str, tmp_path: Path) -> None:
    for split, count in (("train", 6), ("val", 2)):
        pairs(tmp_path / "images" / split, tmp_path / "labels" / split, count, 10 * (split == "val"))
    text(tmp_path / "train.txt", "".join(f"data/images/train/{i}.png\n" for i in range(6)))
    other = entry.replace("train", "val") if "txt" not in entry else "images/val"
    text(tmp_path / "data.yaml", f"path: {path}\ntrain: {entry}\nval: {other}\nnames: [cat, dog]\n")
    assert summary(tmp_path) == ("yolo", ("cat", "dog"), {"train": 6, "val": 2}, 8)


@pytest.mark.parametrize("yaml", ["", "names: [class_0, class_1]\ntrain: images/train\nval: images/val\n"])
def test_flat_labels_of_images_in_split_folders(yaml: str, tmp_path: Path) -> None:
    pairs(tmp_path / "images/train", tmp_path / "labels", 6)
    pairs(tmp_path / "images/val", tmp_path / "labels", 2, 10)
    if yaml:
        text(tmp_path / "data.yaml", yaml)
    assert summary(tmp_path) == ("yolo", ("class_0", "class_1"), {"train": 6, "val": 2}, 8)


def test_text_files_in_a_folder_of_another_name(tmp_path: Path) -> None:
    pairs(tmp_path / "JPEGImages", tmp_path / "annotations", 8)
    assert summary(tmp_path) == ("yolo", ("class_0", "class_1"), {"train": 6}, 8)


def test_two_images_for_one_text_file(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "labels", 6)
    picture(tmp_path / "images/2.jpg", 77)
    assert finding(open_data(tmp_path), "shared-labels").examples == ("labels/2.txt",)


# --- files that are missing


def test_a_split_without_labels_stops(tmp_path: Path) -> None:
    pairs(tmp_path / "images/train", tmp_path / "labels/train", 6)
    for i in range(4):
        picture(tmp_path / "images/val" / f"{i}.png", i + 50)
    text(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]\n")
    dataset = open_data(tmp_path)
    lost = finding(dataset, "split-without-labels")
    assert (lost.severity, lost.count) == ("stop", 4)
    assert "4 of 4 images of val" in lost.message
    assert "split-without-labels" in {item.kind for item in check(dataset) if item.severity == "stop"}


def test_images_without_and_labels_without(tmp_path: Path) -> None:
    pairs(tmp_path / "images", tmp_path / "labels", 8)
    (tmp_path / "labels/3.txt").unlink()
    for name in ("gone", "lost", "classes"):
        text(tmp_path / "labels" / f"{name}.txt", f"0 {BOX}\n" if name != "classes" else "cat\ndog\n")
    dataset = open_data(tmp_path)
    assert (finding(dataset, "image-without-labels").severity, finding(dataset, "image-without-labels").count) == (
        "note",
        1,
    )
    lost = finding(dataset, "label-without-image")
    assert (lost.severity, lost.count) == ("stop", 2)
    assert dataset.ledger.to_dict()["label files"] == {"found": 9, "used": 7, "left": {"label-without-image": 2}}


def test_no_label_file_at_all(tmp_path: Path) -> None:
    picture(tmp_path / "images/0.png")
    text(tmp_path / "data.yaml", "train: images\nnames: [cat]\n")
    with pytest.raises(DataError, match=r"no image of .* has a text file"):
        open_data(tmp_path)


# --- several lists of classes


def _labelled_twice(root: Path, second: str, *, yaml: str = "", place: str = "val/classes.txt") -> Dataset:
    for number, split in enumerate(("train", "val")):
        pairs(root / split, root / split, 8, 10 * number)
    if yaml:
        text(root / "data.yaml", f"names: {yaml}\ntrain: train\nval: val\n")
    else:
        text(root / "train" / "classes.txt", "cat\ndog\n")
    text(root / place, second)
    return open_data(root)


@pytest.mark.parametrize("second", ["dog\ncat\n", "bird\ndog\n", "dog\n"])
def test_lists_of_classes_that_differ_are_a_stop(tmp_path: Path, second: str) -> None:
    found = finding(_labelled_twice(tmp_path, second), "class-lists-differ")
    name = second.split()[0]
    assert (found.severity, found.examples) == (
        "stop",
        (f"class 0 is {name} in val/classes.txt and cat in train/classes.txt",),
    )


@pytest.mark.parametrize("second", ["cat\ndog\n", "Cat\ndog\nbird\n", "cat\n"])
def test_lists_of_classes_that_agree_are_no_stop(tmp_path: Path, second: str) -> None:
    dataset = _labelled_twice(tmp_path, second)
    assert "class-lists-differ" not in {item.kind for item in dataset.findings}
    assert len(dataset.classes["detection"]) == max(2, len(second.split()))


@pytest.mark.parametrize(
    ("second", "differs"), [("dog\ncat\n", True), ("cat\ndog\n", False), ("cat\n", False), ("bus\ncar\n", False)]
)
@pytest.mark.parametrize("place", ["classes.txt", "val/classes.txt"])
def test_a_list_that_contradicts_the_yaml_file(tmp_path: Path, second: str, place: str, *, differs: bool) -> None:
    dataset = _labelled_twice(tmp_path, second, yaml="[cat, dog]", place=place)
    assert ("class-lists-differ" in {item.kind for item in dataset.findings}) == differs


def test_an_image_in_two_splits_does_not_share_its_text_file_with_another(tmp_path: Path) -> None:
    pairs(tmp_path / "images" / "train", tmp_path / "labels" / "train", 8)
    text(tmp_path / "data.yaml", "names: [cat, dog]\ntrain: images/train\nval: images/train\n")
    assert "shared-labels" not in {item.kind for item in open_data(tmp_path).findings}
    picture(tmp_path / "images" / "train" / "1.jpg", 9)
    assert finding(open_data(tmp_path), "shared-labels").count == 1

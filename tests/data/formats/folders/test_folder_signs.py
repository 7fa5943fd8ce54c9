"""Folders of images beside their labels are not taken for classes; folders of classes are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.formats.folders.class_folders import FORMAT
from visus.data.formats.listing import Listing
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError


def photo(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, number: int = 0, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((24, 32), np.uint8)
    pixels[4 + number : 16, 4:20] = value
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("raw", "label"),
        ("inputs", "targets"),
        ("imagesTr", "labelsTr"),
        ("default", "defaultannot"),
        ("default", "ground_truth"),
        ("image_2", "semantic"),
        ("left", "right"),  # only what the files hold tells
    ],
)
def test_a_folder_of_masks_is_no_class(images: str, labels: str, tmp_path: Path) -> None:
    for number in range(6):
        photo(tmp_path / images / f"{number}.png", number)
        mask(tmp_path / labels / f"{number}.png", number)
    assert not FORMAT.recognise(Listing(tmp_path))
    assert FORMAT.near is not None
    assert f"6 files in {images} and {labels} have the same names" in FORMAT.near(Listing(tmp_path))
    assert open_data(tmp_path, format="class-folders").tasks == ("classification",)  # when it is asked for by name


@pytest.mark.parametrize("make", [photo, mask], ids=["photos", "drawings"])
def test_classes_may_have_files_of_equal_names(make: object, tmp_path: Path) -> None:
    for number in range(6):
        for name in ("mask", "no_mask"):
            make(tmp_path / name / f"{number}.png", number + 10 * (make is photo and name == "mask"))  # type: ignore[operator]
    assert open_data(tmp_path).classes["classification"] == ("mask", "no_mask")


@pytest.mark.parametrize("suffix", [".txt", ".xml", ".json", ".png.json"])
def test_images_with_a_file_of_their_name_are_labelled_by_it(suffix: str, tmp_path: Path) -> None:
    for folder in ("day1", "day2"):
        for number in range(3):
            photo(tmp_path / folder / f"{number}.png", number)
            (tmp_path / folder / f"{number}{suffix}").write_text(json.dumps({"note": "of no known tool"}))
    with pytest.raises(DataError, match=r"have a .* file of their name beside them"):
        open_data(tmp_path)


def test_masks_beside_their_images_are_no_photos(tmp_path: Path) -> None:
    for folder in ("benign", "malignant"):
        for number in range(4):
            photo(tmp_path / folder / f"{folder} ({number}).png", number)
            mask(tmp_path / folder / f"{folder} ({number})_mask.png", number)
    assert not FORMAT.recognise(Listing(tmp_path))


def test_altered_copies_beside_their_photos_are_photos(tmp_path: Path) -> None:
    for folder in ("cats", "dogs"):
        for number in range(4):
            photo(tmp_path / folder / f"{number}.png", number)
            photo(tmp_path / folder / f"{number}_flip.png", number + 50)
    assert len(open_data(tmp_path).classes["classification"]) == 2


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("bus", "car", "train"):
        for number in range(3):
            photo(tmp_path / name / f"{number}.png", number)
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("bus", "car", "train")
    assert [f.examples for f in dataset.findings if f.kind == "class-like-split"] == [("train (train)",)]


def test_splits_without_classes_are_named(tmp_path: Path) -> None:
    for name in ("train", "val"):
        for number in range(3):
            photo(tmp_path / name / f"{number}.png", number)
    with pytest.raises(DataError, match="train and val hold images, but no folder for each class"):
        open_data(tmp_path)


def test_a_table_beside_the_only_folder_is_not_forgotten(tmp_path: Path) -> None:
    for number in range(4):
        photo(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "notes.csv").write_text("who,when\nann,monday\n")
    with pytest.raises(DataError):
        open_data(tmp_path)


def test_files_beside_the_folder_that_is_read_are_named(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        for number in range(3):
            photo(tmp_path / "photos" / name / f"{number}.png", number)
    (tmp_path / "notes.csv").write_text("who,when\nann,monday\n")
    findings = {finding.kind: finding for finding in check(open_data(tmp_path))}
    assert findings["file-not-read"].examples == ("notes.csv",)


@pytest.mark.parametrize("folders", [("train_images", "test_images"), ("images_part_1", "images_part_2")])
def test_folders_whose_images_a_table_names_are_no_classes(folders: tuple[str, str], tmp_path: Path) -> None:
    for number in range(8):
        photo(tmp_path / folders[number // 6] / f"p{number}.png", number)
    rows = "".join(f"p{number},{('mel', 'nv')[number % 2]}\n" for number in range(8))
    (tmp_path / "train.csv").write_text("image_id,dx\n" + rows)
    dataset = open_data(tmp_path)
    assert dataset.format == "csv"
    assert dataset.classes["classification"] == ("mel", "nv")
    assert open_data(tmp_path, format="class-folders").classes["classification"] == tuple(sorted(folders))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("trainA", "trainB", "testA", "testB"), "testA and trainA are named after splits"),
        (("bounding_box_train", "bounding_box_test", "query"), "are named after splits"),
        (("train_images", "test_images"), "are named after splits"),
        (("images_part_1", "images_part_2"), "images_part_1 and images_part_2 are named after parts of a data set"),
        (("Batch 1", "Batch 2", "Batch 3"), "Batch 1 and Batch 2 are named after parts"),
        (("images001", "images002"), "are named after parts"),
    ],
)
def test_folders_named_after_splits_or_parts(names: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    for number, name in enumerate(names):
        photo(tmp_path / name / f"{number}.png", number)
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert reason in caught.value.got
    assert set(open_data(tmp_path, format="class-folders").classes["classification"]) == set(names)


@pytest.mark.parametrize(
    "names",
    [
        ("s1", "s2", "s3"),
        ("class_1", "class_2"),
        ("0", "1"),
        ("test_tube", "train_station"),
        ("trainer", "tester"),
        ("boot", "test_tube", "valley"),
        ("data1", "noise2"),
    ],
)
def test_classes_may_have_numbers_and_words_of_splits(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        photo(tmp_path / name / f"{number}.png", number)
    assert set(open_data(tmp_path).classes["classification"]) == set(names)


def test_classes_within_the_days_of_their_images_are_named(tmp_path: Path) -> None:
    for number, name in enumerate(("day1/cat", "day1/dog", "day2/cat", "day2/dog")):
        photo(tmp_path / name / f"{number}.png", number)
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    expected = "day1 and day2 hold no images but folders of equal names (cat, dog): if these are the classes, put"
    assert expected in caught.value.got


@pytest.mark.parametrize(
    ("train", "test"),
    [("training_set", "test_set"), ("seg_train/seg_train", "seg_test/seg_test"), ("train", "holdout")],
)
def test_folders_of_splits_under_other_names(train: str, test: str, tmp_path: Path) -> None:
    for number in range(12):
        photo(tmp_path / (train if number < 8 else test) / ("cat", "dog")[number % 2] / f"{number}.png", number)
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("cat", "dog")
    assert {sample.id for sample in dataset.splits["test"]} == {
        f"{test}/{('cat', 'dog')[number % 2]}/{number}.png" for number in range(8, 12)
    }

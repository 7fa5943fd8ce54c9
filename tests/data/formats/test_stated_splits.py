"""The split of a file or a folder follows from the names on its way below the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from visus.data.formats.listing import Listing, split_of_folder_name
from visus.data.formats.stated_splits import split_in_name, split_of_file, split_of_folder


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Validation", "val"),
        ("instances_val2017", "val"),
        ("train-00000-of-00002", "train"),
        ("stage1_train", "train"),
        ("test set", "test"),
        ("train_val", "val"),
        ("trainer", ""),
        ("latest", ""),
        ("", ""),
    ],
)
def test_the_split_in_a_name(name: str, split: str) -> None:
    assert split_in_name(name) == split


def test_a_file_is_of_its_own_split_before_its_folders(tmp_path: Path) -> None:
    root = tmp_path / "train"
    (root / "valid" / "labels").mkdir(parents=True)
    listing = Listing(root)
    assert split_of_file(listing, root / "valid" / "labels" / "boxes_test.csv") == "test"
    assert split_of_file(listing, root / "valid" / "labels" / "boxes.csv") == "val"
    assert split_of_file(listing, root / "boxes.csv") == "all"  # the root's own name is the data set's
    assert split_of_folder(listing, root / "valid" / "labels") == "val"
    assert split_of_folder(listing, tmp_path / "test") == "all"  # outside of the data


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("training_set", "train"),
        ("Test-Set", "test"),
        ("testset", "test"),
        ("seg_train", "train"),
        ("val_data", "val"),
        ("evaluation", "val"),
        ("holdout", "test"),
        ("train2017", "train"),
        ("testing_equipment", None),
        ("seg_pred", None),
        ("data", None),
        ("trainer_set", None),
    ],
)
def test_the_split_of_a_folder(name: str, split: str | None) -> None:
    assert split_of_folder_name(name) == split


def test_the_plain_name_of_a_split_comes_first(tmp_path: Path) -> None:
    for name in ("train", "eval", "val", "validation_set"):
        (tmp_path / name).mkdir()
    assert Listing(tmp_path).split_folders() == {"train": tmp_path / "train", "val": tmp_path / "val"}

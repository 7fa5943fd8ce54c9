"""The split of a file or a folder follows from the names on its way below the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from visus.data.formats.listing import Listing
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

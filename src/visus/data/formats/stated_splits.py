"""Tells which split a file or a folder belongs to, by the names on its way below the root."""

from __future__ import annotations

import re
from pathlib import Path

from visus.data.formats.listing import Listing, split_name, split_of_folder_name
from visus.data.formats.reading import ALL


def split_in_name(name: str) -> str:
    """The split that a name means, or the last of its words that means one ("instances_val2017"); "" if none does."""
    words = re.split(r"[_\-. ]+", name)
    return next((split for part in (name, *reversed(words)) if (split := split_name(part))), "")


def split_of_folder(listing: Listing, folder: Path) -> str:
    """The split that the folders between the root and ``folder`` name; "all" if none does."""
    try:
        parts = folder.relative_to(listing.root).parts
    except ValueError:
        return ALL
    return next((split for part in parts if (split := split_of_folder_name(part))), ALL)


def split_of_file(listing: Listing, path: Path) -> str:
    """The split that the name of a file of labels means, else its folders'; "all" if none does."""
    return split_in_name(path.stem) or split_of_folder(listing, path.parent)


def may_list_split(path: Path) -> bool:
    """Whether the name of a text file says that it lists a split: "train.txt", "train_test_split.txt"."""
    words = re.split(r"[_\-. ]+", path.stem.lower())
    return path.suffix.lower() == ".txt" and bool(split_in_name(path.stem) or {"split", "splits"} & set(words))

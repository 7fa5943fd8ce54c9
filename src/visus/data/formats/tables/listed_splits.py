"""Splits that tables of names list: CelebA's ``list_eval_partition.csv``, ``train.csv`` and ``test.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Tally
from visus.data.formats.tables.delimited import read_table
from visus.data.formats.tables.label_tables import find_tables
from visus.data.formats.tables.table_splits import find_splits

LISTED = "splits-listed"


def with_listed_splits(listing: Listing, tally: Tally, paths: Sequence[Path], splits: Sequence[str]) -> list[str]:
    """The splits of labelled images, those of a table without splits from the tables that list names only.

    Where no list is of the training images, those that no list names are for training; else they are lost, and "".

    Args:
        listing: the data set's folder.
        tally: of the reader.
        paths: N files.
        splits: N, "all" where the table of labels says none.
    """
    if ALL not in splits:
        return list(splits)
    listed: dict[Path, str] = {}
    for described in listing.once(find_tables):
        if described.kind != "images":
            continue
        table = read_table(described.path)
        rule = find_splits(table, described.used())
        finder = ImageFinder(listing, Tally(), beside=described.path.parent)  # the reader tells what is missing
        for row in table.rows:
            split = rule.split_of(row) if rule.columns else described.split
            if split not in ("", ALL) and (path := finder.find(row[described.image], split)) is not None:
                listed[path] = split
    if not any(path in listed for path in paths):
        return list(splits)
    tables = [described.path for described in listing.once(find_tables) if described.kind == "images"]
    tally.read(*tables)
    for table_path in tables:
        tally.add(LISTED, "note", "{count} tables list the images of the splits", listing.name_of(table_path))
    rest = "" if "train" in listed.values() else "train"
    found = [listed.get(path, rest) if split == ALL else split for path, split in zip(paths, splits, strict=True)]
    for path, split in zip(paths, found, strict=True):
        if not split:
            message = "{count} images are in none of the lists of splits"
            tally.lose("image-without-split", message, listing.name_of(path), unit="image files", file=path,
                       cause="add them to a list")  # fmt: skip
    return found

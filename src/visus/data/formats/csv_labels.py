"""CSV files that name an image and its class in each row, and perhaps its split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from visus.data.formats.csv_multilabel import has_several_labels
from visus.data.formats.delimited import (
    CAPTION_COLUMNS,
    INDEX_COLUMNS,
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    TABLE_SUFFIXES,
    Table,
    read_table,
)
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.labelled import Entry, read_labelled, reference_split
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.pixels.images import FileImage
from visus.errors import DataError

_BOX_COLUMNS = ("xmin", "x_min", "x1", "bbox")


def _tables(listing: Listing) -> tuple[Path, ...]:
    """The tables that have a column of images and one of classes, and no boxes or captions."""
    paths = []
    for path in listing.files_with(*TABLE_SUFFIXES):
        table = read_table(path, limit=3)
        labels = table.find(LABEL_COLUMNS) is not None or table.find(INDEX_COLUMNS) is not None
        other = table.find(_BOX_COLUMNS) is not None or table.find(CAPTION_COLUMNS) is not None
        if table.find(PATH_COLUMNS) is not None and labels and not other and not has_several_labels(path):
            paths.append(path)
    return tuple(paths)


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_tables))


def _class_list(listing: Listing, used: tuple[Path, ...]) -> dict[int, str]:
    """The number and name of every class, from a second table that lists only classes."""
    for path in listing.files_with(*TABLE_SUFFIXES):
        head = read_table(path, limit=3)
        number, name = head.find(INDEX_COLUMNS), head.find(LABEL_COLUMNS)
        if path in used or number is None or name is None:
            continue
        table = read_table(path)
        if not all(row[number].isdecimal() for row in table.rows):
            continue
        names = {int(row[number]): row[name] for row in table.rows}
        if sorted(names) == list(range(len(table.rows))):
            return names
    return {}


def _splits_of(paths: tuple[Path, ...]) -> dict[Path, str]:
    """The split that the file name of each table means; a single table has no split."""
    if len(paths) == 1:
        return {paths[0]: split_name(paths[0].stem) or ALL}
    named = {path: next((s for part in path.stem.split("_") if (s := split_name(part))), "") for path in paths}
    if "" in named.values() or len(set(named.values())) < len(paths):
        raise DataError(
            f"{paths[0].parent} holds several tables of images and classes",
            expected="one table, or train.csv, val.csv and test.csv",
            got=", ".join(path.name for path in paths),
            remedy="name the table instead of the folder",
        )
    return {path: named[path] for path in sorted(paths, key=lambda p: ("train", "val", "test").index(named[p]))}


@dataclass(slots=True)
class _Rows:
    """The entries of the tables by split; classes are numbers where the tables give numbers."""

    splits: dict[str, list[Entry]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def _read(listing: Listing) -> Reading:
    paths = listing.once(_tables)
    tally = Tally()
    finder = ImageFinder(listing, tally)
    rows = _Rows()
    tally.read(*paths)
    for path, split in _splits_of(paths).items():
        _read_table(read_table(path), split, listing, finder, tally, rows)
    count = sum(len(entries) for entries in rows.splits.values())
    if not count:
        raise DataError(
            f"no image that {paths[0].name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(rows.missing[:3]) or "no row with a class",
        )
    note_missing_images(tally, rows.missing)
    # "train" first, whatever order the rows came in: it defines the classes.
    ordered = {split: rows.splits[split] for split in ("train", "val", "test", ALL) if split in rows.splits}
    if not rows.names:
        return read_labelled(ordered, tally)
    return _read_numbered(ordered, rows.names, _class_list(listing, paths), tally)


def _read_table(table: Table, split: str, listing: Listing, finder: ImageFinder, tally: Tally, rows: _Rows) -> None:
    file, name = table.find(PATH_COLUMNS), table.find(LABEL_COLUMNS)
    number, division = table.find(INDEX_COLUMNS), table.find(SPLIT_COLUMNS)
    numbered = number is not None and all(row[number].isdecimal() for row in table.rows)
    label = number if numbered else name
    if file is None or label is None:
        raise DataError(
            f"{table.path} has no usable column of classes",
            expected=f"one of {', '.join(LABEL_COLUMNS)}, or whole numbers in one of {', '.join(INDEX_COLUMNS)}",
            got=", ".join(table.columns),
        )
    seen: dict[str, str] = {}
    for row in table.rows:
        if not row[label]:
            tally.lose("unlabelled-image", "{count} images have no class", row[file], unit="image files")
            continue
        if row[file] in seen:
            if seen[row[file]] != row[label]:
                message = (
                    "{count} images are listed with more than one class; if they have several: --format csv-multilabel"
                )
                tally.add("conflicting-labels", "stop", message, row[file])
            else:
                tally.add("duplicate-row", "note", "{count} images are listed twice; taken once", row[file])
            continue
        seen[row[file]] = row[label]
        row_split = _split_of_row(table, row[division]) if division is not None else split
        path = finder.find(row[file], row_split)
        if path is None:
            rows.missing.append(row[file])
            continue
        if numbered:
            _name_number(table, rows.names, int(row[label]), row[label] if name is None else row[name])
        key = str(int(row[label])) if numbered else row[label]
        rows.splits.setdefault(row_split, []).append((listing.name_of(path), FileImage(path), key))


def _name_number(table: Table, names: dict[int, str], number: int, name: str) -> None:
    if names.setdefault(number, name) != name:
        raise DataError(
            f"{table.path.name} gives class {number} two names",
            expected="one name a number",
            got=f"{names[number]} and {name}",
        )


def _split_of_row(table: Table, value: str) -> str:
    split = split_name(value)
    if split is None:
        raise DataError(
            f"{table.path.name} names an unknown split", expected="train, val or test", got=value or "nothing"
        )
    return split


def _read_numbered(
    splits: dict[str, list[Entry]], names: dict[int, str], listed: dict[int, str], tally: Tally
) -> Reading:
    """Classes in the order of their numbers; all classes of a class list, if one agrees with the table."""
    if listed and all(listed.get(number) == name for number, name in names.items()):
        for number in sorted(set(listed) - set(names)):
            tally.add("class-without-images", "note", "{count} listed classes have no image", listed[number])
        names = listed
    else:
        trained = {int(key) for _, _, key in splits[reference_split(splits)]}
        gaps = max(names) + 1 - len(names)
        if gaps:
            message = "{count} class numbers are not used; ids were closed up, in the same order"
            tally.add("class-id-gap", "note", message, count=gaps)
        names = {number: names[number] for number in sorted(trained)}
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    shown = {str(number): f"{name} ({number})" if name in twice else name for number, name in sorted(names.items())}
    entries = {
        split: [(identity, image, shown.get(key, key)) for identity, image, key in rows]
        for split, rows in splits.items()
    }
    return read_labelled(entries, tally, tuple(shown.values()))


FORMAT = Format("csv", "a CSV file with a column of images and one of classes", _recognise, _read)

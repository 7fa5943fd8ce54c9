"""CSV files that name an image and its class in each row, and perhaps its split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.labelled import Entry, read_labelled, reference_split
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.tables.delimited import (
    INDEX_COLUMNS,
    LABEL_COLUMNS,
    TABLE_SUFFIXES,
    Table,
    is_whole,
    read_table,
    shorten,
)
from visus.data.formats.tables.label_cells import NO_CLASS
from visus.data.formats.tables.label_tables import LabelTable, by_split, find_tables, tables_near, tables_of
from visus.data.formats.tables.listed_splits import LISTED, with_listed_splits
from visus.data.formats.tables.table_splits import SplitRule, find_splits, note_splits
from visus.data.pixels.images import FileImage
from visus.errors import DataError


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "labels"))


def _class_list(listing: Listing, used: tuple[Path, ...], tally: Tally) -> dict[int, str]:
    """The number and name of every class, from a second table that lists only classes; it is tallied as read."""
    for path in listing.files_with(*TABLE_SUFFIXES):
        head = read_table(path, limit=3)
        number, name = head.find(INDEX_COLUMNS), head.find(LABEL_COLUMNS)
        if path in used or number is None or name is None:
            continue
        table = read_table(path)
        if not all(is_whole(row[number]) for row in table.rows):
            continue
        names = {int(row[number]): row[name] for row in table.rows}
        if sorted(names) == list(range(len(table.rows))):
            tally.read(path)
            return names
    return {}


@dataclass(slots=True)
class _Rows:
    """The entries of the tables by split; classes are numbers where the tables give numbers."""

    splits: dict[str, list[Entry]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    missing: list[tuple[str, str]] = field(default_factory=list)


def _read(listing: Listing) -> Reading:
    tables = tables_of(listing, "labels")
    tally = Tally()
    rows = _Rows()
    for split, (described, *_) in by_split(listing, tables).items():
        tally.read(described.path)
        _read_table(described, split, listing, tally, rows)
    if not any(rows.splits.values()):
        raise DataError(
            f"no image that {tables[0].path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(shorten(name) for name, _ in rows.missing[:3]) or "no row with a class",
        )
    for name, split in rows.missing:
        tally.lose_images([shorten(name)], split)
    unsplit = rows.splits.pop(ALL, [])
    paths = [path for _, image, _ in unsplit if (path := image.path)]
    for entry, split in zip(unsplit, with_listed_splits(listing, tally, paths, [ALL] * len(paths)), strict=True):
        if split:
            rows.splits.setdefault(split, []).append(entry)
    note_tables_without_labels(listing, tally)
    # "train" first, whatever order the rows came in: it defines the classes.
    ordered = {split: rows.splits[split] for split in ("train", "val", "test", ALL) if split in rows.splits}
    if not rows.names:
        return read_labelled(ordered, tally)
    return _read_numbered(
        ordered, rows.names, _class_list(listing, tuple(table.path for table in tables), tally), tally
    )


def _read_table(described: LabelTable, table_split: str, listing: Listing, tally: Tally, rows: _Rows) -> None:
    table = read_table(described.path, tally=tally)
    label, numbered = _class_column(table, described)
    file, name = described.image, described.classes.name if described.classes else None
    rule = find_splits(table, described.used())
    note_columns(tally, table, described, rule)
    finder = ImageFinder(listing, tally, beside=table.path.parent)
    seen: dict[Path, str] = {}
    named = {row[label] for row in table.rows}
    few = len(named - NO_CLASS) < 2 and not numbered  # then "None" is a class beside the other
    for row in table.rows:
        split = rule.split_of(row) if rule.columns else table_split
        if not row[file] or not split:
            lose_row(tally, table, row, without="an image" if not row[file] else "a split")
            continue
        path = finder.find(row[file], split)
        if not row[label] or (row[label] in NO_CLASS and not few):
            tally.lose("unlabelled-image", "{count} images have no class", shorten(row[file]), unit="image files",
                       split=split, cause="write their classes into the table", file=path)  # fmt: skip
            continue
        if path is None:
            rows.missing.append((row[file], split))
            continue
        if path in seen:
            _note_repetition(tally, shorten(row[file]), seen[path], row[label])
            continue
        seen[path] = row[label]
        if numbered:
            _name_number(table, rows.names, int(row[label]), row[label] if name is None else row[name])
        key = str(int(row[label])) if numbered else row[label]
        rows.splits.setdefault(split, []).append((listing.name_of(path), FileImage(path), key))


def _class_column(table: Table, described: LabelTable) -> tuple[int, bool]:
    """The position of the column of classes, and whether it holds numbers."""
    columns = described.classes
    name, number = (columns.name, columns.number) if columns else (None, None)
    numbered = number is not None and all(is_whole(row[number]) or row[number] in NO_CLASS for row in table.rows)
    label = number if numbered else name
    if label is None:
        raise DataError(
            f"{table.path} has no usable column of classes",
            expected=f"one of {', '.join(LABEL_COLUMNS)}, or whole numbers in one of {', '.join(INDEX_COLUMNS)}",
            got=", ".join(map(shorten, table.columns[:12])),
        )
    return label, numbered


def note_columns(tally: Tally, table: Table, described: LabelTable, rule: SplitRule) -> None:
    """Tells which columns of a table are used as splits, which column was guessed, and which are not used."""
    note_splits(tally, table, rule)
    if described.classes and described.classes.guessed:
        position = described.classes.name or 0
        message = (
            "{count} columns are taken as classes, because only their values repeat; call the column label to be sure"
        )
        tally.add("column-guessed", "note", message, f"{table.path.name}: {table.columns[position]}")
    tally.found("columns", len(table.columns))
    tally.found("rows", len(table.rows))
    used = described.used() | set(rule.columns)
    for position, column in enumerate(table.columns):
        if position not in used:
            message = "{count} columns are not used"
            tally.lose("unused-column", message, f"{table.path.name}: {shorten(column) or 'no name'}", unit="columns")


def lose_row(tally: Tally, table: Table, row: tuple[str, ...], without: str) -> None:
    """Tallies a row that names no image or no split. without: what it lacks, in words."""
    shown = shorten(", ".join(row))
    cause = "fill the empty cells, or remove the rows"
    kind = "row-without-image" if without == "an image" else "row-without-split"
    tally.lose(kind, f"{{count}} rows do not name {without}", f"{table.path.name}: {shown}", unit="rows", cause=cause)


def note_tables_without_labels(listing: Listing, tally: Tally) -> None:
    """Tells of tables that name images only, such as those of a test set whose classes are kept secret."""
    for described in listing.once(find_tables):
        submission = "submission" in described.path.stem.lower()
        listed = described.kind == "images" and tally.count(LISTED)
        if (described.kind == "images" and not listed) or (submission and described.kind in ("labels", "boxes")):
            tally.read(described.path)
            message = "{count} tables name images without labels, as a test set's may; not used"
            tally.add("table-without-labels", "note", message, listing.name_of(described.path))


def _note_repetition(tally: Tally, name: str, first: str, second: str) -> None:
    if first != second:
        message = "{count} images are listed with more than one class; if they show several: --format csv-multilabel"
        tally.add("conflicting-labels", "stop", message, name)
    else:
        tally.add("duplicate-row", "note", "{count} images are listed twice; the first row is taken", name)


def _name_number(table: Table, names: dict[int, str], number: int, name: str) -> None:
    if names.setdefault(number, name) != name:
        raise DataError(
            f"{table.path.name} gives class {number} two names",
            expected="one name a number",
            got=f"{names[number]} and {name}",
        )


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


FORMAT = Format("csv", "a CSV file with a column of images and one of classes", _recognise, _read, near=tables_near)

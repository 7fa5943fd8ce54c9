"""CSV files with a box in each row: of TensorFlow and Roboflow, VoTT, RetinaNet, OpenImages and Kaggle.

Several rows may be of one image; a row without numbers is an image without objects. Boxes are corners, a corner and a
size, or a centre and a size, in pixels from 0 or in fractions of the image.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.objects.object_rows import ObjectRows, read_object_rows
from visus.data.formats.reading import Format, Reading, Tally, note_missing_images
from visus.data.formats.tables.csv_labels import lose_row, note_columns, note_tables_without_labels
from visus.data.formats.tables.delimited import TABLE_SUFFIXES, Table, is_whole, read_table, shorten
from visus.data.formats.tables.label_tables import LabelTable, by_split, tables_of
from visus.data.formats.tables.listed_splits import with_listed_splits
from visus.data.formats.tables.table_columns import BoxColumns
from visus.data.formats.tables.table_splits import find_splits
from visus.data.formats.texts.label_text import read_text
from visus.data.pixels.images import FileImage
from visus.errors import DataError

ONLY_CLASS = "object"
"""The class of boxes in a table without a column of classes."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_KEY = re.compile(r"""['"]?[A-Za-z_]\w*['"]?\s*:""")  # 'x': in the text of a dictionary
_NOTHING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_YES = frozenset({"1", "1.0", "true", "yes"})


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "boxes"))


def _read(listing: Listing) -> Reading:
    tables = tables_of(listing, "boxes")
    tally = Tally()
    parts: dict[str, ObjectRows] = {}
    missing: dict[str, str] = {}
    for split, (described, *_) in by_split(listing, tables).items():
        _read_table(described, split, listing, tally, parts, missing)
    if not parts:
        raise DataError(
            f"no image that {tables[0].path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(map(shorten, list(missing)[:3])) or "no row",
        )
    for name, split in missing.items():
        note_missing_images(tally, [shorten(name)], split)
    note_tables_without_labels(listing, tally)
    tally.found("objects", sum(map(tally.count, ("object-without-image", "object-without-class"))))
    return read_object_rows(parts, tally, _declared(listing, tables, parts, tally))


def _read_table(
    described: LabelTable,
    table_split: str,
    listing: Listing,
    tally: Tally,
    parts: dict[str, ObjectRows],
    missing: dict[str, str],
) -> None:
    table = read_table(described.path, tally=tally)
    tally.read(table.path)
    columns = described.boxes
    if columns is None:
        raise DataError(f"{table.path} has no columns of boxes", expected="xmin, ymin, xmax, ymax")
    rule = find_splits(table, described.used())
    note_columns(tally, table, described, rule)
    finder = ImageFinder(listing, tally, beside=table.path.parent)
    found: dict[tuple[str, str], Path | None] = {}
    rows: list[tuple[tuple[str, ...], str, Path]] = []
    for row in table.rows:
        split = rule.split_of(row) if rule.columns else table_split
        name = row[described.image]
        if not name or not split:
            lose_row(tally, table, row, without="an image" if not name else "a split")
            continue
        if (name, split) not in found:
            found[name, split] = finder.find(name, split)
        path = found[name, split]
        if path is None:
            missing[name] = split
            message = "{count} objects belong to images that are missing"
            tally.lose("object-without-image", message, shorten(name), split=split, cause="add the images")
        else:
            rows.append((row, split, path))
    listed = with_listed_splits(listing, tally, [path for _, _, path in rows], [split for _, split, _ in rows])
    rows = [(row, split, path) for (row, _, path), split in zip(rows, listed, strict=True) if split]
    tally.found("objects", listed.count(""))
    if "" in listed:
        message = "{count} objects are on images without a split"
        tally.lose("object-without-split", message, table.path.name, listed.count(""))
    boxes = _boxes(columns, [row for row, _, _ in rows], [path for _, _, path in rows], tally, table)
    sizes = _sizes(columns, [row for row, _, _ in rows])
    position = _label_position(described)
    owners: dict[tuple[Path, str], int] = {}
    for (row, split, path), own, size in zip(rows, boxes, sizes, strict=True):
        part = parts.setdefault(split, ObjectRows())
        if (path, split) not in owners:
            owners[path, split] = part.add_image(FileImage(path), listing.name_of(path), size)
        if not len(own):
            continue
        label = ONLY_CLASS if position is None else row[position]
        if not label:
            tally.lose("object-without-class", "{count} boxes have no class", shorten(row[described.image]), len(own),
                       split=split, cause="write their classes into the table")  # fmt: skip
            continue
        ignored = columns.ignored is not None and row[columns.ignored].lower() in _YES
        part.add_objects(owners[path, split], own, [label] * len(own), ignored=ignored)
    if position is None:
        message = "{count} tables have no column of classes: all boxes are of one class, object"
        tally.add("one-class", "note", message, table.path.name)


def _label_position(described: LabelTable) -> int | None:
    classes = described.classes
    return None if classes is None else classes.number if classes.name is None else classes.name


def _boxes(
    columns: BoxColumns, rows: Sequence[tuple[str, ...]], paths: Sequence[Path], tally: Tally, table: Table
) -> list[NDArray[np.float64]]:
    """The [K,4] boxes xyxy of each row, in the table's unit; K is 0 where its cells are empty."""
    if columns.form == "cell":
        counts, numbers = _cells(rows, columns.columns[0])
    else:
        cells = [[row[position] for row in rows] for position in columns.columns]
        numbers = np.stack([_numbers(column) for column in cells], axis=1).reshape(-1, 4)
        empty = np.asarray([all(cell.lower() in _NOTHING for cell in four) for four in zip(*cells, strict=True)], bool)
        counts = np.where(empty, 0, 1)
        numbers = numbers[~empty]
    if columns.form == "cell":
        bracketed = any(row[columns.columns[0]].startswith(("[", "(", "{")) for row in rows)
        form = _form_of_cells(numbers, np.repeat(np.arange(len(rows)), counts), paths, bracketed=bracketed)
        said = "x, y, width, height" if form == "size" else "x and y of two corners"
        tally.add("boxes-in-cells", "note", f"the boxes are read as {said}", table.path.name)
    else:
        form = columns.form
    first, second = numbers[:, :2], numbers[:, 2:]
    if form == "centre":
        numbers = np.concatenate([first - second / 2, first + second / 2], axis=1)
    elif form == "size":
        numbers = np.concatenate([first, first + second], axis=1)
    return np.split(numbers, np.cumsum(counts)[:-1]) if len(rows) else []


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """[N]; NaN where a cell holds no number."""
    try:
        return np.asarray([float(cell or "nan") for cell in cells], np.float64)
    except ValueError:
        return np.asarray([_number(cell) for cell in cells], np.float64)


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", "."))  # a decimal comma
    except ValueError:
        return float("nan")


def _cells(rows: Sequence[tuple[str, ...]], position: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The number of boxes of each row, and all boxes [N,4]; NaN of a cell with another number of numbers."""
    counts, boxes = [], []
    for row in rows:
        numbers = [float(number) for number in _NUMBER.findall(_KEY.sub("", row[position]))]
        if len(numbers) % 4:
            numbers = [float("nan")] * 4
        counts.append(len(numbers) // 4)
        boxes.append(numbers)
    flat = [number for numbers in boxes for number in numbers]
    return np.asarray(counts, np.int64), np.asarray(flat, np.float64).reshape(-1, 4)


def _form_of_cells(
    boxes: NDArray[np.float64], owners: NDArray[np.int64], paths: Sequence[Path], *, bracketed: bool
) -> str:
    """Whether the four numbers of cells are a corner and a size, or two corners: what fits more of the images.

    Where both fit all, lists in brackets are a corner and a size, as Kaggle writes them, and bare numbers two corners.

    Args:
        boxes: [N,4].
        owners: [N] the rows of the boxes.
        paths: of the rows' images.
        bracketed: whether the cells are in brackets.
    """
    sizes: dict[Path, tuple[int, int]] = {}
    for row in np.unique(owners).tolist():
        if paths[row] not in sizes:
            try:
                sizes[paths[row]] = FileImage(paths[row]).size()
            except DataError:
                sizes[paths[row]] = (0, 0)  # the check names it
    limits = np.asarray([sizes[paths[row]][::-1] for row in owners.tolist()], np.float64).reshape(-1, 2)
    if (boxes <= 1.01).all():
        limits = np.ones_like(limits)
    as_size = (boxes[:, :2] + boxes[:, 2:] <= limits + 1).all(axis=1)
    as_corners = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (boxes[:, 2:] <= limits + 1).all(axis=1)
    if as_size.sum() == as_corners.sum():
        return "size" if bracketed else "corners"
    return "size" if as_size.sum() > as_corners.sum() else "corners"


def _sizes(columns: BoxColumns, rows: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """(height, width) that each row states; 0 where it states none."""
    if columns.size is None:
        return [(0, 0)] * len(rows)
    both = np.stack([_numbers([row[position] for row in rows]) for position in columns.size], axis=1)
    both = np.where(np.isfinite(both) & (both > 1) & (both < 1e6), both, 0).astype(np.int64)
    return [(height, width) for height, width in both.tolist()]


def _declared(
    listing: Listing, tables: Sequence[LabelTable], parts: dict[str, ObjectRows], tally: Tally
) -> tuple[str, ...]:
    """The classes in their order, if a list declares them; labels become the names that it gives to them."""
    used = {label for rows in parts.values() for label in rows.labels}
    names, order = _class_list(listing, {table.path for table in tables}, used, tally)
    if names:
        for rows in parts.values():
            rows.labels = [names[label] for label in rows.labels]
    return order


def _class_list(
    listing: Listing, used: set[Path], labels: set[str], tally: Tally
) -> tuple[dict[str, str], tuple[str, ...]]:
    """From label to name, and all names in their order, from a table of two columns that lists classes; else nothing.

    RetinaNet's rows are a name and its number, OpenImages' a code and a name.
    """
    for path in listing.files_with(*TABLE_SUFFIXES):
        if path in used or not labels or "class" not in path.stem.lower():
            continue
        try:
            lines = list(csv.reader(io.StringIO(read_text(path))))
        except csv.Error:  # no list of classes
            continue
        rows = [(row[0].strip(), row[1].strip()) for row in lines if len(row) == 2]
        numbered = {name: number for name, number in rows if is_whole(number)} or {
            name: number for number, name in rows if is_whole(number)
        }
        if sorted(map(int, numbered.values())) == list(range(len(numbered))) and numbered:
            order = tuple(sorted(numbered, key=lambda name: int(numbered[name])))
            if labels <= set(order):
                tally.read(path)
                return {}, order
            if all(is_whole(label) and int(label) < len(order) for label in labels):
                tally.read(path)
                return {label: order[int(label)] for label in labels}, order
        codes = dict(rows)
        if labels <= codes.keys() and len({codes[label] for label in labels}) == len(labels):
            tally.read(path)
            return {label: codes[label] for label in labels}, ()
    return {}, ()


FORMAT = Format("csv-boxes", "a CSV file with a box in each row", _recognise, _read)

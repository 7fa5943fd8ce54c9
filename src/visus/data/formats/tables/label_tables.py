"""Finds the tables of a data set, and tells what each holds, so that one reader takes it and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import LABEL_FOLDERS, Listing, split_name
from visus.data.formats.reading import ALL, Tally
from visus.data.formats.stated_splits import split_of_file
from visus.data.formats.tables.delimited import (
    CAPTION_COLUMNS,
    CELEBA_TABLE,
    PATH_COLUMNS,
    TABLE_SUFFIXES,
    Table,
    is_number,
    read_table,
    shorten,
    squeeze,
)
from visus.data.formats.tables.label_columns import LabelColumns, label_columns
from visus.data.formats.tables.table_columns import (
    BoxColumns,
    ClassColumns,
    Columns,
    box_columns,
    class_columns,
    guess_class_column,
    pixel_columns,
    point_columns,
    run_length_column,
)
from visus.data.formats.tables.table_splits import find_splits
from visus.data.messages import listed
from visus.data.pixels.images import FileImage
from visus.errors import DataError

Kind = Literal["labels", "label sets", "boxes", "points", "captions", "pixels", "images", "other"]
"""What the rows of a table hold: a class or several classes, boxes, points or captions of images; pixels as text;
images only; neither."""

_HEAD = 1000  # rows by which a table is judged
_LOOKED_FOR = 20  # rows whose images are looked for
_LONG = 1024  # characters; no path is as long
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
_VAGUE = frozenset({"id", "name", "url", "uri", "src"})


@dataclass(frozen=True, slots=True)
class LabelTable:
    """A table and what its columns mean.

    Args:
        path: of the file.
        kind: what its rows hold.
        split: the split that the names of the file and its folder mean, or "all".
        image: the position of the column of image files; -1 where there is none.
        found: whether images of its first rows are there.
        classes: the columns of classes, if any.
        labels: the columns of several classes an image, if the kind is "label sets".
        boxes: the columns of boxes, if the kind is "boxes".
        points: the columns of points, if the kind is "points" or "pixels".
        pixels: the columns of pixels, or of one cell that holds all, if the kind is "pixels".
        reason: why the kind is "other", for people.
    """

    path: Path
    kind: Kind
    split: str = ALL
    image: int = -1
    found: bool = False
    classes: ClassColumns | None = None
    labels: LabelColumns | None = None
    boxes: BoxColumns | None = None
    points: Columns = field(default_factory=dict)
    pixels: tuple[int, ...] = ()
    reason: str = ""

    def used(self) -> set[int]:
        """The positions of the columns that mean something."""
        used = {self.image, *self.pixels} | (self.classes.positions if self.classes else set())
        used |= self.labels.positions if self.labels else set()
        if self.boxes:
            used |= {*self.boxes.columns, *(self.boxes.size or ())}
            used |= set() if self.boxes.ignored is None else {self.boxes.ignored}
        return used | {position for pair in self.points.values() for position in pair}


def find_tables(listing: Listing) -> tuple[LabelTable, ...]:
    """The tables of a data set: in its folder, in the folders of its splits, and in one of labels."""
    folders: list[Path | None] = [None]
    if not listing.is_file:
        folders += listing.split_folders().values()
        folders += [f for f in listing.folders() if f.name.lower() in (*LABEL_FOLDERS, "csv") and not listing.images(f)]
    paths = [path for folder in folders for path in listing.files_with(*TABLE_SUFFIXES, folder=folder)]
    paths += [path for folder in folders for path in listing.files_with(".txt", folder=folder)
              if CELEBA_TABLE.fullmatch(path.name.lower())]  # fmt: skip
    tables = [describe_table(listing, path) for path in paths]
    if len(tables) == 1 and tables[0].path.parent == listing.root:
        tables = [replace(tables[0], split=split_name(paths[0].stem) or ALL)]
    if any(table.found for table in tables):
        # Beside a table whose images are there, one that names none of them is of another kind: a list of classes.
        tables = [table if table.found else _other(table.path, "none of the images that it names is here", table.split)
                  for table in tables]  # fmt: skip
    return tuple(tables)


def tables_of(listing: Listing, kind: Kind) -> tuple[LabelTable, ...]:
    """The tables of one kind; without those that only ask for answers, if others are there."""
    tables = [table for table in listing.once(find_tables) if table.kind == kind]
    rest = [table for table in tables if "submission" not in table.path.stem.lower()]
    return tuple(rest or tables)


def describe_table(listing: Listing, path: Path) -> LabelTable:
    """What a table holds, from its first rows."""
    table = read_table(path, limit=_HEAD)
    split = split_of_file(listing, path)
    if not table.columns or not table.rows:
        return _other(path, table.fault or "it has no rows", split)
    if column := run_length_column(table):
        reason = f"its column {shorten(column)} holds masks as run lengths: write them as PNG files or as COCO"
        return _other(path, reason, split)
    if pixels := pixel_columns(table):
        classes, points = class_columns(table, set(pixels)), point_columns(table, set(pixels))
        return LabelTable(path, "pixels", split, classes=classes, points={} if classes else points, pixels=pixels)
    if table.find(("regionshapeattributes",)) is not None:
        return _other(path, "it is VIA's", split)
    image, found = _image_column(listing, table)
    if image is None:
        return _other(path, f"none of its columns names images: {_columns(table)}", split)
    captions = table.find(CAPTION_COLUMNS)
    if captions is not None:
        return LabelTable(path, "captions", split, image, found)
    classes = class_columns(table, {image})
    taken = {image} | (classes.positions if classes and not _is_coordinate(table, classes) else set())
    boxes, points = box_columns(table, taken), point_columns(table, taken)
    if classes and _is_coordinate(table, classes) and (boxes or points):
        classes = None
    as_points = boxes and not classes and set(points) == {"1", "2"} and boxes.form == "corners"
    if boxes and not as_points and not (points and _is_image_size(listing, table, image, boxes)):
        return LabelTable(path, "boxes", split, image, found, classes, boxes=boxes)
    labels = None if points else label_columns(table, {image} | _split_columns(table), classes)
    if labels:
        return LabelTable(path, "label sets", split, image, found, labels=labels)
    if classes:
        return LabelTable(path, "labels", split, image, found, classes)
    if points:
        return LabelTable(path, "points", split, image, found, points=points)
    if not table.headed and not all(table.columns):
        return _other(path, "it has no header, and what its columns hold is not known: write one above its rows", split)
    rest = [i for i, column in enumerate(table.columns) if i != image and column and i not in _split_columns(table)]
    if not rest:
        return LabelTable(path, "images", split, image, found)
    guesses = guess_class_column(table, {image})
    if len(guesses) == 1 and found:
        return LabelTable(path, "labels", split, image, found, ClassColumns(guesses[0], None, guessed=True))
    return _other(path, _of_unknown(table, image, guesses), split)


def _split_columns(table: Table) -> set[int]:
    """The positions of the columns of splits, by the first rows."""
    try:
        return set(find_splits(table).columns)
    except DataError:
        return set()


def _other(path: Path, reason: str, split: str) -> LabelTable:
    return LabelTable(path, "other", split, reason=reason)


def _columns(table: Table) -> str:
    return listed(map(shorten, table.columns), 12)


def _image_column(listing: Listing, table: Table) -> tuple[int | None, bool]:
    """The position of the column of images, and whether some of them are there."""
    finder = ImageFinder(listing, Tally(), beside=table.path.parent)
    rows = table.rows[:_LOOKED_FOR]

    def hits(position: int) -> int:
        return sum(finder.find(row[position]) is not None for row in rows if 0 < len(row[position]) <= _LONG)

    squeezed = [squeeze(column) for column in table.columns]
    named = [squeezed.index(name) for name in map(squeeze, PATH_COLUMNS) if name in squeezed]
    for position in named:
        if hits(position):
            return position, True
    others = [i for i in range(len(squeezed)) if i not in named and not all(is_number(row[i]) for row in rows)]
    best = max(others, key=hits, default=None)
    if best is not None and 2 * hits(best) >= len(rows):
        return best, True
    likely = [i for i in named if squeezed[i] not in _VAGUE]
    return (likely[0] if likely else None), False


def _is_coordinate(table: Table, classes: ClassColumns) -> bool:
    """Whether the column "y" was taken for the classes, although there is an x."""
    return classes.name is not None and table.columns[classes.name] == "y" and "x" in table.columns


def _is_image_size(listing: Listing, table: Table, image: int, boxes: BoxColumns) -> bool:
    """Whether width and height beside x and y are the image's, and not a box's."""
    if boxes.form != "size":
        return False
    finder = ImageFinder(listing, Tally(), beside=table.path.parent)
    looked_at = 0
    for row in table.rows[:_LOOKED_FOR]:
        path = finder.find(row[image])
        if path is None:
            continue
        try:
            height, width = FileImage(path).size()
            if (float(row[boxes.columns[2]]), float(row[boxes.columns[3]])) != (width, height):
                return False
        except (DataError, ValueError):
            return False
        looked_at += 1
    return looked_at > 0


def _of_unknown(table: Table, image: int, guesses: Sequence[int]) -> str:
    if guesses:
        names = " or ".join(table.columns[i] for i in guesses)
        return f"which column holds the classes, {names}? Call it label"
    measures = [
        c for i, c in enumerate(table.columns) if i != image and all(is_number(r[i] or "0") for r in table.rows)
    ]
    hint = f"; {', '.join(measures[:4])} hold numbers that are no classes" if measures else ""
    return f"none of its columns is known to hold classes, boxes or points: {_columns(table)}{hint}. Call it label"


def tables_near(listing: Listing) -> str:
    """Why the tables of a folder are not read, in one line; "" where none is there."""
    reasons = [(table.path, table.reason) for table in listing.once(find_tables) if table.kind == "other"]
    reasons += [(path, "save the spreadsheet as CSV") for path in listing.files_with(*_SPREADSHEETS)]
    return "; ".join(f"{listing.name_of(path)}: {reason}" for path, reason in reasons[:3])


def by_split(listing: Listing, tables: Sequence[LabelTable]) -> Mapping[str, list[LabelTable]]:
    """The tables of each split, train first; a single table has the split of its name.

    Raises:
        DataError: if several tables are of the same split, or of none, and differ in what they name.
    """
    splits: dict[str, list[LabelTable]] = {}
    for table in tables:
        splits.setdefault(table.split, []).append(table)
    if len(tables) > 1 and (ALL in splits or any(len(part) > 1 for part in splits.values())):
        raise DataError(
            f"{listing.root} holds several tables of images and labels",
            expected="one table, or train.csv, val.csv and test.csv",
            got=", ".join(listing.name_of(table.path) for table in tables),
            remedy="name the table instead of the folder",
        )
    return {split: splits[split] for split in ("train", "val", "test", ALL) if split in splits}

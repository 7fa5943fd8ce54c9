"""CSV files with the points of an image in each row: columns x1,y1,x2,y2 ... or left_eye_x,left_eye_y ..."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from visus.data.formats.delimited import (
    INDEX_COLUMNS,
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    TABLE_SUFFIXES,
    Table,
    read_table,
)
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Landmarks, Sample
from visus.structures.values.landmarks import flip_pairs

Columns = dict[str, tuple[int, int]]
"""From the name of a point to the columns of its x and y."""


def point_columns(table: Table) -> Columns:
    """The points of a table: "x1" and "y1" make the point "1", "nose_x" and "nose_y" the point "nose"."""
    points: Columns = {}
    for index, column in enumerate(table.columns):
        numbered, named = re.fullmatch(r"x_?(\d+)", column), re.fullmatch(r"(.+)_x", column)
        for match, other in ((numbered, column.replace("x", "y", 1)), (named, column[:-1] + "y")):
            if match and other in table.columns:
                points[match[1]] = (index, table.columns.index(other))
    return points


def _tables(listing: Listing) -> tuple[Path, ...]:
    """The tables that have a column of images and points, and no classes: with a class, x1,y1,x2,y2 are a box."""
    paths = []
    for path in listing.files_with(*TABLE_SUFFIXES):
        table = read_table(path, limit=3)
        classes = table.find(LABEL_COLUMNS) is not None or table.find(INDEX_COLUMNS) is not None
        if table.find(PATH_COLUMNS) is not None and point_columns(table) and not classes:
            paths.append(path)
    return tuple(paths)


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_tables))


def _read(listing: Listing) -> Reading:
    paths = listing.once(_tables)
    tally = Tally()
    finder, missing = ImageFinder(listing, tally), []
    splits: dict[str, list[Sample]] = {}
    names: tuple[str, ...] = ()
    for path in paths:
        table = read_table(path)
        tally.read(path)
        columns = point_columns(table)
        if names and tuple(columns) != names:
            raise DataError(
                f"{path} has other points than the table before it", expected=", ".join(names), got=", ".join(columns)
            )
        names = tuple(columns)
        pairs = flip_pairs(names)
        file, division = table.find(PATH_COLUMNS), table.find(SPLIT_COLUMNS)
        table_split = split_name(path.stem) or ALL
        for number, row in enumerate(table.rows, 2):
            split = (split_name(row[division]) or row[division]) if division is not None else table_split
            name = row[file] if file is not None else ""
            image = finder.find(name, split)
            if image is None:
                missing.append(name)
                continue
            source = FileImage(image)
            points, visible = _points(table, row, columns, number)
            target = Landmarks(names, points, visible, source.size(), flip_pairs=pairs)
            splits.setdefault(split, []).append(Sample(listing.name_of(image), source, {"landmarks": target}))
    count = sum(map(len, splits.values()))
    if not count:
        raise DataError(
            f"no image that {paths[0].name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(missing[:3]) or "no row",
        )
    note_missing_images(tally, missing)
    ordered = {split: splits[split] for split in ("train", "val", "test", ALL) if split in splits}
    return tally.reading({"landmarks": names}, ordered)


def _points(table: Table, row: tuple[str, ...], columns: Columns, number: int) -> tuple[np.ndarray, np.ndarray]:
    """points [K,2] and visible [K]; a point with an empty cell, "nan" or a negative number is absent."""
    points = np.zeros((len(columns), 2), np.float32)
    visible = np.zeros(len(columns), bool)
    for k, (name, indices) in enumerate(columns.items()):
        try:
            x, y = (float(row[index]) if row[index] else math.nan for index in indices)
        except ValueError:
            raise DataError(
                f"{table.path}, row {number}: a coordinate of {name} is not a number",
                expected="pixels, or an empty cell for a point that is not there",
                got=", ".join(row[index] for index in indices),
            ) from None
        if math.isfinite(x) and math.isfinite(y) and x >= 0 and y >= 0:
            points[k], visible[k] = (x, y), True
    return points, visible


FORMAT = Format(
    name="csv-landmarks",
    title="a CSV or TSV file with images and the x and y of their points",
    recognise=_recognise,
    read=_read,
)

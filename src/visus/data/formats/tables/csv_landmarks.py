"""CSV files with the points of an image in each row: columns x,y or x1,y1,x2,y2 ... or left_eye_x,left_eye_y ..."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.formats.tables.csv_labels import lose_row, note_columns, note_tables_without_labels
from visus.data.formats.tables.delimited import Table, read_table, shorten
from visus.data.formats.tables.label_tables import by_split, tables_of
from visus.data.formats.tables.listed_splits import with_listed_splits
from visus.data.formats.tables.table_columns import Columns
from visus.data.formats.tables.table_splits import find_splits
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Landmarks, Sample
from visus.structures.values.landmarks import flip_pairs

_OUTSIDE = 0.1  # of the side: points of cropped faces may lie so far outside of their image


@dataclass(slots=True)
class _Found:
    """The images of all tables, in order: split, file, size (height, width), points [K,2] and visible [K]."""

    splits: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    visible: list[np.ndarray] = field(default_factory=list)


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "points"))


def _read(listing: Listing) -> Reading:
    tables = tables_of(listing, "points")
    tally = Tally()
    found, missing = _Found(), []
    names: tuple[str, ...] = ()
    for split, (described, *_) in by_split(listing, tables).items():
        if names and tuple(described.points) != names:
            raise DataError(
                f"{described.path} has other points than the table before it",
                expected=", ".join(names),
                got=", ".join(described.points),
            )
        names = tuple(described.points)
        table = read_table(described.path, tally=tally)
        tally.read(table.path)
        rule = find_splits(table, described.used())
        note_columns(tally, table, described, rule)
        finder = ImageFinder(listing, tally, beside=table.path.parent)
        for number, row in enumerate(table.rows, 2 if table.headed else 1):
            row_split = rule.split_of(row) if rule.columns else split
            name = row[described.image]
            if not name or not row_split:
                lose_row(tally, table, row, without="an image" if not name else "a split")
                continue
            image = finder.find(name, row_split)
            if image is None:
                missing.append(shorten(name))
                continue
            points, visible = points_of_row(table, row, described.points, number)
            found.splits.append(row_split)
            found.files.append(image)
            found.points.append(points)
            found.visible.append(visible)
    if not found.files:
        raise DataError(
            f"no image that {tables[0].path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(missing[:3]) or "no row",
        )
    note_missing_images(tally, missing)
    found.splits = with_listed_splits(listing, tally, found.files, found.splits)
    note_tables_without_labels(listing, tally)
    if names == ("1", "2"):
        message = "the columns x1, y1, x2, y2 are read as two points; for boxes call them xmin, ymin, xmax, ymax"
        tally.add("two-points", "note", message)
    return tally.reading({"landmarks": names}, _samples(listing, found, names, tally))


def _samples(listing: Listing, found: _Found, names: tuple[str, ...], tally: Tally) -> dict[str, list[Sample]]:
    images = [FileImage(file) for file in found.files]
    sizes = np.asarray([image.size() for image in images], np.float64)  # [N,2] height, width
    points, visible = np.stack(found.points), np.stack(found.visible)  # [N,K,2], [N,K]
    shown = [listing.name_of(file) for file in found.files]
    tally.found("points", int(visible.sum()))
    points, visible = _in_pixels(points, visible, sizes, shown, tally)
    pairs = flip_pairs(names)
    splits: dict[str, list[Sample]] = {}
    seen: set[Path] = set()
    for k, image in enumerate(images):
        if not found.splits[k]:
            tally.lose("points-without-split", "{count} points are on images without a split", shown[k],
                       int(visible[k].sum()), unit="points")  # fmt: skip
            continue
        if image.path in seen:
            message = "{count} points are in a further row of their image"
            cause = "write one row an image; points that are to be counted are not learnt"
            count = int(visible[k].sum())
            tally.lose("second-row", message, shown[k], count, unit="points", split=found.splits[k], cause=cause)
            continue
        seen.add(image.path)
        height, width = sizes[k].astype(int).tolist()
        target = Landmarks(names, points[k], visible[k], (height, width), flip_pairs=pairs)
        splits.setdefault(found.splits[k], []).append(Sample(shown[k], image, {"landmarks": target}))
    return {split: splits[split] for split in ("train", "val", "test", ALL) if split in splits}


def _in_pixels(
    points: np.ndarray, visible: np.ndarray, sizes: np.ndarray, shown: list[str], tally: Tally
) -> tuple[np.ndarray, np.ndarray]:
    """The points in pixels, those that cannot be used no longer visible.

    Points that are all between 0 and 1 are fractions of their images. A few such among others are lost, and so are
    points that lie far outside of their image.
    """
    scale = sizes[:, None, ::-1]  # [N,1,2] width, height
    small = visible & (points <= 1).all(axis=2)
    odd = small & (points % 1 != 0).any(axis=2)
    if visible.any() and (small == visible).all() and odd.any():
        message = "all {count} points are in fractions of their images; read as such"
        tally.add("points-in-fractions", "note", message, count=int(visible.sum()))
        points, odd = points * scale, np.zeros_like(odd)
    outside = visible & ~odd & (points > scale * (1 + _OUTSIDE)).any(axis=2)
    losses = (
        ("point-in-fractions", odd, "{count} points are smaller than a pixel, as if they were fractions of their image",
         "write all points in pixels, or all in fractions"),
        ("point-outside", outside, "{count} points lie outside of their image",
         "the points may be of another size of the images"),
    )  # fmt: skip
    for kind, which, message, cause in losses:
        for k in np.flatnonzero(which.any(axis=1)).tolist():
            tally.lose(kind, message, shown[k], int(which[k].sum()), unit="points", cause=cause)
    visible = visible & ~odd & ~outside
    return np.where(visible[:, :, None], points, 0).astype(np.float32), visible


def points_of_row(table: Table, row: tuple[str, ...], columns: Columns, number: int) -> tuple[np.ndarray, np.ndarray]:
    """points [K,2] and visible [K]; a point with an empty cell, "nan" or a negative number is absent."""
    points = np.zeros((len(columns), 2))
    visible = np.zeros(len(columns), bool)
    for k, (name, indices) in enumerate(columns.items()):
        try:
            x, y = (float(row[index]) if row[index] else math.nan for index in indices)
        except ValueError:
            raise DataError(
                f"{table.path}, row {number}: a coordinate of {name} is not a number",
                expected="pixels, or an empty cell for a point that is not there",
                got=", ".join(shorten(row[index]) for index in indices),
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

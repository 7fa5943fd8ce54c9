"""CSV files that hold the images themselves: a column a pixel (MNIST), all pixels in a cell (FER2013, Kaggle's facial
key points), or an encoded image as text (base64)."""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.labelled import Entry, read_labelled
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.tables.csv_labels import note_columns
from visus.data.formats.tables.csv_landmarks import points_of_row
from visus.data.formats.tables.delimited import Table, read_table, shorten
from visus.data.formats.tables.label_tables import LabelTable, by_split, tables_of
from visus.data.formats.tables.table_splits import find_splits
from visus.data.pixels.images import ArrayImage, BytesImage
from visus.errors import DataError
from visus.structures import ImageSource, Landmarks, Sample
from visus.structures.values.landmarks import flip_pairs

_NUMERIC = tuple("0123456789[( ")  # what a cell of pixels starts with


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "pixels"))


def _read(listing: Listing) -> Reading:
    tables = tables_of(listing, "pixels")
    tally = Tally()
    labelled: dict[str, list[Entry]] = {}
    pointed: dict[str, list[Sample]] = {}
    names: tuple[str, ...] = ()
    usable = [table for table in tables if table.classes or table.points]
    for described in tables:
        if described not in usable:
            tally.read(described.path)
            message = "{count} tables name images without their labels, such as a test set's; not used"
            tally.add("table-without-labels", "note", message, listing.name_of(described.path))
    if not usable:
        columns = read_table(tables[0].path, limit=2).columns
        raise DataError(
            f"{tables[0].path.name} holds pixels, and no column of classes or points beside them",
            expected="a column called label, or x and y of points",
            got=shorten(", ".join(columns)),
        )
    for split, (described, *_) in by_split(listing, usable).items():
        table = read_table(described.path, tally=tally)
        tally.read(table.path)
        rule = find_splits(table, described.used())
        note_columns(tally, table, described, rule)
        names = names or tuple(described.points)
        if tuple(described.points) != names:
            raise DataError(f"{table.path} has other points than the table before it", expected=", ".join(names),
                            got=", ".join(described.points))  # fmt: skip
        for number, row in enumerate(table.rows, 2 if table.headed else 1):
            row_split = (rule.split_of(row) if rule.columns else split) or ALL
            identity = f"{table.path.stem}/{number:06d}"
            image = _image(table, row, described.pixels, number)
            if described.classes:
                label = row[_label_position(described)]
                if label:
                    labelled.setdefault(row_split, []).append((identity, image, label))
                else:
                    tally.lose("unlabelled-image", "{count} images have no class", identity, unit="image files")
            else:
                points, visible = points_of_row(table, row, described.points, number)
                target = Landmarks(
                    names, points.astype(np.float32), visible, image.size(), flip_pairs=flip_pairs(names)
                )
                pointed.setdefault(row_split, []).append(Sample(identity, image, {"landmarks": target}))
    if labelled:
        return read_labelled({s: labelled[s] for s in ("train", "val", "test", ALL) if s in labelled}, tally)
    tally.found("points", sum(int(s.target("landmarks").visible.sum()) for part in pointed.values() for s in part))
    return tally.reading({"landmarks": names}, {s: pointed[s] for s in ("train", "val", "test", ALL) if s in pointed})


def _label_position(described: LabelTable) -> int:
    classes = described.classes
    position = None if classes is None else classes.number if classes.name is None else classes.name
    return position or 0


def _image(table: Table, row: tuple[str, ...], positions: tuple[int, ...], number: int) -> ImageSource:
    """The image of a row: square, grey or with three values a pixel; or an encoded file."""
    if len(positions) == 1 and not row[positions[0]].startswith(_NUMERIC):
        return _encoded(table.path, row[positions[0]], number)
    cells = [row[i] for i in positions] if len(positions) > 1 else _divided(row[positions[0]])
    try:
        values = np.asarray(cells, np.float64)
    except ValueError:
        values = np.full(1, -1.0)
    if not (np.isfinite(values) & (values >= 0) & (values <= 255) & (np.floor(values) == values)).all():
        raise DataError(
            f"{table.path}, row {number}: the pixels are no numbers of a byte",
            expected="whole numbers of 0 .. 255",
            got=shorten(" ".join(cells)),
        )
    return ArrayImage(_square(values.astype(np.uint8), table, number))


def _divided(cell: str) -> list[str]:
    return cell.strip("[]() ").replace(",", " ").split()


def _square(values: NDArray[np.uint8], table: Table, number: int) -> NDArray[np.uint8]:
    """[S,S] or [S,S,3] of S x S or S x S x 3 values."""
    side = math.isqrt(len(values))
    if side and side * side == len(values):
        return values.reshape(side, side)
    side = math.isqrt(len(values) // 3)
    if side and 3 * side * side == len(values):
        return values.reshape(side, side, 3)
    raise DataError(
        f"{table.path}, row {number}: the pixels are those of no square image",
        expected="S x S grey values, or S x S x 3 of colour",
        got=f"{len(values):,} values",
        remedy="save the images as files and write their names into the table",
    )


def _encoded(path: Path, cell: str, number: int) -> BytesImage:
    """The image file that base64 or a data address spells."""
    try:
        data = base64.b64decode(cell.partition(",")[2] if cell.startswith("data:") else cell, validate=True)
        image = BytesImage(data, f"{path.name}, row {number}")
        image.size()
    except (binascii.Error, ValueError, DataError):
        raise DataError(
            f"{path}, row {number}: a cell of {len(cell):,} characters is neither pixels nor an image as base64",
            expected="names of image files, or pixels",
            got=shorten(cell),
            remedy="save the images as files and write their names into the table",
        ) from None
    return image


FORMAT = Format("csv-pixels", "a CSV file with the pixels of an image in each row", _recognise, _read)

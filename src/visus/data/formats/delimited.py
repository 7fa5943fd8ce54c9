"""Reads CSV files as rows of text; finds delimiter, header and encoding itself."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from visus.data.pixels.images import IMAGE_SUFFIXES
from visus.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv")

PATH_COLUMNS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_file", "image_name",
    "img", "img_path", "image_id", "id",
)  # fmt: skip
"""What the column of image files is called, in lower case; the first that is there is taken."""

LABEL_COLUMNS = (
    "label", "class", "class_name", "classname", "category", "label_name", "target", "species", "breed", "y",
)  # fmt: skip
"""What the column of class names is called."""

INDEX_COLUMNS = ("class_index", "class_id", "label_id", "label_index", "category_id")
"""What a column of class numbers is called, beside a column of names or alone."""

SPLIT_COLUMNS = ("split", "subset", "set", "partition", "fold", "dataset")
"""What the column of splits is called."""

CAPTION_COLUMNS = ("caption", "captions", "sentence", "comment")
"""What a column of captions is called."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV file. columns: names in lower case; rows: as many values each; titles: names as written."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    titles: tuple[str, ...] = ()

    def find(self, names: tuple[str, ...]) -> int | None:
        """The position of the first of these names that is a column; None if none is."""
        return next((self.columns.index(name) for name in names if name in self.columns), None)


def read_table(path: Path, *, limit: int | None = None) -> Table:
    """The rows of a CSV or TSV file, blank ones left out; without a header the columns are path, label, split.

    Args:
        limit: read only this many lines, to tell what a table holds; what is wrong with it then shows as no columns.

    Raises:
        DataError: if it is no text, or a row has another number of values than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t|", key=first.count)
            rows: list[tuple[str, ...]] = []
            for number, values in enumerate(csv.reader(stream, delimiter=delimiter)):
                if limit is not None and number >= limit:
                    break
                if any(value.strip() for value in values):
                    rows.append(tuple(value.strip() for value in values))
    except (OSError, csv.Error) as error:
        if limit is not None:
            return Table(path, (), ())
        raise DataError(f"{path} cannot be read", expected="a CSV file", got=str(error)) from error
    if not rows:
        return Table(path, (), ())
    headed = not any(Path(value).suffix.lower() in IMAGE_SUFFIXES for value in rows[0])
    columns: tuple[str, ...] = (
        tuple(value.lower() for value in rows[0]) if headed else ("path", "label", "split")[: len(rows[0])]
    )
    body = rows[1:] if headed else rows
    for number, row in enumerate(body, 2 if headed else 1):
        if limit is None and len(row) != len(columns):
            raise DataError(
                f"{path}, row {number}: it does not have as many values as the header",
                expected=f"{len(columns)} ({', '.join(columns)})",
                got=f"{len(row)} ({', '.join(row[:6])})",
            )
    return Table(path, columns, tuple(body), rows[0] if headed else columns)

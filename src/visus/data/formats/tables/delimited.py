"""Reads CSV and TSV files as rows of text; finds encoding, delimiter, quotes and header itself."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from visus.data.formats.listing import split_name
from visus.data.formats.reading import Tally
from visus.data.formats.texts.label_text import read_text
from visus.data.formats.texts.text_encoding import decode_text, printable_name
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular

TABLE_SUFFIXES = (".csv", ".tsv")

CELEBA_TABLE = re.compile(r"list_(attr|bbox|landmarks|eval)\w*\.txt")
"""Names (lower case) of CelebA's tables."""

PATH_COLUMNS = (
    "path", "file", "filename", "filepath", "image", "imagepath", "imagefile", "imagename", "imagefilename", "img",
    "imgpath", "imgname", "imgfile", "fname", "picture", "photo", "imageindex", "imageurl", "url", "uri", "src",
    "idcode", "isicid", "patientid", "imageid", "imgid", "photoid", "externalid", "id", "name",
)  # fmt: skip
"""What the column of image files is called; the first that is there is taken. See :meth:`Table.find`."""

LABEL_COLUMNS = (
    "label", "class", "classname", "category", "categoryname", "labelname", "classlabel", "labeltext", "cls", "target",
    "species", "breed", "diagnosis", "dx", "emotion", "y",
)  # fmt: skip
"""What the column of class names is called."""

INDEX_COLUMNS = ("classindex", "classid", "labelid", "labelindex", "categoryid", "targetid")
"""What a column of class numbers is called, beside a column of names or alone."""

CAPTION_COLUMNS = ("caption", "captions", "sentence", "comment")
"""What a column of captions is called."""

LONGEST_CELL = 131_072
"""Characters: the csv module's own limit."""

_DELIMITERS = ",;\t|"
_HEAD = 1 << 20  # bytes that are read to tell what a table holds
_SHOWN = 60  # characters of a cell in a message


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a CSV file.

    Args:
        path: of the file.
        columns: names in lower case, words joined by "_".
        rows: as many values each.
        headed: whether the file has a header; without one the columns are named after what they hold.
        titles: the names as they are written in the header.
        fault: why nothing could be read, where only the head was asked for.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    headed: bool = True
    titles: tuple[str, ...] = ()
    fault: str = ""

    def find(self, names: Iterable[str]) -> int | None:
        """The position of the first of these names that is a column; None if none is. "_" does not count."""
        squeezed = [squeeze(column) for column in self.columns]
        return next((squeezed.index(name) for name in map(squeeze, names) if name in squeezed), None)

    def column(self, position: int) -> list[str]:
        """The values of a column."""
        return [row[position] for row in self.rows]


def squeeze(column: str) -> str:
    """A column's name without "_"."""
    return column.replace("_", "")


def shorten(cell: str) -> str:
    """A cell as messages show it."""
    shown = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]} ... ({len(cell):,} characters)"
    return printable_name(shown)


def is_whole(cell: str) -> bool:
    """Whether a cell holds a whole number from 0 on, of a length that class numbers have."""
    return cell.isdecimal() and len(cell) < 10


def is_number(cell: str) -> bool:
    """Whether a cell holds a number; "nan" is one."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_table(path: Path, *, limit: int | None = None, tally: Tally | None = None) -> Table:
    """The rows of a CSV or TSV file, or of one of CelebA's text files; blank ones are left out.

    Args:
        path: of the file.
        limit: read only so many rows, to tell what a table holds; what is wrong with it is then its ``fault``.
        tally: is told where the file is not UTF-8.

    Raises:
        DataError: if it is no text, or a row has another number of values than the header.
    """
    if limit is None:
        return _parse(path, read_text(path, tally), None)
    try:
        return _parse(path, _head(path), limit)
    except DataError as error:
        return Table(path, (), (), fault=f"{error.problem}: {error.got}" if error.got else error.problem)
    except OSError as error:
        return Table(path, (), (), fault=f"{path} cannot be read: {error.strerror}")


def _head(path: Path) -> str:
    with open_regular(path, limit=LARGEST_TEXT, expected="a table") as stream:
        data = stream.read(_HEAD)
    if len(data) == _HEAD and b"\n" in data:
        data = data[: data.rindex(b"\n") + 1]
    return decode_text(data)[0]


def _parse_celeba(path: Path, text: str, limit: int | None) -> Table:
    """A table of CelebA: a line with the number of rows, the names of the columns but the first, and rows with spaces.

    The list of partitions has neither of the first two lines.
    """
    rows = [tuple(line.split()) for line in islice(io.StringIO(text), limit) if line.strip()]
    if rows and len(rows[0]) == 1 and is_whole(rows[0][0]):
        del rows[0]
    if not rows:
        return Table(path, (), ())
    headed = not names_image(rows[0][0])
    titles = rows[0] if headed else ("partition",)
    body = rows[1:] if headed else rows
    titles = titles if titles[0] == "image_id" else ("image_id", *titles)
    columns = tuple(map(column_name, titles))
    for number, row in enumerate(body, 1):
        if len(row) != len(columns) and limit is None:
            raise DataError(
                f"{path}, row {number} of an image: it does not have as many values as there are columns",
                expected=f"{len(columns)} ({', '.join(map(shorten, columns[:12]))})",
                got=f"{len(row)} ({', '.join(map(shorten, row[:6]))})",
            )
    return Table(path, columns, tuple(row for row in body if len(row) == len(columns)), headed, titles)


def _parse(path: Path, text: str, limit: int | None) -> Table:
    if path.suffix.lower() == ".txt":
        return _parse_celeba(path, text, limit)
    first, _, rest = text.partition("\n")
    while rest and first.startswith("#") and not any(delimiter in first for delimiter in _DELIMITERS):
        text = rest  # a comment above the header
        first, _, rest = text.partition("\n")
    if match := re.fullmatch(r"sep=(.)", first.strip()):  # Excel's way to name the delimiter
        delimiter, text = match[1], rest
    else:
        delimiter = max(_DELIMITERS, key=re.sub(r'"[^"]*"', "", first).count)
    rows: list[tuple[str, ...]] = []
    lines = io.StringIO(text, newline="")
    try:
        for values in islice(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), limit):
            row = tuple([value.strip() for value in values])
            if any(row):
                rows.append(row)
    except csv.Error as error:
        long = "larger than field limit" in str(error)
        raise DataError(
            f"{path} cannot be read",
            expected="a CSV file",
            got=f"a cell of more than {LONGEST_CELL:,} characters" if long else str(error),
            remedy="save images as files and write their names into the table" if long else "save the table again",
        ) from error
    if not rows:
        return Table(path, (), ())
    if all(cell[:1] == cell[-1:] == "'" and len(cell) > 1 for cell in rows[0] if cell):
        rows = [tuple(_unquoted(cell) for cell in row) for row in rows]
    headed = not any(names_image(cell) for cell in rows[0])
    columns = tuple(map(column_name, rows[0])) if headed else _columns_by_values(rows)
    titles = rows[0] if headed else columns
    body = rows[1:] if headed else rows
    fitted = [row if len(row) == len(columns) else _fitted(row, len(columns)) for row in body]
    if limit is None:
        for number, row in enumerate(fitted, 2 if headed else 1):
            if len(row) != len(columns):
                raise DataError(
                    f"{path}, row {number}: it does not have as many values as the header",
                    expected=f"{len(columns)} ({', '.join(map(shorten, columns[:12]))})",
                    got=f"{len(row)} ({', '.join(map(shorten, row[:6]))})",
                    remedy="put values that hold the delimiter in double quotes" if len(row) > len(columns) else "",
                )
    return Table(path, columns, tuple(row for row in fitted if len(row) == len(columns)), headed, titles)


def _unquoted(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell


def names_image(cell: str) -> bool:
    """Whether a cell has the suffix of an image file."""
    return len(cell) < 4096 and Path(cell).suffix.lower() in IMAGE_SUFFIXES


def column_name(title: str) -> str:
    """A title as :class:`Table` has it: small letters and digits, words joined by "_"; "" where it has none."""
    return re.sub(r"[\W_]+", "_", title.lower()).strip("_")


def _fitted(row: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The row without empty values beyond the header, which spreadsheets leave behind."""
    return row[:count] if not any(row[count:]) else row


def _columns_by_values(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names of the columns of a table without a header: as known tools write them."""
    head = [row for row in rows[:100] if len(row) == len(rows[0])]
    width = len(rows[0])
    numeric = [
        any(row[i] for row in head) and all(not row[i] or is_number(row[i]) for row in head) for i in range(width)
    ]
    if width == 6 and all(numeric[1:5]):  # RetinaNet: empty cells where an image holds no object
        return ("path", "xmin", "ymin", "xmax", "ymax", "label")
    if width == 8 and all(numeric[i] for i in (1, 2, 4, 5, 6, 7)):  # TensorFlow
        return ("path", "width", "height", "label", "xmin", "ymin", "xmax", "ymax")
    if width == 8 and all(numeric[i] for i in (1, 2, 3, 4, 6, 7)):  # SKU-110K, makesense.ai
        if names_image(rows[0][5]):
            return ("label", "x", "y", "width", "height", "path", "image_width", "image_height")
        return ("path", "xmin", "ymin", "xmax", "ymax", "label", "image_width", "image_height")
    if width in (9, 11) and all(split_name(row[0]) for row in head):  # AutoML: corners as x, y, -, -, x, y, -, -
        corners = ("xmin", "ymin", "", "", "xmax", "ymax", "", "")
        return ("split", "path", "label", *corners)[:width]
    points = width >= 3 and width % 2 == 1 and all(numeric[1:])
    if points and any(float(cell or 0) > 20 for row in head for cell in row[1:]):
        single = ("x", "y") if width == 3 else ()
        return ("path", *(single or [f"{axis}{k}" for k in range(1, (width + 1) // 2) for axis in "xy"]))
    position = next(i for i, cell in enumerate(rows[0]) if names_image(cell))
    if position == 1 and width == 2:
        return ("label", "path")
    if position == 1 and width == 3 and all(split_name(row[0]) for row in head):
        return ("split", "path", "label")
    if width > 3:
        return tuple("path" if i == position else "" for i in range(width))
    return ("path", "label", "split")[:width]

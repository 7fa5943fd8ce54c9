"""Tells what the columns of a table mean: boxes, points and classes. Coordinates and measures are never classes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from visus.data.formats.tables.delimited import INDEX_COLUMNS, LABEL_COLUMNS, Table, is_number, is_whole, squeeze
from visus.data.formats.tables.label_cells import NO_CLASS
from visus.data.formats.tables.table_splits import SPLIT_COLUMNS, word_of

Columns = Mapping[str, tuple[int, int]]
"""From the name of a point to the columns of its x and y."""

_LEFT = ("xmin", "left", "x1", "x0", "xtl", "minx", "startx", "xstart", "topleftx", "ulx", "x")
_TOP = ("ymin", "top", "y1", "y0", "ytl", "miny", "starty", "ystart", "toplefty", "uly", "y")
_RIGHT = ("xmax", "right", "x2", "xbr", "maxx", "endx", "xend", "bottomrightx", "lrx")
_BOTTOM = ("ymax", "bottom", "y2", "ybr", "maxy", "endy", "yend", "bottomrighty", "lry")
_WIDTH, _HEIGHT = ("width", "w", "bw"), ("height", "h", "bh")
_CENTRE_X = ("cx", "xcenter", "centerx", "xcentre", "centrex", "xc", "xctr", "xmid")
_CENTRE_Y = ("cy", "ycenter", "centery", "ycentre", "centrey", "yc", "yctr", "ymid")
_CELLS = ("bbox", "box", "boundingbox", "bboxes", "boxes", "boxesstring", "boundingboxes", "bb", "rect", "annotations")
_IMAGE_WIDTH = ("imagewidth", "imgwidth", "imgw", "imagew", "originalwidth", "width", "w")
_IMAGE_HEIGHT = ("imageheight", "imgheight", "imgh", "imageh", "originalheight", "height", "h")
_PREFIX = re.compile(r"^(bounding_?box|bbox|box|bb|roi|rect|region)_?(?=\w)")
_CELL = re.compile(r"^\W*(x'?\"?:\s*)?-?[\d.]")  # [12, 3, ...], 12 3 ..., [{'x': 12, ...
_POINTS = ((r"x_?(\d+)", ""), (r"(\d+)_?x", ""), (r"(.+)_x", ""), (r"x_(.+)", ""), (r"[cp]?x", "point"))
"""Patterns of the columns of x, and what the point is called; "" for the part in brackets."""

_PIXEL = re.compile(r"(pixel|px|p)_?\d+|\d+x\d+")
_LEAST_PIXELS = 16
_PIXELS = re.compile(r"\[?\s*\d+(?:[\s,]+\d+){63}")  # 64 numbers and more
_LONGEST_PATH = 1024
_RUN_LENGTHS = re.compile(r"rle|runlength|encodedpixels|annotation$|segmentation$|mask$")
_RUNS = re.compile(r"\d+ \d+(?: \d+ \d+)*")
_MEASURES = frozenset({
    "age", "price", "weight", "score", "count", "size", "area", "year", "month", "day", "date", "time", "angle",
    "depth", "temperature", "length", "distance", "number", "index", "order", "frame", "confidence", "probability",
    "width", "height", "row", "col", "column", "lat", "lon", "lng", "latitude", "longitude", "altitude", "radius",
})  # fmt: skip
"""Columns that are no classes although their values may repeat."""

LONGEST_NAME = 200  # characters; longer cells are text, not names of classes
_IGNORED = ("iscrowd", "isgroupof", "difficult", "ignore", "ignored", "crowd")

Form = Literal["corners", "size", "centre", "cell"]


@dataclass(frozen=True, slots=True)
class BoxColumns:
    """The columns of boxes.

    Args:
        form: "corners": left, top, right, bottom; "size": left, top, width, height; "centre": centre x and y, width,
            height; "cell": all in one cell.
        columns: four positions in this order; one of a cell.
        size: the positions of the image's height and width, if stated.
        ignored: the position of a column that marks crowds, or None.
    """

    form: Form
    columns: tuple[int, ...]
    size: tuple[int, int] | None = None
    ignored: int | None = None


@dataclass(frozen=True, slots=True)
class ClassColumns:
    """The columns of classes: of names, of numbers, or both.

    Args:
        name: the position of the names, or None.
        number: the position of whole numbers, or None.
        guessed: whether no known name told, but the values.
    """

    name: int | None
    number: int | None
    guessed: bool = False

    @property
    def positions(self) -> set[int]:
        """The columns that are used."""
        return {position for position in (self.name, self.number) if position is not None}


def box_columns(table: Table, taken: Collection[int]) -> BoxColumns | None:
    """The columns of boxes, or None.

    ``x1, y1, x2, y2`` without a class may also be two points: the caller decides.

    Args:
        table: its head is enough.
        taken: positions of columns that mean something else.
    """
    names: dict[str, int] = {}
    for position, column in enumerate(table.columns):
        if position not in taken and column:
            names.setdefault(squeeze(_PREFIX.sub("", column)), position)

    def find(*roles: Sequence[str]) -> tuple[int, ...] | None:
        found = [next((names[name] for name in role if name in names), None) for role in roles]
        positions = tuple(position for position in found if position is not None)
        return positions if len(set(positions)) == len(roles) else None

    ignored = next((names[name] for name in _IGNORED if name in names), None)
    size = _pair(find(_IMAGE_HEIGHT, _IMAGE_WIDTH))
    if corners := find(_LEFT, _TOP, _RIGHT, _BOTTOM):
        return BoxColumns("corners", corners, size, ignored)
    if ("x0" in names and "y0" in names) and (corners := find(("x0",), ("y0",), ("x1",), ("y1",))):
        return BoxColumns("corners", corners, size, ignored)
    stated = _pair(find(_IMAGE_HEIGHT[:-2], _IMAGE_WIDTH[:-2]))
    if centre := find(_CENTRE_X, _CENTRE_Y, _WIDTH, _HEIGHT):
        return BoxColumns("centre", centre, stated, ignored)
    if sides := find(_LEFT, _TOP, _WIDTH, _HEIGHT):
        return BoxColumns("size", sides, stated, ignored)
    for name in _CELLS:
        position = next((i for i, c in enumerate(table.columns) if squeeze(c) == name and i not in taken), -1)
        if position >= 0 and any(_CELL.match(row[position]) for row in table.rows):
            return BoxColumns("cell", (position,), size, ignored)
    return None


def _pair(positions: tuple[int, ...] | None) -> tuple[int, int] | None:
    return None if positions is None else (positions[0], positions[1])


def point_columns(table: Table, taken: Collection[int] = ()) -> Columns:
    """The points of a table: "x" and "y" make the point "point", "x1" and "y1" the point "1", "nose_x" and "nose_y" (or
    "x_nose" and "y_nose") the point "nose".

    taken: positions of columns that mean something else.
    """
    points: dict[str, tuple[int, int]] = {}
    for index, column in enumerate(table.columns):
        if index in taken:
            continue
        for pattern, name in _POINTS:
            match = re.fullmatch(pattern, column)
            other = _other_axis(column) if match else ""
            if match and other in table.columns and table.columns.index(other) not in taken:
                points.setdefault(name or match[1], (index, table.columns.index(other)))
                break
        else:
            if squeeze(column) in _CENTRE_X and (other := column.replace("x", "y", 1)) in table.columns:
                points.setdefault("point", (index, table.columns.index(other)))
    return points


def _other_axis(column: str) -> str:
    """The name of the column of y that belongs to a column of x."""
    if column.endswith("x"):
        return column[:-1] + "y"
    return "y" + column[1:]


def pixel_columns(table: Table) -> tuple[int, ...]:
    """The columns of pixels, or the one whose cells hold all pixels of an image; () where there are none."""
    columns = tuple(i for i, column in enumerate(table.columns) if _PIXEL.fullmatch(column))
    if len(columns) >= _LEAST_PIXELS:
        return columns
    for position in range(len(table.columns)):
        cells = [row[position] for row in table.rows[:3]]
        if cells and all(len(cell) > _LONGEST_PATH or _PIXELS.match(cell) for cell in cells):
            return (position,)
    return ()


def run_length_column(table: Table) -> str:
    """The name of a column of masks as run lengths ("start length start length ..."), or ""."""
    for position, name in enumerate(table.titles):
        cells = [row[position] for row in table.rows if row[position] not in NO_CLASS]
        if _RUN_LENGTHS.search(squeeze(table.columns[position])) and any(map(_RUNS.fullmatch, cells)):
            return name
    return ""


def class_columns(table: Table, taken: Collection[int]) -> ClassColumns | None:
    """The columns of classes by their names, or None where there are none or their values cannot be classes.

    Args:
        table: its head is enough.
        taken: positions of columns that mean something else, such as coordinates.
    """

    def find(names: Sequence[str]) -> int | None:
        squeezed = {squeeze(c): i for i, c in reversed(list(enumerate(table.columns))) if i not in taken}
        return next(
            (squeezed[name] for name in names if name in squeezed and _may_be_classes(table, squeezed[name])), None
        )

    number = find(INDEX_COLUMNS)
    if number is not None and not all(is_whole(row[number]) for row in table.rows if row[number] not in NO_CLASS):
        name = find(LABEL_COLUMNS)
        return ClassColumns(number if name is None else name, None)
    name = find(LABEL_COLUMNS)
    return None if name is None and number is None else ClassColumns(name, number)


def _may_be_classes(table: Table, position: int) -> bool:
    """Whether the values of a column with a class's name are classes.

    Numbers with fractions are measures, and under a name that says little so are whole numbers, nearly all different.
    """
    values = [row[position] for row in table.rows if row[position] not in NO_CLASS]
    if any(len(value) > LONGEST_NAME for value in values):
        return False
    if not values or not all(map(is_number, values)):
        return True
    if any(float(value) % 1 != 0 for value in values):
        return False
    vague = squeeze(table.columns[position]) in ("y", "target")
    return not (vague and len(values) > 5 and 2 * len(set(values)) > len(values))


def guess_class_column(table: Table, taken: Collection[int]) -> list[int]:
    """The columns that could hold classes: few different values, each of them repeated on the average."""
    found = []
    for position, column in enumerate(table.columns):
        values = [row[position] for row in table.rows if row[position]]
        different = set(values)
        if position in taken or not column or squeeze(column) in (*SPLIT_COLUMNS, *_MEASURES):
            continue
        if len(values) < len(table.rows) / 2:
            continue
        if not 2 <= len(different) <= len(values) / 2 or max(map(len, different)) > LONGEST_NAME:
            continue
        if all(map(is_number, different)) and any(float(value) % 1 != 0 for value in different):
            continue
        if all(map(word_of, different)) or any(separator in value for value in different for separator in ",;|["):
            continue
        found.append(position)
    return found

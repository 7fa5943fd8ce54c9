"""Proposals in CSV and JSON files.

CSV: columns ``image``, ``x1``, ``y1``, ``x2``, ``y2`` and, if there are any, ``score``; a row with a name alone is an
image without proposals. JSON: COCO's results, a list of ``{"image_id" or "file_name", "bbox": [x, y, width, height],
"score"}``; a whole COCO file, whose objects are then the proposals; or what ``visus data propose`` writes:
``{"images": [{"image", "size", "boxes", "scores"}]}``. Coordinates are pixels from 0, ends behind the last pixel.
"""

from __future__ import annotations

import csv
import io
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.texts.label_text import read_text
from visus.data.proposals.given import GivenProposals
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, read_regular

_COLUMNS = (
    ("image", ("image", "filename", "file", "imageid", "imagename", "path", "name")),
    ("x1", ("x1", "xmin", "left")),
    ("y1", ("y1", "ymin", "top")),
    ("x2", ("x2", "xmax", "right")),
    ("y2", ("y2", "ymax", "bottom")),
)
_SCORES = ("score", "scores", "objectness", "confidence")
_TABLE = "columns image, x1, y1, x2, y2 and perhaps score"
_RESULTS = 'a list of {"image_id" or "file_name", "bbox": [x, y, width, height], "score"}, or {"images": [...]}'


class _Rows:
    """Boxes and scores of one image, as they come."""

    __slots__ = ("scores", "values")

    def __init__(self) -> None:
        self.values, self.scores = array("d"), array("d")

    def given(self, name: str | int, path: Path, *, scored: bool) -> GivenProposals:
        boxes = np.frombuffer(self.values, np.float64) if self.values else np.zeros(0)
        return GivenProposals.of(name, boxes.reshape(-1, 4), list(self.scores) if scored else None, path)


def read_table(path: Path) -> list[GivenProposals]:
    """The proposals of each image of a CSV file.

    Raises:
        DataError: if it cannot be read, lacks a column, or a cell is no number; names the line.
    """
    text = read_text(path)
    first = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    try:
        header = ["".join(filter(str.isalnum, cell.lower())) for cell in next(lines, [])]
        places = [next((header.index(name) for name in names if name in header), -1) for _, names in _COLUMNS]
        if -1 in places:
            raise DataError(f"{path} is no table of proposals", expected=_TABLE, got=first.strip()[:200] or "nothing")
        score = next((header.index(name) for name in _SCORES if name in header), -1)
        return _of_rows(path, lines, places, score)
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table", expected=_TABLE, got=str(error)) from None


def _of_rows(path: Path, lines: Iterable[list[str]], places: list[int], score: int) -> list[GivenProposals]:
    image, *corners = places
    found: dict[str, _Rows] = {}
    scored = False
    for number, row in enumerate(lines, 2):
        if not row or not any(row):
            continue
        try:
            rows = found.setdefault(row[image].strip(), _Rows())
            cells = [row[place] if place < len(row) else "" for place in corners]
            if any(cell.strip() for cell in cells):
                values = [float(cell) for cell in cells]
                written = row[score].strip() if 0 <= score < len(row) else ""
                mark = float(written) if written else math.nan
                scored = scored or bool(written)
                rows.values.extend(values)
                rows.scores.append(mark)
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: a proposal that is no box",
                expected=f"{_TABLE}, with numbers in them",
                got=", ".join(row)[:200],
            ) from None
    return [rows.given(name, path, scored=scored) for name, rows in found.items()]


def read_json(path: Path) -> list[GivenProposals]:
    """The proposals of each image of a JSON file.

    Raises:
        DataError: if it cannot be read, or an entry is no proposal; says which.
    """
    content = read_regular(path, limit=LARGEST_TEXT, expected="a JSON file of proposals")
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON", expected=_RESULTS, got=str(error)[:200]) from None
    if isinstance(values, list):
        return _of_results(path, values, None)
    if isinstance(values, dict) and isinstance(images := values.get("images"), list):
        if isinstance(objects := values.get("annotations"), list):
            return _of_results(path, objects, dict(_names(path, images)))
        return [_of_image(path, number, image) for number, image in enumerate(images)]
    raise DataError(f"{path} holds no proposals", expected=_RESULTS, got=type(values).__name__)


def _of_results(path: Path, entries: list[Any], names: Mapping[Any, str] | None) -> list[GivenProposals]:
    """names: of the images of a whole COCO file, by their ids; each of them has an entry, if only an empty one."""
    found: dict[str | int, _Rows] = {name: _Rows() for name in (names or {}).values()}
    scored = bool(entries)
    for number, entry in enumerate(entries):
        try:
            name = next(entry[key] for key in ("file_name", "image_id", "image") if key in entry)
            name = name if names is None else names[name]
            x, y, width, height = map(float, entry["bbox"])
            score = entry.get("score")
            mark = math.nan if score is None else float(score)
            if not isinstance(name, str | int) or isinstance(name, bool):
                raise TypeError
        except (AttributeError, TypeError, ValueError, KeyError, StopIteration):
            raise _no_proposal(path, number, entry) from None
        scored = scored and score is not None
        rows = found.setdefault(name, _Rows())
        rows.values.extend((x, y, x + width, y + height))
        rows.scores.append(mark)
    return [rows.given(name, path, scored=scored) for name, rows in found.items()]


def _names(path: Path, images: list[Any]) -> Iterator[tuple[Any, str]]:
    for number, image in enumerate(images):
        try:
            yield image["id"], str(image["file_name"])
            hash(image["id"])
        except (TypeError, KeyError):
            raise _no_proposal(path, number, image) from None


def _of_image(path: Path, number: int, image: Any) -> GivenProposals:
    if not isinstance(image, dict) or "boxes" not in image or not isinstance(image.get("image"), str):
        raise _no_proposal(path, number, image)
    given = GivenProposals.of(image["image"], image["boxes"], image.get("scores"), path)
    match image.get("size"):
        case None:
            return given
        case [int(height), int(width)]:
            return replace(given, size=(height, width))
    raise _no_proposal(path, number, image)


def _no_proposal(path: Path, number: int, entry: Any) -> DataError:
    return DataError(f"{path}: entry {number} is no proposal", expected=_RESULTS, got=repr(entry)[:200])

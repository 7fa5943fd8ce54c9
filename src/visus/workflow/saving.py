"""Saves predictions as files: pictures, maps, tables and outlines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from visus.errors import DiskError
from visus.structures import Value
from visus.workflow.folders import file_name, free_name


def save_pictures(folder: Path, stem: str, value: Value, origin: Value | None = None) -> str:
    """Writes the pictures of one prediction; returns the path of the one for people.

    ``STEM.png``: the image with the answer drawn on it. Beside it what ``value.pictures()`` gives: of segmentation
    ``STEM.classes.png``, a palette image of class ids, and ``STEM.colours.png``, the same in RGB; of multi-label maps
    ``STEM.CLASS.png``, a black and white image of each class; of objects with masks ``STEM.objects.png``, the number of
    each pixel's object.

    Args:
        folder: that exists.
        stem: of the file names.
        value: has an image source.
        origin: the answer that the value was made of, such as the map in which objects were counted; its pictures are
            written too.

    Raises:
        DataError: if the image cannot be read again.
        DiskError: if a file cannot be written.
    """
    used_names = {stem}
    save_picture(folder / f"{stem}.png", value.draw())
    for label, picture in [*(origin.pictures().items() if origin is not None else ()), *value.pictures().items()]:
        save_picture(folder / (free_name(f"{stem}.{file_name(label)}", used_names) + ".png"), picture)
    return str(folder / f"{stem}.png")


def save_picture(path: Path, picture: Image.Image) -> None:
    """Writes a picture; raises DiskError if it cannot be written."""
    try:
        picture.save(path)
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats rows as CSV, with the columns of all rows."""
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["image"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path, values: Any, *, indent: int | None = 2) -> None:
    """Writes plain values; raises DiskError if the file cannot be written."""
    write(path, json.dumps(values, indent=indent, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """Writes a text; raises DiskError if the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None

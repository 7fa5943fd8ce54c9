"""Answers as files: pictures, maps, tables and outlines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from visus.errors import DiskError
from visus.structures import Detections, Label, Landmarks, MultiLabelMap, SegmentationMap
from visus.structures.map_pictures import colour_picture, index_picture
from visus.workflow.folders import file_name, free_name

Value = Label | Landmarks | Detections | SegmentationMap | MultiLabelMap

_MOST_16_BIT = 65535


def save_pictures(folder: Path, stem: str, value: Value, map_: SegmentationMap | None = None) -> str:
    """Writes the pictures of one answer; gives the path of the one for people.

    ``STEM.png``: the image with the answer drawn on it. Segmentation: ``STEM.classes.png``, a palette image of class
    ids, and ``STEM.colours.png``, the same in RGB. Multi-label maps: ``STEM.CLASS.png``, a black and white image of
    each class. Objects with masks: ``STEM.objects.png``, the number of each pixel's
    object.

    Args:
        folder: that exists.
        stem: of the file names.
        value: keeps its image.
        map_: of which the objects in ``value`` were found; None: ``value``, if it is a map.

    Raises:
        DiskError: if a file cannot be written.
    """
    shown = map_ if map_ is not None else value if isinstance(value, SegmentationMap) else None
    pictures = {f"{stem}.png": value.draw()}
    if shown is not None:
        pictures[f"{stem}.classes.png"] = index_picture(shown.map, shown.classes)
        pictures[f"{stem}.colours.png"] = colour_picture(shown.map, shown.classes)
    if isinstance(value, Detections) and value.masks is not None:
        pictures[f"{stem}.objects.png"] = object_picture(value)
    if isinstance(value, MultiLabelMap):
        taken = {stem}
        for label, mask in zip(value.classes, value.masks, strict=True):
            pictures[free_name(f"{stem}.{file_name(label)}", taken) + ".png"] = Image.fromarray(mask)
    for name, picture in pictures.items():
        save_picture(folder / name, picture)
    return str(folder / f"{stem}.png")


def save_picture(path: Path, picture: Image.Image) -> None:
    """Writes a picture; raises DiskError if it cannot be written."""
    try:
        picture.save(path)
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None


def object_picture(value: Detections) -> Image.Image:
    """A grey image of 8 bits (16 from the 256th object on): 0 is background, i + 1 the pixels of object i."""
    masks = value.masks if value.masks is not None else np.zeros((0, *value.size), bool)
    numbers = np.zeros(value.size, np.uint8 if len(masks) <= 255 else np.uint16)
    for index, mask in enumerate(masks[:_MOST_16_BIT]):
        numbers[mask] = index + 1
    return Image.fromarray(numbers)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with every column that a row has."""
    columns = list(dict.fromkeys(column for row in rows for column in row)) or ["image"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table_rows(name: str, value: Value) -> list[dict[str, Any]]:
    """A row an image (classification, segmentation) an object (detection, counted objects) or a point.

    Args:
        name: of the image.
        value: the answer. A map's row has the share of each class, then the pixels of each.
    """
    if isinstance(value, Label):
        return [{"image": name, "label": value.name, "score": value.score}]
    if isinstance(value, SegmentationMap | MultiLabelMap):
        areas = {f"{label} pixels": area for label, area in value.areas().items()}
        return [{"image": name, **value.fractions(), **areas}]
    if isinstance(value, Landmarks):
        return [{"image": name, **point} for point in value.to_dict()["points"]]
    rows = []
    for found in value.to_dict()["objects"]:
        box = dict(zip(("x1", "y1", "x2", "y2"), found["box"], strict=True))
        more = {key: found[key] for key in ("score",) if key in found}
        rows.append({"image": name, "label": found["label"], **more, **box, **_area(found)})
    return rows


def _area(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"area": found["area"]} if "area" in found else {}


def write_json(path: Path, values: Any, *, indent: int | None = 2) -> None:
    """Writes plain values; raises DiskError if the file cannot be written."""
    write(path, json.dumps(values, indent=indent, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """Writes a text; raises DiskError if the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None

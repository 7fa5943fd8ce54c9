"""Hugging Face data sets: ``metadata.jsonl`` beside the images, or Parquet and Arrow files that hold the images.

Layouts: the pages "Create an image dataset" and "Main classes, Features" of the library datasets (5.2). A row has an
image and a label, or objects with ``bbox`` (x, y, width, height in pixels) and ``category``. ``metadata.csv`` is a
table like any other. Files in Parquet or Arrow need the extra ``parquet``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.labelled import Entry, read_labelled
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.object_rows import ObjectRows, read_object_rows
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.formats.tables.delimited import shorten, squeeze
from visus.data.formats.tables.table_columns import LONGEST_NAME
from visus.data.formats.texts.label_text import read_text
from visus.data.formats.texts.text_encoding import printable_name
from visus.data.pixels.images import BytesImage, FileImage
from visus.errors import DataError, MissingExtraError
from visus.files.regular import LARGEST_TEXT, file_size, open_regular, read_regular
from visus.structures import ImageSource, Sample

_FILE_KEYS = ("filename", "image", "img", "path", "filepath", "imagepath", "imagefile")
_LABEL_KEYS = ("label", "labels", "class", "classname", "category", "finelabel", "target", "animal", "breed", "species")
_OBJECT_KEYS = ("objects", "annotations", "faces", "litter")
_BOX_KEYS = ("bbox", "bboxes", "boxes")
_CLASS_KEYS = (
    "category",
    "categories",
    "categoryid",
    "categoryids",
    "label",
    "labels",
    "classes",
    "class",
    "name",
    "names",
)
_TEXT_KEYS = ("text", "caption", "captions", "prompt", "description")
_PACKED = (".parquet", ".arrow")
_KNOWN = "file_name or image, and label or objects (bbox, category)"

Row = Mapping[str, Any]


@dataclass(slots=True)
class _File:
    """The rows of one file. names: from key to the names of its class numbers; "" for those of objects."""

    path: Path
    rows: Sequence[Row]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Keys:
    """What the keys of rows mean; "" where no key does."""

    image: str
    label: str
    objects: str
    text: str


def _folders(listing: Listing) -> list[Path]:
    """The folder, those of its splits, and ``data``."""
    inner = listing.folder("data")
    return [listing.root, *listing.split_folders().values(), *([inner] if inner else [])]


def _find(listing: Listing) -> tuple[Path, ...]:
    """The files of rows: in the folder, in those of splits, or in ``data``; all of one kind."""
    files = listing.files() if listing.is_file else [p for folder in _folders(listing) for p in listing.files(folder)]
    lines = [path for path in files if path.suffix.lower() == ".jsonl" and _keys(_first_row(path)) is not None]
    return tuple(lines or [path for path in files if path.suffix.lower() in _PACKED])


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_find))


def _first_row(path: Path) -> Row:
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            row = json.loads(stream.readline(1 << 20))
    except (DataError, OSError, ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _keys(row: Row) -> _Keys | None:
    """The meaning of a row's keys; None if no key is an image's."""
    squeezed = {squeeze(key.lower()): key for key in row}

    def find(names: Sequence[str]) -> str:
        return next((squeezed[name] for name in names if name in squeezed), "")

    image = find(_FILE_KEYS)
    return _Keys(image, find(_LABEL_KEYS), find(_OBJECT_KEYS), find(_TEXT_KEYS)) if image else None


def _split_of(path: Path) -> str:
    """The split that the name of a file means ("train-00000-of-00002.parquet"), else its folder's."""
    for part in (path.stem, *re.split(r"[-_.]", path.stem), path.parent.name):
        if split := split_name(part):
            return split
    return ALL


def _read(listing: Listing) -> Reading:
    paths = listing.once(_find)
    tally = Tally()
    labelled: dict[str, list[Entry]] = {}
    objects: dict[str, ObjectRows] = {}
    plain: dict[str, list[Sample]] = {}
    keys: _Keys | None = None
    names: Mapping[str, tuple[str, ...]] = {}
    for path in paths:
        file = _read_lines(path, tally) if path.suffix.lower() == ".jsonl" else _read_packed(path)
        tally.read(path)
        keys = keys or _keys(file.rows[0] if file.rows else {})
        if keys is None:
            got = ", ".join(file.rows[0]) if file.rows else "no rows"
            raise DataError(f"{path} names no images", expected=_KNOWN, got=shorten(got))
        if path == paths[0]:
            _note_unused(tally, file, keys)
            names = file.names
        split = _split_of(path)
        images = _Images(listing, tally, path, keys.image, split)
        for number, row in enumerate(file.rows):
            found = images.of(row, number)
            if found is None:
                continue
            name, image = found
            if keys.objects:
                _add_objects(
                    objects.setdefault(split, ObjectRows()), name, image, row.get(keys.objects), file.names, tally
                )
            elif keys.label:
                label = _name_of(row.get(keys.label), file.names.get(keys.label, ()))
                if label:
                    labelled.setdefault(split, []).append((name, image, label))
                else:
                    message = "{count} images have no class"
                    tally.lose("unlabelled-image", message, name, unit="image files", split=split, file=image.path)
            else:
                plain.setdefault(split, []).append(Sample(name, image))
    if objects:
        return read_object_rows(objects, tally, names.get("", ()))
    if labelled:
        order = {split: labelled[split] for split in ("train", "val", "test", ALL) if split in labelled}
        return read_labelled(order, tally, names.get(keys.label) if keys else None)
    return _read_plain(listing, plain, keys, tally)


def _read_plain(listing: Listing, plain: Mapping[str, Sequence[Sample]], keys: _Keys | None, tally: Tally) -> Reading:
    """Images whose rows hold no label: with captions they are known, else nothing is understood."""
    if not plain or keys is None or not keys.text:
        raise DataError(
            f"no row of {listing.source} has an image that is there and a label", expected=_KNOWN, got="neither"
        )
    return tally.reading({}, {split: plain[split] for split in ("train", "val", "test", ALL) if split in plain})


def _note_unused(tally: Tally, file: _File, keys: _Keys) -> None:
    row = file.rows[0]
    tally.found("keys", len(row))
    for key in row:
        if key not in (keys.image, keys.objects or keys.label or keys.text):
            tally.lose("unused-key", "{count} keys of the rows are not used", f"{file.path.name}: {key}", unit="keys")


class _Images:
    """Finds the image of each row of a file, or takes it from the row."""

    def __init__(self, listing: Listing, tally: Tally, path: Path, key: str, split: str) -> None:
        self._listing, self._tally, self._path, self._key, self._split = listing, tally, path, key, split
        self._finder = ImageFinder(listing, tally, beside=path.parent)
        self._seen: set[str] = set()

    def of(self, row: Row, number: int) -> tuple[str, ImageSource] | None:
        """The name and image of a row; None, and told, where it is missing or came before."""
        value = row.get(self._key)
        data = value.get("bytes") if isinstance(value, dict) else value
        image: ImageSource
        if isinstance(data, bytes):
            name = f"{self._path.stem}/{number:06d}"
            image = BytesImage(data, f"{self._path.name}, row {number}")
        else:
            text = value.get("path") if isinstance(value, dict) else value
            file = self._finder.find(text, self._split) if isinstance(text, str) else None
            if file is None:
                note_missing_images(self._tally, [shorten(str(text))], self._split)
                return None
            name, image = self._listing.name_of(file), FileImage(file)
        if name in self._seen:
            self._tally.add(
                "duplicate-row", "note", "{count} images are listed twice; taken once, from their first row", name
            )
            return None
        self._seen.add(name)
        return name, image


def _name_of(value: Any, names: Sequence[str]) -> str:
    """The class that a value means: a name, or a number with or without a name; "" if it means none."""
    if isinstance(value, int) and not isinstance(value, bool) and names:
        return names[value] if 0 <= value < len(names) else ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = printable_name(str(value).strip()) if isinstance(value, str | int) else ""
    return text if len(text) <= LONGEST_NAME else ""


def _add_objects(
    rows: ObjectRows, name: str, image: ImageSource, value: Any, names: Mapping[str, tuple[str, ...]], tally: Tally
) -> None:
    """Adds the objects of one image: a mapping of lists, or a list of mappings."""
    owner = rows.add_image(image, name)
    items = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
    boxes: list[Any] = []
    labels: list[Any] = []
    for item in items:
        squeezed = {squeeze(key.lower()): key for key in item} if isinstance(item, dict) else {}
        box = next((item[squeezed[key]] for key in _BOX_KEYS if key in squeezed), None)
        label = next((item[squeezed[key]] for key in _CLASS_KEYS if key in squeezed), None)
        if isinstance(value, list):
            boxes.append(box)
            labels.append(label)
        else:
            boxes += box if isinstance(box, list) else []
            labels += label if isinstance(label, list) else [None] * len(boxes)
    for box, label in zip(boxes, labels, strict=False):
        text = "object" if label is None else _name_of(label, names.get("", ()))
        try:
            x, y, width, height = (float(number) for number in box)
        except (TypeError, ValueError):
            x = y = width = height = float("nan")
        if text:
            rows.add_objects(owner, np.asarray([[x, y, x + width, y + height]]), [text])
        else:
            tally.lose("object-without-class", "{count} boxes have no class", name)
            tally.found("objects")
    if len(boxes) != len(labels):
        message = "{count} objects have a box or a class, but not both"
        tally.lose("unreadable-object", message, name, abs(len(boxes) - len(labels)))
        tally.found("objects", abs(len(boxes) - len(labels)))


def _read_lines(path: Path, tally: Tally) -> _File:
    rows = []
    for number, line in enumerate(read_text(path, tally).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: no JSON", expected=_KNOWN, got=shorten(line)) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: no object", expected=_KNOWN, got=shorten(line))
        rows.append(row)
    return _File(path, rows)


def _read_packed(path: Path) -> _File:
    """The rows of a Parquet or Arrow file, and the names of classes in its schema."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path.name} is a Parquet or Arrow file, which needs pyarrow",
            expected="the extra parquet",
            got="not installed",
            remedy="pip install 'visus[parquet]'",
        ) from error
    try:
        if path.suffix.lower() == ".arrow":
            content = read_regular(path, limit=LARGEST_TEXT, expected="a table of Arrow")
            table = pyarrow.ipc.open_stream(content).read_all()
        else:
            file_size(path, limit=LARGEST_TEXT, expected="a Parquet file")
            table = pyarrow.parquet.ParquetFile(path).read()
        rows = table.to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read", expected="a Parquet or Arrow file", got=shorten(str(error))
        ) from error
    return _File(path, rows, _class_names(table.schema.metadata or {}))


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of class numbers by key, from the features that the library writes into a file's schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found = {key: names for key, feature in features.items() if (names := _names_in(feature))}
    nested = [names for key in features if key in _OBJECT_KEYS for names in [_nested_names(features[key])] if names]
    return found | ({"": nested[0]} if nested else {})


def _names_in(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _nested_names(feature: Any) -> tuple[str, ...]:
    """The first names in a feature of features."""
    if names := _names_in(feature):
        return names
    parts = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else []
    return next((names for part in parts if (names := _nested_names(part))), ())


FORMAT = Format(
    name="hugging-face",
    title="metadata.jsonl beside the images, or Parquet files that hold them",
    recognise=_recognise,
    read=_read,
)

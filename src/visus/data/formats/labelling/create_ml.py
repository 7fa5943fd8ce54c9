"""Create ML's JSON: a list of images with their boxes, which are given by their centres.

Source: the page "Building an object detector data source" of Apple's documentation, and files that labelImg 1.8.6
wrote. Coordinates are pixels; x and y are the centre of a box.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.annotated_images import AnnotatedImages, DrawnObject, split_of
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.texts.label_json import Probe, json_files, load_json, probes
from visus.errors import DataError

_IMAGE = ("image", "imagefilename", "filename")
_OBJECTS = ("annotations", "annotation")


def _entry(item: Any) -> tuple[str, list[Any]] | None:
    """The image and the objects of an entry; None if it is none of Create ML's."""
    if not isinstance(item, dict):
        return None
    name = next((item[key] for key in _IMAGE if isinstance(item.get(key), str)), None)
    objects = next((item[key] for key in _OBJECTS if isinstance(item.get(key), list)), None)
    if name is None or objects is None:
        return None
    sound = all(isinstance(part, dict) and {"label", "coordinates"} <= part.keys() for part in objects)
    return (name, objects) if sound else None


def _is_create_ml(probe: Probe) -> bool:
    content = probe.content
    if content is None:
        return probe.head.lstrip().startswith(b"[") and probe.has("label", "coordinates", "width", "height")
    entries = [_entry(item) for item in content] if isinstance(content, list) else [None]
    return None not in entries and any(entry[1] for entry in entries if entry)


def _recognise(listing: Listing) -> bool:
    return any(_is_create_ml(probe) for probe in listing.once(probes))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    images = AnnotatedImages(listing, tally)
    for folder, paths in listing.once(json_files).items():
        finder = ImageFinder(listing, tally, beside=folder)
        for path in paths:
            _read_file(listing, path, finder, images, tally)
    return images.reading()


def _read_file(listing: Listing, path: Path, finder: ImageFinder, images: AnnotatedImages, tally: Tally) -> None:
    name, split = listing.name_of(path), split_name(path.stem) or split_of(listing, path.parent)
    try:
        content = load_json(path, "a file of Create ML")
    except DataError as error:
        tally.found("label files")
        message = "{count} label files cannot be read"
        tally.lose("unreadable-annotation", message, error.problem, unit="label files", split=split, file=path)
        return
    if not isinstance(content, list) or not any(_entry(item) for item in content):
        return
    tally.found("label files")
    tally.read(path)
    for number, item in enumerate(content):
        entry = _entry(item)
        if entry is None:
            message = "{count} entries cannot be understood"
            tally.lose("unreadable-entry", message, f"{name}, entry {number + 1}", unit="image files", split=split)
            continue
        found = finder.find(entry[0], "" if split == ALL else split)
        if found is None:
            cause = "put the images beside the JSON file"
            tally.lose("missing-image", "{count} annotated images are missing", entry[0], unit="image files",
                       split=split, cause=cause)  # fmt: skip
            continue
        image = images.open(found, split, f"{name}: {entry[0]}")
        if image is None:
            continue
        for part in entry[1]:
            try:
                image.objects.append(_object(part))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                images.lose_unreadable(image, error)


def _object(part: Mapping[str, Any]) -> DrawnObject:
    x, y, width, height = (float(part["coordinates"][key]) for key in ("x", "y", "width", "height"))
    if not np.isfinite([x, y, width, height]).all():
        raise ValueError("a coordinate that is no number")
    return DrawnObject(str(part["label"]), (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


FORMAT = Format("create-ml", "Create ML's JSON of boxes beside the images", _recognise, _read)

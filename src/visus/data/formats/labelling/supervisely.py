"""Supervisely's projects: ``meta.json``, and in each data set of them ``img/`` and ``ann/`` with a JSON file an image.

Source: the page "Supervisely JSON format" of its documentation, and files that its library, version 6.74.51, wrote.
Corners are whole pixels: a rectangle goes from its first to its last pixel, and the pixels on the edge of a polygon
belong to it, as the library draws them. A bitmap is a PNG, compressed by zlib, in base64 text. Tags of an image may be
its classes, or its split.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, DrawnObject, Point
from visus.data.formats.objects.drawn_shapes import extent, from_base64, mask_of_png, mask_outline, without_holes
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.texts.label_json import load_json
from visus.data.formats.texts.lines_beside_images import folders_named
from visus.data.messages import counted
from visus.errors import DataError

_LARGEST_PNG = 1 << 28  # bytes of a bitmap when it is unpacked
_LINES = ("line", "polyline")


def _folders(listing: Listing) -> tuple[Path, ...]:
    """The folders ``ann`` that hold annotations; whether the images are beside them shows when they are read."""
    named = folders_named(listing, lambda name: name == "ann")
    return tuple(folder for folder in named if _is_annotation(listing, folder))


def _is_annotation(listing: Listing, folder: Path) -> bool:
    for path in listing.files_with(".json", folder=folder)[:1]:
        try:
            content = load_json(path, "an annotation of Supervisely")
        except DataError:
            return False
        return isinstance(content, dict) and {"objects", "size"} <= content.keys()
    return False


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_folders))


def _read(listing: Listing) -> Reading:
    reader = _Reader(listing)
    for folder in listing.once(_folders):
        reader.read(folder)
    return reader.reading()


class _Reader:
    """Reads the data sets of a project one after the other."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._tally = Tally()
        self._images = AnnotatedImages(listing, self._tally)
        self._classes, self._nodes = self._meta()

    def _meta(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The classes as meta.json declares them, and the names of the points of skeletons by their ids."""
        path = self._listing.root / "meta.json"
        if path not in self._listing.files():
            return (), {}
        content = load_json(path, "the meta file of a Supervisely project")
        self._tally.read(path)
        classes, nodes = [], {}
        for item in _list(_dict(content).get("classes")):
            classes.append(str(_dict(item).get("title", "")))
            for key, node in _dict(_dict(_dict(item).get("geometry_config")).get("nodes")).items():
                nodes[str(key)] = str(_dict(node).get("label") or key)
        return tuple(classes), nodes

    def reading(self) -> Reading:
        """The samples of all data sets; classes that are declared, but not of any object, come last."""
        drawn = self._images.labels()
        classes = [name for name in self._classes if name in drawn]
        return self._images.reading(classes if drawn <= set(classes) else ())

    def read(self, folder: Path) -> None:
        """Adds the images of one data set. folder: its ``ann``."""
        beside = self._listing.folder("img", inside=folder.parent)
        images = {path.name: path for path in self._listing.images(beside)} if beside else {}
        stems = {path.stem: path for path in images.values()}
        split = split_of_folder(self._listing, folder)
        for path in self._listing.files_with(".json", folder=folder):
            name = self._listing.name_of(path)
            self._tally.found("label files")
            try:
                content = load_json(path, "an annotation of Supervisely")
                if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
                    raise DataError(f"{name} holds no objects")
            except DataError as error:
                self._tally.lose_file(path, error.problem, split)
                continue
            self._tally.read(path)
            found = images.get(path.stem) or stems.get(path.stem)
            if found is None:
                self._tally.lose_images([name], split, cause="export the project together with its images")
                continue
            self._read_image(content, found, split, name)

    def _read_image(self, content: Mapping[str, Any], path: Path, split: str, name: str) -> None:
        tags: dict[str, str | None] = {}
        for tag in _list(content.get("tags")):
            if isinstance(tag, dict) and "name" in tag:
                tags[str(tag["name"])] = None if tag.get("value") is None else str(tag["value"])
        if split == ALL:
            split = next((part for tag in tags if (part := split_name(tag))), ALL)
        size = _dict(content.get("size"))
        height, width = size.get("height"), size.get("width")
        stated = (height, width) if isinstance(height, int) and isinstance(width, int) else None
        image = self._images.open(path, split, name, stated)
        if image is None:
            return
        for tag, value in tags.items():
            if split_name(tag) is None:
                self._images.answer(image, "" if value is None else tag, value or tag)
        for item in content["objects"]:
            label = str(_dict(item).get("classTitle", ""))
            try:
                self._read_object(item, label, image)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError, zlib.error, DataError) as error:
                self._images.lose_unreadable(image, error, label)

    def _read_object(self, item: Mapping[str, Any], label: str, image: AnnotatedImage) -> None:
        kind = item.get("geometryType") or item.get("shape") or ("bitmap" if item.get("bitmap") else "polygon")
        if kind in _LINES:
            self._images.lose_shape(image, "a line", label)
        elif kind == "point":
            x, y = _corners(item["points"]["exterior"])[0].tolist()
            self._images.add_point(image, (label, x, y, True))
        elif kind == "graph":
            self._images.add_points(image, [self._node(key, node) for key, node in item["nodes"].items()])
        elif (drawn := _drawn(kind, item, label, image)) is None:
            self._images.lose_shape(image, "a mask without a pixel", label)
        else:
            image.objects.append(drawn)

    def _node(self, key: str, node: Mapping[str, Any]) -> Point:
        x, y = _corners([node["loc"]])[0].tolist()
        return self._nodes.get(key, key), x, y, not node.get("disabled")


def _drawn(kind: str, item: Mapping[str, Any], label: str, image: AnnotatedImage) -> DrawnObject | None:
    """The object of a figure; None for a mask without a pixel."""
    if kind in ("bitmap", "alpha_mask"):
        left, top = (int(value) for value in item["bitmap"]["origin"])
        png = _unpacked(from_base64(item["bitmap"]["data"], image.source))
        mask = mask_outline(mask_of_png(png, f"an object of {image.source}"), left, top, image.size)
        return None if mask is None else DrawnObject(label, mask[1], mask[0])
    corners = _corners(item["points"]["exterior"])
    whole = bool((corners == np.round(corners)).all())
    if kind == "rectangle":
        x1, y1, x2, y2 = extent([corners])
        return DrawnObject(label, (x1, y1, x2 + whole, y2 + whole))
    if kind != "polygon":
        raise ValueError(f"a figure of the kind {kind}")
    if len(corners) < 3:
        raise ValueError(f"a polygon of {counted(len(corners), 'corners')}")
    holes = [_corners(hole) for hole in _list(item["points"].get("interior"))]
    if not whole:
        return DrawnObject(label, extent([corners]), without_holes(corners, holes, image.size))
    import cv2  # slow to import, and needed for these figures only

    plane = np.zeros(image.size, np.uint8)
    cv2.fillPoly(plane, [_pixels(corners, image)], 1)
    for hole in holes:
        cv2.fillPoly(plane, [_pixels(hole, image)], 0)
    mask = mask_outline(plane > 0, 0, 0, image.size)
    return None if mask is None else DrawnObject(label, mask[1], mask[0])


def _pixels(corners: NDArray[np.float64], image: AnnotatedImage) -> NDArray[np.int32]:
    """[P,2]: whole pixels; corners at absurd distances are pulled in."""
    limit = np.asarray([image.size[1], image.size[0]])
    return np.clip(np.round(corners), -4 * limit, 5 * limit).astype(np.int32)


def _corners(points: Any) -> NDArray[np.float64]:
    """[P,2]"""
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if not len(corners) or not np.isfinite(corners).all():
        raise ValueError("points that are no pairs of numbers")
    return corners


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, _LARGEST_PNG)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a bitmap of more than {_LARGEST_PNG:,} bytes")
    return unpacked


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


FORMAT = Format("supervisely", "a Supervisely project: img/ and ann/ in each data set", _recognise, _read)

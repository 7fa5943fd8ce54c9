"""LabelMe JSON: a file beside each image with the shapes that were drawn in it.

Source: the files that labelme 5.0 to 6.3.1 write (https://github.com/wkentaro/labelme). Coordinates are pixels from the
upper left corner. A circle is its centre and a point on it. A mask is a PNG in base64 text, and the corners of its
box are those of its first and last pixel. Version 6 stores no copy of the image by default. Shapes of one label and
one ``group_id`` are parts of one object. Flags of an image are its tags.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, DrawnObject, Point
from visus.data.formats.objects.drawn_shapes import Box, ellipse, extent, from_base64, joined, mask_of_png, mask_outline
from visus.data.formats.objects.outlined_objects import Outline
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.texts.label_json import Probe, json_files, load_json, probes
from visus.data.messages import counted
from visus.errors import DataError

_NO_AREA = {"line": "a line", "linestrip": "a line", "points": "a cloud of points"}
_NO_CLASSES = ("__ignore__", "_background_")  # the first lines of the tool's own labels.txt


def _is_labelme(probe: Probe) -> bool:
    content = probe.content
    if content is None:  # large, with a copy of the image in it
        return (probe.has("shapes") and probe.has("imagePath")) or (probe.has("imageData") and probe.has("version"))
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def _recognise(listing: Listing) -> bool:
    return any(_is_labelme(probe) for probe in listing.once(probes))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    images = AnnotatedImages(listing, tally)
    tags: dict[str, None] = {}
    for folder, paths in listing.once(json_files).items():
        finder = _Finder(listing, tally, folder)
        for path in paths:
            _read_file(listing, path, finder, images, tally, tags)
    classes = _declared(listing, images)
    return images.reading(classes, tuple(tags))


def _declared(listing: Listing, images: AnnotatedImages) -> tuple[str, ...]:
    """The classes of a labels.txt or the like that holds all that were drawn; () without."""
    found = find_class_list(listing)
    names = tuple(name for name in found.names if name not in _NO_CLASSES) if found else ()
    return names if images.labels() <= set(names) else ()


class _Finder:
    """Finds the image of a JSON file: where it says, beside it by its own name, or elsewhere."""

    def __init__(self, listing: Listing, tally: Tally, folder: Path) -> None:
        self._tally, self._folder = tally, folder
        self._beside = {path.name: path for path in listing.images(folder)}
        self._stems = {path.stem: path for path in listing.images(folder)}
        self._elsewhere = ImageFinder(listing, tally, beside=folder)

    def find(self, stated: str, file: Path, split: str) -> Path | None:
        name = stated.replace("\\", "/")
        own = self._stems.get(file.stem)
        if own is not None and Path(name).stem != file.stem and (other := self._named(name)) is not None:
            message = (
                "{count} JSON files name another image than the one that is called like them, and both are there; "
                "correct imagePath, or the names of the files"
            )
            self._tally.add("image-name-differs", "stop", message, f"{file.name}: {other.name} and {own.name}")
            return other
        if (path := self._named(name)) is not None:
            return path
        if (path := self._beside.get(name.rpartition("/")[2]) or self._stems.get(file.stem)) is not None:
            message = "{count} images are not where the labels say; found by name"
            self._tally.add("found-by-name", "note", message, f"{stated[:200]}: {path.name}")
            return path
        return self._elsewhere.find(stated, split)

    def _named(self, name: str) -> Path | None:
        """The file of exactly this path from the folder of the JSON file."""
        if (path := self._beside.get(name)) is not None:
            return path
        written = Path(os.path.normpath(self._folder / name))
        return written if name and len(name) < 1024 and written.is_file() else None


def _read_file(
    listing: Listing, path: Path, finder: _Finder, images: AnnotatedImages, tally: Tally, tags: dict[str, None]
) -> None:
    name, split = listing.name_of(path), split_of_folder(listing, path.parent)
    try:
        content = load_json(path, "a LabelMe file")
    except DataError as error:
        tally.found("label files")
        tally.lose_file(path, error.problem, split)
        return
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return  # another JSON file, which the account names
    tally.found("label files")
    tally.read(path)
    stated = content.get("imagePath")
    stated = stated if isinstance(stated, str) else ""
    found = finder.find(stated, path, split)
    if found is None:
        cause = "put the images beside their JSON files"
        if isinstance(content.get("imageData"), str):
            cause += "; copies are in the JSON files (base64 text, imageData), which can be saved as images"
        tally.lose_images([stated or name], split, cause=cause)
        return
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    image = images.open(found, split, name, size)
    if image is None:
        return
    flags = content.get("flags")
    if isinstance(flags, dict):
        tags.update(dict.fromkeys(map(str, flags)))
        image.tags += [str(flag) for flag, value in flags.items() if value is True]
    _Shapes(image, images, tally).read(content["shapes"])


class _Shapes:
    """Turns the shapes of one file into objects and points."""

    def __init__(self, image: AnnotatedImage, images: AnnotatedImages, tally: Tally) -> None:
        self._image, self._images, self._tally = image, images, tally

    def read(self, shapes: list[Any]) -> None:
        """Adds all shapes to the image."""
        parts: dict[Any, list[DrawnObject]] = {}
        points: dict[Any, list[Point]] = {}
        for number, shape in enumerate(shapes):
            try:
                label, kind = str(shape["label"]), str(shape.get("shape_type") or "polygon")
                corners = np.asarray(shape["points"], np.float64).reshape(-1, 2)
                group = shape.get("group_id")
                if kind == "point" and len(corners):
                    x, y = corners[0].tolist()
                    points.setdefault(group, []).append((label, x, y, True))
                    continue
                drawn = self._drawn(kind, corners, shape)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError, DataError) as error:
                self._images.lose_unreadable(self._image, error)
                continue
            if drawn is None:
                self._images.lose_shape(self._image, _NO_AREA.get(kind, "a mask without a pixel"), label)
                continue
            key = number if group is None else (label, str(group))
            parts.setdefault(key, []).append(DrawnObject(label, drawn[1], drawn[0]))
        self._image.objects += [self._joined(items) for items in parts.values()]
        for group in points.values():
            self._images.add_points(self._image, group)

    def _drawn(
        self, kind: str, corners: NDArray[np.float64], shape: dict[str, Any]
    ) -> tuple[Outline | None, Box] | None:
        """The outline and the box of a shape; None if it has no area."""
        if not np.isfinite(corners).all():
            raise ValueError("a coordinate that is no number")
        if kind == "mask":
            (left, top), (right, bottom) = (map(round, corner.tolist()) for corner in corners)
            crop = mask_of_png(from_base64(shape.get("mask"), "a shape"), f"a shape of {self._image.source}")
            if crop.shape != (bottom - top + 1, right - left + 1):
                raise ValueError(f"a mask of {crop.shape[0]} x {crop.shape[1]} pixels between other corners")
            return mask_outline(crop, left, top, self._image.size)
        if kind == "circle":
            radius = float(np.hypot(*(corners[1] - corners[0])))
            return ellipse(float(corners[0, 0]), float(corners[0, 1]), radius, radius)
        if kind in _NO_AREA:
            return None
        if kind == "oriented_rectangle":
            self._images.tell_turned(self._image, str(shape["label"]))
        if kind in ("rectangle", "oriented_rectangle"):
            if len(corners) not in (2, 4):
                raise ValueError(f"a rectangle of {counted(len(corners), 'points')}")
            return None, extent([corners])
        if len(corners) < 3:
            raise ValueError(f"a {kind} of {counted(len(corners), 'points')}")
        return (corners,), extent([corners])

    def _joined(self, items: list[DrawnObject]) -> DrawnObject:
        """One object of the parts that a group joins."""
        if len(items) == 1:
            return items[0]
        message = "{count} shapes belong to one object with others of their label and group"
        self._tally.add("grouped-shapes", "note", message, f"{self._image.source}: {items[0].label}", len(items))
        box = extent([np.asarray(item.box).reshape(2, 2) for item in items])
        outlines = [item.outline for item in items if item.outline is not None]
        whole = joined(outlines, self._image.size) if len(outlines) == len(items) else None
        return DrawnObject(items[0].label, box, whole)


FORMAT = Format("labelme", "LabelMe JSON: a file of shapes for each image", _recognise, _read)

"""CVAT's own XML, version 1.1: one file for all images, or the tracks of a video.

Source: the page "CVAT format" of CVAT's documentation, and files written by datumaro 1.13.12. Coordinates are pixels
from the upper left corner. A box may be turned about its centre, clockwise in degrees. A mask is a crop whose run
lengths go along the rows and begin with the background. A track has a shape for every frame; with ``outside`` the
object has left the image. Labels are declared in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.annotated_images import (
    AnnotatedImage,
    AnnotatedImages,
    DrawnObject,
    Point,
    Size,
)
from visus.data.formats.objects.drawn_shapes import ellipse, extent, mask_outline, turned_box
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.texts.safe_xml import parse_xml, root_tag
from visus.data.messages import counted
from visus.errors import DataError

_NO_OBJECTS = ("tag", "points", "polyline", "skeleton")  # kinds of labels
_TOO_LARGE = 1 << 28  # pixels of a mask
_PLACES = 20  # folders in which XML files are looked for


def _files(listing: Listing) -> tuple[Path, ...]:
    """The XML files whose root is ``annotations``: in the root, in folders in it, and in those of ``annotations/``."""
    folders = [None, *listing.folders()[:_PLACES]]
    folders += [inner for folder in listing.folders()[:_PLACES] for inner in listing.folders(folder)[:_PLACES]]
    paths = []
    for folder in folders:
        found = listing.files_with(".xml", folder=folder)
        if len(found) <= _PLACES:  # a folder of many holds one an image
            paths += [path for path in found if root_tag(path) == "annotations"]
    return tuple(paths)


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_files))


def _declared(root: Element) -> Iterator[tuple[str, str]]:
    """The name and the kind ("any", "tag", "points" ...) of each declared label; not those of points of a skeleton."""
    for item in root.iterfind("./meta/*/labels/label"):
        name = (item.findtext("name") or "").strip()
        if name and not (item.findtext("parent") or "").strip():
            yield name, (item.findtext("type") or "any").strip()


def _read(listing: Listing) -> Reading:
    reader = _Reader(listing)
    for path in listing.once(_files):
        reader.read(path)
    return reader.reading()


class _Reader:
    """Reads the XML files of a data set one after the other."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._tally = Tally()
        self._images = AnnotatedImages(listing, self._tally)
        self._labels: dict[str, str] = {}
        self._of_points: set[str] = set()

    def read(self, path: Path) -> None:
        """Adds the images of one file."""
        self._tally.found("label files")
        root = parse_xml(path)
        self._tally.read(path)
        self._labels |= _declared(root)
        split = split_name(path.stem) or split_of_folder(self._listing, path.parent)
        finder = ImageFinder(self._listing, self._tally, beside=path.parent)
        for item in root.iterfind("image"):
            self._read_image(item, split, path, finder)
        if root.find("track") is not None:
            self._read_tracks(root, split, path)

    def reading(self) -> Reading:
        """The samples of all files."""
        drawn, tagged = self._images.labels(), self._images.tag_names()
        # A label may be declared for any use: it is a class of objects unless it is a tag or points, and no object.
        others = tagged | self._of_points | {name for name, kind in self._labels.items() if kind in _NO_OBJECTS}
        classes = [name for name in self._labels if name in drawn or name not in others]
        tags = [name for name, kind in self._labels.items() if name in tagged or kind == "tag"]
        return self._images.reading(classes if drawn <= set(classes) else (), tags if tagged <= set(tags) else ())

    def _read_image(self, item: Element, file_split: str, path: Path, finder: ImageFinder) -> None:
        name = item.get("name") or ""
        split = split_name(item.get("subset") or "") or file_split
        if split == ALL:
            split = next((part for folder in name.split("/")[:-1] if (part := split_name(folder))), ALL)
        found = finder.find(name, "" if split == ALL else split)
        if found is None:
            self._lose_image(name, split)
            return
        stated = _stated(item.get("height"), item.get("width"))
        image = self._images.open(found, split, f"{path.name}: {name}", stated)
        if image is None:
            return
        for shape in item:
            if shape.tag == "tag":
                image.tags.append(shape.get("label") or "")
            else:
                self._read_shape(shape, shape.get("label") or "", image)

    def _lose_image(self, name: str, split: str) -> None:
        self._tally.lose_images([name], split, cause="export the labels together with the images")

    def _read_tracks(self, root: Element, split: str, path: Path) -> None:
        """Adds the shapes of all tracks to the images of their frames; frames without a shape have no object."""
        frames = _frames(self._listing, path.parent, self._tally)
        if not frames:
            raise DataError(
                f"{path} labels a video, and there are no images of its frames",
                expected="the frames as images, named frame_000000.png and so on",
                got="no images",
                remedy="export the labels of the video together with its images",
            )
        start, stop = (_number(root.findtext(f"./meta/*/{key}")) for key in ("start_frame", "stop_frame"))
        height, width = (root.findtext(f"./meta/*/original_size/{key}") for key in ("height", "width"))
        opened: dict[int, AnnotatedImage | None] = {}
        for number, frame in frames.items():
            if (start is None or number >= start) and (stop is None or number <= stop):
                part = split_of_folder(self._listing, frame.parent)
                source = f"{path.name}: frame {number}"
                opened[number] = self._images.open(
                    frame, split if part == ALL else part, source, _stated(height, width)
                )
        missing: set[str] = set()
        for track in root.iterfind("track"):
            for shape in track:
                position = _number(shape.get("frame"))
                if position is None or position not in opened:
                    missing.add(shape.get("frame") or "")
                elif shape.get("outside") != "1" and (image := opened[position]) is not None:
                    self._read_shape(shape, track.get("label") or "", image)
        for name in sorted(missing, key=lambda text: (len(text), text)):
            self._lose_image(f"frame {name}", split)

    def _read_shape(self, shape: Element, label: str, image: AnnotatedImage) -> None:
        """Adds one shape to an image, or tallies why not."""
        try:
            if shape.tag == "skeleton":
                points = list(_skeleton(shape))
                self._of_points.add(label)
                self._images.add_points(image, points, _area(points))
            elif shape.tag == "points":
                self._of_points.add(label)
                corners = _corners(shape).tolist()
                names = [label] if len(corners) == 1 else [f"{label}_{k + 1}" for k in range(len(corners))]
                self._images.add_point(image, *((n, x, y, True) for n, (x, y) in zip(names, corners, strict=True)))
            elif shape.tag == "polyline":
                self._images.lose_shape(image, "a line", label)
            else:
                drawn = self._drawn(shape, label, image)
                if drawn is None:
                    self._images.lose_shape(image, "a mask without a pixel", label)
                else:
                    image.objects.append(drawn)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            self._images.lose_unreadable(image, error, label)

    def _drawn(self, shape: Element, label: str, image: AnnotatedImage) -> DrawnObject | None:
        """The object of a shape; None for a mask without a pixel."""
        if shape.tag == "box":
            x1, y1, x2, y2 = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
            turn = float(shape.get("rotation") or 0)
            if turn % 360 == 0:
                return DrawnObject(label, (x1, y1, x2, y2))
            self._images.tell_turned(image, label)
            return DrawnObject(label, extent([turned_box((x1, y1, x2, y2), turn, ((x1 + x2) / 2, (y1 + y2) / 2))]))
        if shape.tag == "polygon":
            corners = _corners(shape)
            if len(corners) < 3:
                raise ValueError(f"a polygon of {counted(len(corners), 'corners')}")
            return DrawnObject(label, extent([corners]), (corners,))
        if shape.tag == "ellipse":
            x, y, horizontal, vertical = _numbers(shape, "cx", "cy", "rx", "ry")
            outline, box = ellipse(x, y, horizontal, vertical, float(shape.get("rotation") or 0))
            return DrawnObject(label, box, outline)
        if shape.tag == "cuboid":
            names = [f"{axis}{corner}{side}" for side in "12" for corner in ("tl", "bl", "tr", "br") for axis in "xy"]
            message = "{count} cuboids are in the labels; of each, the box around it is taken"
            box = extent([np.asarray(_numbers(shape, *names)).reshape(-1, 2)])
            self._tally.add("cuboid", "note", message, f"{image.source}: {label}")
            return DrawnObject(label, box)
        if shape.tag == "mask":
            left, top, width, height = (int(value) for value in _numbers(shape, "left", "top", "width", "height"))
            mask = mask_outline(_crop(shape.get("rle") or "", height, width), left, top, image.size)
            return None if mask is None else DrawnObject(label, mask[1], mask[0])
        raise ValueError(f"a shape of the kind {shape.tag}")


def _stated(height: str | None, width: str | None) -> Size | None:
    rows, columns = _number(height), _number(width)
    return None if rows is None or columns is None else (rows, columns)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() and len(text) < 10 else None


def _frames(listing: Listing, folder: Path, tally: Tally) -> dict[int, Path]:
    """The images by the number of their frame: that in their name (frame_000012), else their place in the order.

    folder: of the label file; its images are taken, or those of the whole data set if it has none.
    """
    found = listing.images_below(folder) or listing.images_below(listing.root)
    matches = [re.search(r"(?i)frame_?(\d{1,9})$", path.stem) for path in found]
    if all(matches):
        return {int(match[1]): path for match, path in zip(matches, found, strict=True) if match}
    message = "{count} images have no number of a frame in their names; taken in the order of the names"
    tally.add("frames-in-order", "note", message, listing.name_of(found[0]), len(found))
    return dict(enumerate(sorted(found, key=lambda path: (str(path.parent), _natural(path.stem)))))


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts numbers by their value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _numbers(shape: Element, *names: str) -> list[float]:
    values = [float(shape.attrib[name]) for name in names]
    if not np.isfinite(values).all():
        raise ValueError("a coordinate that is no number")
    return values


def _corners(shape: Element) -> NDArray[np.float64]:
    """[P,2]"""
    corners = np.asarray([pair.split(",") for pair in (shape.get("points") or "").split(";")], np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError("points that are no pairs of numbers")
    return corners


def _crop(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """[h,w]: a mask of run lengths along the rows, of background and object in turn."""
    runs = np.asarray(text.split(","), np.int64)
    if (
        height < 1
        or width < 1
        or height * width > _TOO_LARGE
        or (runs < 0).any()
        or runs.max() > height * width
        or runs.sum() != height * width
    ):
        raise ValueError(f"run lengths that do not sum to {height} x {width}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def _skeleton(shape: Element) -> Iterator[Point]:
    for item in shape.iterfind("points"):
        corners = _corners(item)
        yield item.get("label") or "", float(corners[0, 0]), float(corners[0, 1]), item.get("outside") != "1"


def _area(points: list[Point]) -> float:
    seen = [np.asarray([[x, y]]) for _, x, y, visible in points if visible]
    if not seen:
        return 0
    x1, y1, x2, y2 = extent(seen)
    return (x2 - x1) * (y2 - y1)


FORMAT = Format("cvat", "CVAT's XML: images or tracks with their shapes in one file", _recognise, _read)

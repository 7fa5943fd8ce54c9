"""COCO's panoptic labels: a JSON file that lists segments, and a PNG for each image whose colours are their numbers.

Layout: the page "Data format" of the COCO data set, section "Panoptic segmentation": a pixel of colour (R, G, B) is of
the segment R + 256 G + 65536 B of its image. ``annotations/panoptic_train2017.json`` goes with a folder
``panoptic_train2017/`` of PNG files, beside the JSON or above it. Every category is a class of segmentation; what no
segment covers is ignored. Those with ``isthing`` are classes of detection, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.masks.mask_maps import check_size, codes_of, read_raw
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_file
from visus.data.formats.texts.label_text import read_text
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular
from visus.structures import IGNORE, Detections, ImageSource, Masks, Sample, SegmentationMap, TargetSource

_HEAD = 1 << 20  # bytes of a JSON file that are looked at to recognise it


def panoptic_files(listing: Listing) -> dict[Path, Path]:
    """From each panoptic JSON file of a folder to the folder of its PNG files."""
    found: dict[Path, Path] = {}
    if listing.is_file:
        return found
    annotations = listing.folder("annotations")
    candidates = list(listing.files_with(".json"))
    candidates += listing.files_with(".json", folder=annotations) if annotations else ()
    for path in candidates:
        places = [folder for parent in (path.parent, listing.root) for folder in listing.folders(parent)]
        own = next((folder for folder in places if folder.name == path.stem), None)
        own = own or next((folder for folder in places if folder.name.lower().startswith("panoptic")), None)
        if own is not None and ".png" in listing.suffixes(own) and _lists_segments(path):
            found[path] = own
    return found


def _lists_segments(path: Path) -> bool:
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            return path.name.startswith("panoptic") or b'"segments_info"' in stream.read(_HEAD)
    except (DataError, OSError):
        return False


@dataclass(frozen=True, slots=True)
class _Segments:
    """The segments of one image.

    Args:
        numbers: [N] their values in the PNG.
        ids: [N] their classes among all categories.
    """

    numbers: NDArray[np.int64]
    ids: NDArray[np.int64]


def _read_numbers(path: Path, image: ImageSource) -> NDArray[np.int64]:
    """[H,W] the number of each pixel's segment."""
    codes = codes_of(read_raw(path, coloured=True)).astype(np.int64)  # red * 65536 + green * 256 + blue
    check_size(path, (codes.shape[0], codes.shape[1]), image)
    return (codes >> 16) | (codes & 0xFF00) | ((codes & 0xFF) << 16)


@dataclass(frozen=True, slots=True, eq=False)
class PanopticMap:
    """The segments of one image as a map of classes.

    Args:
        path: of the PNG.
        image: for its size.
        classes: names of all K categories.
        segments: what the JSON lists.
    """

    path: Path
    image: ImageSource
    classes: tuple[str, ...]
    segments: _Segments

    def load(self) -> SegmentationMap:
        """The map; raises DataError when the PNG cannot be read or does not fit its image."""
        numbers = _read_numbers(self.path, self.image)
        ids = np.full(numbers.shape, IGNORE, np.uint8)
        if len(self.segments.numbers):
            order = np.argsort(self.segments.numbers)
            known = self.segments.numbers[order]
            places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
            ids = np.where(known[places] == numbers, self.segments.ids[order][places], IGNORE).astype(np.uint8)
        return SegmentationMap(self.classes, ids)


@dataclass(frozen=True, slots=True, eq=False)
class PanopticObjects:
    """The things of one image as boxes and masks.

    Args:
        path: of the PNG.
        image: for its size.
        classes: names of the things' K categories.
        labels: [N] class ids.
        numbers: [N] the things' values in the PNG.
        boxes: [N,4] xyxy in pixels.
        ignored: [N] bool: crowds.
    """

    path: Path
    image: ImageSource
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    boxes: NDArray[np.float32]
    ignored: NDArray[np.bool_]

    def load(self) -> Detections:
        """The objects; raises DataError when the PNG cannot be read or does not fit its image."""
        pixels = _read_numbers(self.path, self.image)
        size = (pixels.shape[0], pixels.shape[1])
        masks = Masks.from_planes((pixels == number for number in self.numbers), size)
        return Detections(self.classes, self.boxes, self.labels, size, ignored=self.ignored, masks=masks)


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(panoptic_files)) and not any(
        path.name.startswith("instances")
        for other in listing.once(panoptic_files)
        for path in listing.files(other.parent)
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
        categories = {int(item["id"]): str(item["name"]) for item in content["categories"]}
        images = {str(item["id"]): str(item["file_name"]) for item in content["images"]}
        return {
            "names": dict(sorted(categories.items())),
            "things": {int(item["id"]) for item in content["categories"] if item.get("isthing", 1)},
            "images": images,
            "labels": {
                str(item["image_id"]): (
                    str(item["file_name"]),
                    [
                        (int(s["id"]), int(s["category_id"]), [float(v) for v in s["bbox"]], bool(s.get("iscrowd", 0)))
                        for s in item["segments_info"]
                    ],
                )
                for item in content["annotations"]
            },
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not laid out as COCO's panoptic labels",
            expected="images, annotations with file_name and segments_info (id, category_id, bbox), and categories",
            got=f"{type(error).__name__}: {error}",
        ) from error


def _read(listing: Listing) -> Reading:
    files = listing.once(panoptic_files)
    tally = Tally()
    loaded = {path: _content(path) for path in files}
    first = next(iter(loaded.values()))
    names: Mapping[int, str] = first["names"]
    classes = tuple(names.values())
    places = {number: index for index, number in enumerate(names)}
    things = [number for number in names if number in first["things"]]
    thing_places = {number: index for index, number in enumerate(things)}
    thing_names = tuple(names[number] for number in things)
    splits: dict[str, list[Sample]] = {}
    for path, content in loaded.items():
        if content["names"] != names:
            raise DataError(f"{path} has other categories than {next(iter(loaded))}", expected=", ".join(classes[:8]))
        tally.read(path)
        split = split_of_file(listing, path)
        finder = ImageFinder(listing, tally, beside=path.parent)
        for key, name in content["images"].items():
            found = finder.find(name, split)
            if found is None:
                tally.lose_images([name], split)
                continue
            if key not in content["labels"]:
                message = "{count} images have no panoptic labels"
                tally.lose("unlabelled-image", message, name, unit="image files", split=split, file=found)
                continue
            label, segments = content["labels"][key]
            png = files[path] / label
            tally.read(png)
            known = [item for item in segments if item[1] in places]
            if len(known) < len(segments):
                message = "{count} segments are of a category that the file does not name"
                tally.lose("unknown-category", message, name, len(segments) - len(known), split=split)
            image = FileImage(found)
            targets: dict[str, TargetSource] = {
                "segmentation": PanopticMap(png, image, classes, _Segments(
                    np.asarray([item[0] for item in known], np.int64),
                    np.asarray([places[item[1]] for item in known], np.int64),
                ))
            }  # fmt: skip
            if things:
                objects = [item for item in known if item[1] in thing_places]
                boxes = np.asarray([item[2] for item in objects], np.float32).reshape(-1, 4)
                boxes[:, 2:] += boxes[:, :2]
                targets["detection"] = PanopticObjects(
                    png,
                    image,
                    thing_names,
                    np.asarray([thing_places[item[1]] for item in objects], np.int64),
                    np.asarray([item[0] for item in objects], np.int64),
                    boxes,
                    np.asarray([item[3] for item in objects], bool),
                )
            splits.setdefault(split, []).append(Sample(listing.name_of(found), image, targets))
    if not splits:
        raise DataError(f"no image that {next(iter(files)).name} names exists", expected=f"files below {listing.root}")
    tasks = {"segmentation": classes} | ({"detection": thing_names} if things else {})
    return tally.reading(tasks, splits)


def _label_images(listing: Listing) -> list[Path]:
    return [path for folder in set(listing.once(panoptic_files).values()) for path in listing.images_below(folder)]


FORMAT = Format(
    "coco-panoptic",
    "COCO's panoptic JSON, and PNG files whose colours number segments",
    _recognise,
    _read,
    label_images=_label_images,
)

"""COCO JSON: boxes, polygons, run-length codes and crowds.

Layout: the page "Data format" of the COCO data set (T.-Y. Lin et al., "Microsoft COCO", 2014). Boxes are
``[x, y, width, height]`` from 0. Category ids may have gaps: class ids count the categories in the order of their ids.
Crowds (``iscrowd``) are ignored: neither hit nor miss. An image without annotations has no object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.boxes import repair_and_tally
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.keypoints import keypoint_names, landmarks_of
from visus.data.formats.labelled import note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.outlined_objects import (
    BACKGROUND,
    MULTILABEL,
    DetectionSource,
    ObjectLabelsSource,
    ObjectMapSource,
    Objects,
    Outline,
)
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Landmarks, Sample, TargetSource, Value

_HEAD = 1 << 20  # bytes of a JSON file that are looked at to recognise it


def _looks_like_coco(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    return (b'"images"' in head and b'"file_name"' in head) or (b'"category_id"' in head and b'"image_id"' in head)


def _find(listing: Listing) -> dict[str, list[Path]]:
    """The JSON files of each split: in the folder, in ``annotations/``, or in the folders of the splits."""
    candidates = list(listing.files_with(".json"))
    for folder in (listing.folder("annotations"), *listing.split_folders().values()):
        candidates += listing.files_with(".json", folder=folder) if folder else ()
    paths = [path for path in candidates if _looks_like_coco(path)]
    # Beside instances_*.json COCO publishes captions, keypoints and lists of unlabelled images of the same photos.
    instances = [path for path in paths if path.name.startswith("instances")]
    paths = instances or [path for path in paths if not path.name.startswith(("captions", "image_info"))]
    splits: dict[str, list[Path]] = {}
    for path in paths:
        splits.setdefault(_split_of(listing, path), []).append(path)
    return splits


def _split_of(listing: Listing, path: Path) -> str:
    for part in reversed(path.stem.replace("-", "_").split("_")):
        if split := split_name(part):
            return split
    return ALL if path.parent == listing.root else split_name(path.parent.name) or ALL


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_find))


@dataclass(slots=True)
class _File:
    """One JSON file, checked: categories by id, images, and annotations by image."""

    path: Path
    categories: dict[int, str]
    images: list[dict[str, Any]]
    annotations: dict[Any, list[dict[str, Any]]] = field(default_factory=dict)
    points: dict[int, tuple[str, ...]] = field(default_factory=dict)


_Entry = tuple[str, FileImage, Objects, Landmarks | None]
"""Name, image, objects, and the points of the largest object that has any."""


def _load(path: Path) -> _File:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON", expected="a whole COCO file", got=str(error)) from error
    try:
        categories = {int(item["id"]): str(item["name"]) for item in content["categories"]}
        loaded = _File(path, categories, list(content["images"]))
        loaded.points = keypoint_names(content["categories"])
        for image in loaded.images:
            loaded.annotations[image["id"]] = []
            if not isinstance(image["file_name"], str):
                raise TypeError("a file_name that is no text")
        for item in content["annotations"]:
            loaded.annotations.setdefault(item["image_id"], []).append(item)
            int(item["category_id"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not laid out as COCO",
            expected="categories (id, name), images (id, file_name), annotations (image_id, category_id, bbox)",
            got=f"{type(error).__name__}: {error}",
        ) from error
    return loaded


def _read(listing: Listing) -> Reading:
    files = listing.once(_find)
    for split, paths in files.items():
        if len(paths) > 1:
            raise DataError(
                f"{listing.root} holds several COCO files {'' if split == ALL else 'for ' + split}".rstrip(),
                expected="one file a split",
                got=", ".join(listing.name_of(path) for path in paths),
                remedy="name the file instead of the folder",
            )
    tally = Tally()
    tally.read(*(path for paths in files.values() for path in paths))
    loaded = {split: _load(files[split][0]) for split in ("train", "val", "test", ALL) if split in files}
    reference = reference_split(loaded)
    categories = loaded[reference].categories
    if not categories or len(set(categories.values())) < len(categories):
        raise DataError(
            f"{loaded[reference].path} must name each category once",
            expected="categories of different names",
            got=", ".join(categories.values()) or "none",
        )
    ordered = sorted(categories)
    classes = tuple(categories[number] for number in ordered)
    gaps = ordered[-1] - ordered[0] + 1 - len(ordered)
    if gaps:
        message = "{count} category ids are not used; class ids count the categories in the order of their ids"
        tally.add("class-id-gap", "note", message, count=gaps)
    ids = {name: index for index, name in enumerate(classes)}
    objects = {split: _objects(listing, file, split, classes, ids, tally, reference) for split, file in loaded.items()}
    used = {
        split: {int(label) for _, _, item, _ in entries for label in item.labels} for split, entries in objects.items()
    }
    for split in loaded:
        missing = {classes[label] for label in used[reference] - used[split]}
        note_missing_classes(tally, split, reference, missing)
    outlined = _all_outlined(objects)
    maps = (BACKGROUND, *classes)
    samples: dict[str, list[Sample]] = {}
    for split, entries in objects.items():
        samples[split] = []
        for name, image, item, points in entries:
            targets: dict[str, Value | TargetSource] = {"detection": DetectionSource(item)}
            if points is not None:
                targets["landmarks"] = points
            if outlined:
                targets["segmentation"] = ObjectMapSource(item, maps)
                if len(classes) > 1:
                    targets[MULTILABEL] = ObjectLabelsSource(item)
            samples[split].append(Sample(name, image, targets))
    tasks = {"detection": classes} | ({"segmentation": maps} if outlined else {})
    tasks |= {MULTILABEL: classes} if outlined and len(classes) > 1 else {}
    named = loaded[reference].points
    tasks |= {"landmarks": named[min(named)]} if named else {}
    return tally.reading(tasks, samples)


def _all_outlined(objects: Mapping[str, list[_Entry]]) -> bool:
    """Whether every object has an outline, so that maps of all pixels can be drawn."""
    items = [item for entries in objects.values() for _, _, item, _ in entries if len(item.labels)]
    return bool(items) and all(item.outlines is not None and None not in item.outlines for item in items)


def _objects(
    listing: Listing,
    file: _File,
    split: str,
    classes: tuple[str, ...],
    ids: Mapping[str, int],
    tally: Tally,
    reference: str,
) -> list[_Entry]:
    """The objects of every image that exists."""
    finder = ImageFinder(listing, tally, beside=file.path.parent)
    entries: list[_Entry] = []
    missing: list[str] = []
    seen: set[Any] = set()
    for image in file.images:
        name = image["file_name"]
        if image["id"] in seen:
            tally.add("duplicate-id", "stop", "{count} image ids are used twice", f"{file.path.name}: {image['id']}")
            continue
        seen.add(image["id"])
        path = finder.find(name, "" if split == ALL else split)
        if path is None:
            missing.append(name)
            continue
        source = FileImage(path)
        size = _size(image, source)
        if size is None:
            message = "{count} images have neither a stated nor a readable size"
            tally.lose("unreadable-image", message, listing.name_of(path), unit="image files", split=split, file=path)
            continue
        kept = []
        for item in file.annotations[image["id"]]:
            label = file.categories.get(int(item["category_id"]), f"category {item['category_id']}")
            if label in ids:
                kept.append((item, ids[label]))
            else:
                note_unknown_class(tally, split, label, reference)
        points = None
        if file.points:
            category = min(file.points)
            points = landmarks_of(file.annotations[image["id"]], category, file.points[category], size, name)
        entries.append(
            (listing.name_of(path), source, _image_objects(kept, source, size, classes, tally, name), points)
        )
    if not entries:
        raise DataError(
            f"no image that {file.path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(missing[:3]) or "no image",
        )
    note_missing_images(tally, missing, split)
    lost = set(file.annotations) - {image["id"] for image in file.images}
    if lost:
        message = "{count} objects have an image id that names no image"
        count = sum(len(file.annotations[number]) for number in lost)
        tally.lose("annotation-without-image", message, file.path.name, count, split=split)
    return entries


def _size(image: Mapping[str, Any], source: FileImage) -> tuple[int, int] | None:
    """(height, width) from the JSON file, else from the header of the image."""
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return (height, width)
    try:
        return source.size()
    except DataError:
        return None


def _image_objects(
    items: list[tuple[dict[str, Any], int]],
    image: FileImage,
    size: tuple[int, int],
    classes: tuple[str, ...],
    tally: Tally,
    name: str,
) -> Objects:
    boxes = np.asarray([_box(item.get("bbox")) for item, _ in items], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    repaired, kept = repair_and_tally(boxes, size, tally, name)
    outlines = tuple(_outline(items[i][0].get("segmentation")) for i in kept)
    return Objects(
        image=image,
        classes=classes,
        boxes=repaired,
        labels=np.asarray([items[i][1] for i in kept], np.int64),
        ignored=np.asarray([bool(items[i][0].get("iscrowd", 0)) for i in kept], bool),
        outlines=outlines if any(outline is not None for outline in outlines) else None,
        size=size,
    )


def _box(value: Any) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(number) for number in value)
    except (TypeError, ValueError):
        return (np.nan, np.nan, np.nan, np.nan)
    return (x, y, width, height)


def _outline(value: Any) -> Outline | None:
    """Polygons of at least three points, or a run-length code; None for anything else."""
    if isinstance(value, dict) and {"size", "counts"} <= value.keys():
        return {"size": value["size"], "counts": value["counts"]}
    if not isinstance(value, list):
        return None
    try:
        polygons = tuple(
            np.asarray(part, np.float64).reshape(-1, 2) for part in value if len(part) >= 6 and len(part) % 2 == 0
        )
    except (TypeError, ValueError):
        return None
    return polygons if polygons and all(np.isfinite(part).all() for part in polygons) else None


FORMAT = Format("coco", "COCO JSON with images, annotations and categories", _recognise, _read)

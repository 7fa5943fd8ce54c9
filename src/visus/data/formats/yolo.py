"""YOLO: a text file an image (class, centre x, centre y, width, height in fractions of the image), and a YAML file.

A line with more numbers is an outline: class, then x and y of each corner. An image without text file, or with an empty
one, has no object. Splits and class names come from the YAML file, or from folders and a ``classes.txt``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.boxes import repair_and_tally
from visus.data.formats.class_lists import fill_gaps, read_lines
from visus.data.formats.labelled import note_missing_classes, reference_split
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
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.files.plain_values import read_yaml
from visus.structures import Sample, TargetSource, Value

CLASS_FILES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
_ROUNDING = 0.005  # of the image's side; text files round, and half a percent is seldom more than 3 pixels


@dataclass(frozen=True, slots=True)
class _Layout:
    """The (image, label file) pairs of each split, and the declared class names; a label file may be absent."""

    splits: Mapping[str, tuple[tuple[Path, Path], ...]]
    names: tuple[str, ...]


def _yaml(listing: Listing) -> Path | None:
    """The YAML file that names classes and splits."""
    for path in listing.files_with(".yaml", ".yml"):
        content = _load_yaml(path)
        if "names" in content and content.keys() & {"train", "val", "path"}:
            return path
    return None


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path, expected="a YAML file that names folders and classes")
    except DataError:
        return {}
    return content if isinstance(content, dict) else {}


def _label_folders(listing: Listing) -> dict[str, tuple[Path, Path]]:
    """The (folder of images, folder of text files) of each split, by the names of the folders."""
    images, labels = listing.folder("images", "image"), listing.folder("labels", "label")
    if images and labels:
        inner, outer = listing.split_folders(labels), listing.split_folders(images)
        both = {split: (outer[split], inner[split]) for split in outer if split in inner}
        return both or {ALL: (images, labels)}
    parts: dict[str, tuple[Path, Path]] = {}
    for split, folder in listing.split_folders().items():
        images, labels = listing.folder("images", "image", inside=folder), listing.folder("labels", inside=folder)
        if images and labels:
            parts[split] = (images, labels)
    return parts


def _holds_boxes(listing: Listing, folder: Path) -> bool:
    """Whether the text files of a folder look like YOLO's: numbers, at least five a line."""
    files = [path for path in listing.files_with(".txt", folder=folder) if path.name.lower() not in CLASS_FILES]
    for path in files[:20]:
        try:
            lines = read_lines(path)
        except DataError:
            continue
        if lines:
            return all(len(line.split()) >= 5 and _is_number(line.split()[0]) for line in lines)
    return bool(files)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _recognise(listing: Listing) -> bool:
    if listing.once(_yaml) is not None:
        return True
    return any(_holds_boxes(listing, labels) for _, labels in listing.once(_label_folders).values())


def _layout(listing: Listing, tally: Tally) -> _Layout:
    path = listing.once(_yaml)
    if path is not None:
        return _layout_of_yaml(listing, path, tally)
    folders = listing.once(_label_folders)
    splits = {
        split: tuple((image, labels / f"{image.stem}.txt") for image in listing.images(images))
        for split, (images, labels) in folders.items()
    }
    bases = [listing.root, *(labels for _, labels in folders.values())]
    named = next((base / name for base in bases for name in CLASS_FILES if (base / name).is_file()), None)
    return _Layout(splits, tuple(read_lines(named)) if named else ())


def _layout_of_yaml(listing: Listing, path: Path, tally: Tally) -> _Layout:
    content = _load_yaml(path)
    names = content["names"]
    if isinstance(names, dict) and all(isinstance(key, int) and key >= 0 for key in names):
        names = fill_gaps({key: str(value) for key, value in names.items()})
    if not isinstance(names, list | tuple) or not names or len(set(map(str, names))) < len(names):
        raise DataError(
            f"{path} must name each class once",
            expected="names: [cat, dog], or names: {0: cat, 1: dog}",
            got=f"names: {names}",
        )
    splits: dict[str, tuple[tuple[Path, Path], ...]] = {}
    for key, value in content.items():
        split = split_name(str(key))
        if split is None or not value:
            continue
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise DataError(f"{path}: {key} must name folders or lists of images", expected="text", got=f"{value}")
        images = [image for entry in entries for image in _images(listing, path, content, entry)]
        if not images and split == "train":
            raise DataError(
                f"{path}: the training images are missing",
                expected=f"images in {', '.join(entries)}",
                remedy=f"correct path: and train: in {path.name}; they are relative to it",
            )
        if not images:
            tally.add("missing-split", "note", "{count} splits of the YAML file hold no image", f"{key}: {value}")
            continue
        splits[split] = tuple((image, _label_of(image)) for image in dict.fromkeys(images))
    if not splits:
        raise DataError(f"{path} names no images", expected="train: and val: with folders of images")
    return _Layout(splits, tuple(str(name) for name in names))


def _images(listing: Listing, path: Path, content: Mapping[str, Any], entry: str) -> list[Path]:
    """The images of a folder or of a list. Paths are tried from ``path:``, the YAML file and the data set's root."""
    base = path.parent
    stated = content.get("path")
    bases = [base / stated, base] if isinstance(stated, str) else [base]
    # Exports often write "../train/images" for folders that lie beside the YAML file.
    names = [entry, entry.removeprefix("../"), entry.removeprefix("./")]
    for candidate in (folder / name for folder in bases for name in names):
        if candidate.is_dir():
            return list(listing.images_below(candidate))
        if candidate.is_file() and candidate.suffix.lower() == ".txt":
            images = []
            for line in read_lines(candidate):
                image = next((p for b in (candidate.parent, *bases) if (p := b / line).is_file()), None)
                if image is not None and image.suffix.lower() in IMAGE_SUFFIXES:
                    images.append(image)
            return images
    return []


def _label_of(image: Path) -> Path:
    """YOLO's rule: the last folder called "images" becomes "labels"; otherwise the text file lies beside the image."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == "images":
            parts[position] = "labels"
            return Path(*parts).with_suffix(".txt")
    return image.with_suffix(".txt")


def _read(listing: Listing) -> Reading:
    tally = Tally()
    layout = _layout(listing, tally)
    layout_splits = {split: layout.splits[split] for split in ("train", "val", "test", ALL) if split in layout.splits}
    rows = {
        split: [(image, label, _lines(label, tally)) for image, label in pairs]
        for split, pairs in layout_splits.items()
    }
    if not any(label.is_file() for pairs in layout_splits.values() for _, label in pairs):
        raise DataError(
            f"no image of {listing.root} has a text file",
            expected="labels/NAME.txt for images/NAME.jpg",
            got=f"{sum(len(pairs) for pairs in layout_splits.values())} images",
        )
    highest = max((int(row[0]) for entries in rows.values() for _, _, lines in entries for row in lines), default=0)
    names = layout.names or fill_gaps({highest: f"class_{highest}"})
    objects = {
        split: [(image, _objects(listing, image, label, lines, names, tally)) for image, label, lines in entries]
        for split, entries in rows.items()
    }
    reference = reference_split(objects)
    used = {split: {int(label) for _, item in entries for label in item.labels} for split, entries in objects.items()}
    for split in objects:
        note_missing_classes(tally, split, reference, {names[label] for label in used[reference] - used[split]})
    items = [item for entries in objects.values() for _, item in entries if len(item.labels)]
    outlined = bool(items) and all(item.outlines is not None and None not in item.outlines for item in items)
    maps = (BACKGROUND, *names)
    samples: dict[str, list[Sample]] = {}
    for split, entries in objects.items():
        samples[split] = []
        for image, item in entries:
            targets: dict[str, Value | TargetSource] = {"detection": DetectionSource(item)}
            if outlined:
                targets["segmentation"] = ObjectMapSource(item, maps)
                if len(names) > 1:
                    targets[MULTILABEL] = ObjectLabelsSource(item)
            samples[split].append(Sample(listing.name_of(image), item.image, targets))
    tasks = {"detection": names} | ({"segmentation": maps} if outlined else {})
    tasks |= {MULTILABEL: names} if outlined and len(names) > 1 else {}
    return tally.reading(tasks, samples)


def _lines(path: Path, tally: Tally) -> list[list[float]]:
    """The numbers of each line; a line that holds anything else stops a training."""
    if not path.is_file():
        return []
    tally.read(path)
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            row = []
        boxed = len(row) == 5 or (len(row) >= 7 and len(row) % 2 == 1)
        if not boxed or not math.isfinite(row[0]) or row[0] != int(row[0]) or row[0] < 0:
            message = "{count} lines are no YOLO labels (class, then 4 numbers, or 3 or more corners)"
            tally.add("unreadable-annotation", "stop", message, f"{path.name}:{number}")
            continue
        rows.append(row)
    return rows


def _objects(
    listing: Listing, image: Path, label: Path, rows: list[list[float]], names: tuple[str, ...], tally: Tally
) -> Objects:
    known = []
    for row in rows:
        if int(row[0]) < len(names):
            known.append(row)
        else:
            message = f"{{count}} labels are of a class number that is not declared (0..{len(names) - 1})"
            tally.add("unknown-class", "stop", message, f"{listing.name_of(label)}: {int(row[0])}")
    boxes = np.asarray([_box(row) for row in known], np.float64).reshape(-1, 4)
    repaired, kept = repair_and_tally(boxes, (1.0, 1.0), tally, listing.name_of(label), tolerance=_ROUNDING)
    outlines: tuple[Outline | None, ...] = tuple(
        (np.asarray(known[i][1:], np.float64).reshape(-1, 2),) if len(known[i]) > 5 else None for i in kept
    )
    return Objects(
        image=FileImage(image),
        classes=names,
        boxes=repaired,
        labels=np.asarray([int(known[i][0]) for i in kept], np.int64),
        outlines=outlines if any(outline is not None for outline in outlines) else None,
    )


def _box(row: list[float]) -> tuple[float, float, float, float]:
    """xyxy in fractions of the image."""
    if len(row) == 5:
        _, x, y, width, height = row
        return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    corners = np.asarray(row[1:]).reshape(-1, 2)
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return (float(x1), float(y1), float(x2), float(y2))


FORMAT = Format("yolo", "YOLO text files with boxes, and their YAML file", _recognise, _read)

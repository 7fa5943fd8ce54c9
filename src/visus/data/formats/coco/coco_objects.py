"""The objects of each image of a COCO file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Severity
from visus.data.formats.coco.coco_columns import CocoFile, Key, key_of
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.objects.boxes import lose_objects
from visus.data.formats.objects.coco_outlines import extent_of
from visus.data.formats.objects.keypoints import box_of_keypoints, landmarks_of
from visus.data.formats.objects.object_table import ObjectTable, SettledObjects, settle_objects
from visus.data.formats.objects.object_targets import Entry
from visus.data.formats.reading import Tally
from visus.data.pixels.images import FileImage
from visus.structures import Landmarks

_COMPARED = 2000  # objects whose box is compared with their outline
_DISAGREEING = 0.05  # more objects than this share have a box far from their outline: then all are in doubt
_LEAST_IOU = 0.5  # of a box and the extent of its outline
_ROUNDING = 1.0  # pixels between corners of a box and of an outline that mean nothing
_CORNERS = 0.05  # more boxes than this share reach outside as x, y, width, height, and none as corners


@dataclass(frozen=True, slots=True, eq=False)
class ImageObjects:
    """What a COCO file says of the images that are there.

    Args:
        ids: I samples' ids.
        images: I.
        table: the objects as they were read.
        settled: the objects ready for use.
        points: from the position of an image to (category id, key points, box [x, y, width, height]) of its objects.
    """

    ids: list[str]
    images: list[FileImage]
    table: ObjectTable
    settled: SettledObjects
    points: Mapping[int, list[dict[str, Any]]]

    @property
    def present(self) -> set[int]:
        """The classes of the objects that are used."""
        labels = [item.labels for item in self.settled.objects]
        return set(np.unique(np.concatenate(labels)).tolist()) if labels else set()

    def labelled(self) -> Iterator[tuple[str, FileImage, list[int]]]:
        """Each image with the classes of its annotations, boxes or not."""
        order = np.argsort(self.table.owners, kind="stable")
        parts = np.split(self.table.labels[order], np.searchsorted(self.table.owners[order], range(1, len(self.ids))))
        for name, image, labels in zip(self.ids, self.images, parts, strict=True):
            yield name, image, labels.tolist()

    def entries(self, points: Mapping[int, tuple[str, ...]]) -> list[Entry]:
        """Id, objects and landmarks of each image. points: from the id of a category to the names of its points."""
        entries: list[Entry] = []
        for index, (name, item) in enumerate(zip(self.ids, self.settled.objects, strict=True)):
            targets = {}
            if points and index in self.points:
                category = min(points)
                found = self._landmarks(index, category, points[category])
                targets = {"landmarks": found} if found is not None else {}
            entries.append((name, item.image, item, targets))
        return entries

    def _landmarks(self, index: int, category: int, names: tuple[str, ...]) -> Landmarks | None:
        item = self.settled.objects[index]
        size = item.in_pixels()[1]
        found = landmarks_of(self.points[index], category, names, size, self.ids[index])
        if found is None or (self.settled.factor == 1 and self.settled.unit == "pixels"):
            return found
        scale = size[::-1] if self.settled.unit == "fractions" else (self.settled.factor,) * 2
        return replace(found, points=found.points * np.asarray(scale, np.float32))


def read_image_objects(
    listing: Listing,
    file: CocoFile,
    finder: ImageFinder,
    split: str,
    categories: Mapping[Key, str],
    classes: tuple[str, ...],
    tally: Tally,
    reference: str,
    *,
    drawn: bool,
) -> ImageObjects:
    """The objects of every image that is there.

    Args:
        listing: the data set's folder.
        file: of the split.
        finder: of its images.
        split: its name.
        categories: the names of the file's categories, by id.
        classes: of the data set, in the order of their ids.
        tally: is told what was lost, changed and noticed.
        reference: the split that defines the classes.
        drawn: whether the annotations of the data set have boxes or outlines; otherwise no objects are made of them.
    """
    positions, images, ids = _find_images(listing, file, finder, split, tally)
    owners = _owners(file, positions, split, tally)
    labels, rows = _labels(file, owners, categories, classes, split, tally, reference)
    if drawn:
        rows = _with_boxes(file, rows, owners, labels, classes, ids, split, tally)
    sizes = file.sizes[[position for position in positions if positions[position] is not None]].reshape(-1, 2)
    boxes = file.boxes[rows]
    with np.errstate(over="ignore", invalid="ignore"):  # what is no finite box is told further on
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    _note_corners(boxes, sizes[owners[rows]], tally, file.path.name)
    table = ObjectTable(
        images=images,
        names=ids,
        sizes=sizes,
        owners=owners[rows],
        boxes=corners,
        labels=labels[rows],
        ignored=file.crowds[rows],
        outlines=[file.outlines[row] for row in rows.tolist()] if any(file.outlines) else None,
    )
    settled = settle_objects(table, classes, tally, split) if drawn else SettledObjects([])
    points: dict[int, list[dict[str, Any]]] = {}
    for row, values in file.points.items():
        if owners[row] >= 0:
            item = {"category_id": file.category_of[row], "keypoints": values, "bbox": file.boxes[row],
                    "iscrowd": bool(file.crowds[row])}  # fmt: skip
            points.setdefault(int(owners[row]), []).append(item)
    return ImageObjects(ids, images, table, settled, points)


def _find_images(
    listing: Listing, file: CocoFile, finder: ImageFinder, split: str, tally: Tally
) -> tuple[dict[int, int | None], list[FileImage], list[str]]:
    """From the positions in the file to those among the images that are there, and these images with their names."""
    positions: dict[int, int | None] = {}
    images: list[FileImage] = []
    ids: list[str] = []
    missing: list[str] = []
    seen: set[Any] = set()
    paths: dict[Any, str] = {}
    for position, (number, name) in enumerate(zip(file.image_ids, file.names, strict=True)):
        positions[position] = None
        if number in seen:
            tally.add("duplicate-id", "stop", "{count} image ids are used twice", f"{file.path.name}: {number}")
            continue
        seen.add(number)
        path = finder.find(name, "" if split == "all" else split)
        if path is None:
            missing.append(name)
            continue
        if path in paths:
            message = "{count} images are listed twice under different ids"
            tally.add("duplicate-image", "stop", message, f"{file.path.name}: {name} and {paths[path]}")
            continue
        paths[path] = name
        positions[position] = len(images)
        images.append(FileImage(path))
        ids.append(listing.name_of(path))
    tally.lose_images(missing, split)
    return positions, images, ids


def _owners(file: CocoFile, positions: Mapping[int, int | None], split: str, tally: Tally) -> NDArray[np.int64]:
    """[N] the position of each annotation's image among those that are there; -1 without one, which is tallied."""
    exact = {number: position for position, number in reversed(list(enumerate(file.image_ids)))}
    found = [exact.get(number, -1) for number in file.image_of]
    lost = [row for row, position in enumerate(found) if position < 0]
    if lost:
        by_key: dict[Key, int | None] = {}
        for position, number in enumerate(file.image_ids):
            key = key_of(number)
            by_key[key] = None if key in by_key else position
        matched = 0
        for row in lost:
            match = by_key.get(key_of(file.image_of[row]))
            if match is not None:
                found[row] = match
                matched += 1
        if matched:
            message = "{count} objects write their image's id in another way (3, 3.0 or text) than the image; matched"
            tally.add("id-as-text", "note", message, file.path.name, matched)
        orphans = [row for row in lost if found[row] < 0]
        for row in orphans[:20]:
            _lose_orphans(tally, f"{file.path.name}: {file.image_of[row]!r}"[:200], 1, split)
        if len(orphans) > 20:
            _lose_orphans(tally, "", len(orphans) - 20, split)
    there = np.asarray([-1 if index is None else index for index in positions.values()] + [-1], np.int64)
    places = np.asarray(found, np.int64).reshape(-1)
    owners = there[places]
    absent = int(((owners < 0) & (places >= 0)).sum())
    if absent:
        tally.lose("object-without-image", "{count} objects belong to images that are missing", file.path.name, absent,
                   split=split, cause="add the images")  # fmt: skip
    return owners


def _lose_orphans(tally: Tally, example: str, count: int, split: str) -> None:
    tally.lose(
        "annotation-without-image",
        "{count} objects have an image id that names no image",
        example,
        count,
        split=split,
        cause="image_id of each annotation must be the id of an image; the file may be a part of a larger one",
    )


def _labels(
    file: CocoFile,
    owners: NDArray[np.int64],
    categories: Mapping[Key, str],
    classes: tuple[str, ...],
    split: str,
    tally: Tally,
    reference: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[N] the class of each annotation, and the rows of those with an image and a class; others are tallied."""
    ids = {name: index for index, name in enumerate(classes)}
    known = {key: ids[name] for key, name in categories.items() if name in ids}
    labels = np.asarray([known.get(key, -1) for key in file.category_of], np.int64).reshape(-1)
    for row in np.flatnonzero((labels < 0) & (owners >= 0)).tolist():
        key = file.category_of[row]
        name = categories.get(key)
        if name is None:
            message = "{count} objects are of a category that the file does not list"
            label, cause = f"category {key}", "list all categories, each with the id that the objects name"
        else:
            message = (
                f"{{count}} objects are of classes that {reference} does not have, and class ids come from {reference}"
            )
            label, cause = name, f"add examples to {reference}, or take the objects of the others out"
        tally.lose("unknown-class", message, f"{split}: {label}", split=split, label=label, cause=cause)
    return labels, np.flatnonzero((labels >= 0) & (owners >= 0))


def _with_boxes(
    file: CocoFile,
    rows: NDArray[np.int64],
    owners: NDArray[np.int64],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    ids: list[str],
    split: str,
    tally: Tally,
) -> NDArray[np.int64]:
    """The rows that have a box; an object without a usable one gets the extent of its outline or of its points."""
    with np.errstate(invalid="ignore"):
        usable = np.asarray(np.isfinite(file.boxes).all(axis=1) & (file.boxes[:, 2:] > 0).all(axis=1))
    _compare_outlines(file, rows[usable[rows]], tally)
    drawn = pointed = 0
    for row in rows[~usable[rows]].tolist():
        outline = file.outlines[row]
        if outline is None and file.boxless[row] and (box := box_of_keypoints(file.points.get(row))) is not None:
            file.boxes[row] = box
            file.boxless[row] = False
            pointed += 1
        if outline is not None:
            x1, y1, x2, y2 = extent_of(outline)
            file.boxes[row] = (x1, y1, x2 - x1, y2 - y1)
            file.boxless[row] = False
            drawn += 1
    if drawn:
        message = "{count} objects have an outline and no box; the extent of the outline is taken"
        tally.add("box-of-outline", "note", message, file.path.name, drawn)
    if pointed:
        message = "{count} objects have key points and no box; the extent of the visible points is taken"
        tally.add("box-of-points", "note", message, file.path.name, pointed)
    without = file.boxless[rows]
    lose_objects(tally, "object-without-box", "{count} objects have neither a box nor an outline",
                 np.flatnonzero(without), lambda position: ids[owners[rows[position]]], split=split,
                 labels=labels[rows], classes=classes, cause="write bbox: [x, y, width, height]")  # fmt: skip
    return rows[~without]


def _compare_outlines(file: CocoFile, rows: NDArray[np.int64], tally: Tally) -> None:
    """Compares boxes with the extents of their polygons: the one or the other may be of images of another size.

    rows: of the objects with a usable box. A sample of them, evenly spread, is enough.
    """
    both = [row for row in rows.tolist() if isinstance(file.outlines[row], tuple)]
    sample = np.asarray(both[:: -(-len(both) // _COMPARED) or 1], np.int64)
    if not len(sample):
        return
    extents = np.asarray([extent_of(outline) for row in sample.tolist() if (outline := file.outlines[row]) is not None])
    boxes = np.concatenate([file.boxes[sample, :2], file.boxes[sample, :2] + file.boxes[sample, 2:]], axis=1)
    overlap = (np.minimum(boxes, extents)[:, 2:] - np.maximum(boxes, extents)[:, :2]).clip(0).prod(axis=1)
    union = sum((item[:, 2:] - item[:, :2]).prod(axis=1) for item in (boxes, extents)) - overlap
    far = (overlap < _LEAST_IOU * union) & (np.abs(boxes - extents).max(axis=1) > _ROUNDING)
    for row, box, extent in zip(sample[far], boxes[far], extents[far], strict=True):
        corners = (", ".join(f"{number:g}" for number in item) for item in (box, extent))
        message = (
            f"{{count}} objects have a box far from their outline ({len(sample):,} are compared): one of the two is of "
            "another size of the image, or of another object; correct it, or take it out"
        )
        severity: Severity = "stop" if far.sum() > max(1, _DISAGREEING * len(sample)) else "note"
        example = "image {!r}: the box is {}, the outline's extent {} (x1, y1, x2, y2)"
        tally.add("box-and-outline-differ", severity, message, example.format(file.image_of[row], *corners)[:300])


def _note_corners(boxes: NDArray[np.float64], sizes: NDArray[np.int64], tally: Tally, name: str) -> None:
    """A stop where the numbers are corners (x1, y1, x2, y2): as width and height they leave the images.

    boxes: [N,4] as written; sizes: [N,2] (height, width) as stated, 0 where unknown.
    """
    sure = np.isfinite(boxes).all(axis=1) & (sizes > 0).all(axis=1)
    boxes, limits = boxes[sure], sizes[sure][:, ::-1] + 1
    if not len(boxes):
        return
    outside = (boxes[:, :2] + boxes[:, 2:] > limits).any(axis=1)
    corners = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, 2:] <= limits).all() and (boxes[:, 2:] > 2).all()
    if corners and outside.sum() > max(1, _CORNERS * len(boxes)):
        message = (
            "{count} boxes reach outside as x, y, width, height, and none as corners x1, y1, x2, y2: the numbers are "
            "corners; write width and height instead"
        )
        tally.add("box-of-corners", "stop", message, name, int(outside.sum()))

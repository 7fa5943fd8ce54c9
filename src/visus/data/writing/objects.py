"""The objects of an image as annotation files hold them: boxes, outlines as polygons or run lengths, and points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.outlined_objects import DetectionSource
from visus.data.writing.shapes import Shape, shape_extent
from visus.errors import TaskMismatchError
from visus.structures import Detections, Landmarks, Sample
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.outlines import Piece

"""The class of objects of which only points are known."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageObjects:
    """What is known of the objects of one image.

    Args:
        size: (height, width) in pixels.
        boxes: [N,4] float64 xyxy in pixels.
        labels: [N] class ids.
        ignored: [N]: objects that count neither as hit nor as miss.
        outlines: N shapes; None for an object without.
        points: of the object ``pointed``; None where no point is known.
        pointed: the position of that object, or None.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    outlines: tuple[Shape | None, ...]
    points: Landmarks | None = None
    pointed: int | None = None

    def __len__(self) -> int:
        return len(self.labels)


def read_objects(sample: Sample, task: str, pointed_class: int | None = None) -> ImageObjects:
    """The objects of a sample.

    Of a class map every edge-connected piece of a class is one, but none of classes named background; of class masks
    that share pixels all pixels of a class are one.

    Args:
        sample: with a target for the task.
        task: "detection", "instance_segmentation", "landmarks" (points of objects, with or without boxes), or one of
            the two of segmentation.
        pointed_class: the class of the objects that have points; None: of any.

    Raises:
        DataError: if a target cannot be read.
    """
    if task in ("segmentation", "multilabel_segmentation"):
        return _of_map(sample, task)
    points: Landmarks | None = sample.target("landmarks") if task == "landmarks" else None
    if "detection" in sample.targets:
        objects = _of_detections(sample)
    elif points is not None:
        box = extent(points)
        boxes = np.zeros((0, 4)) if box is None else box[None]
        count = len(boxes)
        objects = ImageObjects(points.size, boxes, np.zeros(count, np.int64), np.zeros(count, bool), (None,) * count)
    else:
        raise TaskMismatchError(f"{sample.id} has neither boxes nor points", got=", ".join(sample.targets))
    if points is None or not points.visible.any():
        return objects
    pointed = _holder(objects, points, pointed_class)
    return ImageObjects(objects.size, objects.boxes, objects.labels, objects.ignored, objects.outlines, points, pointed)


def object_classes(classes: Sequence[str], task: str) -> tuple[str, ...]:
    """The classes that objects are of: those of a map without the ones named background."""
    return tuple(name for name in classes if task != "segmentation" or name.lower() not in BACKGROUND_NAMES)


def _of_map(sample: Sample, task: str) -> ImageObjects:
    value = sample.target(task)
    if task == "segmentation":
        pieces = list(value.outlined())
    else:
        pieces = [Piece(label, (0, 0), mask, None) for label, mask in enumerate(value.masks) if mask.any()]
    kept = object_classes(value.classes, task)
    ids = {label: kept.index(name) for label, name in enumerate(value.classes) if name in kept}
    boxes = np.asarray([shape_extent(piece, value.size) for piece in pieces], np.float64).reshape(-1, 4)
    labels = np.asarray([ids[piece.label] for piece in pieces], np.int64)
    return ImageObjects(value.size, boxes, labels, np.zeros(len(labels), bool), tuple(pieces))


def _of_detections(sample: Sample) -> ImageObjects:
    held: Any = sample.targets["detection"]
    stated = isinstance(held, DetectionSource)  # it has the outlines of the annotation file, before they are drawn
    value: Detections = sample.target("detection", masks=not stated)
    outlines: tuple[Shape | None, ...] = (None,) * len(value)
    if stated:
        outlines = held.objects.outlines_in_pixels() or outlines
    else:
        pieces = value.outlined()
        outlines = outlines if pieces is None else tuple(piece if piece.mask.any() else None for piece in pieces)
    ignored = np.zeros(len(value), bool) if value.ignored is None else value.ignored
    return ImageObjects(value.size, value.boxes.astype(np.float64), value.labels, ignored, outlines)


def extent(points: Landmarks) -> NDArray[np.float64] | None:
    """[4] the box around the visible points, at least a pixel wide and high and within the image; None if there are
    none."""
    seen = points.points[points.visible].astype(np.float64)
    if not len(seen):
        return None
    limit = np.asarray(points.size[::-1], np.float64)
    low, high = seen.min(axis=0), seen.max(axis=0)
    missing = np.maximum(1 - (high - low), 0) / 2
    low, high = np.clip(low - missing, 0, limit - 1), high + missing
    return np.concatenate([low, np.clip(np.maximum(high, low + 1), 1, limit)])


def _holder(objects: ImageObjects, points: Landmarks, pointed_class: int | None) -> int | None:
    """The largest object that counts, of those of the class whose boxes hold most of the visible points."""
    may = ~objects.ignored
    if pointed_class is not None:
        may &= objects.labels == pointed_class
    if not may.any():
        return None
    seen = points.points[points.visible]
    low, high = objects.boxes[:, None, :2], objects.boxes[:, None, 2:]
    held = ((seen >= low) & (seen <= high)).all(axis=2).sum(axis=1)
    areas = (objects.boxes[:, 2:] - objects.boxes[:, :2]).prod(axis=1)
    order = np.lexsort((areas, np.where(may, held, -1)))
    return int(order[-1])

"""Objects of one image whose masks are drawn from outlines only when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.windowed_outlines import Corner, cut_to_pixels, draw_polygons, draw_runs
from visus.data.object_separation import separate_objects
from visus.errors import DataError
from visus.structures import IGNORE, Detections, ImageSource, Masks, MultiLabelMap, SegmentationMap

BACKGROUND = "background"

OBJECT = "object"
"""The class of objects that no label names."""
MULTILABEL = "multilabel_segmentation"
"""The task of classes that may share pixels; offered where there are two or more."""

Outline = tuple[NDArray[np.float64], ...] | dict[str, Any]
"""Polygons, each [P,2] points (x, y); or COCO's run-length code: {"size": [h, w], "counts": text, bytes or list}."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of one image, before their masks are drawn.

    Args:
        image: where the pixels are; asked for its size when ``size`` is None.
        classes: names of all K classes.
        boxes: [N,4] float32 xyxy; in pixels, or in fractions of the image when ``size`` is None.
        labels: [N] int64 class ids.
        ignored: [N] bool, or None.
        outlines: N outlines in the unit of the boxes (None for an object without), or None where no object has one.
        size: (height, width) in pixels as the annotation states it, or None.
    """

    image: ImageSource
    classes: tuple[str, ...]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_] | None = None
    outlines: tuple[Outline | None, ...] | None = None
    size: tuple[int, int] | None = None

    def in_pixels(self) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """boxes [N,4] in pixels and the size of the image."""
        if self.size is not None:
            return self.boxes, self.size
        height, width = self.image.size()
        return self.boxes * np.asarray([width, height, width, height], np.float32), (height, width)

    @property
    def bare(self) -> NDArray[np.bool_]:
        """[N]: the objects without an outline."""
        if self.outlines is None:
            return np.ones(len(self.labels), bool)
        return np.asarray([outline is None for outline in self.outlines], bool)

    def without_marks(self) -> Objects:
        """The same objects, none of them ignored."""
        return self if self.ignored is None else replace(self, ignored=np.zeros(len(self.labels), bool))

    def outlines_in_pixels(self) -> tuple[Outline | None, ...] | None:
        """The N outlines with polygons in pixels; None if no object has one."""
        if self.outlines is None or self.size is not None:
            return self.outlines
        sides = np.asarray(self.image.size()[::-1])
        return tuple(
            outline if outline is None or isinstance(outline, dict) else tuple(part * sides for part in outline)
            for outline in self.outlines
        )

    def masks(self) -> Masks | None:
        """The N masks; an object without an outline fills its box. None if no object has one."""
        return None if self.outlines is None else self.drawn()

    def drawn(self) -> Masks:
        """The N masks; an object without an outline fills its box."""
        boxes, size = self.in_pixels()
        scale = (1.0, 1.0) if self.size is not None else (float(size[1]), float(size[0]))
        placed: list[tuple[Corner, NDArray[np.bool_]]] = []
        for outline, box in zip(self.outlines or (None,) * len(self.labels), boxes, strict=True):
            placed.append(_fill_box(box, size) if outline is None else _place_outline(outline, size, scale))
        return cut_to_pixels(placed, size)


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSource:
    """The objects of an image as boxes with classes, and masks where there are outlines."""

    objects: Objects

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all K classes."""
        return self.objects.classes

    @property
    def labels(self) -> NDArray[np.int64]:
        """[N] class ids, known without reading a file."""
        return self.objects.labels

    def load(self) -> Detections:
        """The detections; raises DataError when the image's size or an outline cannot be read."""
        return replace(self.load_boxes(), masks=self.objects.masks())

    def load_boxes(self) -> Detections:
        """The detections without masks; raises DataError when the size of the image cannot be read."""
        boxes, size = self.objects.in_pixels()
        objects = self.objects
        return Detections(objects.classes, boxes, objects.labels, size, ignored=objects.ignored)

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """(height, width) to which the boxes were held; None where they are in fractions, or there are none."""
        return self.objects.size if len(self.labels) else None

    @property
    def ignored(self) -> NDArray[np.bool_] | None:
        """[N]: the objects that do not count, known without reading a file."""
        return self.objects.ignored

    def without_marks(self) -> DetectionSource:
        """The same objects, none of them ignored."""
        return replace(self, objects=self.objects.without_marks())


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMapSource:
    """The objects of an image as a map: background is class 0, object class k becomes k + 1.

    Larger objects are drawn first, so that what lies on them stays visible; ignored objects (crowds) become 255, and so
    do the boxes of objects without an outline.

    separation: how touching objects stay apart, one of ``data.object_separation.SEPARATIONS``; a border is the last of
    the classes.
    """

    objects: Objects
    classes: tuple[str, ...]
    separation: str = "merge"

    def load(self) -> SegmentationMap:
        """The map; raises DataError when the image's size or an outline cannot be read."""
        _, size = self.objects.in_pixels()
        masks = self.objects.drawn()
        ids = self.objects.labels + 1
        if self.objects.ignored is not None:
            ids = np.where(self.objects.ignored, IGNORE, ids)
        ids = np.where(self.objects.bare, IGNORE, ids)
        drawn, numbers = np.zeros(size, np.uint8), np.zeros(size, np.int32)
        for index in np.argsort(-masks.areas(), kind="stable").tolist():
            window, mask = masks.pasted(index)
            drawn[window][mask] = ids[index]
            numbers[window][mask] = 0 if ids[index] == IGNORE else index + 1
        return SegmentationMap(
            self.classes, separate_objects(drawn, numbers, self.separation, border=len(self.classes) - 1)
        )

    def separated(self, how: str, classes: tuple[str, ...]) -> ObjectMapSource:
        """The same map with another way to separate touching objects."""
        return replace(self, separation=how, classes=classes)

    def without_marks(self) -> ObjectMapSource:
        """The same map with no object ignored that has an outline."""
        return replace(self, objects=self.objects.without_marks())


@dataclass(frozen=True, slots=True, eq=False)
class ObjectLabelsSource:
    """The objects of an image as one mask for each class; a pixel of several objects has all their classes.

    Where a class is covered by ignored objects (crowds) or objects without an outline only, it does not count.
    """

    objects: Objects

    def load(self) -> MultiLabelMap:
        """The map; raises DataError when the image's size or an outline cannot be read."""
        objects = self.objects
        _, size = objects.in_pixels()
        shape = (len(objects.classes), *size)
        masks, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
        drawn, bare = objects.drawn(), objects.bare
        for index, label in enumerate(objects.labels.tolist()):
            crowd = objects.ignored is not None and bool(objects.ignored[index])
            window, mask = drawn.pasted(index)
            (ignored if crowd or bare[index] else masks)[label][window] |= mask
        ignored &= ~masks
        return MultiLabelMap(objects.classes, masks, ignored=ignored if ignored.any() else None)

    def without_marks(self) -> ObjectLabelsSource:
        """The same masks with no object ignored that has an outline."""
        return replace(self, objects=self.objects.without_marks())


def draw_outline(outline: Outline, size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.bool_]:
    """[H,W] bool of polygons or a run-length code, with exactly the pixels that COCO's own code gives.

    Args:
        outline: polygons (x, y) or a run-length code.
        size: (height, width).
        scale: (horizontal, vertical) pixels for one unit of the polygons.

    Raises:
        DataError: if the run-length code is of another size or damaged.
    """
    (top, left), mask = _place_outline(outline, size, scale)
    whole = np.zeros(size, bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return whole


def _fill_box(box: NDArray[np.float32], size: tuple[int, int]) -> tuple[Corner, NDArray[np.bool_]]:
    """The pixels of a box, as the corner of a window, and the mask [h,w] in it."""
    left, right = (min(max(round(float(value)), 0), size[1]) for value in box[[0, 2]])
    top, bottom = (min(max(round(float(value)), 0), size[0]) for value in box[[1, 3]])
    return (top, left), np.ones((max(bottom - top, 0), max(right - left, 0)), np.bool_)


def _place_outline(
    outline: Outline, size: tuple[int, int], scale: tuple[float, float]
) -> tuple[Corner, NDArray[np.bool_]]:
    """The same as the corner of a window, and the mask [h,w] in it."""
    if not isinstance(outline, dict):
        return draw_polygons(outline, size, scale)
    stated = list(outline["size"])
    if stated != list(size):
        raise DataError("a run-length code does not fit its image", expected=f"{list(size)}", got=f"{stated}")
    runs = run_lengths(outline["counts"])  # checked here: they may lie
    if any(run < 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise DataError(
            "a run-length code is damaged", expected=f"runs that sum to {size[0] * size[1]}", got=f"{sum(runs)}"
        )
    return draw_runs(runs, size)


def polygons_area(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> int:
    """The pixels that :func:`draw_outline` fills; they are not drawn for it."""
    from faster_coco_eval.core import mask as coco_masks

    return int(coco_masks.area(_encode_polygons(polygons, size, (1.0, 1.0))))


def _encode_polygons(polygons: Sequence[NDArray[np.float64]], size: tuple[int, int], scale: tuple[float, float]) -> Any:
    """The run-length code of united polygons."""
    from faster_coco_eval.core import mask as coco_masks

    height, width = size
    # The C code walks along every edge, so corners at absurd distances are pulled in first.
    limit = np.asarray([width, height])
    rows = [np.clip(polygon * np.asarray(scale), -4 * limit, 5 * limit).reshape(-1).tolist() for polygon in polygons]
    return coco_masks.merge(coco_masks.frPyObjects(rows, height, width))


def run_lengths(counts: str | bytes | list[int]) -> list[int]:
    """The run lengths of a code, zeros first; raises DataError where its text is damaged."""
    if isinstance(counts, str | bytes):
        return _decompress(counts.encode("ascii", "replace") if isinstance(counts, str) else counts)
    if not all(isinstance(run, int) for run in counts):
        raise DataError("a run-length code is damaged", expected="whole numbers", got=str(counts)[:100])
    return [int(run) for run in counts]


def _decompress(text: bytes) -> list[int]:
    """COCO's text form of run lengths: 5 bits a character from 48 on, signed, each from the third on minus the one
    two before it."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value = shift = 0
        more = True
        while more:
            if position >= len(text) or not 48 <= text[position] < 48 + 64 or shift > 60:
                raise DataError("a run-length code is damaged", expected="COCO's text form", got=repr(text[:20]))
            digit = text[position] - 48
            value |= (digit & 0x1F) << shift
            more = bool(digit & 0x20)
            shift += 5
            position += 1
            if not more and digit & 0x10:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs

"""Whether a target can be used: is it readable, does it fit its image, what classes does it hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.boxes import TOLERANCE, mend_boxes
from visus.data.formats.reading import Tally
from visus.data.pixels.images import reading_raster
from visus.errors import VisusError
from visus.structures import Detections, Label, Landmarks, MultiLabelMap, SegmentationMap, Target, TargetSource


@dataclass(frozen=True, slots=True)
class TargetState:
    """What was found out about one target.

    Args:
        fault: "unreadable-target", "unexpected-values" (a mask with numbers or colours that no class has),
            "size-differs" (of another size than its image, so that it does not lie on it), or "" for one that fits.
        reason: one line about the fault.
        counts: [K] int64: 1 for the class of the image, objects of each class, or pixels of each class; None if faulty
            or not read.
        empty: an image without objects.
        box_faults: from kinds such as "box-outside" to numbers of boxes.
        stated: the size that the annotation states, where it is not the image's and the boxes fit all the same.
    """

    fault: str = ""
    reason: str = ""
    counts: NDArray[np.int64] | None = None
    empty: bool = False
    box_faults: tuple[tuple[str, int], ...] = ()
    stated: tuple[int, int] | None = None


def examine_target(
    target: Target | TargetSource, size: tuple[int, int], classes: tuple[str, ...], *, read: bool
) -> TargetState:
    """The state of a target.

    Args:
        target: the target, or what reads it.
        size: (height, width) of the image.
        classes: all K names of the task.
        read: read a target that is not in memory. Otherwise only the classes that its source knows beforehand are
            counted.
    """
    if not isinstance(target, Target):
        if not read:
            return _foreseen(target, len(classes))
        source = target
        try:
            target = source.load()
        except (VisusError, OSError) as error:
            return _unreadable(source, error, size)
    if isinstance(target, Label):
        return _of_known_classes([target.index], len(classes))
    if isinstance(target, Detections):
        return _examine_detections(target, size, len(classes))
    if isinstance(target, Landmarks):
        return _examine_landmarks(target, size)
    if isinstance(target, MultiLabelMap):
        return _examine_multilabel(target, size)
    return _examine_map(target, size, classes)


def mend_detections(found: Detections) -> tuple[Detections, tuple[tuple[str, int], ...]]:
    """Detections whose boxes lie in their image and have an area, and how many of each kind were mended.

    The rules are those of :func:`visus.data.formats.boxes.mend_boxes`; the same value comes back if nothing was wrong.
    """
    low, high = found.boxes[:, :2], found.boxes[:, 2:]
    limit = np.asarray([found.size[1], found.size[0]], np.float32)
    if bool(((low >= 0) & (low < high) & (high <= limit)).all()):
        return found, ()
    tally = Tally()
    boxes, kept = mend_boxes(found.boxes.astype(np.float64), found.size, tally, "")
    return replace(found.select(kept), boxes=boxes), tuple((item.kind, item.count) for item in tally.findings())


def _foreseen(source: TargetSource, count: int) -> TargetState:
    """What a source says of its classes without reading a file."""
    labels = getattr(source, "labels", None)
    return TargetState() if labels is None else _of_known_classes(labels, count, may_be_empty=True)


def _of_known_classes(labels: Iterable[int], count: int, *, may_be_empty: bool = False) -> TargetState:
    ids = np.asarray(labels, np.int64)
    if len(ids) and int(ids.max()) >= count:
        return TargetState("unreadable-target", f"class id {int(ids.max())}, but there are {count} classes")
    return TargetState(counts=np.bincount(ids, minlength=count), empty=may_be_empty and not len(ids))


def _examine_detections(found: Detections, size: tuple[int, int], count: int) -> TargetState:
    stated = found.size if found.size != size else None
    if stated is not None:
        sound = mend_detections(found)[0].boxes
        reach = (sound[:, 2:] - np.asarray(size[::-1], np.float32)).max(initial=0)
        if reach > TOLERANCE or found.masks is not None:
            return TargetState("size-differs", _sizes(found.size, size))
    _, faults = mend_detections(found)
    state = _of_known_classes(found.labels, count, may_be_empty=True)
    return replace(state, box_faults=faults, stated=stated)


def _examine_landmarks(found: Landmarks, size: tuple[int, int]) -> TargetState:
    if found.size != size:
        return TargetState("size-differs", _sizes(found.size, size))
    outside = found.visible & ~((found.points >= 0) & (found.points <= (size[1], size[0]))).all(axis=1)
    if outside.any():
        names = ", ".join(found.classes[k] for k in np.flatnonzero(outside)[:3])
        return TargetState("unreadable-target", f"points outside of the image: {names}")
    return TargetState(counts=found.visible.astype(np.int64), empty=not found.visible.any())


def _examine_map(found: SegmentationMap, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:
    if found.size != size:
        return TargetState("size-differs", _sizes(found.size, size))
    values = np.bincount(found.map.ravel(), minlength=256).astype(np.int64)
    if int(values[len(classes) : -1].sum()):
        return TargetState("unexpected-values", f"class ids up to {int(np.flatnonzero(values[:-1]).max())}")
    background = 1 if classes[0].lower() == "background" else 0
    return TargetState(counts=values[: len(classes)], empty=not int(values[background : len(classes)].sum()))


def _examine_multilabel(found: MultiLabelMap, size: tuple[int, int]) -> TargetState:
    if found.size != size:
        return TargetState("size-differs", _sizes(found.size, size))
    counts = np.asarray(list(found.areas().values()), np.int64)
    return TargetState(counts=counts, empty=not counts.any())


def _unreadable(source: TargetSource, error: Exception, size: tuple[int, int]) -> TargetState:
    """Tells a target of another size and one with values that no class has from one that is damaged."""
    reason = (error.got if isinstance(error, VisusError) else "") or str(error)
    path = getattr(source, "path", None)
    if isinstance(path, Path):
        try:
            with reading_raster(path) as raster:
                own = (raster.height, raster.width)
                raster.load()
        except VisusError:
            return TargetState("unreadable-target", reason)
        if own != size:
            return TargetState("size-differs", _sizes(own, size))
        return TargetState("unexpected-values", reason)
    return TargetState("unreadable-target", reason)


def _sizes(stated: tuple[int, int], actual: tuple[int, int]) -> str:
    sizes = f"{stated[0]} x {stated[1]} (height x width), the image {actual[0]} x {actual[1]}"
    return f"{sizes}: labelled before its EXIF rotation was applied?" if stated == actual[::-1] else sizes

"""Makes targets of instance segmentation of detection data whose objects have outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Dataset, Finding
from visus.data.formats.objects.outlined_objects import DetectionSource
from visus.data.messages import counted
from visus.structures import Detections, Masks, Sample, TargetSource, Value
from visus.structures.sample import is_outlined_source, is_target_source

INSTANCES = "instance_segmentation"

BARE = "object-without-outline"
"""The finding that names objects without an outline; readers count them under it, too."""

SLACK = 1.0
"""Pixels by which a mask may reach beyond its box: the corners of polygons lie between pixels."""


@dataclass(frozen=True, slots=True)
class InstanceSource:
    """Reads the objects of an image with their masks.

    Args:
        source: of the detections.
    """

    source: TargetSource

    def load(self) -> Detections:
        """The objects, each with a mask; see :func:`as_instances`.

        Raises:
            DataError: when the target cannot be read.
        """
        if isinstance(self.source, DetectionSource):
            objects = self.source.objects
            value = replace(self.source.load_boxes(), masks=objects.drawn())
            return as_instances(value, bare=objects.bare)
        return as_instances(self.source.load())

    def load_boxes(self) -> Detections:
        """The same without masks, and with boxes as they are written; raises as :meth:`load`."""
        if not isinstance(self.source, DetectionSource):
            return self.source.load_boxes() if is_outlined_source(self.source) else self.load().without_masks()
        return _ignoring(self.source.load_boxes(), self.source.objects.bare)

    def without_marks(self) -> InstanceSource:
        """The same with no object marked as crowd or difficult."""
        unmarked = getattr(self.source, "without_marks", None)
        return self if unmarked is None else replace(self, source=unmarked())

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """[N] class ids where they are known without reading a file, else None."""
        return getattr(self.source, "labels", None)

    @property
    def stated_size(self) -> tuple[int, int] | None:
        """(height, width) to which the boxes were held, where the source states it, else None."""
        return getattr(self.source, "stated_size", None)


def as_instances(objects: Detections, bare: NDArray[np.bool_] | None = None) -> Detections:
    """Objects as targets of a network that learns masks.

    An object without an outline, or with one that covers no pixel, is ignored: nothing can be said of its mask. The
    others have the box of their mask where the mask reaches out of its box by more than a pixel.

    Args:
        objects: with masks; those without an outline have any.
        bare: [N] the objects without an outline; None: all of them if ``objects`` has no masks, else none.
    """
    if objects.masks is None:
        bare = np.ones(len(objects), bool)
        masks = Masks.empty(objects.size) if not len(objects) else _boxes_as_masks(objects)
        objects = replace(objects, masks=masks)
    masks = objects.masks if objects.masks is not None else Masks.empty(objects.size)
    extents = masks.extents()
    empty = extents[:, 2] <= extents[:, 0]
    without = empty if bare is None else empty | bare
    low, high = extents[:, :2], extents[:, 2:]
    outside = (low < objects.boxes[:, :2] - SLACK).any(axis=1) | (high > objects.boxes[:, 2:] + SLACK).any(axis=1)
    outside &= ~without
    if outside.any():
        objects = replace(objects, boxes=np.where(outside[:, None], extents, objects.boxes).astype(np.float32))
    return _ignoring(objects, without)


def with_instances(dataset: Dataset) -> Dataset:
    """Adds the task "instance_segmentation" to a data set whose objects have outlines.

    Objects without an outline are a stop that names them: whoever accepts it trains with them ignored, neither as
    objects nor as background. Where no object has an outline, the task is withheld. The labels of files that must be
    read first have an outline for each object.
    """
    if "detection" not in dataset.classes:
        return dataset
    splits: dict[str, list[Sample]] = {}
    bare: list[tuple[str, str]] = []
    marked: list[str] = []
    total = 0
    unknown = False
    for split, samples in dataset.splits.items():
        changed = []
        for sample in samples:
            if "detection" not in sample.targets:
                changed.append(sample)
                continue
            held: Any = sample.targets["detection"]
            told = _bare_objects(held)
            unknown |= told is None
            marked += [sample.id] * _marked_and_bare(held)
            if told is not None:
                total += len(told)
                bare += [(sample.id, name) for name in told if name]
            target: Value | TargetSource = InstanceSource(held) if is_target_source(held) else as_instances(held)
            changed.append(replace(sample, targets={**sample.targets, INSTANCES: target}))
        splits[split] = changed
    if not unknown and len(bare) == total:
        reason = (
            f"none of the {counted(total, 'objects')} has an outline" if total else "there is no object with an outline"
        )
        return replace(dataset, withheld={**dataset.withheld, INSTANCES: reason})
    findings = tuple(finding for finding in dataset.findings if finding.kind != BARE)
    if bare:
        message = (
            f"{{count}} of {counted(total, 'objects')} have no outline, and no mask is made of a box: draw their "
            "outlines, or "
            "train for detection"
        )
        named = [f"{file}: {name}" for file, name in bare]
        found = Finding.about(BARE, "stop", message, [file for file, _ in bare], named)
        findings = (replace(found, acceptable=True), *findings)
    if marked:
        message = "{count} objects that are marked as not to be counted have no outline: no option makes them count"
        findings = (*findings, Finding.about("marked-without-outline", "note", message, marked))
    classes = {**dataset.classes, INSTANCES: dataset.classes["detection"]}
    return replace(dataset, splits=splits, classes=classes, findings=findings)


def _bare_objects(held: Value | TargetSource) -> list[str] | None:
    """The name of each object that counts and has no outline, "" for the others that count.

    None where a file has to be read first: those formats have a mask for each object.
    """
    if isinstance(held, DetectionSource):
        objects = held.objects
        return list(_names(objects.classes, objects.labels, objects.ignored, objects.bare))
    if is_target_source(held):
        return None
    value = cast("Detections", held)  # the target of detection
    return list(_names(value.classes, value.labels, value.ignored, np.full(len(value), value.masks is None)))


def _marked_and_bare(held: Value | TargetSource) -> int:
    """How many objects are marked as not to be counted, and have no outline; 0 where a file has to be read first."""
    if not isinstance(held, DetectionSource) or held.objects.ignored is None:
        return 0
    return int((held.objects.ignored & held.objects.bare).sum())


def _names(
    classes: Sequence[str], labels: NDArray[np.int64], ignored: NDArray[np.bool_] | None, bare: NDArray[np.bool_]
) -> Iterator[str]:
    for i, label in enumerate(labels.tolist()):
        if ignored is None or not ignored[i]:
            yield f"object {i + 1} ({classes[label]})" if bare[i] else ""


def _ignoring(objects: Detections, which: NDArray[np.bool_]) -> Detections:
    if not which.any():
        return objects
    return replace(objects, ignored=which if objects.ignored is None else objects.ignored | which)


def _boxes_as_masks(objects: Detections) -> Masks:
    """The boxes as masks of ignored objects."""
    limits = np.asarray([objects.size[1], objects.size[0]] * 2)
    corners = np.clip(np.round(objects.boxes), 0, limits).astype(int)
    crops = tuple(np.ones((max(y2 - y1, 0), max(x2 - x1, 0)), bool) for x1, y1, x2, y2 in corners.tolist())
    return Masks(crops, corners.astype(np.float64), objects.size)

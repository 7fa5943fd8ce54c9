"""Makes localisation targets of detection data: the largest object of each image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visus.data.dataset import Dataset, Finding
from visus.structures import Detections, TargetSource, Value
from visus.structures.sample import is_outlined_source, is_target_source

LOCALIZATION = "localization"


@dataclass(frozen=True, slots=True)
class LargestObject:
    """Reads the largest object of an image's detections.

    Args:
        source: of all objects.
    """

    source: TargetSource

    def load(self) -> Detections:
        """At most one object: the largest that counts, else the largest ignored one, else none.

        Raises:
            DataError: when the target cannot be read.
        """
        return self.load_boxes()

    def without_marks(self) -> LargestObject:
        """The same with no object marked as crowd or difficult."""
        unmarked = getattr(self.source, "without_marks", None)
        return self if unmarked is None else replace(self, source=unmarked())

    def load_boxes(self) -> Detections:
        """The same; masks are not read."""
        return largest(self.source.load_boxes() if is_outlined_source(self.source) else self.source.load())


def largest(objects: Detections) -> Detections:
    """The largest object that counts, without its mask; the largest ignored one if none counts."""
    objects = objects.without_masks()
    if len(objects) < 2:
        return objects
    areas = (objects.boxes[:, 2:] - objects.boxes[:, :2]).prod(axis=1)
    if objects.ignored is not None and not objects.ignored.all():
        areas = np.where(objects.ignored, -np.inf, areas)
    return objects.select(np.asarray([int(areas.argmax())]))


def with_largest(dataset: Dataset) -> Dataset:
    """Adds the task "localization" to a data set with boxes; a finding counts images with several objects.

    The largest object of each image is its target. Whatever the others are, they are in the picture and not in the
    truth: a data set with many such images is better trained for detection.
    """
    if "detection" not in dataset.classes:
        return dataset
    crowded: list[str] = []
    splits = {}
    for split, samples in dataset.splits.items():
        changed = []
        for sample in samples:
            if "detection" not in sample.targets:
                changed.append(sample)
                continue
            source: Any = sample.targets["detection"]
            labels = getattr(source, "labels", None)  # None where a file has to be read first
            if labels is not None and len(labels) > 1:
                crowded.append(sample.id)
            held: Value | TargetSource = LargestObject(source) if is_target_source(source) else largest(source)
            changed.append(replace(sample, targets={**sample.targets, LOCALIZATION: held}))
        splits[split] = changed
    findings = dataset.findings
    if crowded:
        message = "{count} images have several objects; of each only the largest counts in localization"
        findings = (*findings, Finding.about("several-objects", "note", message, crowded))
    classes = {**dataset.classes, LOCALIZATION: dataset.classes["detection"]}
    return replace(dataset, splits=splits, classes=classes, findings=findings)

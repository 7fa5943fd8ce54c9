"""One object an image, of data whose images may have several: the target of classification with localisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from visus.data.dataset import Dataset, Finding
from visus.errors import TaskMismatchError
from visus.structures import Detections, Target, TargetSource
from visus.structures.sample import OutlinedSource

LOCALIZATION = "localization"


@dataclass(frozen=True, slots=True)
class LargestObject:
    """Reads the largest object of an image's detections.

    Args:
        source: of all objects.
    """

    source: Target | TargetSource

    def load(self) -> Detections:
        """At most one object: the largest box of those that count; else an ignored one, else none.

        Raises:
            DataError: when the target cannot be read.
        """
        return self.load_boxes()

    def load_boxes(self) -> Detections:
        """The same; masks are not read."""
        return largest(_boxes(self.source))


def largest(found: Detections) -> Detections:
    """The largest box of those that count; the largest ignored one where none does; without masks."""
    found = replace(found, masks=None)
    if len(found) < 2:
        return found
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
    if found.ignored is not None and not found.ignored.all():
        areas = np.where(found.ignored, -np.inf, areas)
    return found.select(np.asarray([int(areas.argmax())]))


def with_largest(dataset: Dataset) -> Dataset:
    """The data set with "localization" among its tasks, if it has boxes; a finding says how many objects are left out.

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
            source = sample.targets["detection"]
            if _count(source) > 1:
                crowded.append(sample.id)
            held: Target | TargetSource = largest(source) if isinstance(source, Detections) else LargestObject(source)
            changed.append(replace(sample, targets={**sample.targets, LOCALIZATION: held}))
        splits[split] = changed
    findings = dataset.findings
    if crowded:
        message = "{count} images have several objects; of each only the largest counts in localization"
        findings = (*findings, Finding.about("several-objects", "note", message, crowded))
    classes = {**dataset.classes, LOCALIZATION: dataset.classes["detection"]}
    return replace(dataset, splits=splits, classes=classes, findings=findings)


def _boxes(source: Target | TargetSource) -> Detections:
    value = source.load_boxes() if isinstance(source, OutlinedSource) else source
    value = value if isinstance(value, Target) else value.load()
    if not isinstance(value, Detections):
        raise TaskMismatchError("localization needs boxes", expected="Detections", got=type(value).__name__)
    return value


def _count(source: Target | TargetSource) -> int:
    """How many objects an image has, as far as that is known without reading a file."""
    if isinstance(source, Detections):
        return len(source)
    labels = getattr(source, "labels", None)
    return 0 if labels is None else len(labels)

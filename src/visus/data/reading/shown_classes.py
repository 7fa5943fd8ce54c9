"""Makes targets of multi-label classification of boxes and masks: the classes that each image shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from visus.data.dataset import Dataset
from visus.data.formats.objects.outlined_objects import DetectionSource
from visus.structures import Detections, LabelSet, MultiLabelMap, SegmentationMap, TargetSource, Value
from visus.structures.class_names import BACKGROUND_NAMES, border_id
from visus.structures.sample import is_outlined_source, is_target_source

MULTILABEL_CLASSIFICATION = "multilabel_classification"


@dataclass(frozen=True, slots=True)
class ShownClasses:
    """Reads which classes an image shows from another target of the image.

    Args:
        source: of the boxes or the mask.
        shown: makes the set of labels.
    """

    source: TargetSource
    shown: Callable[[Any], LabelSet]

    def load(self) -> LabelSet:
        """The labels; raises DataError when the other target cannot be read."""
        return self.shown(self.source.load_boxes() if is_outlined_source(self.source) else self.source.load())


def of_objects(objects: Detections) -> LabelSet:
    """The classes of the objects; one that only ignored objects have (crowds, difficult ones) is not known."""
    return _of_labels(objects.classes, objects.labels, objects.ignored)


def of_mask(mask: SegmentationMap) -> LabelSet:
    """The classes of the pixels, without one that is named background or border."""
    ids = _told_ids(mask.classes)
    return LabelSet(tuple(mask.classes[i] for i in ids), mask.class_counts()[ids] > 0)


def of_masks(masks: MultiLabelMap) -> LabelSet:
    """The classes of the pixels; one that only ignored pixels might have is not known."""
    present = masks.class_counts() > 0
    ignored = None if masks.ignored is None else masks.ignored.any(axis=(1, 2)) & ~present
    return LabelSet(masks.classes, present, ignored=ignored)


_MAKERS: dict[str, Callable[[Any], LabelSet]] = {
    "detection": of_objects,
    "multilabel_segmentation": of_masks,
    "segmentation": of_mask,
}
"""From a task to what makes labels of its targets; the first task that the data have is taken."""


def with_shown_classes(dataset: Dataset) -> Dataset:
    """Adds the task "multilabel_classification" to a data set with boxes or masks."""
    task = next((name for name in _MAKERS if name in dataset.classes), None)
    if task is None:
        return dataset
    names = dataset.classes[task]
    if task == "segmentation":
        names = tuple(names[i] for i in _told_ids(names))
    splits = {}
    for split, samples in dataset.splits.items():
        splits[split] = [
            replace(sample, targets={**sample.targets, MULTILABEL_CLASSIFICATION: _made(sample.targets[task], task)})
            if task in sample.targets
            else sample
            for sample in samples
        ]
    return replace(dataset, splits=splits, classes={**dataset.classes, MULTILABEL_CLASSIFICATION: names})


def _made(held: Value | TargetSource, task: str) -> LabelSet | ShownClasses:
    """The labels, or what reads them; a source of objects that knows their classes needs not be read."""
    if not is_target_source(held):
        return _MAKERS[task](held)
    if isinstance(held, DetectionSource):
        return _of_labels(held.objects.classes, held.objects.labels, held.objects.ignored)
    return ShownClasses(held, _MAKERS[task])


def _told_ids(classes: Sequence[str]) -> list[int]:
    """The ids of the classes but background and border; where none is named so, the first class is one like others."""
    border = border_id(classes)
    return [i for i, name in enumerate(classes) if name.lower() not in BACKGROUND_NAMES and i != border]


def _of_labels(classes: tuple[str, ...], labels: Any, ignored: Any) -> LabelSet:
    ids = np.asarray(labels, np.int64)
    if ignored is None:
        return LabelSet.of_ids(classes, ids)
    return LabelSet.of_ids(classes, ids[~ignored], ids[ignored])

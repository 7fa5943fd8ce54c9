"""What a data set holds, counted once before it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from visus.data.dataset import Dataset
from visus.data.formats.labelled import reference_split
from visus.data.formats.objects.outlined_objects import OBJECT
from visus.data.object_separation import knows_objects
from visus.data.pixels.image_kinds import suffixes_of
from visus.data.pixels.images import is_turned
from visus.data.writing.objects import ImageObjects, object_classes, read_objects
from visus.data.writing.shapes import is_compound, shape_extent
from visus.errors import DataError
from visus.structures import IGNORE, Landmarks, MultiLabelMap, Sample, SegmentationMap

_LOCATED = frozenset({"detection", "instance_segmentation", "landmarks", "segmentation", "multilabel_segmentation"})
_WITH_EXIF = suffixes_of("JPEG", "WebP", "AVIF", "HEIF")

NOTICEABLE = 0.5
"""Pixels by which a box must differ from its outline to be counted."""


@dataclass(slots=True)
class Contents:
    """A data set and a task of it, with counts of what some formats cannot keep.

    Args:
        dataset: the samples that can be read.
        task: whose labels are written.
        classes: the names that are written.
        used: from split to the ids of the classes that its labels use.
        unreadable: what is wrong with the labels of each sample that is left out.
        pointed_class: the class of the objects that have points; None where no box is known.
        counts: by name, such as "ignored" or "holes"; see ``_look_at_objects`` and its like.
        longest_side: of all images, in pixels; 0 where sizes do not matter.
    """

    dataset: Dataset
    task: str
    classes: tuple[str, ...]
    used: dict[str, set[int]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    pointed_class: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    longest_side: int = 0

    @property
    def splits(self) -> Mapping[str, Sequence[Sample]]:
        """From split to samples."""
        return self.dataset.splits

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(map(len, self.splits.values()))

    @property
    def trained(self) -> set[int]:
        """The ids of the classes that the training split uses, from which most readers take their classes."""
        return self.used[reference_split(self.used)]

    @property
    def kept_tasks(self) -> set[str]:
        """The tasks whose targets follow from what is written, in a format that keeps outlines and points."""
        tasks = {self.task, "localization"}
        if self.task in ("landmarks", "instance_segmentation"):
            tasks.add("detection")
        if "detection" in tasks and knows_objects(self.dataset):
            tasks |= {"segmentation", "multilabel_segmentation"}
        return tasks

    @property
    def object_classes(self) -> tuple[str, ...]:
        """The names of the classes of :meth:`objects`."""
        return object_classes(self.classes, self.task)

    def objects(self, sample: Sample) -> ImageObjects:
        """The objects of a sample, as they are written; raises DataError when they cannot be read."""
        return read_objects(sample, self.task, self.pointed_class)


def contents_of(dataset: Dataset, task: str, *, as_objects: bool = False) -> Contents:
    """Reads all labels of a task once, and counts.

    Samples without a target for the task are no part of it, and those whose target cannot be read are left out.

    Args:
        dataset: what is to be written.
        task: one of its tasks.
        as_objects: whether class maps will be written as objects, so that these are counted, too.
    """
    boxed = "detection" in dataset.classes
    classes = dataset.classes[task]
    if task == "landmarks":
        classes = dataset.classes["detection"] if boxed else (OBJECT,)
    contents = Contents(dataset, task, classes)
    if task == "landmarks" and boxed:
        contents.pointed_class = _pointed_class(dataset)
    look = _LOOKS[task]
    splits: dict[str, list[Sample]] = {}
    for split, samples in dataset.splits.items():
        splits[split], contents.used[split] = [], set()
        for sample in samples:
            if task not in sample.targets:
                contents.counts["without-target"] += 1
                continue
            try:
                look(contents, split, sample)
                if task in _LOCATED:
                    contents.counts["turned"] += _is_turned(sample)
                if as_objects and task in ("segmentation", "multilabel_segmentation"):
                    _count_objects(contents, contents.objects(sample))
            except DataError as error:
                contents.unreadable[sample.id] = error.problem
            else:
                splits[split].append(sample)
    contents.dataset = replace(dataset, splits={name: part for name, part in splits.items() if part})
    contents.used = {split: contents.used[split] for split in contents.dataset.splits}
    return contents


def _is_turned(sample: Sample) -> bool:
    path = sample.image.path
    return path is not None and path.suffix.lower() in _WITH_EXIF and is_turned(path)


def _pointed_class(dataset: Dataset) -> int | None:
    """The class whose objects hold the points most often: one category of COCO has the points."""
    votes: Counter[int] = Counter()
    for samples in dataset.splits.values():
        for sample in samples:
            if {"landmarks", "detection"} <= sample.targets.keys():
                try:
                    objects = read_objects(sample, "landmarks")
                except DataError:
                    continue  # it is counted as unreadable
                if objects.pointed is not None:
                    votes[int(objects.labels[objects.pointed])] += 1
    return min(votes, key=lambda label: (-votes[label], label), default=None)


def _look_at_label(contents: Contents, split: str, sample: Sample) -> None:
    contents.used[split].add(int(sample.target("classification").index))


def _count_objects(contents: Contents, objects: ImageObjects) -> None:
    counts = contents.counts
    contents.longest_side = max(contents.longest_side, *objects.size)
    counts["objects"] += len(objects)
    counts["ignored"] += int(objects.ignored.sum())
    counts["without-object"] += not len(objects)
    fractional = (objects.boxes != np.round(objects.boxes)).any(axis=1)
    counts["fractional"] += int(fractional.sum())
    for box, outline in zip(objects.boxes, objects.outlines, strict=True):
        if outline is None:
            counts["boxes-alone"] += 1
            continue
        counts["outlines"] += 1
        counts["joined"] += is_compound(outline, objects.size)
        counts["other-boxes"] += not bool((np.abs(shape_extent(outline, objects.size) - box) <= NOTICEABLE).all())


def _look_at_label_set(contents: Contents, split: str, sample: Sample) -> None:
    contents.used[split] |= set(np.flatnonzero(sample.target("multilabel_classification").present).tolist())


def _look_at_objects(contents: Contents, split: str, sample: Sample) -> None:
    objects = contents.objects(sample)
    contents.used[split] |= set(objects.labels.tolist())
    _count_objects(contents, objects)
    if contents.task == "landmarks":
        points: Landmarks = sample.target("landmarks")
        contents.counts["without-point"] += not points.visible.any()
        contents.counts["points-without-box"] += bool(points.visible.any()) and objects.pointed is None
        contents.counts["boxes-of-points"] += "detection" not in sample.targets and bool(points.visible.any())


def _look_at_map(contents: Contents, split: str, sample: Sample) -> None:
    value: SegmentationMap = sample.target("segmentation")
    contents.used[split] |= set(np.flatnonzero(value.class_counts()).tolist())
    contents.counts["ignoring"] += int((value.map == IGNORE).any())


def _look_at_masks(contents: Contents, split: str, sample: Sample) -> None:
    value: MultiLabelMap = sample.target("multilabel_segmentation")
    contents.used[split] |= set(np.flatnonzero(value.masks.any(axis=(1, 2))).tolist())
    if value.ignored is not None:
        contents.counts["ignoring"] += 1
        contents.counts["ignoring-some"] += bool((value.ignored != value.ignored[:1]).any())


_LOOKS: Mapping[str, Callable[[Contents, str, Sample], None]] = {
    "classification": _look_at_label,
    "multilabel_classification": _look_at_label_set,
    "detection": _look_at_objects,
    "instance_segmentation": _look_at_objects,
    "landmarks": _look_at_objects,
    "segmentation": _look_at_map,
    "multilabel_segmentation": _look_at_masks,
}

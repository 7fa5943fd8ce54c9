"""Objects that their labels mark as not to be counted: COCO's crowds, VOC's difficult ones.

They are ignored, as their data sets' own evaluations do. But tools mark ordinary objects so too: masks of CVAT's brush,
of Datumaro, and of supervision where they have holes. Then the marks are to be taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, Self

from visus.data.dataset import Dataset, Finding
from visus.data.formats.objects.object_targets import IGNORED
from visus.data.messages import counted
from visus.errors import UsageError
from visus.structures import Sample, TargetSource, Value

CROWDS = {
    "ignore": "objects that are marked as crowds or difficult are neither hit nor miss",
    "objects": "objects that are marked as crowds or difficult count as all others do",
}
"""The ways, and what each does."""


class MarkedObjects(Protocol):
    """A source of targets that knows which objects are marked."""

    def without_marks(self) -> Self:
        """The same source, with no object marked."""


def has_marked_objects(dataset: Dataset) -> bool:
    """Whether objects of a data set are marked as not to be counted."""
    return any(finding.kind == IGNORED for finding in dataset.findings)


def with_crowds(dataset: Dataset, how: str | None) -> Dataset:
    """The data set with marked objects as asked; its task option "crowds" names the way where it is not the usual one.

    Args:
        dataset: opened.
        how: one of :data:`CROWDS`; None: "ignore".

    Raises:
        UsageError: if there is no such way, or objects are asked for and none is marked.
    """
    if how is not None and how not in CROWDS:
        raise UsageError("unknown way to take crowds", expected=" or ".join(CROWDS), got=how)
    if how != "objects":
        return dataset
    if not has_marked_objects(dataset):
        raise UsageError(
            f"no object of {dataset.name} is marked as crowd or difficult",
            expected="COCO's iscrowd or VOC's difficult",
            got=dataset.format,
            remedy="leave --crowds away",
        )
    splits = {name: _unmark(samples) for name, samples in dataset.splits.items()}
    findings = tuple(_as_counted(finding) if finding.kind == IGNORED else finding for finding in dataset.findings)
    options = {**dataset.task_options, "crowds": how}
    return replace(dataset, splits=splits, findings=findings, task_options=options)


def _as_counted(finding: Finding) -> Finding:
    marked = counted(finding.count, "objects that are")
    message = f"{marked} marked as crowds or difficult {'counts' if finding.count == 1 else 'count'} as all others do"
    return replace(finding, severity="note", message=message)


def _unmark(samples: Sequence[Sample]) -> list[Sample]:
    return [
        replace(sample, targets={task: _without_marks(target) for task, target in sample.targets.items()})
        for sample in samples
    ]


def _without_marks(target: Value | TargetSource) -> Value | TargetSource:
    unmarked = getattr(target, "without_marks", None)
    return target if unmarked is None else unmarked()

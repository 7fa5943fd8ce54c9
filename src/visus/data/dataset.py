"""A data set: samples in splits, the tasks that they allow, and the findings of the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from visus.data.pixels.intensity import PixelValues
from visus.errors import DataError, TaskMismatchError
from visus.structures import Sample
from visus.structures.task_cards import task_card

Severity = Literal["stop", "repair", "note"]

_SINGULAR = {"classes": "class", "points": "point", "words": "word", "identities": "identity"}

MOST_EXAMPLES = 20
"""As many file names are shown for one finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem or remark about a data set.

    Args:
        kind: a short stable name, such as "truncated-image" or "box-outside".
        severity: "stop" ends a training before it starts; "repair" is what visus repairs itself; "note" is only said.
        message: one line for people.
        count: how often it was seen.
        examples: the first file names (at most 20).
        samples: the ids of all samples concerned, where a repair leaves samples out; not part of :meth:`to_dict`.
        acceptable: whether a person may accept it although it is a stop, since only the share that is lost is too much.
    """

    kind: str
    severity: Severity
    message: str
    count: int
    examples: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    acceptable: bool = False

    @classmethod
    def about(
        cls, kind: str, severity: Severity, message: str, samples: Sequence[str], examples: Sequence[str] | None = None
    ) -> Finding:
        """A finding that counts its examples, or its samples where no examples are given.

        message: "{count}" in it is replaced. examples: all of them; the first are kept.
        """
        shown = samples if examples is None else examples
        text = message.replace("{count}", str(len(shown)))
        return cls(kind, severity, text, len(shown), tuple(shown[:MOST_EXAMPLES]), tuple(dict.fromkeys(samples)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; samples are left out."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "count": self.count,
            "examples": list(self.examples),
            "acceptable": self.acceptable,
        }


@dataclass(frozen=True, slots=True)
class Ledger:
    """What went in and what was used, by unit, with the reasons for the difference.

    Args:
        found: from unit to the number found.
        left: from unit to kinds of loss, each with its number.
    """

    found: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def used(self, unit: str) -> int:
        """How many of the things found are used."""
        return self.found[unit] - sum(self.left.get(unit, {}).values())

    def without(self, unit: str, reasons: Mapping[str, int]) -> Ledger:
        """The ledger with more that is not used: from each reason to a number."""
        if not reasons or unit not in self.found:
            return self
        return replace(self, left={**self.left, unit: {**self.left.get(unit, {}), **reasons}})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: for each unit found, used, and what was left by reason."""
        return {
            unit: {"found": count, "used": self.used(unit), "left": dict(self.left.get(unit, {}))}
            for unit, count in self.found.items()
        }

    def __str__(self) -> str:
        parts = []
        for unit, count in self.found.items():
            left = self.left.get(unit, {})
            used = f"{self.used(unit):,} of {count:,} {unit} used"
            reasons = ", ".join(f"{number:,} {kind}" for kind, number in left.items())
            parts.append(f"{used} (not used: {reasons})" if left else used)
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples in splits, with the classes of each task.

    Args:
        name: for run folders and reports.
        format: the reader that made it, such as "class-folders" or "voc".
        root: the folder or file it was read from; None for a data set in memory.
        classes: from task to the class names, in the order of their ids. Its keys are the tasks that the labels allow,
            the most specific kind of label first; the first is the default. A task that names no classes has ().
        splits: from "train", "val", "test" to samples, in a fixed order. Unlabelled images: the split "predict".
        made_splits: the names of the splits that were made here and not given by the data.
        findings: what the reader noticed and repaired.
        values: channels of the images, and what range their values fill.
        task_options: how the data were read for one task, such as {"touching": "gap"} (see ``data.object_separation``);
            empty where the task or the labels leave no choice.
        ledger: what was found in the files, and what of it is used.
        withheld: from a task that the labels nearly allow to the reason why they do not.
    """

    name: str
    format: str
    root: Path | None
    classes: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, Sequence[Sample]]
    made_splits: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    values: PixelValues = field(default=PixelValues())
    task_options: Mapping[str, str] = field(default_factory=dict)
    ledger: Ledger = field(default=Ledger())
    withheld: Mapping[str, str] = field(default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the labels allow; the first is the default."""
        return tuple(self.classes)

    def choose_task(self, task: str | None = None) -> str:
        """The task asked for, or the default one.

        Raises:
            TaskMismatchError: if the labels do not allow it.
        """
        if not self.tasks:
            raise TaskMismatchError(f"{self.name} has no labels that a task can learn from", got=self.format)
        if task is None:
            return self.tasks[0]
        if task not in self.tasks:
            raise TaskMismatchError(
                f"the labels of {self.name} do not allow {task}"
                + (f": {self.withheld[task]}" if task in self.withheld else ""),
                expected=" or ".join(self.tasks),
                got=task,
                remedy="choose one of these with --task, or add labels of that kind",
            )
        return task

    def split(self, name: str) -> Sequence[Sample]:
        """The samples of a split.

        Raises:
            DataError: if there is no such split.
        """
        if name not in self.splits:
            raise DataError(f"{self.name} has no split named {name}", expected=" or ".join(self.splits), got=name)
        return self.splits[name]

    def with_splits(self, splits: Mapping[str, Sequence[Sample]], made: tuple[str, ...] = ()) -> Dataset:
        """The same data set with other splits."""
        return replace(self, splits=splits, made_splits=made)

    def describe(self, task: str | None = None) -> str:
        """One line: classes, format and sizes, such as "3 classes in class-folder layout, 240 train / 60 val"."""
        task = self.choose_task(task)
        sizes = " / ".join(f"{len(samples)} {name}" for name, samples in self.splits.items())
        count = len(self.classes[task])
        made = f" ({', '.join(self.made_splits)} split off here)" if self.made_splits else ""
        noun = task_card(task).names
        named = f"{count} {_SINGULAR[noun] if count == 1 else noun} in " if noun else ""
        return f"{task}: {named}{self.format} layout, {sizes}{made}{self.values.describe()}"

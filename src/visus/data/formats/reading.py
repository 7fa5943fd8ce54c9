"""The contract of readers: a format with its functions, the reading it returns, and the tally that it keeps.

A reader tells what it found, what it could not use and why. It never decides whether that is much: one place judges
for all readers (:mod:`visus.data.reading.accounting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from visus.data.dataset import Finding, Severity
from visus.data.formats.listing import Listing
from visus.data.formats.texts.text_encoding import printable_name
from visus.data.messages import with_count
from visus.structures import Sample

ALL = "all"
"""The split name of samples that the data do not split."""

Unit = Literal["image files", "label files", "lines", "rows", "columns", "keys", "objects", "points"]
"""What a reader counts."""

_EXAMPLES = 20


@dataclass(slots=True)
class Loss:
    """What was found and not used, or used but changed, for one reason.

    Args:
        kind: a short stable name, such as "box-degenerate".
        unit: what is counted.
        message: one line with "{count}" (see ``data.messages``); it does not say what becomes of the training.
        changed: whether the things are used, but not as they were labelled.
        cause: the likely cause and what to do; shown where so many are concerned that a training stops.
        count: how many.
        groups: from (split, class name) to how many of them; "" where it is not known.
        examples: the first places, such as file names.
        tasks: the tasks that cannot use them, where others can; () for things that nothing uses. Where too many are
            lost for such a task, the data do not offer it.
    """

    kind: str
    unit: Unit
    message: str
    changed: bool = False
    cause: str = ""
    count: int = 0
    groups: dict[tuple[str, str], int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What a reader found and what it did not use.

    Args:
        found: from unit to the number found.
        losses: one for each reason.
        read: label files that were opened and understood.
        told: files that a loss names, so that nothing else needs to speak of them.
    """

    found: Mapping[Unit, int] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    read: frozenset[Path] = frozenset()
    told: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Reading:
    """A data set as a reader found it.

    Args:
        classes: from task to class names; the first task is the default (see ``Dataset.classes``).
        splits: "train", "val", "test" as given, or only :data:`ALL`; "predict" for unlabelled images.
        findings: what was noticed, without the losses.
        account: what was found, and what of it was not used.
    """

    classes: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, Sequence[Sample]]
    findings: tuple[Finding, ...] = ()
    account: Account = field(default=Account())


@dataclass(frozen=True, slots=True)
class Format:
    """One way of laying out a data set.

    Args:
        name: what ``--format`` takes.
        title: one line for people: what a folder of this format holds.
        recognise: whether a listing is of this format; looks at names and, where they do not tell, at a few files.
        read: the data set.
        fallback: asked only when no other format recognises the listing.
        near: why a listing that looks like this format is not quite one, in one line; "" where it does not look so.
        force: whether a listing may be read that is not recognised, when the format is asked for by its name.
        label_images: the image files of a recognised listing that are labels and no pictures of anything; None: the
            format has none.
    """

    name: str
    title: str
    recognise: Callable[[Listing], bool]
    read: Callable[[Listing], Reading]
    fallback: bool = False
    near: Callable[[Listing], str] | None = None
    force: Callable[[Listing], bool] | None = None
    label_images: Callable[[Listing], Iterable[Path]] | None = None


class Tally:
    """What a reader found, lost and noticed while it read."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._severities: dict[str, Severity] = {}
        self._messages: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}
        self._found: dict[Unit, int] = {}
        self._losses: dict[str, Loss] = {}
        self._read: set[Path] = set()
        self._told: set[Path] = set()

    def add(self, kind: str, severity: Severity, message: str, example: str = "", count: int = 1) -> None:
        """Notes ``count`` cases of what is no loss: a remark, or a contradiction that is a stop by itself.

        message: one line in which ``{count}`` is replaced by the sum of this kind.
        """
        self._counts[kind] = self._counts.get(kind, 0) + count
        self._severities[kind] = severity
        self._messages[kind] = message
        _remember(self._examples.setdefault(kind, []), example)

    def found(self, unit: Unit, count: int = 1) -> None:
        """Counts what went in. Report totals, not single objects: there may be a million."""
        self._found[unit] = self._found.get(unit, 0) + count

    def read(self, *paths: Path) -> None:
        """Names label files that were opened and understood."""
        self._read.update(paths)

    def lose(
        self,
        kind: str,
        message: str,
        example: str = "",
        count: int = 1,
        *,
        unit: Unit = "objects",
        split: str = "",
        label: str = "",
        cause: str = "",
        file: Path | None = None,
        tasks: tuple[str, ...] = (),
    ) -> None:
        """Notes ``count`` things that were found and are not used, for one reason.

        Args:
            kind: the reason's short stable name.
            message: one line in which ``{count}`` is replaced by the sum of this kind.
            example: where, such as the file's name.
            count: how many.
            unit: what is counted.
            split: where it lies; "" if not known.
            label: the class's name; "" if not known.
            cause: the likely cause and what to do, shown where so many are lost that a training stops.
            file: a file that is not used at all because of this.
            tasks: see :class:`Loss`.
        """
        self._note(Loss(kind, unit, message, cause=cause, tasks=tasks), example, count, split, label)
        if file is not None:
            self._told.add(file)

    def change(
        self,
        kind: str,
        message: str,
        example: str = "",
        count: int = 1,
        *,
        unit: Unit = "objects",
        split: str = "",
        label: str = "",
        cause: str = "",
    ) -> None:
        """Notes ``count`` things that are used, but not as they were labelled; see :meth:`lose`."""
        self._note(Loss(kind, unit, message, changed=True, cause=cause), example, count, split, label)

    def lose_images(
        self,
        names: Iterable[str],
        split: str = "",
        *,
        cause: str = "add the files, or correct the paths that the labels name",
    ) -> None:
        """Notes annotated images whose files are absent; see :meth:`lose`."""
        for name in names:
            message = "{count} annotated images are missing"
            self.lose("missing-image", message, name, unit="image files", split=split, cause=cause)

    def lose_file(self, path: Path, reason: str, split: str = "") -> None:
        """Notes a label file that cannot be read, and why; see :meth:`lose`."""
        message = "{count} label files cannot be read"
        self.lose("unreadable-annotation", message, reason, unit="label files", split=split, file=path)

    def _note(self, new: Loss, example: str, count: int, split: str, label: str) -> None:
        loss = self._losses.setdefault(new.kind, new)
        loss.count += count
        loss.groups[split, label] = loss.groups.get((split, label), 0) + count
        _remember(loss.examples, example)

    def count(self, kind: str) -> int:
        """The number of cases of a kind."""
        return self._counts.get(kind, 0) + (self._losses[kind].count if kind in self._losses else 0)

    def examples(self, kind: str) -> list[str]:
        """The first places of a kind."""
        return [*self._examples.get(kind, ()), *(self._losses[kind].examples if kind in self._losses else ())]

    def findings(self) -> tuple[Finding, ...]:
        """One finding a kind of :meth:`add`, in the order in which the kinds were first noted."""
        return tuple(
            Finding(
                kind=kind,
                severity=self._severities[kind],
                message=with_count(self._messages[kind], count),
                count=count,
                examples=tuple(self._examples[kind]),
            )
            for kind, count in self._counts.items()
        )

    def reading(self, classes: Mapping[str, tuple[str, ...]], splits: Mapping[str, Sequence[Sample]]) -> Reading:
        """The reading with these classes and splits, and all that was tallied."""
        account = Account(dict(self._found), tuple(self._losses.values()), frozenset(self._read), frozenset(self._told))
        return Reading(classes, splits, self.findings(), account)


def _remember(examples: list[str], example: str) -> None:
    if example and len(examples) < _EXAMPLES:
        shown = printable_name(example)
        if shown not in examples:
            examples.append(shown)

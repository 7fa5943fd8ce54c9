"""The contract of readers: a format with its two functions, the reading it returns, and the tally of findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from visus.data.dataset import Finding, Severity
from visus.data.formats.listing import Listing
from visus.structures import Sample

ALL = "all"
"""The split name of samples that the data do not split."""

_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """A data set as a reader found it.

    Args:
        classes: from task to class names; the first task is the default (see ``Dataset.classes``).
        splits: "train", "val", "test" as given, or only :data:`ALL`; "predict" for unlabelled images.
        findings: what was noticed and repaired.
    """

    classes: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, Sequence[Sample]]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """One way of laying out a data set.

    Args:
        name: what ``--format`` takes.
        title: one line for people: what a folder of this format holds.
        recognise: whether a listing is of this format; looks at names and, where they do not tell, at a few files.
        read: the data set.
        fallback: asked only when no other format recognises the listing.
    """

    name: str
    title: str
    recognise: Callable[[Listing], bool]
    read: Callable[[Listing], Reading]
    fallback: bool = False


class Tally:
    """Counts a reader's findings by kind, and keeps the first file names of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._severities: dict[str, Severity] = {}
        self._messages: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, severity: Severity, message: str, example: str = "", count: int = 1) -> None:
        """Notes ``count`` cases. message: one line in which ``{count}`` is replaced by the sum of this kind."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        self._severities[kind] = severity
        self._messages[kind] = message
        examples = self._examples.setdefault(kind, [])
        if example and example not in examples and len(examples) < _EXAMPLES:
            examples.append(example)

    def count(self, kind: str) -> int:
        """The number of cases of a kind."""
        return self._counts.get(kind, 0)

    def findings(self) -> tuple[Finding, ...]:
        """One finding a kind, in the order in which the kinds were first noted."""
        return tuple(
            Finding(
                kind=kind,
                severity=self._severities[kind],
                message=self._messages[kind].format(count=count),
                count=count,
                examples=tuple(self._examples[kind]),
            )
            for kind, count in self._counts.items()
        )


def note_missing_images(tally: Tally, missing: Sequence[str], present: int) -> None:
    """Notes annotated images whose files are absent: left out when few; a stop when more than a tenth."""
    many = len(missing) > present / 9
    for name in missing:
        tally.add(
            "missing-image",
            "stop" if many else "repair",
            "{count} annotated images are missing" + ("" if many else "; left out"),
            name,
        )

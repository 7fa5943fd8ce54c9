"""What a data set loses in a format, and what several formats lose alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from visus.data.formats.labelled import class_order
from visus.data.writing.contents import Contents

_SHOWN = 5  # names in a line


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a data set loses, or that becomes another, when it is written in a format.

    Args:
        kind: a short stable name, such as "crowds" or "class-order".
        message: one line for people; "{count}" in it is replaced.
        count: how often.
    """

    kind: str
    message: str
    count: int

    def __str__(self) -> str:
        return self.message.replace("{count}", f"{self.count:,}")


def named(names: Iterable[str]) -> str:
    """The first names of a list, for a line of text."""
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (" ..." if len(listed) > _SHOWN else "")


def when(count: int, kind: str, message: str) -> list[Change]:
    """One change, or none where nothing is counted."""
    return [Change(kind, message, count)] if count else []


def tasks_left_out(contents: Contents, kept: Iterable[str]) -> list[Change]:
    """The labels of tasks that are not written. kept: the tasks whose labels are."""
    lost = [task for task in contents.dataset.tasks if task not in kept]
    return [
        Change("other-labels", f"the labels for {task} are not written; --task {task} writes them", 1) for task in lost
    ]


def images_left_out(contents: Contents) -> list[Change]:
    """Images without a label for the task, and those whose label cannot be read."""
    changes = when(
        contents.counts["without-target"],
        "without-target",
        f"{{count}} images have no label for {contents.task}: left out",
    )
    examples = named(contents.unreadable)
    return changes + when(
        len(contents.unreadable), "unreadable", f"{{count}} images or labels cannot be read ({examples}): left out"
    )


def classes_as_found(contents: Contents) -> list[Change]:
    """What becomes of classes in a format that does not list them: those of the training labels, ordered by name."""
    names, trained = contents.classes, contents.trained
    lost = [name for label, name in enumerate(names) if label not in trained]
    changes = when(
        len(lost),
        "unused-classes",
        f"{{count}} classes without a label in train ({named(lost)}): the format lists no classes, they are lost",
    )
    kept = tuple(name for name in names if name not in lost)
    moved = sum(name != other for name, other in zip(kept, class_order(set(kept)), strict=True))
    return changes + when(moved, "class-order", "{count} classes get another id: the format orders them by name")


def ignored_left_out(contents: Contents, format: str) -> list[Change]:
    """Crowds and difficult objects of formats that cannot mark them."""
    message = f"{format} marks no crowds and no difficult objects: {{count}} objects that are ignored are left out"
    return when(contents.counts["ignored"], "ignored", message)

"""What a data set loses in a format, and what several formats lose alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from visus.data.formats.labelled import class_order
from visus.data.formats.objects.outlined_objects import BACKGROUND, OBJECT
from visus.data.messages import listed, with_count
from visus.data.writing.contents import Contents


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
        return with_count(self.message, self.count)


def when(count: int, kind: str, message: str) -> list[Change]:
    """One change, or none where nothing is counted."""
    return [Change(kind, message, count)] if count else []


def tasks_left_out(contents: Contents, kept: Iterable[str], able: Iterable[str]) -> list[Change]:
    """The labels of tasks that are not written.

    Args:
        contents: of the data set.
        kept: the tasks whose labels are written, or follow from what is.
        able: the tasks whose labels the format can hold.
    """
    lost = [task for task in contents.dataset.tasks if task not in {*kept, "localization"}]
    other = [task for task in lost if task in able]
    remedy = f"; --task {other[0]} writes these" if other else ""
    return when(len(lost), "other-labels", f"labels for {', '.join(lost)} are not written{remedy}")


def about_images(contents: Contents) -> list[Change]:
    """Images without a label for the task, those whose label cannot be read, and those that are stored turned."""
    changes = when(
        contents.counts["without-target"],
        "without-target",
        f"{{count}} images have no label for {contents.task}: left out",
    )
    changes += when(
        contents.counts["turned"],
        "turned-images",
        "{count} images are stored turned (EXIF orientation), and labels are of the upright image: tools that do not "
        "turn it see them elsewhere",
    )
    examples = listed(contents.unreadable)
    message = f"{{count}} images cannot be read, or else their labels ({examples}): left out"
    return changes + when(len(contents.unreadable), "unreadable", message)


def classes_as_found(contents: Contents) -> list[Change]:
    """What becomes of classes in a format that does not list them: those of the training labels, ordered by name."""
    names, trained = contents.classes, contents.trained
    lost = [name for label, name in enumerate(names) if label not in trained]
    changes = when(
        len(lost),
        "unused-classes",
        f"{{count}} classes have no label in train ({listed(lost)}): lost, because the format lists no classes",
    )
    kept = tuple(name for name in names if name not in lost)
    moved = sum(name != other for name, other in zip(kept, class_order(set(kept)), strict=True))
    return changes + when(moved, "class-order", "{count} classes get another id: the format orders them by name")


def maps_as_objects(contents: Contents, format: str) -> list[Change]:
    """What class maps lose in a format of outlined objects."""
    if contents.task not in ("segmentation", "multilabel_segmentation"):
        return []
    message = f"{{count}} images have ignored pixels, which become background: {format} has none"
    changes = when(contents.counts["ignoring"], "ignored-pixels", message)
    if contents.task == "segmentation":
        names = contents.classes
        apart = tuple(name for name in names if name not in contents.object_classes)
        if names != (*apart, *contents.object_classes) or apart != (BACKGROUND,):
            message = "background becomes class 0, and the other {count} classes follow in their order"
            changes.append(Change("background", message, len(contents.object_classes)))
    return changes


def points_of_objects(contents: Contents) -> list[Change]:
    """What becomes of points in a format whose objects bear them."""
    counts = contents.counts
    changes = when(counts["without-point"], "without-point", "{count} images without a visible point keep no points")
    changes += when(
        counts["boxes-of-points"],
        "boxes-of-points",
        f"{{count}} boxes of the class {OBJECT} are made around the visible points, because objects bear the points",
    )
    return changes + when(
        counts["points-without-box"],
        "points-without-box",
        "{count} images have points that belong to no object of the class that has points: lost",
    )


def ignored_left_out(contents: Contents, format: str) -> list[Change]:
    """Crowds and difficult objects of formats that cannot mark them."""
    message = f"{format} marks no crowds and no difficult objects: {{count}} objects that are ignored are left out"
    return when(contents.counts["ignored"], "ignored", message)

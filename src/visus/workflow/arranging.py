"""Writes data sets that were divided, drawn from or joined, and says what each split holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visus.data.arranging.dividing import presence
from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.data.writing import converting
from visus.data.writing.changes import Change
from visus.data.writing.writers import writer_named

WRITER_OF: Mapping[str, str] = {
    "class-folders": "folders",
    "csv": "csv",
    "csv-landmarks": "csv",
    "coco": "coco",
    "voc": "voc",
    "yolo": "yolo",
    "masks": "masks",
    "class-masks": "masks",
}
"""From a reader to the writer of its format; the other readers have none."""

KEEPS_ALL: Mapping[str, str] = {
    "classification": "folders",
    "multilabel_classification": "csv",
    "detection": "coco",
    "instance_segmentation": "coco",
    "landmarks": "coco",
    "segmentation": "masks",
    "multilabel_segmentation": "masks",
}
"""From a task to the writer that keeps all of its labels, where the data's own format has no writer."""


@dataclass(frozen=True, slots=True)
class ArrangedData:
    """A data set that was written, or would be; prints as a table of what each split holds.

    Args:
        name: of the data.
        format: that it is written in.
        task: whose labels are written.
        folder: where it lies.
        splits: from split to the number of images.
        classes: from class to the images that show it, by split.
        notes: what else is to be known.
        changes: what the format loses.
        written: whether it was written, and not only looked at.
        linked: how many images are hard links and no copies.
    """

    name: str
    format: str
    task: str
    folder: Path
    splits: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    written: bool = False
    linked: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.name,
            "format": self.format,
            "task": self.task,
            "folder": str(self.folder),
            "splits": dict(self.splits),
            "classes": {label: dict(counts) for label, counts in self.classes.items()},
            "notes": list(self.notes),
            "changes": [{"kind": c.kind, "message": str(c), "count": c.count} for c in self.changes],
            "written": self.written,
            "linked": self.linked,
        }

    def __str__(self) -> str:
        rows = {"images": self.splits, **self.classes}
        cells = [["", *self.splits]] + [[label, *(f"{n:,}" for n in row.values())] for label, row in rows.items()]
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
        lines = [f"{self.name}: images of {self.task} with each class, as {self.format}"]
        lines += [
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in cells
        ]
        lines += [f"[note] {note}" for note in self.notes]
        lines += [f"[changed] {change}" for change in self.changes]
        return "\n".join(lines)


def open_to_arrange(data: str | Path, *, task: str | None, format: str | None) -> Dataset:
    """A data set as its labels are, with the splits that it gives and no others.

    Raises:
        DataError: if it cannot be opened.
    """
    dataset = open_data(data, task=task, format=format, task_options={"touching": ""}, least_classes=1)
    return converting.without_made_splits(dataset)


def writer_for(formats: Sequence[str], task: str, to: str | None) -> str:
    """The name of the writer: the one asked for, that of the data's format, or one that keeps all labels."""
    if to is not None:
        return to
    own = {WRITER_OF.get(name) for name in formats}
    name = own.pop() if len(own) == 1 else None
    return name if name is not None and task in writer_named(name).tasks else KEEPS_ALL.get(task, "coco")


def write_arranged(
    dataset: Dataset,
    task: str,
    to: str,
    save: Path,
    *,
    sources: Sequence[Path | None],
    notes: Sequence[str],
    link: bool,
    dry_run: bool,
    tell: Callable[[ArrangedData], None] | None,
) -> ArrangedData:
    """Writes a data set, and tells before what each split holds and what the format loses.

    Args:
        dataset: with splits as they are to be.
        task: whose labels.
        to: name of the writer.
        save: a folder that does not exist or is empty.
        sources: the roots of the data that were read.
        notes: what is to be told.
        link: hard links to the images in place of copies.
        dry_run: write nothing.
        tell: is called before anything is written.

    Raises:
        DataError, DiskError, TaskMismatchError, UsageError: as :func:`visus.convert_data`.
    """
    for source in sources:
        converting.check_target(save, source)
    conversion = converting.prepare(dataset, to, task=task)
    splits = conversion.contents.splits
    names = dataset.classes[task]
    counts = {split: presence(samples, task).sum(0) for split, samples in splits.items()}
    classes = {label: {split: int(counts[split][k]) for split in splits} for k, label in enumerate(names)}
    absent = [f"{split}: {label}" for label, row in classes.items() for split, count in row.items() if not count]
    told = [f"no image of a class in a split: {', '.join(absent)}"] if absent else []
    result = ArrangedData(
        name=dataset.name,
        format=to,
        task=task,
        folder=save,
        splits={split: len(samples) for split, samples in splits.items()},
        classes=classes,
        notes=(*notes, *told),
        changes=conversion.changes,
    )
    if tell is not None:
        tell(result)
    if dry_run:
        return result
    conversion.write(save, link=link)
    return replace(result, written=True, linked=conversion.images.linked)

"""Writes a data set in another format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.data.writing.changes import Change


@dataclass(frozen=True, slots=True)
class ConvertedData:
    """What a conversion wrote, or would write; prints as a list.

    Args:
        source: name of the data set.
        source_format: the reader that read it.
        format: the format that it is written in.
        task: whose labels are written.
        folder: where it lies.
        splits: from split to the number of images.
        changes: what is lost or becomes another.
        notes: what the reader repaired, and which splits were made.
        written: whether it was written, and not only looked at.
        linked: how many images are hard links and no copies.
    """

    source: str
    source_format: str
    format: str
    task: str
    folder: Path
    splits: dict[str, int]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    written: bool = False
    linked: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.source,
            "from": self.source_format,
            "to": self.format,
            "task": self.task,
            "folder": str(self.folder),
            "splits": self.splits,
            "changes": [{"kind": c.kind, "message": str(c), "count": c.count} for c in self.changes],
            "notes": list(self.notes),
            "written": self.written,
            "linked": self.linked,
        }

    def __str__(self) -> str:
        sizes = " / ".join(f"{count} {split}" for split, count in self.splits.items())
        lines = [f"{self.source}: {self.task} labels, {self.source_format} -> {self.format}, {sizes}"]
        lines += [f"[note] {note}" for note in self.notes]
        lines += [f"[changed] {change}" for change in self.changes]
        lines += [] if self.changes else ["nothing is lost"]
        return "\n".join(lines)


def convert_data(
    data: str | Path,
    to: str,
    save: str | Path,
    *,
    task: str | None = None,
    format: str | None = None,
    crowds: str | None = None,
    accept: Sequence[str] = (),
    link: bool = False,
    unsplit: bool = False,
    dry_run: bool = False,
    tell: Callable[[ConvertedData], None] | None = None,
) -> ConvertedData:
    """Writes a data set in another format, and tells first what that loses.

    Args:
        data: folder, file or name.
        to: the format: "coco", "yolo", "voc", "masks", "csv" or "folders".
        save: a folder that does not exist or is empty; it is there whole at the end, or not at all.
        task: whose labels are written; None: the first of the data's that the format can hold.
        format: the reader, when two could read the data.
        crowds: what becomes of objects that are marked as crowds or difficult: "ignore" keeps the marks where the
            format has them and leaves the objects out where not; "objects" writes them like all others.
        accept: findings of ``check_data`` of which more may be lost than is usual, such as "missing-image".
        link: make hard links to the image files in place of copies, where the disk allows it.
        unsplit: leave away the splits that visus made because the data give none.
        dry_run: only find out what is lost; write nothing.
        tell: is called with what will be lost before anything is written.

    Raises:
        DataError: if the data cannot be opened, or hold an error that stops a training.
        TaskMismatchError: if the format cannot hold the labels.
        UsageError: if there is no such format, ``save`` holds something or lies within the data, or what is accepted is
            no such finding.
        DiskError: if a file cannot be written.
    """
    from dataclasses import replace

    from visus.data.inspection.acceptance import accepted
    from visus.data.reading.opening import open_data
    from visus.data.writing import converting

    folder = Path(save)
    options = {"touching": ""}  # a gap between touching objects is for networks, not for labels
    options |= {"crowds": crowds} if crowds else {}
    dataset = open_data(data, task=task, format=format, task_options=options)
    chosen = converting.choose_task(dataset, to, task)
    if chosen not in (task, *dataset.tasks[:1]):  # opened for its first task, it lacks images without a label for that
        dataset = open_data(data, task=chosen, format=format, task_options=options)
    dataset = replace(dataset, findings=tuple(accepted(dataset.findings, accept)))
    converting.check_target(folder, dataset.root)
    if unsplit:
        dataset = converting.without_made_splits(dataset)
    conversion = converting.prepare(dataset, to, task=chosen)
    notes = [finding.message for finding in dataset.findings if finding.severity == "repair"]
    if dataset.made_splits:
        made = " and ".join(dataset.made_splits)
        notes.append(f"{made}: split off by visus, and written as such; --unsplit leaves the data in one piece")
    result = ConvertedData(
        source=dataset.name,
        source_format=dataset.format,
        format=to,
        task=conversion.contents.task,
        folder=folder,
        splits={name: len(part) for name, part in conversion.contents.splits.items()},
        changes=conversion.changes,
        notes=tuple(notes),
    )
    if tell is not None:
        tell(result)
    if dry_run:
        return result
    conversion.write(folder, link=link)
    return replace(result, written=True, linked=conversion.images.linked)

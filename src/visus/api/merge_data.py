"""Joins data sets into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from visus.errors import UsageError
from visus.workflow.arranging import ArrangedData


def merge_data(
    data: Sequence[str | Path],
    save: str | Path,
    *,
    to: str | None = None,
    task: str | None = None,
    format: str | None = None,
    link: bool = False,
    dry_run: bool = False,
    tell: Callable[[ArrangedData], None] | None = None,
) -> ArrangedData:
    """Writes several data sets as one: classes matched by name, images of equal names kept apart.

    The splits that the data give are joined. Images of data without splits go to "train" where another one has splits.

    Args:
        data: folders, files or names, two or more; they are not changed.
        save: a folder that does not exist or is empty; it is there whole at the end, or not at all.
        to: the format; None: that of the data where it is one, else one that keeps all labels.
        task, format, link, dry_run, tell: as for :func:`visus.split_data`.

    Raises:
        DataError: if the data cannot be opened.
        TaskMismatchError: if they have no kind of labels in common.
        UsageError: if there are fewer than two, their images have other channels, or the folder holds something.
        DiskError: if a file cannot be written.
    """
    from visus.data.arranging.joining import common_task, joined
    from visus.workflow.arranging import open_to_arrange, write_arranged, writer_for

    if isinstance(data, str | Path) or len(data) < 2:
        raise UsageError("two or more data sets are merged", expected="at least two", got="one or none")
    opened = [open_to_arrange(source, task=None, format=format) for source in data]
    chosen = common_task(opened, task)
    datasets = [
        dataset if dataset.tasks[0] == chosen else open_to_arrange(source, task=chosen, format=format)
        for source, dataset in zip(data, opened, strict=True)
    ]
    whole, notes = joined(datasets, chosen)
    return write_arranged(
        whole,
        chosen,
        writer_for([dataset.format for dataset in datasets], chosen, to),
        Path(save),
        sources=[dataset.root for dataset in datasets],
        notes=notes,
        link=link,
        dry_run=dry_run,
        tell=tell,
    )

"""Draws some images of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from visus.data.messages import counted
from visus.workflow.arranging import ArrangedData


def sample_data(
    data: str | Path,
    save: str | Path,
    *,
    count: int,
    seed: int = 0,
    to: str | None = None,
    task: str | None = None,
    format: str | None = None,
    link: bool = False,
    dry_run: bool = False,
    tell: Callable[[ArrangedData], None] | None = None,
) -> ArrangedData:
    """Writes some images of a data set with their labels: of each split and class its share.

    Args:
        data: folder, file or name; it is not changed.
        save: a folder that does not exist or is empty; it is there whole at the end, or not at all.
        count: the number of images.
        seed: which images.
        to, task, format, link, dry_run, tell: as for :func:`visus.split_data`.

    Raises:
        DataError: if the data cannot be opened.
        UsageError: if there are fewer images, or the folder holds something.
        DiskError: if a file cannot be written.
    """
    from visus.data.arranging.dividing import draw, presence, rarest_classes
    from visus.workflow.arranging import open_to_arrange, write_arranged, writer_for

    dataset = open_to_arrange(data, task=task, format=format)
    chosen = dataset.choose_task(task)
    pool = [(name, sample) for name, part in dataset.splits.items() for sample in part]
    samples = [sample for _, sample in pool]
    classes = rarest_classes(presence(samples, chosen))
    strata = [(name, label) for (name, _), label in zip(pool, classes, strict=True)]
    drawn = [pool[index] for index in draw(strata, [sample.id for sample in samples], count, seed)]
    splits = {name: [sample for part, sample in drawn if part == name] for name in dataset.splits}
    return write_arranged(
        dataset.with_splits({name: part for name, part in splits.items() if part}),
        chosen,
        writer_for([dataset.format], chosen, to),
        Path(save),
        sources=[dataset.root],
        notes=[f"{len(drawn):,} of {counted(len(pool), 'images')}"],
        link=link,
        dry_run=dry_run,
        tell=tell,
    )

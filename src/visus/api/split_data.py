"""Divides a data set into splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from visus.data.messages import counted
from visus.errors import UsageError
from visus.workflow.arranging import ArrangedData

_MOST_OFF = 0.05  # a split that misses its share by more is told


def split_data(
    data: str | Path,
    save: str | Path,
    *,
    val: float = 0.0,
    test: float = 0.0,
    group_by: str | None = None,
    seed: int = 0,
    to: str | None = None,
    task: str | None = None,
    format: str | None = None,
    anew: bool = False,
    link: bool = False,
    dry_run: bool = False,
    tell: Callable[[ArrangedData], None] | None = None,
) -> ArrangedData:
    """Writes a data set with new splits: stratified by class, groups kept whole, the same for the same seed.

    Divided are the images of "train", or all of data without splits; other splits that the data give stay as they are.

    Args:
        data: folder, file or name; it is not changed.
        save: a folder that does not exist or is empty; it is there whole at the end, or not at all.
        val, test: the shares of these splits in the images that are divided, 0 to 1; 0: no such split.
        group_by: what keeps images of one person, patient or video together: a regular expression that is searched for
            in each image's path (``(patient\\d+)_``), "folder", or a column of the data's table.
        seed: another seed, other splits.
        to: the format: "coco", "yolo", "voc", "masks", "csv" or "folders"; None: the data's, or one that keeps all
            labels.
        task: whose labels; None: the first.
        format: the reader, when two could read the data.
        anew: divide all images, whatever splits the data give.
        link: make hard links to the image files in place of copies, where the disk allows it.
        dry_run: only say what each split would hold.
        tell: is called with that before anything is written.

    Raises:
        DataError: if the data cannot be opened, or an image has no group.
        UsageError: for shares out of range, a split that the data give already, or a folder that holds something.
        DiskError: if a file cannot be written.
    """
    from visus.data.arranging.dividing import divide, presence
    from visus.data.arranging.grouping import groups_of
    from visus.data.formats.reading import ALL
    from visus.workflow.arranging import open_to_arrange, write_arranged, writer_for

    fractions = {name: share for name, share in (("val", val), ("test", test)) if share}
    if not fractions or not all(0 < share < 1 for share in fractions.values()) or sum(fractions.values()) >= 1:
        raise UsageError(
            "the shares of val and test must leave something for train",
            expected="shares above 0 and below 1, together below 1, such as --val 0.2 --test 0.1",
            got=f"--val {val:g} --test {test:g}",
        )
    dataset = open_to_arrange(data, task=task, format=format)
    chosen = dataset.choose_task(task)
    given = [name for name in fractions if name in dataset.splits]
    if given and not anew:
        raise UsageError(
            f"{dataset.name} has a split {given[0]} of its own",
            expected="data without it",
            got=", ".join(f"{len(part)} {name}" for name, part in dataset.splits.items()),
            remedy="ask for the other split alone, or divide all images with --anew",
        )
    kept = {} if anew else {name: part for name, part in dataset.splits.items() if name not in ("train", ALL)}
    pool = [sample for name, part in dataset.splits.items() if name not in kept for sample in part]
    groups = None if group_by is None else groups_of(pool, group_by, dataset)
    made = divide(pool, presence(pool, chosen), fractions, seed, groups)
    notes = [
        f"{name} has {len(made[name]) / len(pool):.0%} of the images and not {share:.0%}"
        + (": groups are not torn apart" if groups is not None else "")
        for name, share in fractions.items()
        if abs(len(made[name]) / len(pool) - share) > _MOST_OFF
    ]
    if groups is not None:
        notes.append(f"{counted(len(set(groups)), 'groups')} by {group_by}, each in one split")
    notes += [f"the split {name} stays as the data give it" for name in kept]
    splits = {**made, **kept}
    ordered = {name: splits[name] for name in ("train", "val", "test", *splits) if splits.get(name)}
    return write_arranged(
        dataset.with_splits(ordered),
        chosen,
        writer_for([dataset.format], chosen, to),
        Path(save),
        sources=[dataset.root],
        notes=notes,
        link=link,
        dry_run=dry_run,
        tell=tell,
    )

"""Joins data sets into one: classes by name, images of one name kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from visus.data.arranging.other_classes import ids_among, in_classes
from visus.data.dataset import Dataset
from visus.data.formats.reading import ALL
from visus.data.messages import counted
from visus.errors import TaskMismatchError, UsageError
from visus.structures import Sample


def common_task(datasets: Sequence[Dataset], task: str | None) -> str:
    """The task asked for, or the first of the first data set's that all allow.

    Raises:
        TaskMismatchError: if one of them does not allow it.
    """
    tasks = [task] if task is not None else list(datasets[0].tasks)
    for name in tasks:
        if all(name in dataset.tasks for dataset in datasets):
            return name
    raise TaskMismatchError(
        "these data sets have no task in common" if task is None else f"not all of these data sets allow {task}",
        expected="labels of one kind in all",
        got="; ".join(f"{dataset.name}: {', '.join(dataset.tasks) or 'no labels'}" for dataset in datasets),
    )


def joined(datasets: Sequence[Dataset], task: str) -> tuple[Dataset, list[str]]:
    """One data set of several, and what is to be known about it.

    Classes are matched by name: those of the first come first, then what the others have beyond. The splits that the
    data give are joined; images of data without splits go to "train" where another one has splits.

    Raises:
        UsageError: if the images have other channels.
    """
    channels = {dataset.name: dataset.values.channels for dataset in datasets}
    if len(set(channels.values())) > 1:
        raise UsageError(
            "images of other channels cannot be joined",
            expected="the same number of channels",
            got=", ".join(f"{name}: {count}" for name, count in channels.items()),
        )
    classes = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.classes[task]))
    names = _unique([dataset.name for dataset in datasets])
    split = any(set(dataset.splits) != {ALL} for dataset in datasets)
    splits: dict[str, list[Sample]] = {}
    notes = []
    for name, dataset in zip(names, datasets, strict=True):
        own = dataset.classes[task]
        ids = ids_among(own, classes)
        for part, samples in dataset.splits.items():
            target = "train" if split and part == ALL else part
            if target != part:
                notes.append(f"{name} has no splits: all its {counted(len(samples), 'images go')} to train")
            held = splits.setdefault(target, [])
            for sample in samples:
                moved = sample if own == classes else in_classes(sample, task, classes, ids)
                held.append(replace(moved, id=f"{name}/{sample.id}"))
        missing = [label for label in classes if label not in own]
        if missing and task != "classification":  # there, an image of one class is of no other
            notes.append(f"{name} does not label {', '.join(missing)}: what its images show of it stays unlabelled")
    alike = Counter(label.casefold() for label in classes)
    twice = [label for label in classes if alike[label.casefold()] > 1]
    if twice:
        notes.append(f"{', '.join(twice)} stay different classes: names are matched letter by letter")
    ordered = {part: splits[part] for part in ("train", "val", "test", *splits) if splits.get(part)}
    first = datasets[0]
    whole = Dataset(
        name="-".join(names),
        format=first.format,
        root=None,
        classes={task: classes},
        splits=ordered,
        values=first.values,
    )
    return whole, notes


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that are there already."""
    result: list[str] = []
    for name in names:
        free, number = name, 1
        while free in result:
            number += 1
            free = f"{name}-{number}"
        result.append(free)
    return result

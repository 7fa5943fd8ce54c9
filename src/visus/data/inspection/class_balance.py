"""Counts each class in each split, and finds gaps, missing classes and imbalance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Dataset, Finding, Severity
from visus.structures import TargetState
from visus.structures.task_cards import task_card

LEAST_SINGLE = 5
"""From so many classes of one image on, they stop a training if they are more than half of the classes."""


@dataclass(frozen=True, slots=True)
class ClassBalance:
    """How often each class of one task occurs.

    Args:
        classes: all K names.
        counts: from split to [K] int64: images, objects or pixels of each class.
    """

    classes: tuple[str, ...]
    counts: Mapping[str, NDArray[np.int64]]

    def without(self, split: str) -> set[str]:
        """The classes without an example in a split."""
        return {name for name, count in zip(self.classes, self.counts[split], strict=True) if count == 0}


def count_classes(classes: tuple[str, ...], states: Iterable[tuple[str, TargetState | None]]) -> ClassBalance | None:
    """Counts the classes of one task in each split; None if some targets were not read.

    Args:
        classes: all K names.
        states: of every sample, with its split; None for a sample without a target, faulty ones count nothing.
    """
    counts: dict[str, NDArray[np.int64]] = {}
    for split, state in states:
        total = counts.setdefault(split, np.zeros(len(classes), np.int64))
        if state is None or state.fault:
            continue
        if state.counts is None:
            return None
        total += state.counts
    return ClassBalance(classes, counts)


def class_findings(dataset: Dataset, task: str, balance: ClassBalance) -> list[Finding]:
    """The findings about the classes of one task."""
    labelled = {split: counts for split, counts in balance.counts.items() if split != "predict" and counts.any()}
    findings: list[Finding] = []
    if not labelled:
        return findings
    card = task_card(task)
    gaps = [name for i, name in enumerate(balance.classes) if not any(counts[i] for counts in labelled.values())]
    if gaps and not any(finding.kind == "class-without-images" for finding in dataset.findings):  # a reader's own
        message = "{count} classes have no example in any split; the ids are never used"
        findings.append(Finding.about("class-id-gap", "note", message, (), gaps))
    if "train" not in labelled:
        return findings
    absent = balance.without("train") - set(gaps)
    foreign = [
        (split, name) for split in labelled for name in balance.classes if name in absent - balance.without(split)
    ]
    if foreign and card.names != "identities":  # those differ between the splits on purpose
        given = any(split not in dataset.made_splits for split, _ in foreign)
        severity: Severity = "stop" if card.needs_every_class and given else "note"
        message = "{count} classes have examples in another split, but none in train, and cannot be learnt"
        findings.append(Finding.about("untrained-class", severity, message, (), _shown(foreign)))
    lacking = [
        (split, name)
        for split in labelled
        for name in balance.classes
        if split != "train" and name in balance.without(split) - balance.without("train")
    ]
    if lacking and card.names != "identities":
        message = "{count} classes of train have no example in another split"
        findings.append(Finding.about("missing-class", "note", message, (), _shown(lacking)))
    if card.needs_every_class:
        findings += _single_findings(balance.classes, sum(labelled.values()))
    findings += _balance_findings(task, balance.classes, labelled["train"])
    return findings


def _single_findings(classes: tuple[str, ...], counts: NDArray[np.int64] | int) -> list[Finding]:
    """The stop where most classes have one image in all: what was read as classes are numbers or names of images."""
    single = np.flatnonzero(np.asarray(counts) == 1)
    used = np.count_nonzero(counts)
    if len(single) < LEAST_SINGLE or 2 * len(single) <= used:
        return []
    message = (
        f"{len(single):,} of {used:,} classes have one image each, in all splits together: they may be coordinates, "
        "measures or names of images, and cannot be learnt"
    )
    return [Finding("single-image-classes", "stop", message, len(single), tuple(classes[int(i)] for i in single[:20]))]


def _balance_findings(task: str, classes: tuple[str, ...], counts: NDArray[np.int64]) -> list[Finding]:
    used = np.flatnonzero(counts)
    card = task_card(task)
    if len(used) == 1 and card.least_classes > 1:
        message = f"all images of train are of one class ({classes[int(used[0])]}): there is nothing to tell apart"
        return [Finding("single-class", "stop", message, 1, (classes[int(used[0])],))]
    unit, most = card.unit, card.imbalance
    rare, frequent = used[np.argmin(counts[used])], used[np.argmax(counts[used])]
    if counts[frequent] <= most * counts[rare]:
        return []
    message = (
        f"in train, {classes[int(frequent)]} has {counts[frequent] / counts[rare]:.0f} times as many {unit} as "
        f"{classes[int(rare)]} ({counts[frequent]:,} and {counts[rare]:,})"
    )
    names = [
        classes[int(i)] for i in used[np.argsort(counts[used], kind="stable")] if counts[i] * most < counts[frequent]
    ]
    return [Finding("class-imbalance", "note", message, len(names), tuple(names[:20]))]


def _shown(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{split}: {name}" for split, name in pairs]

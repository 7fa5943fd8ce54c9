"""Judges copies of images: within a split they are duplicates, between splits they are leaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from visus.data.dataset import Dataset, Finding, Severity
from visus.data.inspection.duplicates import Copies
from visus.structures import Sample
from visus.structures.sample import is_target_source

LEAK_IN_MADE_SPLITS = "leak-in-made-splits"

PUBLISHED = frozenset(
    {("idx", 70_000), ("cifar", 60_000), ("jpeg-npz", 60_000), ("voc", 9_963), ("voc", 11_540), ("coco", 123_287)}
)
"""Format and number of images of data sets that come with official splits: the MNIST family, CIFAR-10 and CIFAR-100
(and a JPEG copy), PASCAL VOC 2007 and 2012, COCO 2017. They are known by what they hold, wherever they lie.
Exact copies across their splits do not stop a training: published figures are measured with them."""

_HELD_BACK = {"train": 0, "val": 1, "test": 2}

_Entry = tuple[str, Sample]


def copy_findings(dataset: Dataset, entries: Sequence[_Entry], copies: Copies) -> list[Finding]:
    """The findings about copies.

    A second copy in one split is a "duplicate", one in another given split a "leak" (a stop). Splits that were divided
    from the same images here keep a copy in the most held-back one only: test before val before train
    ("leak-in-made-splits").

    Args:
        dataset: says which splits were made.
        entries: all samples with their splits.
        copies: positions among the entries.
    """
    duplicates: list[tuple[_Entry, _Entry]] = []
    leaks: list[tuple[_Entry, _Entry]] = []
    made: list[tuple[_Entry, _Entry]] = []
    conflicts: list[list[_Entry]] = []
    for group in copies.exact:
        first, *others = (entries[index] for index in group)
        by_origin: dict[str, list[_Entry]] = {}
        for entry in (first, *others):
            by_origin.setdefault(_origin(dataset, entry[0]), []).append(entry)
        for members in by_origin.values():
            kept = max(members, key=lambda entry: _HELD_BACK.get(entry[0], 0))  # the first of the last split
            made += [(kept, entry) for entry in members if entry[0] != kept[0]]
            duplicates += [(kept, entry) for entry in members if entry[0] == kept[0] and entry is not kept]
        one, *rest = by_origin.values()
        leaks += [(one[0], entry) for members in rest for entry in members]
        if _contradict([sample for _, sample in (first, *others)]):
            conflicts.append([first, *others])
    findings = []
    if leaks:
        published = (dataset.format, len(entries)) in PUBLISHED
        message = "{count} images of one split repeat the pixels of an image of another; " + (
            "this data set is published with them" if published else "take them out of one of the two"
        )
        findings.append(_finding("leak", "note" if published else "stop", message, leaks))
    if made:
        message = "{count} images repeat the pixels of another that is held back for val or test; left out"
        shown = [_names(pair) for pair in made]
        findings.append(
            Finding.about(LEAK_IN_MADE_SPLITS, "repair", message, [copy.id for _, (_, copy) in made], shown)
        )
    if conflicts:
        message = "{count} images have exact copies with other labels: one of them is labelled wrongly"
        findings.append(_finding("conflicting-copies", "note", message, conflicts))
    if duplicates:
        message = "{count} images repeat the pixels of another of the same split"
        findings.append(_finding("duplicate", "note", message, duplicates))
    near = [(entries[one], entries[two]) for one, two in copies.near]
    across = [pair for pair in near if pair[0][0] != pair[1][0]]
    within = [pair for pair in near if pair[0][0] == pair[1][0]]
    if across:
        message = "{count} pairs of images in different splits are the same picture, saved or scaled differently"
        findings.append(_finding("near-leak", "note", message, across))
    if within:
        message = "{count} pairs of images in one split are the same picture, saved or scaled differently"
        findings.append(_finding("near-duplicate", "note", message, within))
    return findings


def _contradict(copies: Sequence[Sample]) -> bool:
    """Whether copies of one image have different labels; targets that must be read first are not compared."""
    for task in ("classification", "multilabel_classification"):
        held = [sample.targets[task] for sample in copies if task in sample.targets]
        labels = {np.asarray(target.content()).tobytes() for target in held if not is_target_source(target)}
        if len(labels) > 1:
            return True
    return False


def _origin(dataset: Dataset, split: str) -> str:
    """The split that a made split was divided from; a given split is its own origin."""
    return "train" if split in dataset.made_splits else split


def _names(entries: Sequence[_Entry]) -> str:
    return " = ".join(f"{split}: {sample.id}" for split, sample in entries)


def _finding(kind: str, severity: Severity, message: str, groups: Sequence[Sequence[_Entry]]) -> Finding:
    names = [sample.id for group in groups for _, sample in group]
    return Finding.about(kind, severity, message, names, [_names(group) for group in groups])

"""What copies mean for a data set: doubled work within a split, and between splits a test that asks what was taught."""

from __future__ import annotations

from collections.abc import Sequence

from visus.data.dataset import Dataset, Finding, Severity
from visus.data.duplicates import Copies
from visus.structures import Label, Sample

LEAK_IN_MADE_SPLITS = "leak-in-made-splits"

PUBLISHED = frozenset(
    {("idx", 70_000), ("cifar", 60_000), ("jpeg-npz", 60_000), ("voc", 9_963), ("voc", 11_540), ("coco", 123_287)}
)
"""Format and number of images of data sets that come with official splits: the MNIST family, CIFAR-10 and CIFAR-100
(and a JPEG copy), PASCAL VOC 2007 and 2012, COCO 2017. They are known by what they hold, wherever they lie.
Exact copies across their splits do not stop a training: published figures are measured with them."""

_Entry = tuple[str, Sample]


def copy_findings(dataset: Dataset, entries: Sequence[_Entry], copies: Copies) -> list[Finding]:
    """The findings about copies.

    Each copy is held against the first image of its group: in the same split it is a "duplicate", in another that was
    divided from the same images here a "leak-in-made-splits" (left out), in another given one a "leak" (a stop).

    Args:
        dataset: says which splits were made.
        entries: all samples with their splits; an image's first place counts as the original.
        copies: positions among the entries.
    """
    duplicates: list[tuple[_Entry, _Entry]] = []
    leaks: list[tuple[_Entry, _Entry]] = []
    made: list[tuple[_Entry, _Entry]] = []
    conflicts: list[list[_Entry]] = []
    for group in copies.exact:
        first, *others = (entries[index] for index in group)
        for other in others:
            if other[0] == first[0]:
                duplicates.append((first, other))
            elif _origin(dataset, other[0]) == _origin(dataset, first[0]):
                made.append((first, other))
            else:
                leaks.append((first, other))
        labels = {t.index for _, s in (first, *others) if isinstance(t := s.targets.get("classification"), Label)}
        if len(labels) > 1:
            conflicts.append([first, *others])
    findings = []
    if leaks:
        published = (dataset.format, len(entries)) in PUBLISHED
        message = "{count} images of one split are exact copies of images of another; " + (
            "this data set is published with them" if published else "take them out of one of the two"
        )
        findings.append(_about("leak", "note" if published else "stop", message, leaks))
    if made:
        message = "{count} images are exact copies of images of another split; left out of the later one"
        shown = [_names(pair) for pair in made]
        findings.append(
            Finding.about(LEAK_IN_MADE_SPLITS, "repair", message, [copy.id for _, (_, copy) in made], shown)
        )
    if conflicts:
        message = "{count} images have exact copies of another class: one of the labels is wrong"
        findings.append(_about("conflicting-copies", "note", message, conflicts))
    if duplicates:
        message = "{count} images are exact copies of images of the same split"
        findings.append(_about("duplicate", "note", message, duplicates))
    near = [(entries[one], entries[two]) for one, two in copies.near]
    across = [pair for pair in near if pair[0][0] != pair[1][0]]
    within = [pair for pair in near if pair[0][0] == pair[1][0]]
    if across:
        message = "{count} pairs of images in different splits are the same picture, saved or scaled differently"
        findings.append(_about("near-leak", "note", message, across))
    if within:
        message = "{count} pairs of images in one split are the same picture, saved or scaled differently"
        findings.append(_about("near-duplicate", "note", message, within))
    return findings


def _origin(dataset: Dataset, split: str) -> str:
    """The split that a split was divided from here; a given one is its own."""
    return "train" if split in dataset.made_splits else split


def _names(entries: Sequence[_Entry]) -> str:
    return " = ".join(f"{split}: {sample.id}" for split, sample in entries)


def _about(kind: str, severity: Severity, message: str, groups: Sequence[Sequence[_Entry]]) -> Finding:
    names = [sample.id for group in groups for _, sample in group]
    return Finding.about(kind, severity, message, names, [_names(group) for group in groups])

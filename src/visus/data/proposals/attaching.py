"""Gives the samples of a data set the region proposals that a file has for their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from visus.data.dataset import Dataset, Finding
from visus.data.formats.coco.coco import image_names
from visus.data.formats.coco.coco_columns import Key, key_of
from visus.data.messages import counted, listed, with_count
from visus.data.pixels.image_kinds import IMAGE_SUFFIXES
from visus.data.proposals.given import GivenProposals
from visus.data.proposals.reading import read_proposals
from visus.data.reading.accounting import CHANGED, LOST_OBJECTS, too_many
from visus.errors import DataError
from visus.structures import Proposals, Sample

_LOSSES = ("box-not-a-number", "box-degenerate")
_ADVICE = "pixels of the image itself, x1 < x2, y1 < y2, in the order that the format of the file has"


def with_proposals(dataset: Dataset, paths: Sequence[Path]) -> Dataset:
    """The data set whose samples have the proposals of these files; see :func:`attach`."""
    samples = [sample for split in dataset.splits.values() for sample in split]
    attached, findings = attach(samples, paths, dataset)
    rest = iter(attached)
    splits = {name: [next(rest) for _ in split] for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits, findings=(*dataset.findings, *findings))


def attach(
    samples: Sequence[Sample], paths: Sequence[Path], dataset: Dataset | None = None
) -> tuple[list[Sample], list[Finding]]:
    """The samples with the proposals that files have for their images, and what was remarkable about these.

    An image is meant by the end of its path, with or without its suffix, or by its number in COCO's files.

    Args:
        samples: each must be in one of the files, if only without any proposal.
        paths: of the files; see :func:`visus.data.proposals.reading.read_proposals`.
        dataset: that the samples are of: of COCO's data the ids are read where a file has such; None: unknown.

    Raises:
        DataError: if a file cannot be read; if an image has no entry, or two; if an entry may mean several images; if
            more than a small share of the boxes lie outside of their images or are no boxes.
    """
    images = _Images(samples, dataset)
    of_sample: dict[int, tuple[GivenProposals, Path]] = {}
    others: list[str] = []
    for path in paths:
        for given in read_proposals(path):
            index = images.find(given.name, path)
            if index is None:
                others.append(str(given.name))
            elif index in of_sample:
                raise DataError(
                    f"{samples[index].id} has proposals twice",
                    expected="one entry an image, in all files together",
                    got=f"{of_sample[index][0].name} in {of_sample[index][1]}, {given.name} in {path}",
                    remedy="leave one of them out",
                )
            else:
                of_sample[index] = (given, path)
    named = listed((str(path) for path in paths), 3)
    missing = [sample.id for index, sample in enumerate(samples) if index not in of_sample]
    if missing:
        raise DataError(
            with_count(f"{{count}} images of {len(samples):,} are not in {named}", len(missing)),
            expected="an entry for each image, if only an empty one (in CSV a row with the image's name alone)",
            got=f"none for {listed(missing)}; entries such as {listed(others, 3)}" if others else listed(missing),
            remedy="name the files of all splits: --proposals FILE may be repeated",
        )
    tally = _Tally()
    attached = [
        replace(sample, proposals=tally.repaired(sample, *of_sample[index])) for index, sample in enumerate(samples)
    ]
    return attached, [*tally.findings(named), *_about_others(others, named)]


class _Images:
    """Finds the sample that a name or a number means."""

    def __init__(self, samples: Sequence[Sample], dataset: Dataset | None) -> None:
        self._paths = [_parts(sample.id) for sample in samples]
        self._named: dict[str, list[int]] = {}
        for index, parts in enumerate(self._paths):
            for name in {parts[-1], _stem(parts[-1])}:
                self._named.setdefault(name, []).append(index)
        self._coco = dataset.root if dataset is not None and dataset.format == "coco" else None
        self._ids: Mapping[Key, list[str]] | None = None
        self._numbers: dict[int, list[int]] = {}
        for name, indices in self._named.items():
            if name.isascii() and name.isdecimal() and len(name) < 19:
                self._numbers.setdefault(int(name), []).extend(indices)

    def find(self, name: str | int, path: Path) -> int | None:
        """The position of the sample; None if none is meant. path: of the file, for the message.

        Raises:
            DataError: if several samples fit equally well.
        """
        hits = [] if isinstance(name, int) else self._by_path(_parts(name))
        if not hits:
            hits = self._by_id(key_of(name))
        if len(hits) > 1:
            raise DataError(
                f"{path}: {name} may mean several images",
                expected="names with as many folders as it takes to tell the images apart",
                got=listed("/".join(self._paths[index]) for index in hits),
            )
        return hits[0] if hits else None

    def _by_path(self, parts: tuple[str, ...]) -> list[int]:
        """Those whose paths share the most last parts with the name."""
        near = self._named.get(parts[-1]) or self._named.get(_stem(parts[-1]), [])
        shared = [_shared_end(self._paths[index][:-1], parts[:-1]) for index in near]
        return [index for index, count in zip(near, shared, strict=True) if count == max(shared)]

    def _by_id(self, key: Key) -> list[int]:
        """By COCO's ids, where the data have them; else by a file's name that is this number."""
        if self._ids is None:
            self._ids = {} if self._coco is None else image_names(self._coco)
        if self._ids:
            return sorted({index for name in self._ids.get(key, []) for index in self._by_path(_parts(name))})
        return self._numbers.get(key, []) if isinstance(key, int) else []


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".")) or ("",)


def _stem(name: str) -> str:
    """A file's name without the suffix of an image; dots may belong to a name."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


def _shared_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


@dataclass(slots=True)
class _Tally:
    """Counts boxes and what is wrong with them."""

    boxes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def repaired(self, sample: Sample, given: GivenProposals, path: Path) -> Proposals:
        """The proposals of a sample, in its image.

        Raises:
            DataError: if the file says another size of the image.
        """
        size = sample.image.size()
        if given.size not in (None, size):
            raise DataError(
                f"{path}: the proposals of {given.name} are of an image of another size than {sample.id}",
                expected=f"height {size[0]}, width {size[1]}",
                got=str(given.size),
            )
        proposals, faults = Proposals(given.boxes, size, given.scores).repaired()
        self.boxes += len(given.boxes)
        for kind, count in faults:
            self.faults[kind] += count
            self.examples.setdefault(kind, []).append(sample.id)
        return proposals

    def findings(self, named: str) -> list[Finding]:
        """What was repaired.

        Raises:
            DataError: if that is too much for the boxes to be meant as they were read.
        """
        lost, outside = sum(self.faults[kind] for kind in _LOSSES), self.faults["box-mostly-outside"]
        swapped = self.faults["box-swapped"]
        for count, share, what in (
            (lost, LOST_OBJECTS, "are no boxes in their images"),
            (outside, LOST_OBJECTS, "lie mostly outside of their images"),
            (swapped, CHANGED, "have their ends before their starts"),
        ):
            if too_many(count, self.boxes, share):
                kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.faults.items())
                raise DataError(
                    f"{count:,} of {counted(self.boxes, 'proposals')} of {named} {what}",
                    expected=_ADVICE,
                    got=f"{kinds}, in {listed(next(iter(self.examples.values())), 3)}",
                    remedy="correct the file, or compute proposals: visus data propose DATA",
                )
        return [self._finding(fault, named) for fault in self.faults]

    def _finding(self, fault: str, named: str) -> Finding:
        kind, words = _TOLD[fault]
        count = self.faults[fault]
        message = with_count(f"{words} ({named})", count)
        return Finding(kind, "repair", message, count, tuple(self.examples[fault][:20]))


_TOLD = {
    "box-not-a-number": ("proposal-not-a-number", "{count} proposals have a coordinate that is no number; left out"),
    "box-swapped": ("proposal-swapped", "{count} proposals have their ends before their starts; put right"),
    "box-outside": ("proposal-outside", "{count} proposals reach outside of their images; cut to them"),
    "box-mostly-outside": (
        "proposal-mostly-outside",
        "{count} proposals lie mostly outside of their images; cut to them",
    ),
    "box-degenerate": ("proposal-degenerate", "{count} proposals have no area in their images; left out"),
}
"""From a fault of boxes to the kind of the finding, and its words."""


def _about_others(others: list[str], named: str) -> list[Finding]:
    if not others:
        return []
    message = with_count(f"{{count}} images that have proposals in {named} are not among the data", len(others))
    return [Finding("proposals-of-other-images", "note", message, len(others), tuple(others[:20]))]

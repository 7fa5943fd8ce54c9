"""Makes the splits that the data do not give: reproducible, stratified, never overlapping."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import overload

from visus.data.formats.folders.folder_samples import FolderSamples
from visus.structures import Sample

FRACTIONS: Mapping[str, float] = {"test": 0.15, "val": 0.15}
"""The shares that are held back when the data give no splits; the rest is for training."""


def split_indices(
    names: Sequence[str], strata: Sequence[Hashable], fractions: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    """Indices 0..N-1 divided into "train" and the splits of ``fractions``.

    Each image's place follows from a hash of seed and name, so the order in which files are listed changes nothing.
    Every stratum gives its share to every split to within one image, the total is right to within one image wherever
    strata are not too small for that, and every stratum keeps at least one image for training.

    Args:
        names: N names, the samples' ids.
        strata: N values; images of one value are divided evenly.
        fractions: the share of each split but "train"; at most 1 together.
        seed: another seed, other splits.

    Returns:
        "train" and each split of ``fractions`` with their indices, rising; disjoint, together all N.
    """
    members: dict[Hashable, list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    order = sorted(members, key=repr)
    shares = _shares([len(members[stratum]) for stratum in order], fractions)
    result: dict[str, list[int]] = {split: [] for split in ("train", *fractions)}
    for stratum, share in zip(order, shares, strict=True):
        shuffled = sorted(members[stratum], key=lambda index: _key(seed, names[index], index))
        for split in fractions:
            result[split] += shuffled[: share[split]]
            shuffled = shuffled[share[split] :]
        result["train"] += shuffled
    return {split: sorted(indices) for split, indices in result.items()}


def _shares(counts: Sequence[int], fractions: Mapping[str, float]) -> list[dict[str, int]]:
    """How many images of each stratum each held-back split gets, from the strata's counts.

    Shares are rounded over the running total, so that what small strata cannot give is carried on.
    """
    shares: list[dict[str, int]] = []
    before = 0
    for count in counts:
        left, share = count, {}
        for split, fraction in fractions.items():
            wanted = round(fraction * (before + count)) - round(fraction * before)
            share[split] = min(wanted, left - 1)
            left -= share[split]
        shares.append(share)
        before += count
    return shares


def _key(seed: int, name: str, index: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest(), index


def split_samples(
    samples: Sequence[Sample], task: str | None, fractions: Mapping[str, float], seed: int
) -> Mapping[str, Sequence[Sample]]:
    """Samples divided into "train" and the splits of ``fractions``; see :func:`split_indices`.

    Strata are the classes (classification), or the rarest class in each image (detection, where targets say it without
    reading files). Segmentation maps are not read for this: they are divided by file.
    """
    if isinstance(samples, FolderSamples):
        division = _Division(samples, fractions, seed)
        return {split: _Chosen(division, split) for split in ("train", *fractions)}
    strata = _strata(samples, task)
    indices = split_indices([sample.id for sample in samples], strata, fractions, seed)
    return {split: [samples[index] for index in chosen] for split, chosen in indices.items()}


class _Division:
    """The splits of class folders; which image goes where is computed when the first is asked for."""

    def __init__(self, samples: FolderSamples, fractions: Mapping[str, float], seed: int) -> None:
        self.samples = samples
        self._fractions, self._seed = fractions, seed
        self._indices: dict[str, list[int]] | None = None
        counts = Counter(samples.labels().tolist())
        shares = _shares([counts[label] for label in sorted(counts, key=repr)], fractions)
        self.lengths = {split: sum(share[split] for share in shares) for split in fractions}
        self.lengths["train"] = len(samples) - sum(self.lengths.values())

    def indices(self, split: str) -> list[int]:
        """The positions of a split's samples, rising."""
        if self._indices is None:
            self._indices = split_indices(
                self.samples.ids(), self.samples.labels().tolist(), self._fractions, self._seed
            )
        return self._indices[split]


class _Chosen(Sequence[Sample]):
    """The samples of one split of a division."""

    def __init__(self, division: _Division, split: str) -> None:
        self._division, self._split = division, split

    def __len__(self) -> int:
        return self._division.lengths[self._split]

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        chosen = self._division.indices(self._split)[index]
        samples = self._division.samples
        return [samples[i] for i in chosen] if isinstance(chosen, list) else samples[chosen]

    def __iter__(self) -> Iterator[Sample]:
        return (self._division.samples[i] for i in self._division.indices(self._split))

    def covers(self, task: str) -> bool:
        """Whether every sample has a target for a task."""
        return self._division.samples.covers(task)

    def suffixes(self) -> frozenset[str]:
        """Suffixes (lower case) that include those of all images."""
        return self._division.samples.suffixes()


def _strata(samples: Sequence[Sample], task: str | None) -> list[int]:
    """The stratum of each sample: its rarest class; -1 if no class is known without reading files."""
    present: list[set[int]] = []
    for sample in samples:
        target = sample.targets.get(task) if task is not None else None
        labels = getattr(target, "labels", None)
        present.append(set() if labels is None else {int(label) for label in labels})
    counts: dict[int, int] = {}
    for classes in present:
        for index in classes:
            counts[index] = counts.get(index, 0) + 1
    return [min(classes, key=lambda index: (counts[index], index), default=-1) for classes in present]

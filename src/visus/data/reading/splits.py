"""Makes the splits that the data do not give: reproducible, stratified, never overlapping."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence

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
    result: dict[str, list[int]] = {split: [] for split in ("train", *fractions)}
    before = 0
    for stratum in sorted(members, key=repr):
        shuffled = sorted(members[stratum], key=lambda index: _key(seed, names[index], index))
        after = before + len(shuffled)
        for split, fraction in fractions.items():
            # Shares are rounded over the running total, so that what small strata cannot give is carried on.
            share = round(fraction * after) - round(fraction * before)
            share = min(share, len(shuffled) - 1)
            result[split] += shuffled[:share]
            shuffled = shuffled[share:]
        result["train"] += shuffled
        before = after
    return {split: sorted(indices) for split, indices in result.items()}


def _key(seed: int, name: str, index: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest(), index


def split_samples(
    samples: Sequence[Sample], task: str | None, fractions: Mapping[str, float], seed: int
) -> dict[str, list[Sample]]:
    """Samples divided into "train" and the splits of ``fractions``; see :func:`split_indices`.

    Strata are the classes (classification), or the rarest class in each image (detection, where targets say it without
    reading files). Segmentation maps are not read for this: they are divided by file.
    """
    strata = _strata(samples, task)
    indices = split_indices([sample.id for sample in samples], strata, fractions, seed)
    return {split: [samples[index] for index in chosen] for split, chosen in indices.items()}


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

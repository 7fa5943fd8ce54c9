"""Divides images into splits, and draws some of them: stratified by class, the same for the same seed.

Letters: N images, K classes, G groups, S splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from visus.data.messages import counted
from visus.data.reading.splits import split_indices
from visus.errors import DataError, UsageError
from visus.structures import Sample

Counts = NDArray[np.int64]


def presence(samples: Sequence[Sample], task: str) -> NDArray[np.bool_]:
    """[N,K]: whether each image has each class; every label is read.

    Raises:
        DataError: if a label cannot be read.
    """
    rows = [sample.target(task, masks=False).class_counts() > 0 for sample in samples]
    return np.asarray(rows, bool).reshape(len(rows), -1)


def divide(
    samples: Sequence[Sample],
    present: NDArray[np.bool_],
    fractions: Mapping[str, float],
    seed: int,
    groups: Sequence[str] | None = None,
) -> dict[str, list[Sample]]:
    """The samples in "train" and the splits of ``fractions``.

    Without groups every class gives its share to every split, to within one image. With groups none is torn apart, and
    each goes, the largest first, to where it brings the numbers of images and classes nearest to their shares.

    Args:
        samples: N.
        present: [N,K]; see :func:`presence`.
        fractions: the share of each split but "train".
        seed: another seed, other splits.
        groups: N names; None: each image is its own group.

    Raises:
        DataError: if there are fewer groups than splits.
    """
    if groups is None:
        indices = split_indices([sample.id for sample in samples], rarest_classes(present), fractions, seed)
    else:
        indices = _divide_groups(groups, present, fractions, seed)
    return {split: [samples[i] for i in chosen] for split, chosen in indices.items()}


def draw(strata: Sequence[tuple[str, int]], names: Sequence[str], count: int, seed: int) -> list[int]:
    """Indices of ``count`` of N images, rising: of each stratum its share, and one at least where there is room.

    Args:
        strata: N, such as (split, rarest class).
        names: N; an image's place follows from a hash of seed and name.
        count: 1..N.
        seed: another seed, other images.

    Raises:
        UsageError: if there are fewer images.
    """
    if not 1 <= count <= len(names):
        raise UsageError("so many images cannot be drawn", expected=f"1 to {len(names)} images", got=f"--count {count}")
    members: dict[tuple[str, int], list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    ordered = sorted(members)
    sizes = np.asarray([len(members[stratum]) for stratum in ordered])
    exact = count * sizes / sizes.sum()
    shares = np.floor(exact).astype(int)
    if count >= len(ordered):
        shares = np.maximum(shares, 1)
    while shares.sum() != count:  # to the largest remainder, or from the one that has most too many
        step = 1 if shares.sum() < count else -1
        able = shares < sizes if step > 0 else shares > min(1, count // len(ordered))
        shares[np.flatnonzero(able)[np.argmax((step * (exact - shares))[able])]] += step
    chosen = []
    for stratum, share in zip(ordered, shares, strict=True):
        shuffled = sorted(members[stratum], key=lambda index: (_hash(seed, names[index]), index))
        chosen += shuffled[:share]
    return sorted(chosen)


def rarest_classes(present: NDArray[np.bool_]) -> list[int]:
    """The class of each image that the fewest images have; -1 of an image without a class."""
    counts = present.sum(0)
    order = np.argsort(counts, kind="stable")
    ranked = present[:, order]
    return [int(order[row.argmax()]) if row.any() else -1 for row in ranked]


def _divide_groups(
    groups: Sequence[str], present: NDArray[np.bool_], fractions: Mapping[str, float], seed: int
) -> dict[str, list[int]]:
    names, places = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    splits = ("train", *fractions)
    if len(names) < len(splits):
        raise DataError(
            f"{counted(len(names), 'groups')} cannot fill {len(splits)} splits",
            expected=f"at least {len(splits)} groups",
            got=", ".join(names[:5]),
            remedy="group by something finer, or ask for fewer splits",
        )
    held = np.zeros((len(names), present.shape[1] + 1))  # [G, K + 1]: images of each class, and all
    np.add.at(held, places, np.column_stack([present, np.ones(len(present))]).astype(float))
    total = held.sum(0)
    held, total = held[:, total > 0], total[total > 0]
    shares = np.asarray([1 - sum(fractions.values()), *fractions.values()])
    wanted = np.maximum(shares[:, None] * total, 1e-9)  # [S, K + 1]
    filled = np.zeros_like(wanted)
    order = sorted(range(len(names)), key=lambda g: (-held[g, -1], _hash(seed, str(names[g]))))
    chosen = np.zeros(len(names), int)
    for group in order:
        # How much the squared distance from the wanted numbers grows, as a share of them.
        cost = ((2 * (filled - wanted) + held[group]) * held[group] / wanted).sum(1)
        chosen[group] = int(cost.argmin())
        filled[chosen[group]] += held[group]
    for split in range(len(splits)):  # few large groups can leave a split empty: it gets the smallest of the fullest
        if not (chosen == split).any():
            counts = np.bincount(chosen, minlength=len(splits))
            giving = [g for g in reversed(order) if counts[chosen[g]] > 1]
            chosen[giving[0]] = split
    return {name: np.flatnonzero(chosen[places] == k).tolist() for k, name in enumerate(splits)}


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()

"""Splits are reproducible, stratified and never overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from visus.data.pixels.images import ArrayImage
from visus.data.reading.splits import FRACTIONS, split_indices, split_samples
from visus.structures import Detections, Label, Sample

STRATA = st.lists(st.integers(0, 6), min_size=1, max_size=300)
SEEDS = st.integers(0, 2**31)


def names_of(strata: list[int]) -> list[str]:
    return [f"images/{index:04d}.jpg" for index in range(len(strata))]


@given(STRATA, SEEDS)
def test_splits_are_a_partition(strata: list[int], seed: int) -> None:
    splits = split_indices(names_of(strata), strata, FRACTIONS, seed)
    together = [index for indices in splits.values() for index in indices]
    assert sorted(together) == list(range(len(strata)))
    assert list(splits) == ["train", *FRACTIONS]


@given(STRATA, SEEDS)
def test_every_stratum_gives_its_share_and_keeps_one_for_training(strata: list[int], seed: int) -> None:
    splits = split_indices(names_of(strata), strata, FRACTIONS, seed)
    for stratum in set(strata):
        size = strata.count(stratum)
        held = {split: sum(strata[i] == stratum for i in splits[split]) for split in splits}
        assert held["train"] >= 1
        for split, fraction in FRACTIONS.items():
            assert abs(held[split] - fraction * size) <= 1
    for split, fraction in FRACTIONS.items():
        if min(strata.count(stratum) for stratum in set(strata)) >= 4:
            assert abs(len(splits[split]) - fraction * len(strata)) <= 1


@given(STRATA, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_listing_changes_nothing(strata: list[int], seed: int, random: object) -> None:
    names = names_of(strata)
    order = list(range(len(strata)))
    random.shuffle(order)
    first = split_indices(names, strata, FRACTIONS, seed)
    second = split_indices([names[i] for i in order], [strata[i] for i in order], FRACTIONS, seed)
    for split in first:
        assert {names[i] for i in first[split]} == {names[order[i]] for i in second[split]}


def test_seeds_differ_and_repeat() -> None:
    strata = [0] * 100
    one = split_indices(names_of(strata), strata, FRACTIONS, 1)
    assert one == split_indices(names_of(strata), strata, FRACTIONS, 1)
    assert one != split_indices(names_of(strata), strata, FRACTIONS, 2)
    assert (len(one["train"]), len(one["val"]), len(one["test"])) == (70, 15, 15)


def sample(name: str, target: object, task: str) -> Sample:
    return Sample(name, ArrayImage(np.zeros((4, 4), np.uint8)), {task: target})


def test_classes_are_divided_evenly() -> None:
    classes = ("rare", "often")
    samples = [sample(str(i), Label(classes, int(i >= 20)), "classification") for i in range(200)]
    made = split_samples(samples, "classification", FRACTIONS, 0)
    assert [sum(s.target("classification").index == 0 for s in made[k]) for k in ("train", "val", "test")] == [14, 3, 3]


def test_images_with_a_rare_object_are_divided_evenly() -> None:
    def objects(labels: list[int]) -> Detections:
        boxes = np.tile(np.asarray([[0, 0, 2, 2]], np.float32), (len(labels), 1))
        return Detections(("common", "rare"), boxes, np.asarray(labels, np.int64), (4, 4))

    samples = [sample(str(i), objects([0, 1] if i < 20 else [0] if i < 90 else []), "detection") for i in range(100)]
    made = split_samples(samples, "detection", FRACTIONS, 3)
    rare = [sum(1 in s.target("detection").labels for s in made[split]) for split in ("train", "val", "test")]
    empty = [sum(len(s.target("detection")) == 0 for s in made[split]) for split in ("train", "val", "test")]
    assert rare == [14, 3, 3]
    assert sum(empty) == 10
    assert all(empty)


def test_a_single_image_is_for_training() -> None:
    assert split_indices(["a"], [0], FRACTIONS, 0) == {"train": [0], "test": [], "val": []}

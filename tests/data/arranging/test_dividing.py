"""Splits and samples hold what they should of every class, tear no group apart, and follow from the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.data.arranging.dividing import divide, draw, rarest_classes
from visus.data.arranging.grouping import groups_of
from visus.data.dataset import Dataset
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError, UsageError
from visus.structures import Label, Sample

PIXELS = ArrayImage(np.zeros((2, 2), np.uint8))


def samples_of(names: list[str]) -> list[Sample]:
    return [Sample(name, PIXELS) for name in names]


def one_hot(labels: list[int], count: int) -> np.ndarray:
    return np.eye(count, dtype=bool)[labels]


def test_every_class_gives_its_share_to_every_split() -> None:
    labels = [0] * 100 + [1] * 50 + [2] * 10
    samples = samples_of([f"{k}.png" for k in range(160)])
    made = divide(samples, one_hot(labels, 3), {"val": 0.2, "test": 0.1}, seed=0)
    place = {sample.id: label for sample, label in zip(samples, labels, strict=True)}
    counts = {split: np.bincount([place[s.id] for s in part], minlength=3).tolist() for split, part in made.items()}
    assert counts == {"train": [70, 35, 7], "val": [20, 10, 2], "test": [10, 5, 1]}
    again = divide(samples, one_hot(labels, 3), {"val": 0.2, "test": 0.1}, seed=0)
    other = divide(samples, one_hot(labels, 3), {"val": 0.2, "test": 0.1}, seed=1)
    assert [s.id for s in made["val"]] == [s.id for s in again["val"]]
    assert {s.id for s in made["val"]} != {s.id for s in other["val"]}


@given(st.lists(st.integers(1, 30), min_size=3, max_size=40), st.integers(0, 5))
def test_no_group_is_torn_apart_and_no_split_is_empty(sizes: list[int], seed: int) -> None:
    groups = [f"g{g}" for g, size in enumerate(sizes) for _ in range(size)]
    labels = [int(group[1:]) % 3 for group in groups]
    samples = samples_of([f"{k}" for k in range(len(groups))])
    made = divide(samples, one_hot(labels, 3), {"val": 0.2, "test": 0.2}, seed, groups)
    assert sorted(int(s.id) for part in made.values() for s in part) == list(range(len(groups)))
    homes: dict[str, set[str]] = {}
    for split, part in made.items():
        assert part
        for sample in part:
            homes.setdefault(groups[int(sample.id)], set()).add(split)
    assert all(len(splits) == 1 for splits in homes.values())


def test_groups_of_like_sizes_come_near_to_the_shares_of_images_and_classes() -> None:
    groups = [f"person{g}" for g in range(100) for _ in range(5)]
    labels = [g % 2 for g in range(100) for _ in range(5)]
    made = divide(samples_of([f"{k}" for k in range(500)]), one_hot(labels, 2), {"val": 0.2, "test": 0.1}, 0, groups)
    assert {split: len(part) for split, part in made.items()} == {"train": 350, "val": 100, "test": 50}
    for split, size in (("train", 350), ("val", 100), ("test", 50)):
        assert sum(labels[int(s.id)] for s in made[split]) == pytest.approx(size / 2, abs=5)
    with pytest.raises(DataError, match="2 groups cannot fill 3 splits"):
        divide(samples_of(["a", "b", "c"]), one_hot([0, 0, 0], 1), {"val": 0.2, "test": 0.1}, 0, ["x", "x", "y"])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.data())
def test_a_sample_has_so_many_images_and_of_every_stratum_its_share(sizes: list[int], data: st.DataObject) -> None:
    strata = [("train", k) for k, size in enumerate(sizes) for _ in range(size)]
    count = data.draw(st.integers(1, len(strata)))
    chosen = draw(strata, [str(k) for k in range(len(strata))], count, 0)
    assert len(set(chosen)) == count
    assert chosen == sorted(chosen)
    drawn = np.bincount([strata[k][1] for k in chosen], minlength=len(sizes))
    if count >= len(sizes):
        assert (drawn >= 1).all()
    assert (drawn <= sizes).all()
    assert (drawn <= np.ceil(count * np.asarray(sizes) / len(strata)) + 1).all()


def test_more_images_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(UsageError, match="1 to 2 images"):
        draw([("train", 0)] * 2, ["a", "b"], 3, 0)


def test_the_rarest_class_of_an_image() -> None:
    present = np.asarray([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    assert rarest_classes(present) == [1, 0, -1, 2]


def test_groups_by_folder_pattern_and_column(tmp_path: Path) -> None:
    names = ["a/p1_x.png", "a/p1_y.png", "b/p2_x.png"]
    samples = samples_of(names)
    dataset = Dataset("d", "class-folders", tmp_path, {}, {"all": samples})
    assert groups_of(samples, "folder", dataset) == ["a", "a", "b"]
    assert groups_of(samples, r"(p\d)_", dataset) == ["p1", "p1", "p2"]
    assert groups_of(samples, r"p\d", dataset) == ["p1", "p1", "p2"]
    assert groups_of(samples, r"^(\w)/(p\d)", dataset) == ["a/p1", "a/p1", "b/p2"]
    (tmp_path / "meta.csv").write_text("Image,Patient ID\na/p1_x.png,7\np1_y.png,8\nb\\p2_x.png,7\n")
    assert groups_of(samples, "Patient ID", dataset) == ["7", "8", "7"]
    assert groups_of(samples, "patient_id", dataset) == ["7", "8", "7"]
    (tmp_path / "meta.csv").write_text("id,person\np1_x,7\np1_y,8\np1_y,9\n")
    with pytest.raises(DataError, match=r"a/p1_y\.png belongs to 2 groups"):
        groups_of(samples, "person", dataset)
    (tmp_path / "meta.csv").write_text("id,person\np1_x,7\np1_y,8\n")
    with pytest.raises(DataError, match="1 of 3 images have no group by person"):
        groups_of(samples, "person", dataset)
    with pytest.raises(DataError, match="2 of 3 images have no group"):
        groups_of(samples, r"(p2)", dataset)
    with pytest.raises(UsageError, match="no regular expression"):
        groups_of(samples, "(p", dataset)
    with pytest.raises(UsageError, match="no column nobody"):
        groups_of(samples, "nobody", dataset)


def test_folders_that_are_the_classes_are_no_groups(tmp_path: Path) -> None:
    dataset = Dataset("d", "class-folders", tmp_path, {}, {})
    samples = [
        Sample(f"{folder}/{k}.png", sample.image, {"classification": Label(("a", "b"), index)})
        for index, folder in enumerate(("a", "b"))
        for k, sample in enumerate(samples_of(["x.png", "y.png"]))
    ]
    with pytest.raises(UsageError, match="each folder is one class"):
        groups_of(samples, "folder", dataset)
    mixed = [*samples, replace(samples[0], targets=samples[-1].targets)]  # folder a holds both classes
    assert len(set(groups_of(mixed, "folder", dataset))) == 2

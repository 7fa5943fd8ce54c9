"""Windows around objects: where they lie, what stays labelled, and how much they overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.data.augmentation.object_crops import object_window
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.errors import RecipeError
from visus.structures import Preprocessing, SegmentationMap

NAMES = ("ground", "cat", "dog")


def scene() -> SegmentationMap:
    """A cat of 10x20 pixels, a dog that touches it, a second cat far away, and a corner to ignore."""
    ids = np.zeros((100, 120), np.uint8)
    ids[30:40, 40:60] = 1
    ids[40:50, 40:50] = 2
    ids[80:90, 100:105] = 1
    ids[:5, :5] = 255
    return SegmentationMap(NAMES, ids)


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    rows, columns = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(rows, 0) * max(columns, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


BOXES = {(30, 40, 40, 60): 1, (40, 40, 50, 50): 2, (80, 100, 90, 105): 1}


@given(st.integers(0, 200))
def test_a_centred_object_is_labelled_alone(seed: int) -> None:
    window, alone = object_window(scene(), "centred", np.random.default_rng(seed))
    shown = alone.map.copy()
    shown[shown == 255] = 0
    rows, columns = np.nonzero(shown)
    box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert set(np.unique(shown)) == {0, BOXES[box]}  # one object, whole, with its class
    assert (shown > 0).sum() == (box[2] - box[0]) * (box[3] - box[1])
    assert (alone.map[:5, :5] == 255).all()
    height, width = box[2] - box[0], box[3] - box[1]
    assert window[2] - window[0] == pytest.approx(1.2 * 224 / 250 * height)
    assert window[3] - window[1] == pytest.approx(1.2 * 224 / 250 * width)
    # Inside the box that is 1.2 times as large.
    assert window[0] >= box[0] - 0.1 * height - 1e-9
    assert window[2] <= box[2] + 0.1 * height + 1e-9


@given(st.integers(0, 200))
def test_an_overlapping_window_keeps_all_labels(seed: int) -> None:
    target = scene()
    window, kept = object_window(target, "overlapping", np.random.default_rng(seed))
    assert kept is target
    assert max(overlap(window, box) for box in BOXES) >= 0.5


def test_every_object_gets_its_turn() -> None:
    random = np.random.default_rng(0)
    seen = {tuple(np.unique(object_window(scene(), "centred", random)[1].map)) for _ in range(40)}
    assert seen == {(0, 1, 255), (0, 2, 255)}


def test_without_objects_the_whole_image_is_taken() -> None:
    empty = SegmentationMap(NAMES, np.zeros((7, 9), np.uint8))
    assert object_window(empty, "centred", np.random.default_rng(0)) == ((0, 0, 7, 9), empty)


def test_what_excludes_one_another() -> None:
    with pytest.raises(ValueError, match="exclude"):
        Augmentation(object_window="centred", random_crop=True)
    preprocessing = Preprocessing(size=(8, 8), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(RecipeError, match="class maps"):
        Preparer("classification", preprocessing, Augmentation(object_window="centred"), 0)

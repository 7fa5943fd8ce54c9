"""Segmentation scores against scikit-learn, and by hand."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.errors import ShapeError
from visus.metrics.segmentation import SegmentationMetric
from visus.structures import SegmentationMap


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(count))


def maps(classes: int, *values: np.ndarray) -> list[SegmentationMap]:
    return [SegmentationMap(names(classes), np.asarray(value, np.uint8)) for value in values]


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 4))
def test_equals_scikit_learn(seed: int, classes: int, images: int) -> None:
    from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, jaccard_score

    rng = np.random.default_rng(seed)
    truths, answers = [], []
    for _ in range(images):
        shape = tuple(rng.integers(1, 20, 2))
        truth = rng.integers(0, classes, shape)
        answers.append(np.where(rng.random(shape) < 0.6, truth, rng.integers(0, classes, shape)))
        truths.append(np.where(rng.random(shape) < 0.1, 255, truth))
    metric = SegmentationMetric(names(classes))
    for answer, truth in zip(answers, truths, strict=True):
        metric.update(maps(classes, answer), maps(classes, truth))
    found = metric.compute()

    flat = [np.concatenate([value.ravel() for value in values]) for values in (truths, answers)]
    truth, answer = (values[flat[0] != 255] for values in flat)
    if len(truth) == 0:
        assert found["mean_iou"] is None
        return
    every = list(range(classes))
    assert found["confusion"] == confusion_matrix(truth, answer, labels=every).tolist()
    assert found["pixel_accuracy"] == pytest.approx((truth == answer).mean())
    present = [k for k in every if (truth == k).any() or (answer == k).any()]
    for key, score in (("iou", jaccard_score), ("dice", f1_score)):
        values = score(truth, answer, labels=every, average=None, zero_division=0)
        ours = [row[key] for row in found["per_class"].values()]
        assert [ours[k] for k in present] == pytest.approx([values[k] for k in present])
        assert all(ours[k] is None for k in every if k not in present)
        assert found[f"mean_{key}"] == pytest.approx(np.mean([values[k] for k in present]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and never true, which the mean leaves out
        assert found["mean_accuracy"] == pytest.approx(balanced_accuracy_score(truth, answer))
    weighted = jaccard_score(truth, answer, labels=every, average="weighted", zero_division=0)
    assert found["frequency_weighted_iou"] == pytest.approx(weighted)
    assert sum(row["share"] for row in found["per_class"].values()) == pytest.approx(1)


def test_by_hand() -> None:
    metric = SegmentationMetric(("ground", "cell", "never"))
    truth = SegmentationMap(metric.classes, np.asarray([[0, 0, 1], [1, 1, 255]], np.uint8))
    answer = SegmentationMap(metric.classes, np.asarray([[0, 1, 1], [1, 0, 0]], np.uint8))
    metric.update([answer], [truth])
    found = metric.compute()
    assert found["confusion"] == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert found["pixel_accuracy"] == pytest.approx(3 / 5)
    assert found["per_class"]["cell"]["iou"] == pytest.approx(2 / 4)
    assert found["per_class"]["cell"]["dice"] == pytest.approx(4 / 6)
    assert found["per_class"]["cell"]["pixels"] == 3
    never = dict.fromkeys(("iou", "dice", "precision", "recall", "boundary_f1"))
    assert found["per_class"]["never"] == {**never, "share": 0.0, "pixels": 0}
    assert found["mean_iou"] == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert found["mean_dice"] == pytest.approx((2 / 4 + 4 / 6) / 2)
    # FCN, section 5: n_00 = 1, n_01 = 1, n_10 = 1, n_11 = 2; t_0 = 2, t_1 = 3.
    assert found["mean_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["frequency_weighted_iou"] == pytest.approx((2 * 1 / 3 + 3 * 2 / 4) / 5)


def test_a_metric_does_not_grow() -> None:
    metric = SegmentationMetric(("a", "b"))
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(3):
        for _ in range(5):
            metric.update(maps(2, rng.integers(0, 2, (64, 64))), maps(2, rng.integers(0, 2, (64, 64))))
        metric.compute()
        sizes.append(len(pickle.dumps(metric)))
    assert max(sizes) - min(sizes) < 100


def test_a_pixel_without_an_answer_is_wrong() -> None:
    metric = SegmentationMetric(("a", "b"))
    truth = SegmentationMap(metric.classes, np.asarray([[0, 0, 1, 255]], np.uint8))
    answer = SegmentationMap(metric.classes, np.asarray([[0, 255, 1, 255]], np.uint8))
    metric.update([answer], [truth])
    found = metric.compute()
    assert found["pixel_accuracy"] == pytest.approx(2 / 3)
    assert found["per_class"]["a"]["iou"] == 0.5
    assert found["unanswered"] == 1


def test_images_are_weighed_by_their_pixels() -> None:
    metric = SegmentationMetric(("a", "b"))
    metric.update(maps(2, np.zeros((10, 10)), np.zeros((1, 1))), maps(2, np.zeros((10, 10)), np.ones((1, 1))))
    assert metric.compute()["pixel_accuracy"] == pytest.approx(100 / 101)


def test_nothing_that_counts_defines_nothing() -> None:
    metric = SegmentationMetric(("a", "b"))
    metric.update(maps(2, np.zeros((3, 3))), maps(2, np.full((3, 3), 255)))
    found = metric.compute()
    assert found["mean_iou"] is found["mean_dice"] is found["pixel_accuracy"] is None
    assert found["mean_accuracy"] is found["frequency_weighted_iou"] is found["boundary_f1"] is None


def test_all_255_classes() -> None:
    metric = SegmentationMetric(names(255))
    ids = np.arange(255)[None]
    metric.update(maps(255, ids), maps(255, ids))
    assert metric.compute()["mean_iou"] == 1


def test_wrong_input() -> None:
    metric = SegmentationMetric(("a", "b"))
    (small,), (large,) = maps(2, np.zeros((2, 3))), maps(2, np.zeros((4, 6)))
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([small], [])
    with pytest.raises(ShapeError, match="4x6"):
        metric.update([small], [large])
    with pytest.raises(ShapeError, match="3 classes"):
        metric.update([small], maps(3, np.zeros((2, 3))))
    assert metric.compute()["mean_iou"] is None

"""Classification scores against scikit-learn, and by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.errors import ShapeError
from visus.metrics.classification import ClassificationMetric
from visus.structures import Label


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {k}" for k in range(count))


def labels(scores: np.ndarray, truth: list[int]) -> tuple[list[Label], list[Label]]:
    classes = names(scores.shape[1])
    predictions = [Label(classes, int(row.argmax()), row.astype(np.float32)) for row in scores]
    return predictions, [Label(classes, index) for index in truth]


@given(
    seed=st.integers(0, 2**31), images=st.integers(1, 80), classes=st.integers(2, 9), cuts=st.lists(st.integers(0, 80))
)
def test_equals_scikit_learn(seed: int, images: int, classes: int, cuts: list[int]) -> None:
    from sklearn.metrics import (
        accuracy_score,
        confusion_matrix,
        log_loss,
        precision_recall_fscore_support,
        top_k_accuracy_score,
    )

    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(classes), images)
    truth = rng.integers(0, classes, images)
    predictions, targets = labels(scores, truth.tolist())
    metric = ClassificationMetric(names(classes))
    edges = sorted({0, images, *(cut for cut in cuts if cut < images)})
    for start, stop in pairwise(edges):  # in batches of any size
        metric.update(predictions[start:stop], targets[start:stop])
    found = metric.compute()

    chosen, every = scores.astype(np.float32).argmax(1), range(classes)
    assert found["confusion"] == confusion_matrix(truth, chosen, labels=every).tolist()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, chosen))
    assert found["log_loss"] == pytest.approx(log_loss(truth, scores, labels=every), rel=1e-5)
    expected = precision_recall_fscore_support(truth, chosen, labels=every, zero_division=np.nan)
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        ours = [np.nan if row[key] is None else row[key] for row in found["per_class"].values()]
        np.testing.assert_allclose(ours, values)
    if classes > 5:
        top5 = top_k_accuracy_score(truth, scores.astype(np.float32), k=5, labels=every)
        assert found["top5_accuracy"] == pytest.approx(top5)
    else:
        assert found["top5_accuracy"] is None


def test_by_hand() -> None:
    scores = np.asarray([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    metric = ClassificationMetric(("a", "b", "c"))
    metric.update(*labels(scores, [0, 1, 1]))
    found = metric.compute()
    assert found["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["per_class"]["a"] == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
        "support": 1,
    }
    assert found["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert found["macro_f1"] == pytest.approx(2 / 3)  # of the two classes that occur
    # One image a bin: |1 - 0.8|, |0 - 0.6|, |1 - 0.7|.
    assert found["calibration_error"] == pytest.approx((0.2 + 0.6 + 0.3) / 3)


def test_a_truth_at_the_fifth_score_is_right_and_at_the_sixth_wrong() -> None:
    scores = np.asarray([[0.3, 0.2, 0.17, 0.13, 0.11, 0.09]] * 2)
    metric = ClassificationMetric(names(6))
    metric.update(*labels(scores, [4, 5]))
    assert metric.compute()["top5_accuracy"] == 0.5


def test_equal_scores_give_no_luck() -> None:
    metric = ClassificationMetric(names(10))
    metric.update(*labels(np.full((10, 10), 0.1), list(range(10))))
    assert metric.compute()["top5_accuracy"] == 0.5  # the first five, not all ten


def test_no_images_define_nothing() -> None:
    found = ClassificationMetric(names(7)).compute()
    assert found["accuracy"] is None
    assert found["top5_accuracy"] is None
    assert found["macro_f1"] is None
    assert found["calibration_error"] is None
    assert found["log_loss"] is None


def test_sure_and_right_answers_are_calibrated() -> None:
    metric = ClassificationMetric(names(3))
    metric.update(*labels(np.eye(3), [0, 1, 2]))
    assert metric.compute()["calibration_error"] == 0


def test_wrong_input() -> None:
    metric = ClassificationMetric(("a", "b"))
    (prediction,), (target,) = labels(np.asarray([[0.5, 0.5]]), [0])
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([prediction], [])
    with pytest.raises(ShapeError, match="scores"):
        metric.update([target], [target])
    with pytest.raises(ShapeError, match="3 classes"):
        metric.update([prediction], [Label(("a", "b", "c"), 0)])
    assert metric.compute()["accuracy"] is None  # nothing of what was refused was counted

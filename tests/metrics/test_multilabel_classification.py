"""Scores of sets of labels, against scikit-learn and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from visus.errors import ShapeError
from visus.metrics.multilabel_classification import LabelSetMetric, best_threshold, precision_recall
from visus.structures import LabelSet

CLASSES = ("a", "b", "c", "d")


def scored(scores: np.ndarray, truth: np.ndarray, ignored: np.ndarray | None = None, limit: float = 0.5) -> Any:
    metric = LabelSetMetric(CLASSES[: scores.shape[1]])
    names, limits = metric.classes, np.full(scores.shape[1], limit, np.float32)
    for index, (row, true) in enumerate(zip(scores, truth, strict=True)):
        target = LabelSet(names, true.astype(bool), ignored=None if ignored is None else ignored[index])
        metric.update([LabelSet.of_scores(names, row.astype(np.float32), limits)], [target])
    return metric.compute()


def made(seed: int, *, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores [60,4] of which some agree with the truth; ``levels``: so few different ones that many are equal."""
    random = np.random.default_rng(seed)
    truth = random.random((60, 4)) < (0.1, 0.3, 0.5, 0.9)
    truth[0], truth[1] = True, False  # every class is there, and absent, at least once
    scores = np.clip(0.5 * truth + random.random((60, 4)) * 0.7, 0, 1).astype(np.float32)
    return (np.round(scores * levels) / levels).astype(np.float32) if levels else scores, truth


@pytest.mark.parametrize("levels", [0, 5])
@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn(seed: int, levels: int) -> None:
    scores, truth = made(seed, levels=levels)
    said = scores >= 0.5
    found = scored(scores, truth)
    for k, name in enumerate(CLASSES):
        expected = oracle.average_precision_score(truth[:, k], scores[:, k])
        assert found["per_class"][name]["average_precision"] == pytest.approx(expected)
        assert found["per_class"][name]["f1"] == pytest.approx(oracle.f1_score(truth[:, k], said[:, k]))
        assert found["per_class"][name]["recall"] == pytest.approx(oracle.recall_score(truth[:, k], said[:, k]))
        assert found["per_class"][name]["images"] == truth[:, k].sum()
    assert found["mean_average_precision"] == pytest.approx(oracle.average_precision_score(truth, scores))
    assert found["macro_f1"] == pytest.approx(oracle.f1_score(truth, said, average="macro"))
    assert found["micro_f1"] == pytest.approx(oracle.f1_score(truth, said, average="micro"))
    assert found["subset_accuracy"] == pytest.approx(oracle.accuracy_score(truth, said))
    assert found["hamming_loss"] == pytest.approx(oracle.hamming_loss(truth, said))


def test_curves_against_scikit_learn() -> None:
    scores, truth = made(7, levels=8)
    curves = scored(scores, truth)["curves"]
    for k, name in enumerate(CLASSES):
        precision, recall, _ = oracle.precision_recall_curve(truth[:, k], scores[:, k])
        expected = [precision[recall >= level - 1e-9].max() for level in np.linspace(0, 1, 101)]
        # scikit-learn ends its curve with a point of precision 1 at recall 0, which no image gives.
        expected[0] = precision[recall > 0].max()
        assert curves["precision"][name] == pytest.approx(expected)
    assert curves["recall"][37] == 0.37


def test_by_hand() -> None:
    """Ranked 0.9 yes, 0.8 no, 0.7 yes, 0.1 no: recall 1/2 at precision 1, recall 1 at 2/3."""
    scores = np.asarray([[0.9], [0.8], [0.7], [0.1]])
    found = scored(scores, np.asarray([[1], [0], [1], [0]]))
    assert found["mean_average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["per_class"]["a"]["precision"] == pytest.approx(2 / 3)
    assert found["per_class"]["a"]["threshold"] == 0.5
    assert found["subset_accuracy"] == 0.75


def test_a_class_that_no_image_shows_has_no_average_precision() -> None:
    found = scored(np.asarray([[0.9, 0.2], [0.4, 0.3]]), np.asarray([[1, 0], [0, 0]]))
    assert found["per_class"]["b"]["average_precision"] is None
    assert found["curves"]["precision"]["b"] is None
    assert found["mean_average_precision"] == 1
    assert found["macro_f1"] == 1  # b is neither there nor said


def test_without_images_nothing_is_defined() -> None:
    found = LabelSetMetric(CLASSES).compute()
    assert {found[key] for key in ("mean_average_precision", "macro_f1", "micro_f1", "subset_accuracy")} == {None}


def test_what_is_not_known_does_not_count() -> None:
    scores, truth = made(3)
    ignored = np.random.default_rng(9).random(truth.shape) < 0.3
    found = scored(scores, truth & ~ignored, ignored)
    known = ~ignored[:, 1]
    expected = oracle.average_precision_score(truth[known, 1], scores[known, 1])
    assert found["per_class"]["b"]["average_precision"] == pytest.approx(expected)
    assert found["hamming_loss"] == pytest.approx(((scores >= 0.5) != truth)[~ignored].mean())


def test_the_classes_that_occur_together() -> None:
    truth = np.asarray([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]])
    found = scored(np.zeros(truth.shape), truth)
    assert found["cooccurrence"] == [[3, 2, 1], [2, 2, 1], [1, 1, 1]]


@pytest.mark.parametrize("seed", range(3))
def test_no_threshold_has_a_larger_f1(seed: int) -> None:
    scores, truth = made(seed, levels=20)
    for k in range(len(CLASSES)):
        chosen = best_threshold(scores[:, k].astype(float), truth[:, k], 0.5)
        reached = oracle.f1_score(truth[:, k], scores[:, k] >= chosen)
        assert reached == pytest.approx(max(oracle.f1_score(truth[:, k], scores[:, k] >= t) for t in scores[:, k]))
        assert not (scores[:, k] == chosen).any()  # between two scores


def test_of_equally_good_thresholds_the_one_nearest_to_one_half() -> None:
    scores, true = np.asarray([0.9, 0.8, 0.2]), np.asarray([True, True, False])
    assert best_threshold(scores, true, 0.5) == 0.5
    # F1 is 2/3 both for the first image alone (threshold 0.65) and for all (0.05): 0.65 is nearer.
    scores, true = np.asarray([0.9, 0.4, 0.3, 0.1]), np.asarray([True, False, False, True])
    assert best_threshold(scores, true, 0.5) == pytest.approx(0.65)
    assert best_threshold(scores, np.zeros(4, bool), 0.5) == 0.5
    assert best_threshold(scores, np.ones(4, bool), 0.5) == 0.5


def test_equal_scores_are_one_step() -> None:
    curve = precision_recall(np.asarray([0.5, 0.5, 0.5]), np.asarray([True, False, False]))
    assert curve.precision.tolist() == [1 / 3]


def test_other_classes_and_missing_scores_are_refused() -> None:
    metric, target = LabelSetMetric(CLASSES), LabelSet.of_ids(CLASSES, [0])
    with pytest.raises(ShapeError, match="needs scores"):
        metric.update([target], [target])
    other = LabelSet.of_ids(("a",), [0])
    with pytest.raises(ShapeError, match="metric's classes"):
        metric.update([other], [other])

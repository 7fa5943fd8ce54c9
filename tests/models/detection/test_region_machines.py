"""The SVMs and box regressions of R-CNN: against their objectives, scikit-learn's Ridge, and toys with one answer."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from visus.models.detection.region_machines import (
    ABSENT,
    BoxRules,
    RegionExamples,
    SVMRules,
    feature_scale,
    fit_boxes,
    fit_machines,
)


def examples(features: NDArray[np.floating], objects: list[int], overlaps: NDArray[np.floating]) -> RegionExamples:
    return RegionExamples(
        np.asarray(features, np.float16), np.asarray(overlaps, np.float32), np.asarray(objects, np.int64)
    )


def test_the_svm_minimises_its_objective() -> None:
    """Section 2.3 and liblinear: |w|^2/2 + (b/10)^2/2 + C (2 sum of positive losses + sum of negative losses)."""
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 3)).astype(np.float16)
    shown = np.r_[np.zeros(20, int), np.full(40, -1)]
    features[:20, 0] += 1
    overlaps = np.where(shown[:, None] == 0, 1.0, 0.0)
    rules = SVMRules(c=0.1, tolerance=1e-8)
    scale = feature_scale([features], rules.mean_norm)
    assert np.linalg.norm(features.astype(float) * scale, axis=1).mean() == pytest.approx(20)
    machines = fit_machines([examples(features, shown.tolist(), overlaps)], scale, 1, rules)
    assert (machines.positives, machines.negatives) == ((20,), (40,))

    inputs, signs = features.astype(float) * scale, np.where(shown == 0, 1, -1)

    def objective(weights: NDArray[np.float64]) -> float:
        losses = np.maximum(0, 1 - signs * (inputs @ weights[:3] + weights[3]))
        return float(
            0.5 * (weights[:3] ** 2).sum()
            + 0.5 * (weights[3] / 10) ** 2
            + 0.1 * (losses * np.where(signs > 0, 2, 1)).sum()
        )

    found = np.r_[machines.weight[0] / scale, machines.bias[0]].astype(float)
    best = minimize(objective, found, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10_000})
    assert objective(found) == pytest.approx(best.fun, rel=1e-5)
    assert objective(found) < objective(np.zeros(4)) - 0.1


def test_hard_negatives_of_later_images_are_found() -> None:
    """The first image's negatives are all at (0, 0); those at (0, 1) come later, and are the ones that count."""
    object_, easy, hard = [4.0, 4.0], [0.0, 0.0], [0.0, 4.0]
    first = examples(np.asarray([object_, *[easy] * 30]), [0, *[-1] * 30], np.eye(31, 1))
    later = [examples(np.asarray([object_, *[easy] * 20, hard]), [0, *[-1] * 21], np.eye(22, 1)) for _ in range(4)]
    machines = fit_machines([first, *later], 1.0, 1, SVMRules(c=10.0, refit=3))
    margins = np.asarray([object_, easy, hard]) @ machines.weight[0] + machines.bias[0]
    assert margins[0] > 0.99
    assert margins[1] < -0.99
    assert margins[2] < -0.99
    # of 114 negatives, the last fit saw those that were ever hard
    assert machines.negatives[0] < 114
    alone = fit_machines([first], 1.0, 1, SVMRules(c=10.0))
    assert np.asarray(hard) @ alone.weight[0] + alone.bias[0] > -0.99


def test_regions_that_overlap_an_object_are_no_negatives() -> None:
    features = np.asarray([[4.0, 0.0], [4.0, 0.1], [0.0, 4.0]])
    near = examples(features, [0, -1, -1], np.asarray([[1.0], [0.3], [0.0]]))
    assert fit_machines([near], 1.0, 1, SVMRules()).negatives == (1,)
    far = examples(features, [0, -1, -1], np.asarray([[1.0], [0.29], [0.0]]))
    assert fit_machines([far], 1.0, 1, SVMRules()).negatives == (2,)


def test_classes_without_examples_images_without_regions() -> None:
    empty = examples(np.zeros((0, 2)), [], np.zeros((0, 3)))
    shown = examples(np.asarray([[4.0, 0.0], [0.0, 4.0]]), [0, -1], np.asarray([[1.0, 0, 0], [0, 0, 0]]))
    every = examples(np.asarray([[0.0, 1.0]]), [2], np.asarray([[1.0, 0.0, 1.0]]))
    machines = fit_machines([empty, shown, empty, every], 1.0, 3, SVMRules())
    assert machines.bias[1] == ABSENT
    assert not machines.weight[1].any()
    assert machines.positives == (1, 0, 1)
    assert fit_machines([empty], 1.0, 3, SVMRules()).bias.tolist() == [ABSENT] * 3
    # an object of one class is a negative of another; where a class has none, everything shows it
    assert machines.negatives[2] == 2
    alone = fit_machines([examples(np.asarray([[1.0]]), [0], np.asarray([[1.0]]))], 1.0, 1, SVMRules())
    assert alone.bias.tolist() == [1.0]
    assert feature_scale([np.zeros((3, 2)), np.zeros((0, 2))], 20.0) == 1.0


@pytest.mark.parametrize("width", [5, 40])  # fewer and more than the regions
def test_boxes_are_ridge_regressions(width: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(30, width)).astype(np.float16)
    offsets = random.normal(size=(30, 4)) + 3
    labels = np.r_[np.zeros(18, int), np.ones(12, int)]
    rules = BoxRules(penalty=7.0)
    fitted = fit_boxes(features, offsets, labels, 2.5, 3, rules)
    assert fitted.examples == (18, 12, 0)
    assert not fitted.weight[2].any()
    assert not fitted.bias[2].any()
    for k in (0, 1):
        rows = labels == k
        inputs = np.c_[features[rows].astype(float) * 2.5, np.ones(rows.sum())]  # the constant is penalised, too
        targets = offsets[rows] - offsets[rows].mean(0)
        oracle = Ridge(alpha=7.0, fit_intercept=False).fit(inputs, targets)
        closed = np.linalg.solve(inputs.T @ inputs + 7 * np.eye(width + 1), inputs.T @ targets)
        np.testing.assert_allclose(oracle.coef_, closed.T, atol=1e-8)
        np.testing.assert_allclose(fitted.weight[k], 2.5 * closed[:-1].T, atol=1e-4)
        np.testing.assert_allclose(fitted.bias[k], closed[-1] + offsets[rows].mean(0), atol=1e-4)


def test_the_releases_decorrelated_targets_change_nothing() -> None:
    """rcnn_train_bbox_regressor.m turns the four targets into uncorrelated ones before it fits, and back afterwards."""
    random = np.random.default_rng(1)
    features, offsets = random.normal(size=(30, 6)), random.normal(size=(30, 4)) @ random.normal(size=(4, 4))
    targets = offsets - offsets.mean(0)
    values, vectors = np.linalg.eigh(targets.T @ targets / 30)
    there = vectors @ np.diag(1 / np.sqrt(values + 0.001)) @ vectors.T
    back = vectors @ np.diag(np.sqrt(values + 0.001)) @ vectors.T
    inputs = np.c_[features, np.ones(30)]
    beta = np.linalg.solve(inputs.T @ inputs + 1000 * np.eye(7), inputs.T @ (targets @ there))
    fitted = fit_boxes(features, offsets, np.zeros(30, np.int64), 1.0, 1, BoxRules())
    expected = (inputs @ beta) @ back + offsets.mean(0)
    np.testing.assert_allclose(features @ fitted.weight[0].T + fitted.bias[0], expected, atol=1e-5)

"""Boundary F1 by hand, and against distances worked out pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.metrics.boundary import boundary_f1, contours
from visus.metrics.segmentation import SegmentationMetric
from visus.structures import SegmentationMap


def brute_contour(ids: np.ndarray, label: int, counts: np.ndarray) -> list[tuple[int, int]]:
    """The pixels of a class with an edge neighbour of another class, both counted; a plain loop."""
    height, width = ids.shape
    found = []
    for y in range(height):
        for x in range(width):
            if ids[y, x] != label or not counts[y, x]:
                continue
            around = [(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
            inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < width and counts[v, u]]
            if any(ids[v, u] != label for v, u in inside):
                found.append((y, x))
    return found


def brute_f1(prediction: np.ndarray, truth: np.ndarray, tolerance: float) -> dict[int, float]:
    """The definition with every distance worked out."""
    counts = truth != 255
    theta = tolerance * (truth.shape[0] ** 2 + truth.shape[1] ** 2) ** 0.5
    scores = {}
    for label in sorted(set(truth[counts].tolist())):
        predicted, wanted = (brute_contour(ids, label, counts) for ids in (prediction, truth))
        if not predicted and not wanted:
            continue

        def near(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
            met = [any(((y - v) ** 2 + (x - u) ** 2) ** 0.5 <= theta for v, u in others) for y, x in some]
            return float(np.mean(met)) if met else 0.0

        precision, recall = near(predicted, wanted), near(wanted, predicted)
        scores[label] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores


@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from([0.0075, 0.05, 0.2]))
def test_equals_the_definition(seed: int, classes: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, (4, 5))
    truth = np.kron(blocks, np.ones((4, 3), int)).astype(np.uint8)
    answer = np.roll(truth, rng.integers(-2, 3, 2), (0, 1))
    answer[rng.random(truth.shape) < 0.05] = rng.integers(0, classes)
    answer[rng.random(truth.shape) < 0.02] = 255
    truth[rng.random(truth.shape) < 0.1] = 255
    found = boundary_f1(answer, truth, tolerance=tolerance)
    assert found == pytest.approx(brute_f1(answer, truth, tolerance))


def test_by_hand() -> None:
    """On 80 x 60 pixels theta is 0.75: only the same pixels meet; on 400 x 300 it is 3.75."""
    for factor, expected in ((1, 0.0), (5, 1.0)):
        truth = np.zeros((60 * factor, 80 * factor), np.uint8)
        truth[:, 40 * factor :] = 1
        answer = np.roll(truth, 2, 1)
        answer[:, :2] = 0
        assert boundary_f1(answer, truth) == {0: expected, 1: expected}, factor
    # One of the two contour columns of the class is met: precision and recall are 1/2 (theta 0.75).
    truth, answer = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[:, 20:41], answer[:, 20:51] = 1, 1
    assert boundary_f1(answer, truth)[1] == pytest.approx(0.5)


def test_the_rim_and_what_is_ignored_are_no_contours() -> None:
    ids = np.ones((4, 4), np.uint8)
    assert not contours(ids, np.ones((4, 4), bool)).any()
    assert boundary_f1(ids, ids) == {}
    truth = ids.copy()
    truth[:, 2:] = 255
    answer = ids.copy()
    answer[:, 3] = 0  # differs only where nobody looks
    assert boundary_f1(answer, truth) == {}


def test_a_class_that_was_not_found_scores_nothing() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:20, 10:20] = 1
    assert boundary_f1(np.zeros_like(truth), truth) == {0: 0.0, 1: 0.0}


def test_the_metric_averages_classes_then_images() -> None:
    names = ("ground", "a", "b")
    square = np.zeros((40, 40), np.uint8)
    square[10:20, 10:20] = 1
    metric = SegmentationMetric(names)
    first = SegmentationMap(names, square)
    metric.update([first, first], [first, SegmentationMap(names, np.where(square == 1, 2, 0).astype(np.uint8))])
    found = metric.compute()
    # The second image: ground 1, b 0; its mean is 1/2. b is in one image, a in one, ground in both.
    assert found["boundary_f1"] == pytest.approx((1 + 0.5) / 2)
    assert [row["boundary_f1"] for row in found["per_class"].values()] == [1, 1, 0]
    empty = SegmentationMetric(names).compute()
    assert empty["boundary_f1"] is None
    assert "boundary_f1" not in SegmentationMetric(names, shapes=False).compute()

"""Pixel and Rand error by hand, and against scikit-learn's counts of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.metrics.membranes import THRESHOLDS, MembraneScores
from visus.metrics.segmentation import SegmentationMetric
from visus.structures import SegmentationMap

NAMES = ("membrane", "cell")


def value(ids: object, probability: np.ndarray | None = None) -> SegmentationMap:
    """A map, with the probability of class 1 turned into that of the chosen class."""
    map_ = np.asarray(ids, np.uint8)
    scores = None if probability is None else np.where(map_ == 1, probability, 1 - probability).astype(np.float32)
    return SegmentationMap(NAMES, map_, scores)


def errors(pairs: list[tuple[SegmentationMap, SegmentationMap]]) -> dict[str, float | None]:
    metric = MembraneScores()
    for prediction, truth in pairs:
        metric.update(prediction, truth)
    return metric.compute()


def rand_counts(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pairs in both, in the found, in the true: scikit-learn's, with every pixel that was not found alone."""
    from scipy.ndimage import label
    from sklearn.metrics.cluster import pair_confusion_matrix

    pieces, wanted = label(found)[0], label(truth == 1)[0]
    inside = wanted > 0
    alone = pieces.max() + 1 + np.arange(inside.sum())
    answer = np.where(pieces[inside] > 0, pieces[inside], alone)
    if not inside.any():
        return np.zeros(3)
    table = pair_confusion_matrix(wanted[inside], answer)  # counts each pair twice
    return np.asarray([table[1, 1], table[0, 1] + table[1, 1], table[1, 0] + table[1, 1]]) / 2


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_equals_scikit_learn_over_all_thresholds(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    totals, pixels = np.zeros((len(THRESHOLDS), 3)), np.zeros((len(THRESHOLDS), 3))
    for _ in range(images):
        shape = tuple(rng.integers(2, 14, 2))
        truth = (rng.random(shape) < 0.7).astype(np.uint8)
        chance = np.clip(truth * 0.6 + rng.random(shape) * 0.5 - 0.05, 0, 1).astype(np.float32)
        truth[rng.random(shape) < 0.05] = 255
        cases.append((value(chance > 0.5, chance), value(truth)))
        # The probability that the metric can know is that of the chosen class, in float32.
        known = cases[-1][0]
        seen = np.where(known.map == 1, known.scores, 1 - known.scores)
        for index, threshold in enumerate(THRESHOLDS):
            found = seen > threshold
            totals[index] += rand_counts(found, truth)
            right, counts = found & (truth == 1), truth != 255
            pixels[index] += (right.sum(), (found & counts).sum(), (truth == 1).sum())
    found_errors = errors(cases)
    for name, counted in (("pixel_error", pixels), ("rand_error", totals)):
        if counted[0, 2] == 0:
            assert found_errors[name] is None
            continue
        precision = [row[0] / row[1] if row[1] else 0 for row in counted]
        recall = counted[:, 0] / counted[:, 2]
        f = [2 * p * r / (p + r) if p + r else 0 for p, r in zip(precision, recall, strict=True)]
        assert found_errors[name] == pytest.approx(1 - max(f))


def test_by_hand() -> None:
    """Two cells of 2 x 3 and 2 x 2 pixels that a membrane parts, in a row of six columns."""
    truth = [[1, 1, 1, 0, 1, 1]] * 2
    assert errors([(value(truth), value(truth))]) == {"pixel_error": 0, "rand_error": 0, "rand_error_at_half": 0}
    # Merged: 15 + 6 true pairs, all in the one found piece, which has C(10, 2) = 45 pairs of true pixels.
    merged = errors([(value([[1] * 6] * 2), value(truth))])
    assert merged["rand_error"] == pytest.approx(1 - 2 * 21 / (21 + 45))
    assert merged["pixel_error"] == pytest.approx(1 - 2 * 10 / (10 + 12))
    # The first cell split into 2 x 1 and 2 x 1 by a false membrane: pairs 1 + 1 + 6 of 21 are left, all right.
    split = errors([(value([[1, 0, 1, 0, 1, 1]] * 2), value(truth))])
    assert split["rand_error"] == pytest.approx(1 - 2 * 8 / (8 + 21))


def test_one_wrong_pixel_can_cost_much_and_a_threshold_can_mend_it() -> None:
    truth = np.ones((9, 9), np.uint8)
    truth[:, 4] = 0
    chance = np.where(truth == 1, 0.95, 0.05)
    chance[4, 4] = 0.65  # a hole in the membrane
    found = errors([(value(chance > 0.5, chance), value(truth))])
    assert found["rand_error_at_half"] > 0.3
    assert found["rand_error"] == found["pixel_error"] == 0


def test_only_two_classes_have_membranes_and_nothing_defines_nothing() -> None:
    assert "rand_error" not in SegmentationMetric(("a", "b", "c")).compute()
    assert "rand_error" not in SegmentationMetric(NAMES, shapes=False).compute()
    assert SegmentationMetric(NAMES).compute()["rand_error"] is None
    assert errors([(value([[1, 1]]), value([[0, 0]]))]) == {
        "pixel_error": None,
        "rand_error": None,
        "rand_error_at_half": None,
    }
    # A single pixel makes no pair.
    assert errors([(value([[1, 0]]), value([[1, 0]]))])["pixel_error"] == 0
    assert errors([(value([[1, 0]]), value([[1, 0]]))])["rand_error"] is None

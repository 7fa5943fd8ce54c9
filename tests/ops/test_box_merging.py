"""OverFeat's merging: worked by hand, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.box_merging import merge_boxes, misfit


def test_misfits_by_hand() -> None:
    """Of squares of 10: moved by 5, they share 50 of 150 and lie half a side apart; moved by 20, nothing and two sides;
    a square of 5 in the corner of one of 10 shares 25 of 100, and their middles lie 2.5 * sqrt(2) apart, of 7.5."""
    square, moved, far = [0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]
    found = misfit(np.array([square]), np.array([square, moved, far, [0, 0, 5, 5]]))
    assert found[0].tolist() == pytest.approx([0, 0.5 + 1 - 1 / 3, 2 + 1, 2.5 * 2**0.5 / 7.5 + 1 - 0.25])


def test_merging_by_hand() -> None:
    """The first two fit best: moved by 1 of 10, they share 90 of 110 (0.1 + 0.1818), become [0.5,0,10.5,10] with 0.9.
    The third, moved by 3, is 2.5 away from that and shares 75 of 125: 0.25 + 0.4 <= 1, so they become [1.75,0,11.75,10]
    with 1.2. The fourth stands alone."""
    boxes = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60], [1, 0, 11, 10], [3, 0, 13, 10]])
    found = merge_boxes(boxes, np.array([0.5, 0.8, 0.4, 0.3]), limit=1)
    np.testing.assert_allclose(found.boxes, [[1.75, 0, 11.75, 10], [50, 50, 60, 60]])
    assert found.totals.tolist() == pytest.approx([1.2, 0.8])
    assert found.counts.tolist() == [3, 1]


def test_the_limit_stops_it() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [3, 0, 13, 10]])
    scores = np.array([0.5, 0.4, 0.3])
    found = merge_boxes(boxes, scores, limit=0.6)  # 0.65 is too much
    np.testing.assert_allclose(found.boxes, [[0.5, 0, 10.5, 10], [3, 0, 13, 10]])
    assert merge_boxes(boxes, scores, limit=0.28).counts.tolist() == [1, 1, 1]  # 0.1 + 20 / 110 = 0.2818
    assert merge_boxes(boxes, scores, limit=0.29).counts.tolist() == [2, 1]


def test_what_many_agree_on_beats_what_one_is_sure_of() -> None:
    """The paper's figure 6: coherent boxes of middling confidence become the surest."""
    bears = np.array([[10.0, 10, 50, 50]]) + np.array([[0], [1], [2], [-1]])
    whale = np.array([[60.0, 0, 90, 30]])
    found = merge_boxes(np.concatenate([whale, bears]), np.array([0.9, 0.5, 0.5, 0.4, 0.5]))
    np.testing.assert_allclose(found.boxes[0], [10, 10, 50, 50], atol=1.5)
    assert found.totals.tolist() == pytest.approx([1.9, 0.9])


def test_no_boxes_and_boxes_without_area() -> None:
    assert len(merge_boxes(np.zeros((0, 4)), np.zeros(0)).boxes) == 0
    points = np.array([[5.0, 5, 5, 5], [5, 5, 5, 5], [9, 9, 9, 9]])
    assert merge_boxes(points, np.ones(3), limit=1).counts.tolist() == [2, 1]  # equal points fit, others never


side = st.floats(1, 40)
corner = st.floats(0, 60)
box = st.tuples(corner, corner, side, side).map(lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3]))


@given(st.lists(box, min_size=1, max_size=12), st.floats(0.1, 1.5), st.integers(0, 9))
def test_properties(boxes: list[tuple[float, ...]], limit: float, seed: int) -> None:
    places = np.array(boxes)
    scores = np.random.default_rng(seed).random(len(places))
    found = merge_boxes(places, scores, limit=limit)
    assert found.totals.sum() == pytest.approx(scores.sum())
    assert found.counts.sum() == len(places)
    assert (np.diff(found.totals) <= 1e-12).all()
    costs = misfit(found.boxes, found.boxes) + np.diag(np.full(len(found.boxes), np.inf))
    assert (costs > limit).all()  # nothing is left that fits
    assert (found.boxes.min(0) >= places.min(0) - 1e-9).all()
    assert (found.boxes.max(0) <= places.max(0) + 1e-9).all()

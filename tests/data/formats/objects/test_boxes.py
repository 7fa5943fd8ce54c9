"""Boxes are repaired so that they lie in their image, and every repair is tallied."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from visus.data.formats.objects.boxes import repair_and_tally
from visus.data.formats.reading import Tally


def test_repairing_in_a_worked_example() -> None:
    boxes = np.asarray(
        [
            [10, 20, 30, 40],  # sound
            [30, 40, 10, 20],  # swapped
            [-5, 5, 20, 25],  # outside by 5 of 25
            [90, 50, 130, 60],  # three quarters outside
            [10, 10, 10, 30],  # no width
            [np.nan, 0, 5, 5],
            [200, 10, 240, 30],  # wholly outside
            [0, 0, 100.5, 60.5],  # within rounding
        ]
    )
    tally = Tally()
    repaired, kept = repair_and_tally(boxes, (60, 100), tally, "a.xml")
    assert kept.tolist() == [0, 1, 2, 3, 7]
    expected = [[10, 20, 30, 40], [10, 20, 30, 40], [0, 5, 20, 25], [90, 50, 100, 60], [0, 0, 100, 60]]
    assert repaired.tolist() == expected
    assert {loss.kind: loss.count for loss in tally.reading({}, {}).account.losses} == {
        "box-not-a-number": 1,
        "box-swapped": 1,
        "box-outside": 2,
        "box-mostly-outside": 1,
        "box-degenerate": 2,
    }
    assert all(loss.examples == ["a.xml"] for loss in tally.reading({}, {}).account.losses)


@given(arrays.arrays(np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(-300, 300, width=32)))
def test_mended_boxes_lie_inside_and_repairing_twice_changes_nothing(boxes: np.ndarray) -> None:
    repaired, kept = repair_and_tally(boxes, (60, 100), Tally(), "a")
    assert repaired.shape == (len(kept), 4)
    assert (repaired[:, :2] < repaired[:, 2:]).all()
    assert (repaired >= 0).all()
    assert (repaired <= np.asarray([100, 60, 100, 60])).all()
    tally = Tally()
    again, _ = repair_and_tally(repaired, (60, 100), tally, "a")
    np.testing.assert_array_equal(again, repaired)
    assert tally.reading({}, {}).account.losses == ()

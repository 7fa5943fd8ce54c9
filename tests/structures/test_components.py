"""Counted objects: by hand, against SciPy's components, and what borders took is given back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.errors import UsageError
from visus.structures import SegmentationMap
from visus.structures.class_names import background_ids, border_id, object_ids

NAMES = ("background", "a", "b")


def value(ids: object, names: tuple[str, ...] = NAMES, scores: object = None) -> SegmentationMap:
    return SegmentationMap(names, np.asarray(ids, np.uint8), None if scores is None else np.asarray(scores, np.float32))


@given(st.integers(0, 2**31), st.sampled_from([4, 8]), st.integers(0, 6))
def test_equals_scipy(seed: int, connectivity: int, min_area: int) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    ids = rng.choice([0, 1, 2, 255], tuple(rng.integers(1, 16, 2)), p=[0.4, 0.4, 0.15, 0.05]).astype(np.uint8)
    found = value(ids).objects(min_area=min_area, connectivity=connectivity)
    structure = np.ones((3, 3)) if connectivity == 8 else None
    expected = []
    for label in (1, 2):
        pieces, count = ndimage.label(ids == label, structure)
        expected += [(label - 1, pieces == n) for n in range(1, count + 1) if (pieces == n).sum() >= min_area]
    assert found.classes == ("a", "b")
    key = {(label, mask.tobytes()) for label, mask in expected}
    assert {(int(k), mask.tobytes()) for k, mask in zip(found.labels, found.masks, strict=True)} == key
    assert len(found) == len(expected)
    for box, mask in zip(found.boxes, found.masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_scores_are_means_over_the_pixels_before_growing() -> None:
    ids = [[1, 1, 2, 0, 2]]  # class 2 is the border
    found = value(ids, ("background", "cell", "border"), [[0.9, 0.7, 0.1, 0.2, 0.3]]).objects(grow=1)
    assert found.scores == pytest.approx([0.8])
    assert found.masks[0].tolist() == [[True, True, True, False, False]]


def test_growing_gives_a_gap_back_and_takes_nothing_else() -> None:
    """Two squares that touched lose a column each; the open sides stay as they are."""
    ids = np.zeros((7, 12), np.uint8)
    ids[1:6, 1:5] = ids[1:6, 7:11] = 1  # columns 5 and 6 are the gap
    grown = value(ids, ("background", "cell")).objects(grow=1.5)
    assert len(grown) == 2
    left, right = np.zeros((7, 12), bool), np.zeros((7, 12), bool)
    left[1:6, 1:6] = right[1:6, 6:11] = True
    # Beyond the squares' corners the gap's own ends lie between them too.
    np.testing.assert_array_equal(grown.masks[0][1:6], left[1:6])
    np.testing.assert_array_equal(grown.masks[1][1:6], right[1:6])
    assert (grown.masks[0] & ~left).sum() <= 2
    alone = np.where(np.arange(12) < 6, ids, 0).astype(np.uint8)
    same = value(alone, ("background", "cell")).objects(grow=3)
    np.testing.assert_array_equal(same.masks[0], alone == 1)


def test_what_the_names_say() -> None:
    assert (background_ids(("sky", "road")), object_ids(("sky", "road"))) == ((0,), (1,))
    assert object_ids(("cell",)) == (0,)
    names = ("cell", "Background", "border")
    assert (background_ids(names), border_id(names), object_ids(names)) == ((1,), 2, (0,))


def test_nothing_and_wrong_options() -> None:
    empty = value(np.zeros((3, 4))).objects(grow=2)
    assert len(empty) == 0
    assert empty.masks.full().shape == (0, 3, 4)
    assert empty.scores is None
    for options in ({"connectivity": 6}, {"min_area": -1}, {"grow": -0.5}):
        with pytest.raises(UsageError, match=next(iter(options))):
            value([[1]]).objects(**options)

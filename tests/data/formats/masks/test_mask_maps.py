"""Stored values of masks become class ids by a rule."""

import numpy as np
import pytest

from visus.data.formats.masks.mask_maps import MapRule
from visus.errors import DataError

NAMES = tuple(f"class {number}" for number in range(254))
RULES = [
    MapRule.of_indices(("a", "b", "c")),
    MapRule.of_indices(("a", "b", "c"), void=[1]),
    MapRule(("a", "b"), {0: 0, 255: 1, 300: 0}),
    MapRule(NAMES, {value: min(value, 253) for value in range(255)} | {255: 255}),
]


@pytest.mark.parametrize("rule", RULES)
def test_bytes_and_wider_numbers_give_the_same_ids(rule):
    known = np.asarray([value for value in rule.ids if value < 256])
    raw = known[np.random.default_rng(0).integers(0, len(known), (13, 7))].astype(np.uint8)
    expected = [[rule.ids[value] for value in row] for row in raw.tolist()]
    for kind in (np.uint8, np.uint16, np.int64):
        ids = rule.apply(raw.astype(kind), "mask")
        assert ids.dtype == np.uint8
        assert ids.tolist() == expected
    assert rule.apply(raw.T, "mask").tolist() == np.asarray(expected).T.tolist()


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_unknown_values_are_named(kind):
    raw = np.asarray([[0, 1, 2], [7, 2, 3]], kind)
    with pytest.raises(DataError) as error:
        RULES[0].apply(raw, "mask.png")
    assert error.value.got == "3, 7"


def test_a_mask_without_pixels():
    assert RULES[0].apply(np.zeros((0, 4), np.uint8), "mask").shape == (0, 4)

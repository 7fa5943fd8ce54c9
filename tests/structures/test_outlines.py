"""Outlines give back the very same pixels, in pycocotools too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.structures.outlines import coco_outline, rings, run_lengths, signed_area


def drawn(outline: object, size: tuple[int, int]) -> np.ndarray:
    """What pycocotools makes of a COCO segmentation."""
    from pycocotools import mask as coco_masks

    if isinstance(outline, dict):
        return coco_masks.decode({"size": outline["size"], "counts": outline["counts"].encode()}).astype(bool)
    if not outline:
        return np.zeros(size, bool)
    polygons = [[float(v) for v in polygon] for polygon in outline]
    return coco_masks.decode(coco_masks.merge(coco_masks.frPyObjects(polygons, *size))).astype(bool)


def random_mask(seed: int) -> np.ndarray:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    size = tuple(rng.integers(1, 40, 2))
    return ndimage.gaussian_filter(rng.standard_normal(size), rng.choice([0.0, 1.0, 2.0])) > 0


@given(st.integers(0, 2**31))
def test_polygons_and_run_lengths_give_the_mask_back(seed: int) -> None:
    from pycocotools import mask as coco_masks

    mask = random_mask(seed)
    np.testing.assert_array_equal(drawn(coco_outline(mask), mask.shape), mask)
    np.testing.assert_array_equal(drawn(run_lengths(mask), mask.shape), mask)
    expected = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert run_lengths(mask)["counts"].encode() == expected["counts"]


@given(st.integers(0, 2**31))
def test_rings_have_the_area_and_the_number_of_pieces_and_holes(seed: int) -> None:
    from scipy import ndimage

    mask = random_mask(seed)
    found = [signed_area(ring) for ring in rings(mask)]
    assert sum(found) == mask.sum()
    pieces = ndimage.label(mask)[1]
    ground = ndimage.label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1]
    assert (sum(a > 0 for a in found), sum(a < 0 for a in found)) == (pieces, ground - 1)


def test_by_hand() -> None:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    (ring,) = rings(mask)
    assert sorted(map(tuple, ring.tolist())) == [(1, 1), (1, 3), (4, 1), (4, 3)]
    assert isinstance(coco_outline(mask), list)
    mask[:] = True
    mask[2, 2] = False
    assert [signed_area(ring) for ring in rings(mask)] == [20, -1]
    assert isinstance(coco_outline(mask), dict)  # COCO has no polygon with a hole
    corner = np.eye(2, dtype=bool)
    assert len(rings(corner)) == 2
    assert rings(np.zeros((3, 3), bool)) == []
    assert signed_area(rings(np.ones((1, 1), bool))[0]) == pytest.approx(1)

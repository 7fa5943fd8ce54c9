"""Pieces of masks and distances, against OpenCV and against plain loops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from visus.structures.pieces import distances_to, eroded, extreme_near, pieces_of, share_near


def masks() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    drawn = [
        random.random(size) < share for size in ((13, 17), (40, 1), (1, 40), (30, 30)) for share in (0.1, 0.5, 0.8)
    ]
    spiral = np.zeros((21, 21), bool)
    for ring in range(0, 10, 2):
        spiral[ring, ring : 21 - ring] = spiral[ring : 21 - ring, 20 - ring] = True
        spiral[20 - ring, ring : 21 - ring] = spiral[ring + 2 : 21 - ring, ring] = True
        spiral[ring + 2, ring : ring + 2] = True
    combs = np.zeros((9, 20), bool)
    combs[:, ::2] = combs[4] = True
    return [*drawn, spiral, combs, np.zeros((5, 6), bool), np.ones((5, 6), bool), np.eye(7, dtype=bool)]


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("index", range(len(masks())))
def test_pieces_are_those_of_opencv(index: int, connectivity: int) -> None:
    mask = masks()[index]
    found = pieces_of(mask, connectivity)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=connectivity)
    assert len(found) == count - 1
    # One number there for each here, and the other way round: the same pieces, perhaps in another order.
    pairs = np.unique(np.stack([found.numbers.ravel(), numbers.ravel()]), axis=1)
    assert len(pairs.T) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))
    for mine, theirs in pairs.T[pairs[0] > 0]:
        left, top, width, height, area = stats[theirs]
        assert found.windows[mine - 1].tolist() == [left, top, left + width, top + height]
        assert found.areas[mine - 1] == area
    firsts = [int(np.flatnonzero(found.numbers == n + 1)[0]) for n in range(len(found))]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("reach", [0.5, 1, 2.5, 7, 100])
@pytest.mark.parametrize("index", range(len(masks())))
def test_distances_are_those_of_the_nearest_pixel(index: int, reach: float) -> None:
    mask = masks()[index]
    at = np.argwhere(mask)
    every = np.argwhere(np.ones_like(mask))
    wanted = np.full(mask.shape, np.inf)
    if len(at):
        gaps = np.sqrt(((every[:, None] - at[None]) ** 2).sum(axis=2)).min(axis=1).reshape(mask.shape)
        wanted = np.where(gaps <= reach, gaps, np.inf)
    np.testing.assert_allclose(distances_to(mask, reach), wanted, rtol=1e-6)
    others = np.roll(mask, (2, 3), axis=(0, 1))
    near = np.isfinite(wanted[others])
    assert share_near(others, mask, reach) == pytest.approx(near.mean() if len(at) else 0.0)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("index", range(len(masks())))
def test_erosion_is_that_of_opencv(index: int, width: int) -> None:
    mask = masks()[index] | (np.random.default_rng(3).random(masks()[index].shape) < 0.9)
    square = np.ones((2 * width + 1,) * 2, np.uint8)
    wanted = cv2.erode(mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    np.testing.assert_array_equal(eroded(mask, width), wanted > 0)


@pytest.mark.parametrize("size", [(9, 12), (1, 7), (3, 3)])
def test_extremes_are_those_of_opencv(size: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    square = np.ones((5, 5), np.uint8)
    np.testing.assert_array_equal(extreme_near(values, 2, np.minimum), cv2.erode(values, square))
    np.testing.assert_array_equal(extreme_near(values, 2, np.maximum), cv2.dilate(values, square))

"""The two ways of scaling pixels: the exact one is Pillow's, the fast one is never further than one level away."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from visus.data.augmentation.frame import Frame
from visus.data.augmentation.prepared import with_channels
from visus.data.augmentation.resizing import resize, resize_fast
from visus.structures import Preprocessing

SIZES = [((48, 64), (22, 29)), ((33, 51), (97, 63)), ((51, 49), (50, 48)), ((30, 90), (60, 45)), ((7, 9), (7, 9))]


def noise(size: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4, 6])
def test_each_plane_is_scaled_as_by_pillow(before: tuple[int, int], after: tuple[int, int], channels: int) -> None:
    pixels = noise((*before, channels) if channels else before)
    found = resize(pixels, after)
    assert found.shape == (*after, *pixels.shape[2:])
    for plane, scaled in zip(np.atleast_3d(pixels).T, np.atleast_3d(found).T, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(plane.T))
        np.testing.assert_array_equal(scaled.T, picture.resize(after[::-1], Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("channels", [0, 1, 3, 4, 6])
def test_the_fast_way_is_at_most_one_level_away(before: tuple[int, int], after: tuple[int, int], channels: int) -> None:
    pixels = noise((*before, channels) if channels else before)
    exact, fast = resize(pixels, after).astype(int), resize_fast(pixels, after)
    assert np.abs(exact - fast).max() <= 1
    if after[0] < before[0] and after[1] < before[1]:
        assert (exact != fast).mean() < 0.02


def test_neither_writes_into_the_pixels() -> None:
    pixels = noise((20, 30, 3))
    pixels.flags.writeable = False
    resize(pixels[:, 3:], (9, 8))[:] = 0
    resize_fast(pixels[:, 3:], (9, 8))[:] = 0
    np.testing.assert_array_equal(pixels, noise((20, 30, 3)))


def test_luminance_is_that_of_opencv() -> None:
    import cv2

    pixels = noise((60, 80, 3))
    frame = with_channels(Frame(pixels, None), Preprocessing(channels=1, mean=(0.5,), std=(0.5,)))
    np.testing.assert_array_equal(frame.pixels, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))

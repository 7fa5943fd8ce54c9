"""Colours change as much as asked, and nothing else does."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from visus.data.augmentation.colour import COLOUR_AXES, COLOUR_SPREAD, change_colours, shift_colours
from visus.data.augmentation.settings import Augmentation


class Fixed:
    """A generator that says: every change happens, and its factor is this one."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def random(self, count: int) -> np.ndarray:
        return np.zeros(count)

    def uniform(self, low: float, high: float, count: int) -> np.ndarray:
        return np.full(count, self.factor)


def changed(pixels: np.ndarray, factor: float = 1.0, **fields: float) -> np.ndarray:
    return change_colours(pixels, Augmentation(**fields), Fixed(factor))


def colours() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("factor", [-1.0, 0.5, 1.0])
@pytest.mark.parametrize("pixels", [colours(), colours()[..., 0].copy()], ids=["colour", "grey"])
def test_brightness_multiplies(pixels: np.ndarray, factor: float) -> None:
    expected = np.clip(np.rint(pixels.astype(np.float64) * (1 + 0.4 * factor)), 0, 255)
    np.testing.assert_allclose(changed(pixels, factor, brightness=0.4), expected, atol=1)


@pytest.mark.parametrize("factor", [-1.0, 0.5, 1.0])
@pytest.mark.parametrize("pixels", [colours(), colours()[..., 0].copy()], ids=["colour", "grey"])
def test_contrast_scales_about_the_mean(pixels: np.ndarray, factor: float) -> None:
    mean = pixels.mean()
    expected = np.clip((pixels - mean) * (1 + 0.3 * factor) + mean, 0, 255)
    np.testing.assert_allclose(changed(pixels, factor, contrast=0.3), expected, atol=1)


def test_contrast_after_brightness_is_about_the_new_mean() -> None:
    pixels = np.asarray([[40, 60], [80, 100]], np.uint8)
    # x 1.2 -> 48, 72, 96, 120 with mean 84; then 1.5 times the distance from it.
    expected = [[30, 66], [102, 138]]
    both = change_colours(pixels, Augmentation(brightness=0.2, contrast=0.5), Fixed(1.0))
    np.testing.assert_allclose(both, expected, atol=1)


def test_saturation_scales_the_distance_from_grey() -> None:
    pixels = colours()
    grey = pixels @ np.asarray([0.299, 0.587, 0.114])  # ITU-R 601
    for factor in (-1.0, 0.5):
        expected = np.clip((pixels - grey[..., None]) * (1 + 0.6 * factor) + grey[..., None], 0, 255)
        np.testing.assert_allclose(changed(pixels, factor, saturation=0.6), expected, atol=1.5)
    np.testing.assert_allclose(changed(pixels, -1.0, saturation=1), np.rint(grey)[..., None].repeat(3, -1), atol=1)


def test_hue_turns_the_circle() -> None:
    primaries = np.asarray([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    third = changed(primaries, 1.0, hue=1 / 3)
    np.testing.assert_allclose(third, np.roll(primaries, -1, axis=1), atol=6)  # red becomes green
    back = changed(primaries, -1.0, hue=1 / 3)
    np.testing.assert_allclose(back, np.roll(primaries, 1, axis=1), atol=6)


def test_hue_agrees_with_the_standard_library() -> None:
    pixels = colours()
    for factor in (-0.7, 0.4):
        expected = np.empty(pixels.shape)
        for place in np.ndindex(pixels.shape[:2]):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[place] / 255))
            expected[place] = colorsys.hsv_to_rgb((hue + 0.2 * factor) % 1, saturation, value)
        # In between the hue is a byte, rounded twice: one step of it is 6 * 255 / 256 levels. So is the saturation.
        np.testing.assert_allclose(changed(pixels, factor, hue=0.2), expected * 255, atol=7.5)


@pytest.mark.parametrize("fields", [{"saturation": 0.5}, {"hue": 0.3}])
def test_greys_have_no_colour_to_change(fields: dict[str, float]) -> None:
    grey = colours()[..., 0].copy()
    np.testing.assert_array_equal(changed(grey, 1.0, **fields), grey)
    three = np.repeat(grey[..., None], 3, axis=2)
    np.testing.assert_allclose(changed(three, 1.0, **fields), three, atol=1)


def test_nothing_asked_is_nothing_done() -> None:
    pixels = colours()
    np.testing.assert_array_equal(changed(pixels), pixels)


def test_the_given_pixels_are_left_alone() -> None:
    pixels = colours()
    before = pixels.copy()
    changed(pixels, 0.7, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("field", ["brightness", "contrast", "saturation", "hue"])
def test_each_change_happens_as_often_as_asked_and_either_way(field: str) -> None:
    pixels = np.tile(np.asarray([[[200, 120, 60], [90, 130, 110]]], np.uint8), (4, 4, 1))
    augmentation = Augmentation(**{field: 0.3}, photometric=0.5)
    results = [change_colours(pixels, augmentation, np.random.default_rng(seed)) for seed in range(400)]
    untouched = sum(np.array_equal(result, pixels) for result in results)
    assert 160 < untouched < 250
    assert len({result.tobytes() for result in results}) > 30


def test_the_axes_of_colour_are_perpendicular_and_of_length_one() -> None:
    np.testing.assert_allclose(COLOUR_AXES.T @ COLOUR_AXES, np.eye(3), atol=2e-4)


def test_a_shift_of_colours_is_the_papers_sum() -> None:
    """Krizhevsky et al. 2012, section 4.1: [p1 p2 p3][a1 l1, a2 l2, a3 l3]^T is added to every pixel."""
    pixels = np.full((4, 5, 3), 128, np.uint8)
    drawn = np.random.default_rng(7).normal(0, 0.1, 3)
    expected = 128 + 255 * sum(COLOUR_AXES[:, i] * drawn[i] * COLOUR_SPREAD[i] for i in range(3))
    shifted = shift_colours(pixels, 0.1, np.random.default_rng(7))
    np.testing.assert_allclose(shifted[0, 0], expected, atol=0.5)
    assert (shifted == shifted[0, 0]).all()


def test_shifts_of_colours_have_the_covariance_asked_for() -> None:
    """Of many draws: 0.1^2 times E diag(l^2) E^T, in raw values, beside the rounding's 1/12."""
    pixels = np.full((1, 1, 3), 128, np.uint8)
    random = np.random.default_rng(0)
    shifts = np.stack([shift_colours(pixels, 0.3, random)[0, 0].astype(float) - 128 for _ in range(4000)])
    wanted = (0.3 * 255) ** 2 * COLOUR_AXES @ np.diag(COLOUR_SPREAD**2) @ COLOUR_AXES.T
    np.testing.assert_allclose(np.cov(shifts.T), wanted, rtol=0.12, atol=1.0)
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=1.0)


def test_shifts_of_colours_saturate_and_leave_greys_alone() -> None:
    class Large:
        def normal(self, mean: float, deviation: float, count: int) -> np.ndarray:
            return np.asarray([-40.0, 0.0, 0.0])

    assert shift_colours(np.full((2, 2, 3), 200, np.uint8), 0.1, Large()).tolist() == np.full((2, 2, 3), 255).tolist()
    grey = colours()[..., 0].copy()
    assert shift_colours(grey, 0.1, Large()) is grey

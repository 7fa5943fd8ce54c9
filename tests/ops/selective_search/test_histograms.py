"""Histograms of colour and texture against plain loops in double precision, and by what turning an image must do."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from visus.ops.selective_search.histograms import (
    COLOUR_BINS,
    STEEPEST,
    TEXTURE_BINS,
    derivatives,
    measured,
    region_histograms,
)

random = np.random.default_rng(0)
LABELS = np.array([[0, 0, 0, 1, 1], [0, 2, 2, 1, 1], [0, 2, 2, 2, 1], [3, 3, 3, 3, 3]])
PIXELS = random.random((4, 5, 3)).astype(np.float32)


def plain_derivatives(plane: NDArray[np.float32], y: int, x: int) -> list[float]:
    """The eight directed Gaussian derivatives at a pixel, clockwise from the right; sigma 1, 9 x 9 pixels."""
    values = {}
    weights = [math.exp(-(i**2) / 2) for i in range(-4, 5)]
    total = sum(weights)
    height, width = plane.shape
    for name in ("across", "down"):
        values[name] = 0.0
        for i in range(-4, 5):
            for j in range(-4, 5):
                value = float(plane[min(max(y + i, 0), height - 1), min(max(x + j, 0), width - 1)])
                slope = j if name == "across" else i
                values[name] += value * slope * weights[i + 4] / total * weights[j + 4] / total
    angles = [k * math.pi / 4 for k in range(8)]
    return [values["across"] * math.cos(angle) + values["down"] * math.sin(angle) for angle in angles]


def plain_histograms(region: int) -> tuple[list[float], list[float]]:
    """Colour [75] and texture [240], each orientation's histogram beside its opposite's."""
    colour, texture = [0.0] * 3 * COLOUR_BINS, [0.0] * 3 * 8 * TEXTURE_BINS
    places = [(y, x) for y in range(4) for x in range(5) if LABELS[y, x] == region]
    for y, x in places:
        for c in range(3):
            bin_ = min(int(PIXELS[y, x, c] * COLOUR_BINS), COLOUR_BINS - 1)
            colour[c * COLOUR_BINS + bin_] += 1 / (3 * len(places))
            found = plain_derivatives(PIXELS[..., c], y, x)
            for k, value in enumerate(found):
                bin_ = min(int(max(value, 0) / STEEPEST * TEXTURE_BINS), TEXTURE_BINS - 1)
                row = c * 8 + 2 * (k % 4) + k // 4
                texture[row * TEXTURE_BINS + bin_] += 1 / (24 * len(places))
    return colour, texture


def test_histograms_equal_plain_loops() -> None:
    colour, texture = region_histograms(LABELS, 4, measured(PIXELS))
    assert colour.shape == (4, 75)
    assert texture.shape == (4, 240)
    for region in range(4):
        plain_colour, plain_texture = plain_histograms(region)
        np.testing.assert_allclose(colour[region], plain_colour, atol=1e-12)
        np.testing.assert_allclose(texture[region], plain_texture, atol=1e-12)
    assert (texture.reshape(4, 24, 10)[:, :, 1:] > 0).any(), "the example reaches beyond the first bin"


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_histogram_sums_to_one(channels: int) -> None:
    image = random.random((9, 8, channels)).astype(np.float32)
    labels = np.arange(72).reshape(9, 8) % 5
    for histograms in region_histograms(labels, 5, measured(image)):
        np.testing.assert_allclose(histograms.sum(1), 1)
        assert (histograms >= 0).all()


def test_a_constant_image_has_no_texture() -> None:
    _, texture = region_histograms(np.zeros((5, 6), int), 1, measured(np.full((5, 6, 3), 0.3, np.float32)))
    np.testing.assert_allclose(texture.reshape(24, 10)[:, 0], 1 / 24)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_image_turns_the_orientations(turns: int) -> None:
    image = random.random((12, 15, 1)).astype(np.float32)
    labels = np.zeros((12, 15), int)
    _, texture = region_histograms(labels, 1, measured(image))
    turned, around = np.rot90(image, turns), np.rot90(labels, turns)
    _, other = region_histograms(around, 1, measured(np.ascontiguousarray(turned)))
    order = np.arange(8)  # rows: right, left, lower right, upper left, down, up, lower left, upper right
    clockwise = [0, 2, 4, 6, 1, 3, 5, 7]
    for k, row in enumerate(clockwise):  # np.rot90 turns counter-clockwise
        order[clockwise[(k - 2 * turns) % 8]] = row
    np.testing.assert_allclose(other.reshape(8, 10), texture.reshape(8, 10)[order], atol=1e-12)


def test_the_steepest_step_just_fits() -> None:
    """The largest derivative that any image in [0, 1] can have is the sum of a kernel's positive weights."""
    point = np.zeros((21, 21), np.float32)
    point[10, 10] = 1
    largest = [float(direction[direction > 0].sum()) for direction in derivatives(point)]
    assert max(largest) <= STEEPEST * 1.01
    assert max(largest) > STEEPEST * 0.9

"""Colour spaces against the formulas, written out with Python's own colorsys and plain arithmetic."""

import colorsys
import math

import numpy as np
import pytest

from visus.ops.selective_search.colour_spaces import CONVERSIONS, ColourSpace, in_colour_space

COLOURS = [
    (0, 0, 0),
    (255, 255, 255),
    (128, 128, 128),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (200, 120, 40),
    (3, 90, 77),
]


def lab(r: float, g: float, b: float) -> tuple[float, float, float]:
    """CIE L*a*b* of an sRGB colour under D65: IEC 61966-2-1 and CIE 15."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in (r, g, b)]
    to_xyz = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    white = (0.95047, 1.0, 1.08883)
    xyz = [sum(m * v for m, v in zip(row, linear, strict=True)) / w for row, w in zip(to_xyz, white, strict=True)]
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in xyz]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def expected(space: str, colour: tuple[int, int, int]) -> list[float]:
    r, g, b = (value / 255 for value in colour)
    total, intensity = r + g + b, 0.299 * r + 0.587 * g + 0.114 * b
    shares = [value / total if total else 1 / 3 for value in (r, g, b)]
    if space == "RGB":
        return [r, g, b]
    if space == "I":
        return [intensity]
    if space == "Lab":
        l_star, a_star, b_star = lab(r, g, b)
        return [l_star / 100, (a_star + 128) / 255, (b_star + 128) / 255]
    if space == "rgI":
        return [*shares[:2], intensity]
    if space == "rgb":
        return shares
    if space == "HSV":
        return list(colorsys.rgb_to_hsv(r, g, b))
    if space == "H":
        return [colorsys.rgb_to_hsv(r, g, b)[0]]
    o3 = total / math.sqrt(3)
    o1, o2 = (r - g) / math.sqrt(2), (r + g - 2 * b) / math.sqrt(6)
    c1, c2 = (o1 / o3, o2 / o3) if total else (0.0, 0.0)
    return [(c1 + math.sqrt(1.5)) / (2 * math.sqrt(1.5)), (c2 + math.sqrt(2)) / (math.sqrt(2) + math.sqrt(0.5))]


@pytest.mark.parametrize("space", CONVERSIONS)
def test_every_space_follows_its_formula(space: ColourSpace) -> None:
    image = np.array([COLOURS], np.uint8)
    found = in_colour_space(image, space)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [expected(space, colour) for colour in COLOURS], atol=2e-3)


@pytest.mark.parametrize("space", CONVERSIONS)
def test_every_value_is_in_range(space: ColourSpace) -> None:
    steps = np.linspace(0, 255, 9).round()
    image = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3).astype(np.uint8)
    found = in_colour_space(image, space)
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.max() > 0.9, "the range is used"


@pytest.mark.parametrize("space", ["rgb", "C", "H"])
def test_invariant_to_the_intensity_of_light(space: ColourSpace) -> None:
    """Table 1 of the paper: + for light intensity."""
    image = np.array([[(120, 80, 20), (40, 100, 60), (10, 20, 100)]], np.uint8)
    np.testing.assert_allclose(in_colour_space(image, space), in_colour_space(image * 2, space), atol=1e-5)

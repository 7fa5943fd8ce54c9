"""Pieces and views: every pixel is asked for once, and beyond the border lies the mirror image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.answers.tiles import ANY, FixedInput, InputRule, Rectangle, loses_border, pieces, view
from visus.errors import ShapeError, WeightsError


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_pieces_cover_the_image_once(height: int, width: int) -> None:
    parts = pieces((height, width), (1024, 512), 64)
    assert sum(part.height * part.width for part in parts) == height * width
    assert all(part.top % 64 == 0 and part.left % 64 == 0 for part in parts)
    assert all(0 < part.height <= 1024 + 64 and 0 < part.width <= 512 + 64 for part in parts)
    assert {(part.top + part.height, part.left + part.width) for part in parts} >= {(height, width)}
    if height <= 1024 and width <= 512:
        assert parts == [Rectangle(0, 0, height, width)]


def test_a_part_grows_as_far_as_the_image() -> None:
    assert Rectangle(0, 10, 20, 20).grown((8, 8), (40, 32)) == Rectangle(0, 2, 28, 30)
    assert Rectangle(0, 10, 20, 20).grown((0, 3), (40, 32)) == Rectangle(0, 7, 20, 25)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 20), st.integers(1, 9), st.integers(0, 40))
def test_a_view_is_the_mirrored_image_around_a_part(
    height: int, width: int, lost: int, step: int, smallest: int
) -> None:
    rule = InputRule(lost + 1 + smallest, step, lost)
    image = np.random.default_rng(0).random((1, 1, height, width), np.float32)
    part = Rectangle(height // 3, width // 2, height - height // 3, width - width // 2)
    what = view(rule, part, (height, width))
    assert what.size == rule.fitting_size(what.size)
    padded = np.pad(image[0, 0], 99, mode="reflect")
    top, left = 99 + part.top - lost // 2, 99 + part.left - lost // 2
    np.testing.assert_array_equal(what.of(image)[0, 0], padded[top : top + what.size[0], left : left + what.size[1]])
    answered = rule.output_size(what.size)
    assert answered[0] >= part.height
    assert answered[1] >= part.width


def test_the_whole_image_is_not_copied() -> None:
    image = np.zeros((1, 1, 16, 24), np.float32)
    assert view(InputRule(8, 8), Rectangle(0, 0, 16, 24), (16, 24)).of(image) is image
    assert not view(InputRule(8, 8), Rectangle(0, 0, 16, 20), (16, 20)).whole
    assert not view(ANY, Rectangle(0, 0, 8, 24), (16, 24)).whole


def test_the_published_unets_sizes() -> None:
    # figure 1: 572 -> 388, and the poolings ask for steps of 16
    rule = InputRule(188, 16, 184)
    assert rule.fitting_size((572, 560)) == (572, 572)
    assert rule.output_size((572, 572)) == (388, 388)
    assert loses_border(rule)
    assert not loses_border(ANY)


def test_a_fixed_input_is_used_whatever_is_asked_for() -> None:
    rule = FixedInput((24, 40), InputRule(8, 8, 4))
    what = view(rule, Rectangle(0, 0, 5, 6), (5, 6))
    assert what.size == (24, 40)
    assert what.margin == (2, 2)
    with pytest.raises(ShapeError, match="larger than the network's input"):
        view(rule, Rectangle(0, 0, 22, 6), (22, 6))


def test_rules_that_cannot_be() -> None:
    for values in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(WeightsError, match="smallest"):
            InputRule(*values)
    for size in ((20, 24), (4, 4), (0, 8)):
        with pytest.raises(ShapeError, match="8 pixels a side"):
            FixedInput(size, InputRule(8, 8))
    with pytest.raises(ShapeError, match="inputs of this size"):
        FixedInput((8, 8), InputRule(8, 8, 8))

"""The picture of a grouping: its levels, the mean colours of its regions, the boxes around them, and its refusals."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from visus.errors import ShapeError
from visus.ops.selective_search import Hierarchy, SelectiveSearch, selective_search
from visus.report.region_hierarchy import CELL, MOST_REGIONS, draw_hierarchy, shown_levels

LEFT, RIGHT = (200, 60, 40), (40, 60, 190)


@pytest.fixture
def halves() -> NDArray[np.uint8]:
    image = np.empty((120, 320, 3), np.uint8)
    image[:, :160], image[:, 160:] = LEFT, RIGHT
    return image


def test_levels_fall_from_all_regions_to_two() -> None:
    assert shown_levels(1) == [1]
    assert shown_levels(2) == [2]
    assert shown_levels(4) == [4, 3, 2]
    assert shown_levels(50) == [50, 22, 10, 4, 2]
    assert shown_levels(5000) == shown_levels(MOST_REGIONS)


def test_regions_have_their_mean_colours_and_boxes_lie_around_them(halves: NDArray[np.uint8]) -> None:
    halves[::2, :160, 0] += 4  # the mean of the left half is 2 more
    labels = np.zeros((120, 320), int)
    labels[:, 160:] = 1
    boxes = np.array([[0, 0, 160, 120], [160, 0, 320, 120], [0, 0, 320, 120]])
    hierarchy = Hierarchy(labels, np.array([[0, 1]]), np.zeros(1), np.array([19200, 19200, 38400]), boxes)
    search = SelectiveSearch(boxes.astype(np.float32), np.ones(3, np.float32), (120, 320), (hierarchy,))
    picture = np.asarray(draw_hierarchy(halves, search))
    gap = (picture.shape[1] - CELL) // 2
    above = picture[gap : gap + 120, gap : gap + 320].astype(int)
    assert np.abs(above[20:100, 20:140] - [LEFT[0] + 2, *LEFT[1:]]).max() <= 1
    assert np.abs(above[20:100, 180:300] - RIGHT).max() <= 1
    assert (above[:, 159:161] < 60).all(), "a dark line between the two"
    assert picture.shape[0] > 2 * 120, "two rows"
    below = picture[picture.shape[0] // 2 :]
    assert (np.abs(below.astype(int) - RIGHT).max(-1) <= 1).sum() > 10_000, "the image itself"


def test_an_image_of_one_region_is_drawn() -> None:
    image = np.full((30, 40, 3), 90, np.uint8)
    assert isinstance(draw_hierarchy(image, selective_search(image)), Image.Image)


def test_a_grey_and_a_reduced_image_are_drawn(halves: NDArray[np.uint8]) -> None:
    search = selective_search(halves)
    whole = draw_hierarchy(halves, search, grouping=7)
    assert draw_hierarchy(halves[::2, ::2], search, grouping=7).size == whole.size
    assert draw_hierarchy(halves[..., 0], search).size == whole.size


def test_what_does_not_fit_is_refused(halves: NDArray[np.uint8]) -> None:
    search = selective_search(halves, mode="single")
    with pytest.raises(ShapeError, match="0 to 0"):
        draw_hierarchy(halves, search, grouping=1)
    with pytest.raises(ShapeError, match="120 x 320"):
        draw_hierarchy(halves[:, :100], search)


def test_many_regions_are_drawn_at_once() -> None:
    labels = np.arange(400).reshape(20, 20)
    rows, columns = np.divmod(np.arange(400), 20)
    boxes = np.stack([columns, rows, columns + 1, rows + 1], axis=1)
    merged = [[0, 0, 20, 20]] * 399
    children = np.stack([np.arange(0, 798, 2), np.arange(1, 799, 2)], axis=1)
    hierarchy = Hierarchy(labels, children, np.zeros(399), np.ones(799, int), np.concatenate([boxes, merged]))
    search = SelectiveSearch(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (20, 20), (hierarchy,))
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    assert draw_hierarchy(image, search).width > 4 * CELL

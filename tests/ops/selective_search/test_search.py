"""Selective search as a whole: what it returns, its order, its options, and images of every kind."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from visus.errors import ShapeError, UsageError
from visus.ops.iou import pairwise_iou
from visus.ops.selective_search import MODES, SelectiveSearch, Strategies, selective_search

Image = NDArray[np.uint8]
OBJECTS = np.array([[8, 10, 28, 40], [50, 8, 90, 30], [40, 45, 80, 65]])


@pytest.fixture(scope="module")
def photo() -> Image:
    """Three objects of different colour and texture on a ground with a little noise."""
    random = np.random.default_rng(0)
    image = np.full((72, 100, 3), (90, 140, 90))
    for (x1, y1, x2, y2), colour in zip(OBJECTS, ((200, 60, 40), (40, 60, 190), (220, 210, 60)), strict=True):
        image[y1:y2, x1:x2] = colour
    image[15:25, 55:70] = (240, 240, 240)  # a part of the second
    return (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def found(photo: Image) -> SelectiveSearch:
    return selective_search(photo)


def test_objects_are_found_and_the_result_is_as_stated(photo: Image, found: SelectiveSearch) -> None:
    assert (pairwise_iou(OBJECTS, found.boxes).max(1) > 0.8).all()
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.size == photo.shape[:2]
    assert len(found.boxes) == len(found.scores) == len(np.unique(found.boxes, axis=0))
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores > 0).all()
    assert (found.scores <= 1).all()
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= [100, 72]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert [0, 0, 100, 72] in found.boxes.tolist()


def test_boxes_are_those_of_all_regions_and_no_others(found: SelectiveSearch) -> None:
    regions = {tuple(box) for hierarchy in found.hierarchies for box in hierarchy.boxes.tolist()}
    assert {tuple(box) for box in found.boxes.tolist()} == regions


def test_scores_come_from_a_regions_place_in_its_hierarchy(found: SelectiveSearch) -> None:
    last: dict[tuple[int, ...], int] = {}
    for hierarchy in found.hierarchies:
        count = hierarchy.regions
        places = [count] * count + list(range(count - 1, 0, -1))
        for box, place in zip(hierarchy.boxes.tolist(), places, strict=True):
            last[tuple(box)] = max(last.get(tuple(box), 0), place)
    for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
        assert 1 / score - 1 < last[tuple(box)] + 1e-3


def test_a_regions_value_is_its_position_times_a_random_number() -> None:
    """Section 3.3; the position is 1 for the whole image, and R for every region of the segmentation."""
    image = np.kron(np.random.default_rng(1).integers(0, 256, (3, 4, 3)), np.ones((9, 9, 1))).astype(np.uint8)
    seeds = range(60)
    searches = [selective_search(image, mode=Strategies(("I",), ("S",), (20,)), seed=seed) for seed in seeds]
    hierarchy = searches[0].hierarchy
    count = hierarchy.regions
    assert count > 8
    positions = [count] * count + list(range(count - 1, 0, -1))
    boxes = [tuple(box) for box in hierarchy.boxes.tolist()]
    values = [
        {tuple(box): 1 / score - 1 for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)}
        for found in searches
    ]
    for box, position in zip(boxes, positions, strict=True):
        if boxes.count(box) == 1:
            shares = [value[box] / position for value in values]
            assert 0 <= min(shares) <= max(shares) < 1
            assert abs(np.mean(shares) - 0.5) < 4 * np.sqrt(1 / 12 / len(seeds))


def test_modes_are_those_of_table_4(photo: Image) -> None:
    single, fast = (selective_search(photo, mode=mode).hierarchies for mode in ("single", "fast"))
    assert [hierarchy.strategy for hierarchy in single] == ["HSV, C+T+S+F, k = 100"]
    parts = product(("HSV", "Lab"), (50, 100), ("C+T+S+F", "T+S+F"))
    assert [hierarchy.strategy for hierarchy in fast] == [f"{space}, {how}, k = {k}" for space, k, how in parts]


def test_quality_has_eighty_groupings(photo: Image) -> None:
    assert len(selective_search(photo[:40, :40], mode="quality").hierarchies) == 80
    assert len(MODES["quality"].spaces) * len(MODES["quality"].similarities) * len(MODES["quality"].thresholds) == 80


def test_the_seed_decides_the_order_and_nothing_else(photo: Image, found: SelectiveSearch) -> None:
    np.random.seed(5)  # noqa: NPY002 - nothing global may matter
    again, other = selective_search(photo), selective_search(photo, seed=1)
    np.testing.assert_array_equal(again.boxes, found.boxes)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert other.boxes.tolist() != found.boxes.tolist()
    assert sorted(other.boxes.tolist()) == sorted(found.boxes.tolist())


def test_count_takes_the_best(photo: Image, found: SelectiveSearch) -> None:
    few = selective_search(photo, count=5)
    np.testing.assert_array_equal(few.boxes, found.boxes[:5])
    np.testing.assert_array_equal(few.scores, found.scores[:5])
    assert len(selective_search(photo, count=10_000).boxes) == len(found.boxes)


def test_min_side_leaves_out_the_small(photo: Image, found: SelectiveSearch) -> None:
    large = selective_search(photo, min_side=25)
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    np.testing.assert_array_equal(large.boxes, found.boxes[(sides >= 25).all(1)])
    assert selective_search(photo, min_side=101).boxes.shape == (0, 4)


def test_a_large_image_is_searched_smaller_and_its_boxes_scaled_back(photo: Image) -> None:
    large = np.repeat(np.repeat(photo, 3, axis=0), 3, axis=1)
    found = selective_search(large, mode="single", longest=100)
    small = selective_search(photo, mode="single")
    np.testing.assert_array_equal(found.boxes, small.boxes * 3)
    np.testing.assert_array_equal(found.scores, small.scores)
    assert found.hierarchy.labels.shape == photo.shape[:2]
    assert selective_search(large, mode="single", longest=None).hierarchy.labels.shape == large.shape[:2]
    odd = selective_search(photo, mode="single", longest=33)
    assert odd.boxes.max(0)[2:].tolist() == [100, 72]


def test_grey_is_as_equal_channels(photo: Image) -> None:
    grey = photo[..., 1]
    np.testing.assert_array_equal(selective_search(grey).boxes, selective_search(np.stack([grey] * 3, axis=-1)).boxes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (30, 30)])
def test_tiny_and_constant_images_are_one_box(shape: tuple[int, int]) -> None:
    for image in (np.full((*shape, 3), 255, np.uint8), np.zeros(shape, np.uint8)):
        found = selective_search(image)
        assert found.boxes.tolist() == [[0, 0, shape[1], shape[0]]]
        assert found.hierarchy.regions == 1


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 200)])
def test_an_image_of_one_line_is_grouped_to_its_end(shape: tuple[int, int]) -> None:
    line = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = selective_search(line, mode=Strategies(("RGB",), ("CTSF",), (5,)))
    assert found.hierarchy.regions > 3
    assert found.hierarchy.boxes[-1].tolist() == [0, 0, shape[1], shape[0]]


def test_own_strategies(photo: Image) -> None:
    found = selective_search(photo, mode=Strategies(("C", "rgb"), ("F",), (200,)))
    assert [hierarchy.strategy for hierarchy in found.hierarchies] == ["C, F, k = 200", "rgb, F, k = 200"]


def test_bad_input_is_told(photo: Image) -> None:
    for wrong in (photo.astype(np.float32), photo.transpose(2, 0, 1), photo[:0], photo[None], photo[..., :2]):
        with pytest.raises(ShapeError, match="uint8"):
            selective_search(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="single, fast, quality"):
        selective_search(photo, mode="best")  # type: ignore[arg-type]
    for options in ({"count": 0}, {"longest": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            selective_search(photo, **options)  # type: ignore[arg-type]
    for spaces, similarities, thresholds in (
        (("HSL",), ("C",), (100,)),
        (("HSV",), ("CX",), (100,)),
        (("HSV",), ("",), (100,)),
        (("HSV",), ("C",), (0,)),
        ((), ("C",), (100,)),
    ):
        with pytest.raises(UsageError, match="strategies"):
            Strategies(spaces, similarities, thresholds)  # type: ignore[arg-type]

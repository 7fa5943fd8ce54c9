"""Masks as crops: they paste back to the same pixels, and a way home or a move gives what whole masks gave."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.errors import ShapeError
from visus.structures import Detections, Masks, Move, Placement

SIZE = (10, 12)


def random_masks(seed: int, size: tuple[int, int] = SIZE, count: int = 4) -> np.ndarray:
    """[N,H,W]: blobs in windows of any size; the last is empty."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, *size), bool)
    for mask in masks[:-1]:
        top, bottom = np.sort(random.integers(0, size[0] + 1, 2))
        left, right = np.sort(random.integers(0, size[1] + 1, 2))
        mask[top:bottom, left:right] = random.random((bottom - top, right - left)) > 0.4
    return masks


@st.composite
def placements(draw) -> Placement:
    sides = st.integers(1, 40)
    # Scales such as those of real files: a whole number of pixels in both, so that centres often fall on edges.
    scale = st.one_of(st.floats(0.2, 5), st.builds(lambda a, b: a / b, sides, sides))
    offset = st.one_of(st.floats(-9, 9), st.integers(-9, 9).map(float))
    return Placement((draw(sides), draw(sides)), SIZE, (draw(scale), draw(scale)), (draw(offset), draw(offset)))


@given(st.integers(0, 10_000))
def test_whole_masks_come_back(seed: int) -> None:
    whole = random_masks(seed)
    masks = Masks.from_full(whole)
    np.testing.assert_array_equal(masks.full(), whole)
    np.testing.assert_array_equal(list(masks), whole)
    assert masks.areas().tolist() == whole.sum(axis=(1, 2)).tolist()
    assert len(masks.crops[-1].ravel()) == 0


@given(st.integers(0, 10_000), placements())
def test_undo_gives_the_pixels_of_the_nearest_sampling_of_whole_masks(seed: int, placement: Placement) -> None:
    whole = random_masks(seed)
    expected = np.stack([placement.undo_map(mask) for mask in whole])
    home = Masks.from_full(whole).undo(placement)
    assert home.size == placement.file_size
    np.testing.assert_array_equal(home.full(), expected)
    assert home.areas().tolist() == expected.sum(axis=(1, 2)).tolist()


def test_two_ways_home_are_one_after_the_other() -> None:
    whole = random_masks(3)
    first, second = Placement((20, 24), SIZE, (0.5, 0.5), (1, 0)), Placement((40, 24), (20, 24), (0.5, 1.0), (0, -2))
    expected = np.stack([second.undo_map(first.undo_map(mask)) for mask in whole])
    np.testing.assert_array_equal(Masks.from_full(whole).undo(first).undo(second).full(), expected)


@pytest.mark.parametrize("which", [np.asarray([True, False, False, True]), np.asarray([3, 0]), np.asarray([], int)])
def test_select(which: np.ndarray) -> None:
    whole = random_masks(1)
    np.testing.assert_array_equal(Masks.from_full(whole).select(which).full(), whole[which])


def test_indexing_is_that_of_an_array() -> None:
    planes = np.random.default_rng(3).random((4, 9, 11)) > 0.6
    masks = Masks.from_full(planes)
    for which in (2, -1, np.int64(1), slice(1, 3), np.asarray([True, False, False, True]), np.asarray([3, 0])):
        np.testing.assert_array_equal(masks[which], planes[which])


def test_moved_as_whole_masks_are() -> None:
    whole = random_masks(2)
    move = Move(SIZE, lambda map_, *_: np.ascontiguousarray(map_[:, ::-1]), lambda points: points, mirrored=True)
    np.testing.assert_array_equal(Masks.from_full(whole).moved(move).full(), whole[:, :, ::-1])


@pytest.mark.parametrize("count", [5, 300])
def test_objects_move_together_as_each_does_alone(count: int) -> None:
    """Overlapping ones, more than a map of bytes can number, and one that is empty."""
    whole = random_masks(7, (20, 30), count)
    matrix = np.asarray([[0.8, -0.6, 9], [0.6, 0.8, -3]])

    def maps(map_: np.ndarray, fill: int, _: str) -> np.ndarray:
        return cv2.warpAffine(map_, matrix, (30, 20), flags=cv2.INTER_NEAREST, borderValue=(fill,))

    moved = Masks.from_full(whole).moved(Move((20, 30), maps, lambda points: points))
    alone = [maps(mask.view(np.uint8), 0, "").astype(bool) for mask in whole]
    np.testing.assert_array_equal(moved.full(), alone)


@given(st.integers(0, 10_000))
def test_masks_of_numbers(seed: int) -> None:
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 6, (9, 11)) * (random.random((9, 11)) > 0.7)
    masks = Masks.from_numbers(numbers, 7)
    np.testing.assert_array_equal(masks.full(), [numbers == i + 1 for i in range(7)])
    for mask, extent in zip(masks, masks.extents(), strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        assert extent.tolist() == expected
    assert len(Masks.from_numbers(numbers * 0, 0)) == len(Masks.empty((9, 11))) == 0


def test_masks_on_a_larger_and_a_smaller_picture() -> None:
    whole = random_masks(5)
    masks = Masks.from_full(whole)
    np.testing.assert_array_equal(masks.scaled((30, 36)).full(), whole.repeat(3, 1).repeat(3, 2))
    half = masks.scaled((5, 6))
    assert half.size == (5, 6)
    np.testing.assert_array_equal(half.full(), whole[:, 1::2, 1::2])


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_iou_of_whole_masks(first: int, second: int) -> None:
    one, other = random_masks(first), random_masks(second, count=3)
    shared = (one[:, None] & other[None]).sum(axis=(2, 3))
    united = (one[:, None] | other[None]).sum(axis=(2, 3))
    np.testing.assert_allclose(Masks.from_full(one).iou(Masks.from_full(other)), shared / np.maximum(united, 1))
    np.testing.assert_array_equal(Masks.from_full(one).shared(Masks.from_full(other)), shared)


class TestSoft:
    def test_hardened_keeps_the_pixels(self) -> None:
        crops = tuple(np.random.default_rng(1).random((3, 6, 5)).astype(np.float32))
        windows = np.asarray([[1.5, 2.2, 20.1, 19.0], [-4.0, 3.0, 8.0, 60.0], [5.0, 5.0, 5.0, 9.0]])
        soft = Masks(crops, windows, (25, 30)).undo(Placement((50, 45), (25, 30), (0.5, 2 / 3), (1.0, 0)))
        hard = soft.hardened()
        assert all(crop.dtype == bool for crop in hard.crops)
        np.testing.assert_array_equal(hard.full(), soft.full())
        assert not soft[2].any()  # a box without an area

    def test_a_crop_is_stretched_over_its_window_bilinearly(self) -> None:
        import torch

        crop = np.random.default_rng(0).random((7, 5)).astype(np.float32)
        masks = Masks((crop,), np.asarray([[2.0, 1.0, 42.0, 36.0]]), (40, 50))
        # torch's sampling of the same grid, with its own padding of zeros, is the oracle.
        y = (np.arange(1, 36) + 0.5 - 1) / 35 * 2 - 1
        x = (np.arange(2, 42) + 0.5 - 2) / 40 * 2 - 1
        grid = torch.from_numpy(np.stack(np.broadcast_arrays(x[None], y[:, None]), axis=-1)[None]).float()
        oracle = torch.nn.functional.grid_sample(torch.from_numpy(crop)[None, None], grid, align_corners=False)[0, 0]
        clear = (oracle.numpy() - 0.5).__abs__() > 1e-5
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(masks[0][1:36, 2:42][clear], (oracle.numpy() >= 0.5)[clear])
        assert masks.areas()[0] == masks[0][1:36, 2:42].sum()

    def test_it_goes_home_at_the_files_resolution(self) -> None:
        """A disc of 28 pixels on a window of 28 becomes a disc, and no staircase, in a file eight times as large."""
        rows, columns = np.indices((28, 28)) - 13.5
        soft = np.clip(10 - np.hypot(rows, columns) + 0.5, 0, 1).astype(np.float32)
        masks = Masks((soft,), np.asarray([[0.0, 0, 28, 28]]), (28, 28))
        home = masks.undo(Placement((224, 224), (28, 28), (0.125, 0.125)))
        rows, columns = np.indices((224, 224)) - 111.5
        assert (home[0] != (np.hypot(rows, columns) <= 80)).mean() < 0.005


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[1, 4\]"):
        Masks((np.zeros((2, 2), bool),), np.zeros((2, 4)), SIZE)
    with pytest.raises(ShapeError, match="bool or float32"):
        Masks((np.zeros((2, 2), np.uint8),), np.zeros((1, 4)), SIZE)
    with pytest.raises(ShapeError, match=r"\[N, H, W\] bool"):
        Masks.from_full(np.zeros((2, 2), bool))


def test_a_window_without_an_area_holds_nothing() -> None:
    """A network's soft mask in a box that suppression or clipping has left without a width."""
    soft = np.ones((14, 14), np.float32)
    masks = Masks((soft, soft), np.asarray([[5.0, 5, 5, 9], [1, 6, 9, 6]]), (10, 12))
    assert not masks.full().any()
    assert masks.areas().tolist() == [0, 0]
    assert masks.iou(masks).tolist() == [[0, 0], [0, 0]]


def test_a_hundred_masks_of_a_large_photo_take_little_memory() -> None:
    """Whole masks would be 1.2 GB; the crops are those of the network's pixels, however large the file is."""
    network = np.zeros((100, 200, 336), bool)
    for i, mask in enumerate(network):
        mask[i : i + 60, 2 * i : 2 * i + 80] = True
    boxes = np.zeros((100, 4), np.float32)
    value = Detections(("a",), boxes, np.zeros(100, np.int64), (200, 336), masks=network)
    tracemalloc.start()
    try:
        home = value.undo(Placement((3000, 4000), (200, 336), (1 / 15, 0.084)))
        assert home.to_dict()["objects"][0]["area"] > 600_000
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
    assert peak < 40_000_000

"""Outlines drawn in their windows have the very pixels that COCO's code draws on the whole image."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visus.data.formats.objects.outlined_objects import Objects, draw_outline
from visus.data.pixels.images import ArrayImage


def on_the_whole_image(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    from pycocotools import mask as coco_masks

    rows = [polygon.reshape(-1).tolist() for polygon in polygons]
    return np.asarray(coco_masks.decode(coco_masks.merge(coco_masks.frPyObjects(rows, *size)))).astype(bool)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 0.5, 0.2, 0.1, 0.01, 1e-9]))
def test_polygons(seed: int, grid: float) -> None:
    """Corners on grids of tenths and fifths, where rounding decides; inside, across the rim, and far outside."""
    random = np.random.default_rng(seed)
    size = (int(random.integers(1, 70)), int(random.integers(1, 90)))
    polygons = []
    for _ in range(int(random.integers(1, 4))):
        centre = random.uniform(-0.3, 1.3, 2) * size[::-1]
        points = centre + random.normal(0, 1, (int(random.integers(3, 9)), 2)) * random.choice([0.4, 5, 40])
        reach = np.asarray(size[::-1])  # corners at absurd distances are pulled in, which is another matter
        polygons.append(np.clip(np.round(points / grid) * grid, -4 * reach, 5 * reach))
    found = draw_outline(tuple(polygons), size)
    np.testing.assert_array_equal(found, on_the_whole_image(polygons, size))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_run_lengths(seed: int) -> None:
    from pycocotools import mask as coco_masks

    random = np.random.default_rng(seed)
    size = (int(random.integers(1, 9)), int(random.integers(1, 9)))
    mask = random.random(size) < random.choice([0.0, 0.1, 0.6, 1.0])
    code = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    np.testing.assert_array_equal(draw_outline(code, size), mask)


def test_runs_of_no_pixel_in_the_middle() -> None:
    runs = {"size": [4, 3], "counts": [2, 3, 0, 2, 1, 0, 4]}
    expected = np.asarray([0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool).reshape(3, 4).T
    np.testing.assert_array_equal(draw_outline(runs, (4, 3)), expected)


def test_boxes_of_objects_without_an_outline_and_polygons_in_fractions() -> None:
    triangle = np.asarray([[0.1, 0.1], [0.9, 0.2], [0.4, 0.8]])
    boxes = np.asarray([[0.1, 0.1, 0.9, 0.8], [0.5, 0.5, 1.0, 1.0]], np.float32)
    image = ArrayImage(np.zeros((30, 50), np.uint8))
    objects = Objects(image, ("a",), boxes, np.zeros(2, np.int64), outlines=((triangle,), None))
    masks = objects.drawn()
    np.testing.assert_array_equal(masks[0], on_the_whole_image([triangle * (50, 30)], (30, 50)))
    assert masks.extents()[1].tolist() == [25, 15, 50, 30]
    assert masks.windows.tolist() == masks.extents().tolist()


@pytest.mark.parametrize("count", [1000])
def test_a_thousand_outlines_of_a_large_image(count: int) -> None:
    """They took six seconds on whole planes."""
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 30)[:-1]
    ring = 18 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centres = random.uniform(30, 1970, (count, 2))
    objects = Objects(
        ArrayImage(np.zeros((8, 8), np.uint8)),
        ("a",),
        np.concatenate([centres - 18, centres + 18], axis=1).astype(np.float32),
        np.zeros(count, np.int64),
        outlines=tuple((centre + ring,) for centre in centres),
        size=(2000, 2000),
    )
    began = time.process_time()
    masks = objects.drawn()
    assert time.process_time() - began < 2
    assert 900 * count < masks.areas().sum() < 1100 * count

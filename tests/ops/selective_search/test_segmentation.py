"""The graph segmentation: its scale, its smallest region, its numbering, and images of every small size."""

import numpy as np
import pytest

from visus.ops.selective_search.segmentation import segmented


def plain_image() -> np.ndarray:  # type: ignore[type-arg]
    image = np.full((40, 60, 3), 0.2, np.float32)
    image[10:30, 5:25] = (0.9, 0.1, 0.1)
    image[10:30, 35:55] = (0.1, 0.1, 0.9)
    return image


def test_areas_of_one_colour_are_regions() -> None:
    labels = segmented(plain_image(), 100)
    assert np.unique(labels).tolist() == [0, 1, 2]
    inner = labels[14:26, 9:21]
    assert (inner == inner[0, 0]).all()
    assert len({labels[0, 0], labels[20, 15], labels[20, 45]}) == 3


def test_no_region_is_smaller_than_the_threshold() -> None:
    noise = np.random.default_rng(0).random((50, 60, 3)).astype(np.float32)
    for threshold in (20, 80):
        labels = segmented(noise, threshold)
        assert np.bincount(labels.ravel()).min() >= threshold
        assert np.unique(labels).tolist() == list(range(labels.max() + 1))


def test_a_larger_threshold_leaves_fewer_regions() -> None:
    random = np.random.default_rng(1)
    image = np.kron(random.random((8, 8, 3)), np.ones((8, 8, 1))).astype(np.float32)
    counts = [segmented(image, threshold).max() + 1 for threshold in (20, 50, 400)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_an_image_smaller_than_the_threshold_is_one_region(shape: tuple[int, int], channels: int) -> None:
    image = np.random.default_rng(2).random((*shape, channels)).astype(np.float32)
    assert not segmented(image, 50).any()

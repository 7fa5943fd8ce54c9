"""The graph segmentation: its regions, scale, smallest region and numbering, and images of every small size."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from visus.ops.selective_search.segmentation import segmented

Pixels = NDArray[np.floating]


def plain_image() -> NDArray[np.float32]:
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


def plain_segmentation(image: Pixels, threshold: float, smallest: int) -> list[frozenset[int]]:
    """Felzenszwalb and Huttenlocher's algorithm on the eight neighbours, in a loop: the sets of pixels."""
    height, width, _ = image.shape
    edges = []
    for y in range(height):
        for x in range(width):
            for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
                if 0 <= y + i < height and 0 <= x + j < width:
                    weight = float(np.sqrt(((image[y, x] - image[y + i, x + j]) ** 2).sum()))
                    edges.append((weight, y * width + x, (y + i) * width + x + j))
    edges.sort()
    members = {pixel: {pixel} for pixel in range(height * width)}
    of = {pixel: pixel for pixel in members}
    inner = dict.fromkeys(members, 0.0)

    def join(a: int, b: int) -> None:
        members[a] |= members.pop(b)
        for pixel in members[a]:
            of[pixel] = a

    for weight, one, other in edges:
        a, b = of[one], of[other]
        if a != b and weight < min(inner[a] + threshold / len(members[a]), inner[b] + threshold / len(members[b])):
            join(a, b)
            inner[a] = weight
    for _, one, other in edges:
        a, b = of[one], of[other]
        if a != b and min(len(members[a]), len(members[b])) < smallest:
            join(a, b)
    return sorted(map(frozenset, members.values()), key=min)


@pytest.mark.parametrize("channels", [1, 3])
def test_regions_equal_those_of_a_plain_loop(channels: int) -> None:
    random = np.random.default_rng(3)
    image = np.kron(random.random((4, 5, channels)), np.ones((6, 6, 1))) + 0.1 * random.random((24, 30, channels))
    image = (image / 1.1).astype(np.float32)
    smooth = ndimage.gaussian_filter(image.astype(np.float64), (0.8, 0.8, 0))
    expected = plain_segmentation(smooth, 20 / 255, 20)  # colours of 0 to 1, where the paper has 0 to 255
    labels = segmented(image, 20).ravel()
    found = [frozenset(np.flatnonzero(labels == number).tolist()) for number in range(labels.max() + 1)]
    assert len(expected) > 5
    assert sorted(found, key=min) == expected


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_an_image_smaller_than_the_threshold_is_one_region(shape: tuple[int, int], channels: int) -> None:
    image = np.random.default_rng(2).random((*shape, channels)).astype(np.float32)
    assert not segmented(image, 50).any()

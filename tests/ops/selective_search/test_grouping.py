"""The grouping: examples worked by hand, an independent implementation on sets of pixels, and what must always hold."""

import numpy as np
import pytest
from numpy.typing import NDArray

from visus.ops.selective_search.grouping import Hierarchy, Regions, grouped, neighbours, region_boxes
from visus.ops.selective_search.histograms import Measured, measured

IntArray = NDArray[np.intp]


def regions_of(labels: list[list[int]], colour: list[list[int]] | None = None) -> Regions:
    """Regions of one channel, whose bins of colour are given and which have no texture."""
    shape = np.array(labels)
    bins = np.array(colour) if colour else np.zeros_like(shape)
    return Regions(shape, Measured(bins[None], np.zeros((4, *shape.shape), np.intp)))


def test_by_size_the_smallest_merge_first() -> None:
    strip = regions_of([[0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3]])
    found = grouped(strip, "S")
    # (0,1): 1 - 3/12 before (1,2): 1 - 5/12 and (2,3): 1 - 9/12; then (2,4): 1 - 6/12; at last everything.
    assert found.children.tolist() == [[0, 1], [2, 4], [3, 5]]
    np.testing.assert_allclose(found.similarity, [9 / 12, 6 / 12, 0])
    assert found.sizes.tolist() == [1, 2, 3, 6, 3, 6, 12]
    assert found.boxes[4:].tolist() == [[0, 0, 3, 1], [0, 0, 6, 1], [0, 0, 12, 1]]
    assert found.parents.tolist() == [4, 4, 5, 6, 5, 6, -1]


def test_by_fill_a_hole_is_filled_first() -> None:
    ring = regions_of([[0, 0, 0, 2], [0, 1, 0, 2], [0, 0, 0, 2]])
    found = grouped(ring, "F")
    assert found.children.tolist() == [[0, 1], [2, 3]]  # (0,1): 1 - (9-8-1)/12, but (0,2): 1 - (12-8-3)/12
    np.testing.assert_allclose(found.similarity, [1, 1])


def test_by_colour_histograms_are_mixed_by_size() -> None:
    strip = regions_of([[0, 0, 0, 0, 1, 1, 1, 1, 2]], [[7, 7, 7, 7, 7, 7, 7, 9, 9]])
    found = grouped(strip, "C")
    assert found.children.tolist() == [[0, 1], [2, 3]]
    np.testing.assert_allclose(found.similarity, [3 / 4, 1 / 8])  # of 8 pixels of region 3, one has colour 9


def test_equal_similarities_merge_by_number() -> None:
    found = grouped(regions_of([[0, 1, 2, 3]]), "S")
    assert found.children.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_regions_that_meet_at_a_corner_are_neighbours() -> None:
    labels = np.array([[0, 0, 1], [2, 0, 1], [2, 2, 3]])
    assert neighbours(labels, 4).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert neighbours(np.array([[0, 1, 2]]), 3).tolist() == [[0, 1], [1, 2]]
    assert neighbours(np.zeros((3, 3), int), 1).shape == (0, 2)


def test_boxes_of_regions() -> None:
    labels = np.array([[0, 0, 1], [2, 0, 1], [2, 2, 0]])
    assert region_boxes(labels, 3).tolist() == [[0, 0, 3, 3], [2, 0, 3, 2], [0, 1, 2, 3]]


class Plain:
    """The same grouping without any of its shortcuts: every histogram is counted again from a region's pixels."""

    def __init__(self, labels: IntArray, bins: Measured, similarities: str) -> None:
        self.labels, self.bins, self.similarities = labels, bins, similarities
        self.pixels = {
            region: [(int(y), int(x)) for y, x in np.argwhere(labels == region)] for region in range(labels.max() + 1)
        }
        self.alone = set(self.pixels)
        self.merges: list[tuple[int, int]] = []
        self.values: list[float] = []

    def similarity(self, a: int, b: int) -> float:
        one, other, area = self.pixels[a], self.pixels[b], self.labels.size
        value = 0.0
        if "C" in self.similarities:
            value += self.intersection(one, other, self.bins.colour, lambda bin_: [bin_])
        if "T" in self.similarities:
            value += self.intersection(one, other, self.bins.texture, lambda bin_: [max(bin_, 0), max(-bin_, 0) + 100])
        if "S" in self.similarities:
            value += 1 - (len(one) + len(other)) / area
        if "F" in self.similarities:
            ys, xs = zip(*one, *other, strict=True)
            box = (max(ys) - min(ys) + 1) * (max(xs) - min(xs) + 1)
            value += 1 - (box - len(one) - len(other)) / area
        return value

    def intersection(self, one: list, other: list, planes: IntArray, bins_of) -> float:  # type: ignore[type-arg, no-untyped-def]
        counts: list[dict[tuple[int, int], float]] = []
        for pixels in (one, other):
            found: dict[tuple[int, int], float] = {}
            for y, x in pixels:
                for p, plane in enumerate(planes):
                    for bin_ in bins_of(int(plane[y, x])):
                        found[p, bin_] = found.get((p, bin_), 0) + 1
            total = sum(found.values())
            counts.append({key: count / total for key, count in found.items()})
        return sum(min(share, counts[1].get(key, 0)) for key, share in counts[0].items())

    def touch(self, a: int, b: int) -> bool:
        other = set(self.pixels[b])
        steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        return any((y + i, x + j) in other for y, x in self.pixels[a] for i, j in steps)

    def run(self) -> None:
        while len(self.alone) > 1:
            pairs = [(a, b) for a in self.alone for b in self.alone if a < b and self.touch(a, b)]
            value, a, b = max((self.similarity(a, b), -a, -b) for a, b in pairs)
            new = len(self.pixels)
            self.pixels[new] = self.pixels[-a] + self.pixels[-b]
            self.alone = (self.alone - {-a, -b}) | {new}
            self.merges.append((-a, -b))
            self.values.append(value)


def example(seed: int) -> tuple[IntArray, Measured]:
    """Seven regions of like colour in an image of noise."""
    random = np.random.default_rng(seed)
    seeds = random.integers(0, 11, (7, 2))
    places = np.stack(np.mgrid[:11, :11], axis=-1).reshape(-1, 1, 2)
    labels = ((places - seeds) ** 2).sum(-1).argmin(1).reshape(11, 11)
    labels = np.unique(labels, return_inverse=True)[1].reshape(11, 11)
    pixels = random.random((7, 3))[labels] * 0.7 + random.random((11, 11, 3)) * 0.3
    return labels, measured(pixels.astype(np.float32))


@pytest.mark.parametrize("similarities", ["CTSF", "TSF", "C", "T", "CS", "TF"])
@pytest.mark.parametrize("seed", [0, 1])
def test_merges_equal_those_of_a_plain_implementation(similarities: str, seed: int) -> None:
    labels, bins = example(seed)
    plain = Plain(labels, bins, similarities)
    plain.run()
    found = grouped(Regions(labels, bins), similarities)
    assert [tuple(pair) for pair in found.children.tolist()] == plain.merges
    np.testing.assert_allclose(found.similarity, plain.values, atol=1e-12)


def check(found: Hierarchy) -> None:
    """What holds of every hierarchy."""
    count = found.regions
    height, width = found.labels.shape
    assert len(found.sizes) == len(found.boxes) == 2 * count - 1
    assert found.sizes[-1] == height * width
    assert found.boxes[-1].tolist() == [0, 0, width, height]
    assert sorted(found.children.ravel().tolist()) == list(range(2 * count - 2)), "each but the last is merged once"
    for number, (a, b) in enumerate(found.children.tolist(), count):
        assert a < b < number
        assert found.sizes[number] == found.sizes[a] + found.sizes[b]
        assert (found.boxes[number, :2] == np.minimum(found.boxes[a, :2], found.boxes[b, :2])).all()
        assert (found.boxes[number, 2:] == np.maximum(found.boxes[a, 2:], found.boxes[b, 2:])).all()
    for left in (1, 2, (count + 1) // 2, count):
        shown = found.labels_at(left)
        assert np.unique(shown).tolist() == found.regions_at(left).tolist()
        assert len(np.unique(shown)) == min(max(left, 1), count)
        for region in np.unique(shown):
            assert (shown == region).sum() == found.sizes[region]


@pytest.mark.parametrize("seed", range(3))
def test_a_hierarchy_adds_up(seed: int) -> None:
    labels, bins = example(seed)
    for similarities in ("CTSF", "S", "F"):
        found = grouped(Regions(labels, bins), similarities)
        check(found)
        assert (found.similarity >= -1e-12).all()
        assert (found.similarity <= len(similarities) + 1e-12).all()
    assert (found.labels_at(found.regions + 5) == labels).all(), "more regions than there were: the segmentation"


def test_a_single_region_is_its_own_hierarchy() -> None:
    found = grouped(regions_of([[0, 0], [0, 0]]))
    check(found)
    assert found.parents.tolist() == [-1]
    assert found.labels_at(3).tolist() == [[0, 0], [0, 0]]

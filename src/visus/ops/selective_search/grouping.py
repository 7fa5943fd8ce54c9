"""Merges the regions of a segmentation, two at a time, until one is left: Algorithm 1 of Uijlings et al. 2013."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from visus.ops.selective_search.histograms import Measured, region_histograms

SIMILARITIES = "CTSF"
"""Colour, texture, size and fill: section 3.2."""

_PAIRS_AT_ONCE = 4096  # so that the histograms of many pairs take some 10 MB


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """A segmentation and the merges that join its R regions into one; every region has a number.

    Numbers below R are those of the segmentation, R is the first merged region, 2R - 2 the last one: the whole image.

    Args:
        labels: [H,W] the number of each pixel's region in the segmentation.
        children: [R-1,2] the two regions that became region R, R + 1, ...
        similarity: [R-1] of the two, when they were merged.
        sizes: [2R-1] pixels of each region.
        boxes: [2R-1,4] xyxy in pixels of ``labels``, spanning [x1,x2).
        strategy: where the regions come from, as ``"HSV, C+T+S+F, k = 100"``.
    """

    labels: NDArray[np.intp]
    children: NDArray[np.intp]
    similarity: NDArray[np.float64]
    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    strategy: str = ""

    @property
    def regions(self) -> int:
        """R: the regions of the segmentation."""
        return len(self.children) + 1

    @property
    def parents(self) -> NDArray[np.intp]:
        """[2R-1] the region that each one became a part of; -1 for the whole image."""
        found = np.full(len(self.sizes), -1, np.intp)
        found[self.children] = np.arange(self.regions, len(found))[:, None]
        return found

    def regions_at(self, count: int) -> NDArray[np.intp]:
        """The numbers of the regions when ``count`` of them were left; R at most, 1 at least."""
        merges = self._merges_until(count)
        return np.setdiff1d(np.arange(self.regions + merges), self.children[:merges])

    def labels_at(self, count: int) -> NDArray[np.intp]:
        """[H,W] the number of each pixel's region when ``count`` of them were left; R at most, 1 at least."""
        merges = self._merges_until(count)
        owner = np.arange(self.regions + merges)
        for merge in reversed(range(merges)):  # from the top, so that an owner is known before it is passed down
            owner[self.children[merge]] = owner[self.regions + merge]
        return owner[self.labels]

    def _merges_until(self, count: int) -> int:
        return self.regions - min(max(count, 1), self.regions)


class Regions:
    """The R regions of a segmentation, measured: ``sizes`` [R], ``boxes`` [R,4], ``pairs`` [P,2] of neighbours, and the
    histograms ``colour`` and ``texture`` [R,...].

    Args:
        labels: [H,W] the region of each pixel, numbered from 0 without gaps.
        bins: of the same image.
    """

    def __init__(self, labels: NDArray[np.intp], bins: Measured) -> None:
        self.labels = labels
        self.sizes = np.bincount(labels.ravel())
        self.boxes = region_boxes(labels, len(self.sizes))
        self.pairs = neighbours(labels, len(self.sizes))
        self.colour, self.texture = region_histograms(labels, len(self.sizes), bins)


def region_boxes(labels: NDArray[np.intp], regions: int) -> NDArray[np.int64]:
    """The smallest box [R,4] xyxy around each region of a segmentation [H,W], spanning [x1,x2)."""
    height, width = labels.shape
    in_row, in_column = np.zeros((regions, height), bool), np.zeros((regions, width), bool)
    in_row[labels, np.arange(height)[:, None]] = True
    in_column[labels, np.arange(width)] = True
    x1, y1 = in_column.argmax(1), in_row.argmax(1)
    x2, y2 = width - in_column[:, ::-1].argmax(1), height - in_row[:, ::-1].argmax(1)
    return np.stack([x1, y1, x2, y2], axis=1)


def neighbours(labels: NDArray[np.intp], regions: int) -> NDArray[np.intp]:
    """The pairs [P,2] of regions that touch, also at a corner as in the segmentation's graph; each once, a < b."""
    steps = (
        (labels[:, 1:], labels[:, :-1]),
        (labels[1:], labels[:-1]),
        (labels[1:, 1:], labels[:-1, :-1]),
        (labels[1:, :-1], labels[:-1, 1:]),
    )
    found = []
    for here, there in steps:
        border = here != there
        a, b = here[border], there[border]
        found.append(np.unique(np.minimum(a, b) * regions + np.maximum(a, b)))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), regions), axis=1)


class _Features:
    """What similarities are computed from, for regions and merged regions alike: 2R - 1 rows, filled one by one."""

    def __init__(self, regions: Regions, similarities: str) -> None:
        count, total = len(regions.sizes), 2 * len(regions.sizes) - 1
        self.area = regions.labels.size
        self.sizes = np.empty(total)
        self.sizes[:count] = regions.sizes
        self.corners = np.empty((total, 4))  # -x1, -y1, x2, y2: the box around two is their maximum
        self.corners[:count] = regions.boxes * np.array([-1, -1, 1, 1])
        chosen = [part for letter, part in (("C", regions.colour), ("T", regions.texture)) if letter in similarities]
        joined = np.concatenate(chosen, axis=1) if chosen else np.empty((count, 0))
        joined = joined[:, joined.any(0)]  # a bin that no pixel is in adds nothing to an intersection
        self.histograms = np.empty((total, joined.shape[1]))
        self.histograms[:count] = joined
        self.by_size, self.by_fill = "S" in similarities, "F" in similarities

    def merge(self, a: int, b: int, new: int) -> None:
        """Equation 2: histograms are the mean of the two, weighted by size."""
        sizes, histograms = self.sizes, self.histograms
        sizes[new] = sizes[a] + sizes[b]
        np.maximum(self.corners[a], self.corners[b], out=self.corners[new])
        histograms[new] = (sizes[a] * histograms[a] + sizes[b] * histograms[b]) / sizes[new]

    def similarity(self, one: NDArray[np.intp], other: NDArray[np.intp] | int) -> NDArray[np.float64]:
        """[N] of N regions with N others, or all with the same."""
        values = np.full(len(one), float(self.by_size + self.by_fill))
        if self.histograms.shape[1]:  # equations 1 and 3, both intersections at once
            values += np.minimum(self.histograms[one], self.histograms[other]).sum(1)
        if self.by_size != self.by_fill:  # in both, the sizes cancel
            together = (self.sizes[one] + self.sizes[other]) / self.area
            values += together if self.by_fill else -together
        if self.by_fill:  # equation 5
            box = np.maximum(self.corners[one], self.corners[other])
            values -= (box[:, 0] + box[:, 2]) * (box[:, 1] + box[:, 3]) / self.area
        return values


def grouped(regions: Regions, similarities: str = SIMILARITIES, strategy: str = "") -> Hierarchy:
    """Merges the two most similar neighbours until a single region is left.

    The similarity of two regions is a sum of (each in [0, 1]):

    - C, T: the intersection of their colour histograms (equation 1) and of their texture histograms (3);
    - S: 1 - (size + size) / size of the image (4), so that small regions merge early;
    - F: 1 - (size of the box around both - size - size) / size of the image (5), so that holes are filled.

    Of equally similar pairs the one of the lowest numbers is merged.

    Args:
        regions: of the segmentation.
        similarities: which to sum, some of ``"CTSF"``.
        strategy: a name for the result.
    """
    count = len(regions.sizes)
    features = _Features(regions, similarities)
    around = _Neighbours(count, regions.pairs)
    pairs = _Pairs(count)
    one, other = regions.pairs.T
    chunks = [slice(first, first + _PAIRS_AT_ONCE) for first in range(0, len(one), _PAIRS_AT_ONCE)]
    values = np.concatenate([np.empty(0), *(features.similarity(one[chunk], other[chunk]) for chunk in chunks)])
    ends = np.searchsorted(one, np.arange(count + 1))  # the pairs are in the order of their first region
    for region, (start, stop) in enumerate(pairwise(ends.tolist())):
        pairs.add(region, other[start:stop], values[start:stop])
    children, similarity = np.empty((count - 1, 2), np.intp), np.empty(count - 1)
    for merge in range(count - 1):
        similarity[merge], a, b = pairs.take()
        new = count + merge
        children[merge] = a, b
        features.merge(a, b, new)
        touching = around.merge(a, b, new)
        pairs.add(new, touching, features.similarity(touching, new))
    boxes = features.corners * np.array([-1, -1, 1, 1])
    sizes = features.sizes.astype(np.int64)
    return Hierarchy(regions.labels, children, similarity, sizes, boxes.astype(np.int64), strategy)


class _Neighbours:
    """Which regions touch. A merged region takes the place of the one with more neighbours, so that only those of the
    other have to be told."""

    def __init__(self, regions: int, pairs: NDArray[np.intp]) -> None:
        self.around: list[set[int]] = [set() for _ in range(regions)]  # places of places
        for a, b in pairs.tolist():
            self.around[a].add(b)
            self.around[b].add(a)
        self.region = list(range(regions))  # at a place
        self.place = list(range(regions))  # of a region

    def merge(self, a: int, b: int, new: int) -> NDArray[np.intp]:
        """Makes two regions one, and returns the numbers of its neighbours, in order."""
        kept, gone = sorted((self.place[a], self.place[b]), key=lambda place: len(self.around[place]), reverse=True)
        touching = self.around[kept]
        for neighbour in self.around[gone] - {kept}:
            self.around[neighbour].remove(gone)
            self.around[neighbour].add(kept)
            touching.add(neighbour)
        touching.remove(gone)
        self.around[gone] = set()
        self.region[kept] = new
        self.place.append(kept)
        return np.array(sorted([self.region[place] for place in touching]), np.intp)


class _Pairs:
    """The pairs of neighbours by similarity. Each belongs to one of its regions, and only the best of a region waits in
    the heap: with all, every merge of a region with a thousand neighbours would add a thousand.
    """

    def __init__(self, regions: int) -> None:
        self.alone = [True] * regions  # not merged yet
        self.others: dict[int, NDArray[np.intp]] = {}
        self.values: dict[int, NDArray[np.float64]] = {}
        self.waiting: list[tuple[float, int, int, int, int]] = []  # (-similarity, a, b, owner, number of its pair)

    def add(self, owner: int, others: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        """Adds the pairs of a region with others [N], in order, that have these similarities [N]."""
        if len(others):
            self.others[owner], self.values[owner] = others, values
            self._offer(owner)

    def take(self) -> tuple[float, int, int]:
        """The similarity and the regions a < b of the most similar pair, which become one region of the next number."""
        while True:
            value, a, b, owner, number = heapq.heappop(self.waiting)
            if self.alone[a] and self.alone[b]:
                break
            if self.alone[owner]:  # the other has been merged since
                self.values[owner][number] = -np.inf
                self._offer(owner)
        for region in (a, b):
            self.alone[region] = False
            self.others.pop(region, None)
            self.values.pop(region, None)
        self.alone.append(True)
        return -value, a, b

    def _offer(self, owner: int) -> None:
        number = int(self.values[owner].argmax())  # the first of equals
        value, other = float(self.values[owner][number]), int(self.others[owner][number])
        if value > -np.inf:
            heapq.heappush(self.waiting, (-value, min(owner, other), max(owner, other), owner, number))

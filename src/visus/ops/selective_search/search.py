"""Selective search of one image: several groupings, of which one finds what another misses, and their boxes ranked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError, UsageError
from visus.ops.selective_search.colour_spaces import CONVERSIONS, ColourSpace, in_colour_space
from visus.ops.selective_search.grouping import SIMILARITIES, Hierarchy, Regions, grouped
from visus.ops.selective_search.histograms import measured
from visus.ops.selective_search.segmentation import segmented

Mode = Literal["single", "fast", "quality"]

LONGEST = 640
"""The longer side, in pixels, at which a larger image is searched."""


@dataclass(frozen=True, slots=True)
class Strategies:
    """Every combination of these is a grouping.

    Args:
        spaces: colour spaces.
        similarities: each some of the letters ``"CTSF"``: colour, texture, size, fill.
        thresholds: k of the segmentation, at least 1.

    Raises:
        UsageError: if one is unknown, or there is none.
    """

    spaces: tuple[ColourSpace, ...]
    similarities: tuple[str, ...]
    thresholds: tuple[int, ...]

    def __post_init__(self) -> None:
        wrong: list[object] = [space for space in self.spaces if space not in CONVERSIONS]
        wrong += [some for some in self.similarities if not some or not set(some) <= set(SIMILARITIES)]
        wrong += [k for k in self.thresholds if k < 1]
        if wrong or not (self.spaces and self.similarities and self.thresholds):
            raise UsageError(
                "selective search cannot be done with these strategies",
                expected=f"some of the colour spaces {', '.join(CONVERSIONS)}; for each similarity some of the letters "
                f"{SIMILARITIES}; and thresholds of at least 1",
                got=", ".join(map(repr, wrong)) or "nothing for one of them",
            )


MODES: dict[Mode, Strategies] = {
    "single": Strategies(("HSV",), ("CTSF",), (100,)),
    "fast": Strategies(("HSV", "Lab"), ("CTSF", "TSF"), (50, 100)),
    "quality": Strategies(("HSV", "Lab", "rgI", "H", "I"), ("CTSF", "TSF", "F", "S"), (50, 100, 150, 300)),
}
"""Uijlings et al. 2013, Table 4: 1, 8 and 80 groupings."""


@dataclass(frozen=True, slots=True, eq=False)
class SelectiveSearch:
    """Where objects may be in one image.

    Args:
        boxes: [P,4] float32 xyxy in pixels of the image, spanning [x1,x2); best first, no two the same.
        scores: [P] float32 in (0, 1], falling: see :func:`selective_search`. An order, no probability of an object.
        size: (height, width) of the image.
        hierarchies: every grouping, in the order of the strategies, in pixels of the image as it was searched.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    size: tuple[int, int]
    hierarchies: tuple[Hierarchy, ...]

    @property
    def hierarchy(self) -> Hierarchy:
        """The first grouping."""
        return self.hierarchies[0]


def selective_search(
    image: NDArray[np.uint8],
    *,
    mode: Mode | Strategies = "fast",
    seed: int = 0,
    count: int | None = None,
    min_side: float = 0,
    longest: int | None = LONGEST,
) -> SelectiveSearch:
    """Finds the boxes of an image in which objects may be.

    A region at position i of its grouping, 1 being the whole image and the regions of the segmentation all last, gets
    the value i times a random number in [0, 1), and its box the score 1 / (1 + value) (section 3.3): large regions
    come early, but not all before the small ones. Then of equal boxes the best is kept.

    The thresholds are made for images of about 500 pixels (the paper's of VOC; R-CNN's code scales every image to a
    width of 500), and time and memory grow with the pixels: a larger image is shrunk, and its boxes are scaled back.

    Args:
        image: [H,W,3] RGB or [H,W] grey, uint8.
        mode: the paper's ``single`` (1 grouping), ``fast`` (8) or ``quality`` (80), or strategies of one's own.
        seed: of the order; the boxes without ``count`` do not depend on it.
        count: so many of the best at most, all for None.
        min_side: boxes that are narrower or lower are left out; the authors' and R-CNN's code have 20.
        longest: the longer side in pixels to which a larger image is shrunk; None searches the image as it is.

    Raises:
        ShapeError: if ``image`` is none.
        UsageError: if ``mode`` is unknown, or ``count`` or ``longest`` is less than 1.
    """
    strategies = _strategies(mode)
    for name, number in (("count", count), ("longest", longest)):
        if number is not None and number < 1:
            raise UsageError(
                f"{name} of selective search is too small", expected="at least 1, or None", got=f"{number}"
            )
    image = _rgb(image)
    size = (image.shape[0], image.shape[1])
    hierarchies, boxes, values = _searched(_shrunk(image, longest), strategies, np.random.default_rng(seed))
    height, width = hierarchies[0].labels.shape
    scaled = boxes * (np.array([size[1], size[0]] * 2) / [width, height, width, height])
    large = ((scaled[:, 2:] - scaled[:, :2]) >= min_side).all(1)
    scaled, values = scaled[large], values[large]
    order = np.argsort(values, kind="stable")
    _, first = np.unique(scaled[order], axis=0, return_index=True)
    chosen = order[np.sort(first)][:count]
    scores = (1 / (1 + values[chosen])).astype(np.float32)
    return SelectiveSearch(scaled[chosen].astype(np.float32), scores, size, tuple(hierarchies))


def _searched(
    image: NDArray[np.uint8], strategies: Strategies, random: np.random.Generator
) -> tuple[list[Hierarchy], NDArray[np.int64], NDArray[np.float64]]:
    """Every grouping, the boxes [N,4] of their regions, and the values [N] that rank them: low ones first."""
    hierarchies, boxes, values = [], [], []
    for space in strategies.spaces:
        pixels = in_colour_space(image, space)
        bins = measured(pixels)
        for threshold in strategies.thresholds:
            regions = Regions(segmented(pixels, threshold), bins)
            count = len(regions.sizes)
            # The regions of the segmentation belong to all its groupings and are taken once, as in the authors' code.
            boxes.append(regions.boxes)
            values.append(random.random(count) * count)
            for similarities in strategies.similarities:
                name = f"{space}, {'+'.join(similarities)}, k = {threshold}"
                hierarchies.append(grouped(regions, similarities, name))
                boxes.append(hierarchies[-1].boxes[count:])
                values.append(random.random(count - 1) * np.arange(count - 1, 0, -1))
    return hierarchies, np.concatenate(boxes), np.concatenate(values)


def _strategies(mode: Mode | Strategies) -> Strategies:
    if isinstance(mode, Strategies):
        return mode
    if mode not in MODES:
        raise UsageError("unknown mode of selective search", expected=f"one of {', '.join(MODES)}", got=repr(mode))
    return MODES[mode]


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = image.ndim == 2
    if image.dtype != np.uint8 or 0 in image.shape or not (grey or (image.ndim == 3 and image.shape[2] == 3)):
        raise ShapeError(
            "selective search cannot be done on this array",
            expected="an image [H,W,3] RGB or [H,W] grey, uint8, of at least one pixel",
            got=f"{list(image.shape)} {image.dtype}",
        )
    return np.repeat(image[..., None], 3, axis=2) if grey else image


def _shrunk(image: NDArray[np.uint8], longest: int | None) -> NDArray[np.uint8]:
    import cv2

    height, width = image.shape[:2]
    if longest is None or max(height, width) <= longest:
        return image
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

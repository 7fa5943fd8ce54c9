"""Overlap-tile: which parts of an image a network sees that restricts its input's size or loses border pixels.

Ronneberger, Fischer, Brox, MICCAI 2015, figure 2: the network is given more of the image than is asked for, and where
the image ends, its mirror image. Loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from visus.answers.reader import Array
from visus.errors import ShapeError, WeightsError

Size = tuple[int, int]


@runtime_checkable
class Restricted(Protocol):
    """A network that does not take every input size, or whose output has fewer pixels than its input."""

    def fitting_size(self, size: Size) -> Size:
        """Returns the smallest (height, width) that the network takes and that is not smaller than ``size``."""

    def output_size(self, size: Size) -> Size:
        """Returns the output's (height, width) for an input of this size; the output covers the input's centre."""


@dataclass(frozen=True, slots=True)
class InputRule:
    """The sizes of input that a network takes, and the pixels that its output lacks.

    Args:
        smallest: the smallest side of an input.
        step: longer sides are longer by multiples of this number.
        lost: by how many pixels a side of the output is shorter than that of the input.

    Raises:
        WeightsError: if there are no such sizes.
    """

    smallest: int = 1
    step: int = 1
    lost: int = 0

    def __post_init__(self) -> None:
        if self.smallest < 1 or self.step < 1 or self.lost < 0:
            raise WeightsError(
                "no input of a network has such sizes",
                expected="a smallest side and a step of 1 or more, and no less than 0 pixels lost",
                got=f"smallest {self.smallest}, step {self.step}, lost {self.lost}",
            )

    def fitting_size(self, size: Size) -> Size:
        """The smallest (height, width) that the network takes and that is not smaller than ``size``."""
        height, width = (self.smallest + max(-(-(side - self.smallest) // self.step), 0) * self.step for side in size)
        return height, width

    def output_size(self, size: Size) -> Size:
        """The output's (height, width) for an input of this size."""
        return size[0] - self.lost, size[1] - self.lost


ANY = InputRule()
"""The rule of a network that takes all sizes, and answers for each pixel."""


@dataclass(frozen=True, slots=True)
class FixedInput:
    """The rule of a network that takes inputs of one size only, and that ``rule`` holds for.

    Args:
        size: (height, width).
        rule: of the network before its input was fixed.

    Raises:
        ShapeError: if the rule does not allow that size, or nothing would be left of it.
    """

    size: Size
    rule: InputRule = ANY

    def __post_init__(self) -> None:
        if self.rule.fitting_size(self.size) != self.size or min(self.rule.output_size(self.size)) < 1:
            raise ShapeError(
                "the network does not take inputs of this size",
                expected=f"{self.rule.smallest} pixels a side, or more in steps of {self.rule.step}",
                got=f"{self.size[0]}x{self.size[1]}",
            )

    def fitting_size(self, size: Size) -> Size:
        """The size, if it is not smaller than ``size``.

        Raises:
            ShapeError: if it is.
        """
        if size[0] > self.size[0] or size[1] > self.size[1]:
            raise ShapeError(
                "the part of an image is larger than the network's input",
                expected=f"at most {self.size[0]}x{self.size[1]}",
                got=f"{size[0]}x{size[1]}",
            )
        return self.size

    def output_size(self, size: Size) -> Size:
        """The output's (height, width)."""
        return self.rule.output_size(size)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def grown(self, margin: Size, size: Size) -> Rectangle:
        """The part with ``margin`` = (rows, columns) more pixels on each side, within an image of ``size``."""
        top, left = max(self.top - margin[0], 0), max(self.left - margin[1], 0)
        bottom = min(self.top + self.height + margin[0], size[0])
        right = min(self.left + self.width + margin[1], size[1])
        return Rectangle(top, left, bottom - top, right - left)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a network is to see of an image, so that its output begins with the pixels that are asked for.

    Args:
        part: what is asked for.
        rows: which rows of the image the input has, from top to bottom; a mirrored row occurs again.
        columns: and which columns.
        margin: (rows, columns) of the input above and to the left of the part.
        whole: whether the input is the image itself.
    """

    part: Rectangle
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    margin: Size
    whole: bool

    @property
    def size(self) -> Size:
        """(height, width) of the input."""
        return len(self.rows), len(self.columns)

    def of(self, images: Array) -> Array:
        """The input [N,C,h,w] that shows this of the images [N,C,H,W]."""
        return images if self.whole else images.take(self.rows, 2).take(self.columns, 3)


def view(rule: Restricted, part: Rectangle, size: Size) -> View:
    """What a network is to see for an answer to a part of an image.

    Args:
        rule: which inputs it takes.
        part: what is asked for.
        size: (height, width) of the image.

    Raises:
        ShapeError: if no input is large enough.
    """
    asked = (part.height, part.width)
    fitting = rule.fitting_size(asked)
    answered = rule.output_size(fitting)
    lost = (fitting[0] - answered[0], fitting[1] - answered[1])
    seen = rule.fitting_size((asked[0] + lost[0], asked[1] + lost[1]))
    margin = (lost[0] // 2, lost[1] // 2)
    rows = _mirrored(part.top - margin[0], seen[0], size[0])
    columns = _mirrored(part.left - margin[1], seen[1], size[1])
    whole = part.top == part.left == 0 and seen == size and not any(margin)
    return View(part, rows, columns, margin, whole)


def loses_border(rule: Restricted) -> bool:
    """Whether the output covers fewer pixels than the input, so that the network has no padded border."""
    smallest = rule.fitting_size((1, 1))
    return smallest != rule.output_size(smallest)


def pieces(size: Size, largest: Size, step: int) -> list[Rectangle]:
    """Cuts an image into parts of nearly equal size at multiples of ``step``.

    Args:
        size: (height, width) of the image.
        largest: (height, width) of a part, which it surpasses by less than a step.
        step: in pixels.
    """
    rows, columns = (_edges(side, most, step) for side, most in zip(size, largest, strict=True))
    return [
        Rectangle(top, left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def _mirrored(start: int, count: int, side: int) -> NDArray[np.int64]:
    """[count] indices from ``start`` on into a line of ``side`` pixels, mirrored at its ends."""
    period = max(2 * (side - 1), 1)
    indices = np.arange(start, start + count) % period
    return np.where(indices < side, indices, period - indices)


def _edges(side: int, largest: int, step: int) -> list[int]:
    count = -(-side // largest)
    inner = {round(side * number / count / step) * step for number in range(1, count)}
    return sorted({0, side} | {edge for edge in inner if 0 < edge < side})

"""Reads the outputs of segmentation networks: a map an image, of large images in pieces. Loads no torch.

Letters: N images, K classes, H x W pixels of an image, H' x W' of the network's outputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.answers.probabilities import sigmoid, softmax
from visus.answers.reader import Array, Outputs, Reader, numbered, output
from visus.answers.tiles import (
    ANY,
    FixedInput,
    InputRule,
    Rectangle,
    Restricted,
    Size,
    View,
    loses_border,
    pieces,
    view,
)
from visus.errors import ShapeError, WeightsError
from visus.structures import MultiLabelMap, SegmentationMap

TILE = 1024
"""Images with a longer side are predicted in pieces of about this many pixels a side, to bound the memory."""

STEP = 64
"""Pieces begin at multiples of this number, so that poolings fall on the same pixels as in the whole image."""

CONTEXT = 128
"""The pixels around a piece that a network with padded convolutions sees, and whose predictions are dropped."""

BLEND = 64
"""Half the width of the seams, in which the probabilities of two pieces are blended linearly."""

THRESHOLD = 0.5
"""A pixel bears a class from this probability on, where a pixel may have several."""

BLOCK = 1 << 18
"""So many logits at a time stay in a processor's cache through all steps."""

Look = Callable[[View], Outputs]
"""Gives the raw outputs of a network for what it is to see of the images."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How an image is cut into pieces.

    Args:
        parts: the pieces; they cover the image once.
        context: (rows, columns) around a piece that the network sees, and whose predictions are dropped.
        blend: (rows, columns) by which pieces reach into one another on each side.
    """

    parts: list[Rectangle]
    context: Size = (0, 0)
    blend: Size = (0, 0)


def layout(rule: Restricted, size: Size) -> Layout:
    """How an image of a size is cut for a network of this rule; a single piece is the whole image.

    Raises:
        ShapeError: if the network's input leaves no room for pieces.
    """
    # Every answer of a network without padded borders has its whole surroundings, and is the same in every piece.
    exact = loses_border(rule)
    if not isinstance(rule, FixedInput):
        parts = pieces(size, (TILE, TILE), STEP)
        return Layout(parts) if exact or len(parts) == 1 else Layout(parts, (CONTEXT, CONTEXT), (BLEND, BLEND))
    answered = rule.output_size(rule.size)
    if size[0] <= answered[0] and size[1] <= answered[1]:
        return Layout([Rectangle(0, 0, *size)])
    # The same shares of the input as above, in powers of two, so that a piece and its surroundings fit into it.
    units = [min(STEP, 1 << max(side // 16, 1).bit_length() - 1) for side in answered]
    step, context, blend = min(units), [2 * unit for unit in units], units
    if exact:
        context = blend = [0, 0]
    room = [s - step - 2 * (c + b) for s, c, b in zip(answered, context, blend, strict=True)]
    parts = pieces(size, (max(room[0], 1), max(room[1], 1)), step)
    return Layout(parts, (context[0], context[1]), (blend[0], blend[1]))


@dataclass(frozen=True, slots=True)
class MapReader(Reader):
    """The base class of readers of K logits [N,K,H',W'] for each pixel; subclasses say what the logits mean.

    Args:
        classes: K.
        rule: which inputs the network takes; where it restricts them, or loses border pixels, it sees images with
            mirrored borders.
    """

    classes: int
    rule: InputRule = ANY

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise WeightsError("a map needs a class", expected="1 or more", got=str(self.classes))

    @property
    def names(self) -> tuple[str, ...]:
        return ("logits",)

    @abstractmethod
    def probabilities(self, logits: Array) -> Array:
        """Logits [N,K,H,W] as probabilities, in a new array."""

    @abstractmethod
    def of_logits(self, logits: Array) -> list[Any]:
        """N maps, of logits [N,K,H,W]."""

    @abstractmethod
    def of_rows(self, rows: Iterator[tuple[slice, Array]], count: int, size: Size) -> list[Any]:
        """N maps of a size, of the probabilities [N,K,h,W] of their rows."""

    def read(self, outputs: Outputs, size: Size) -> list[Any]:
        """N maps of the pixels that the outputs cover: the input's centre."""
        return self.of_logits(self._cut(outputs, (0, 0), self.rule.output_size(size)))

    def answers(self, run: Callable[[Array], Outputs], images: Array, *, input_size: Size | None = None) -> list[Any]:
        """N maps as large as the images, with the probability of what each pixel is.

        A large image is predicted in overlapping pieces. If the network sees no further than the overlap, each pixel is
        predicted as in the whole image; if it sees further, the pieces are blended without a seam.
        """
        size = (images.shape[2], images.shape[3])
        rule = self.rule if input_size is None else FixedInput(input_size, self.rule)
        return self.gathered(lambda seen: run(seen.of(images)), len(images), size, rule)

    def gathered(self, look: Look, count: int, size: Size, rule: Restricted) -> list[Any]:
        """N = ``count`` maps of a size, of a network that looks at one part of the images after another."""
        plan = layout(rule, size)
        if len(plan.parts) > 1:
            return self.of_rows(self.rows_of_pieces(look, count, size, rule), count, size)
        seen = view(rule, plan.parts[0], size)
        return self.of_logits(self._cut(look(seen), (0, 0), size))

    def rows_of_pieces(self, look: Look, count: int, size: Size, rule: Restricted) -> Iterator[tuple[slice, Array]]:
        """Yields the probabilities [N,K,h,W] of the images' rows from top to bottom, one row of pieces at a time."""
        plan = layout(rule, size)
        blend = plan.blend
        waiting: Array | None = None  # sums of the last rows, which the next pieces reach into
        for top in sorted({part.top for part in plan.parts}):
            row = [part.grown(blend, size) for part in plan.parts if part.top == top]
            first, last = row[0].top, row[0].top + row[0].height
            total = np.zeros((count, self.classes, last - first, size[1]), np.float32)
            for part in row:
                seen = part.grown(plan.context, size)
                place = (part.top - seen.top, part.left - seen.left)
                logits = self._cut(look(view(rule, seen, size)), place, (part.height, part.width))
                columns = slice(part.left, part.left + part.width)
                across = _ramp(columns.start, columns.stop, size[1], blend[1])
                weights = _ramp(first, last, size[0], blend[0])[:, None] * across
                for rows in self._blocks(part.height, part.width):
                    shares = self.probabilities(logits[:, :, rows])
                    shares *= weights[rows]
                    total[:, :, rows, columns] += shares
            if waiting is not None:
                total[:, :, : waiting.shape[2]] += waiting
            done = last if last == size[0] else last - 2 * blend[0]
            yield slice(first, done), total[:, :, : done - first]
            waiting = total[:, :, done - first :]

    def _blocks(self, height: int, width: int) -> Iterator[slice]:
        """So many rows at a time as have their logits in the cache."""
        rows = max(BLOCK // (self.classes * width), 1)
        return (slice(begin, min(begin + rows, height)) for begin in range(0, height, rows))

    def _cut(self, outputs: Outputs, place: Size, size: Size) -> Array:
        """The logits [N,K,height,width] of a part of the pixels that the outputs cover.

        Raises:
            ShapeError: if there are fewer of them.
        """
        logits = output(outputs, "logits", (None, self.classes, None, None))
        bottom, right = place[0] + size[0], place[1] + size[1]
        if logits.shape[2] < bottom or logits.shape[3] < right:
            raise ShapeError(
                "a segmentation network must return logits for each pixel",
                expected=f"[N, {self.classes}, {bottom}, {right}]",
                got=str(list(logits.shape)),
            )
        return logits[:, :, place[0] : bottom, place[1] : right]


@dataclass(frozen=True, slots=True)
class SoftmaxMapReader(MapReader):
    """One class of K for each pixel: the largest softmax of the logits; of equal ones the first."""

    kind: ClassVar[str] = "softmax_map"

    def probabilities(self, logits: Array) -> Array:
        return softmax(logits)

    def of_logits(self, logits: Array) -> list[SegmentationMap]:
        ids, scores = self._empty(len(logits), (logits.shape[2], logits.shape[3]))
        for image, image_ids, image_scores in zip(logits, ids, scores, strict=True):
            for block in self._blocks(*image_ids.shape):
                top = _largest(image[:, block], image_ids[block])
                shares = image[:, block] - top
                np.exp(shares, out=shares)
                np.reciprocal(shares.sum(0), out=image_scores[block])
        return self._maps(ids, scores)

    def of_rows(self, rows: Iterator[tuple[slice, Array]], count: int, size: Size) -> list[SegmentationMap]:
        ids, scores = self._empty(count, size)
        for taken, probabilities in rows:
            for image, image_ids, image_scores in zip(probabilities, ids, scores, strict=True):
                for block in self._blocks(image.shape[1], size[1]):
                    image_scores[taken][block] = _largest(image[:, block], image_ids[taken][block])
        return self._maps(ids, scores)

    def _empty(self, count: int, size: Size) -> tuple[NDArray[np.uint8], Array]:
        return np.empty((count, *size), np.uint8), np.empty((count, *size), np.float32)

    def _maps(self, ids: NDArray[np.uint8], scores: Array) -> list[SegmentationMap]:
        names = numbered(self.classes)
        return [SegmentationMap(names, map_, score) for map_, score in zip(ids, scores, strict=True)]


@dataclass(frozen=True, slots=True)
class SigmoidMapReader(MapReader):
    """K independent classes for each pixel: those whose sigmoid is at least one half."""

    kind: ClassVar[str] = "sigmoid_map"

    def probabilities(self, logits: Array) -> Array:
        return sigmoid(logits)

    def of_logits(self, logits: Array) -> list[MultiLabelMap]:
        return self._maps(sigmoid(logits))

    def of_rows(self, rows: Iterator[tuple[slice, Array]], count: int, size: Size) -> list[MultiLabelMap]:
        scores = np.empty((count, self.classes, *size), np.float32)
        for taken, probabilities in rows:
            scores[:, :, taken] = probabilities
        return self._maps(scores)

    def _maps(self, scores: Array) -> list[MultiLabelMap]:
        names = numbered(self.classes)
        return [MultiLabelMap(names, image >= THRESHOLD, scores=image) for image in scores]


def _largest(values: Array, ids: NDArray[np.uint8]) -> Array:
    """The largest [h,W] of each pixel's values [K,h,W]; writes which it is, the first of equal ones, into ids [h,W]."""
    top: Array = values.max(0)
    ids[:] = 0
    for k in range(len(values) - 1, 0, -1):
        np.copyto(ids, k, where=values[k] == top)
    np.copyto(ids, 0, where=values[0] == top)
    return top


def _ramp(start: int, stop: int, side: int, blend: int) -> Array:
    """[stop - start] weights of a piece along an axis: 1, with ramps of 2 blend pixels at inner ends."""
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    weights = np.ones_like(centres)
    if start > 0 and blend:
        weights = np.minimum(weights, (centres - start) / (2 * blend))
    if stop < side and blend:
        weights = np.minimum(weights, (stop - centres) / (2 * blend))
    return weights

"""Overlap-tile: predicts any part of an image by a network that restricts its input's size or loses border pixels.

Ronneberger, Fischer, Brox, MICCAI 2015, figure 2: the network is given more of the image than is asked for, and where
the image ends, its mirror image.

Letters: N images, C channels, K classes, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.protocols import Output
from visus.structures import Batch

Size = tuple[int, int]


@runtime_checkable
class Restricted(Protocol):
    """A network that does not take every input size, or whose output has fewer pixels than its input."""

    def fitting_size(self, size: Size) -> Size:
        """Returns the smallest (height, width) that the network takes and that is not smaller than ``size``."""

    def output_size(self, size: Size) -> Size:
        """Returns the output's (height, width) for an input of this size; the output covers the input's centre."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def grown(self, margin: int, size: Size) -> Rectangle:
        """Returns the part with ``margin`` more pixels on each side, within an image of ``size``."""
        top, left = max(self.top - margin, 0), max(self.left - margin, 0)
        bottom, right = min(self.top + self.height + margin, size[0]), min(self.left + self.width + margin, size[1])
        return Rectangle(top, left, bottom - top, right - left)


def pieces(size: Size, largest: int, step: int) -> list[Rectangle]:
    """Cuts an image into parts of nearly equal size, none longer than about ``largest``, at multiples of ``step``."""
    rows, columns = (_edges(side, largest, step) for side in size)
    return [
        Rectangle(top, left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def network_output(model: nn.Module, images: Tensor, part: Rectangle) -> Output:
    """Returns the raw outputs for a part of the images, and those of auxiliary heads.

    Args:
        model: answers with a map as large as its input, or is :class:`Restricted`.
        images: [N,C,H,W].
        part: what is asked for, H' x W' pixels.

    Returns:
        Logits [N,K,H',W'], and as many of each auxiliary head (in train mode).

    Raises:
        ShapeError: if the outputs are no maps of the expected size.
    """
    output_size = (part.height, part.width)
    size, margin = _input(model, output_size)
    rows = _mirrored(part.top - margin[0], size[0], images.shape[2], images.device)
    columns = _mirrored(part.left - margin[1], size[1], images.shape[3], images.device)
    whole = part.top == part.left == 0 and size == images.shape[2:] and not any(margin)
    outputs = model(images if whole else images.index_select(2, rows).index_select(3, columns))
    output = outputs if isinstance(outputs, Output) else Output(outputs)
    cut = np.s_[:, :, : part.height, : part.width]
    for logits in (output.logits, *output.auxiliary):
        if logits.ndim != 4 or logits.shape[2] < output_size[0] or logits.shape[3] < output_size[1]:
            raise ShapeError(
                "a segmentation network must return logits for each pixel",
                expected=f"[N, K, {output_size[0]}, {output_size[1]}]",
                got=str(list(logits.shape)),
            )
    return Output(output.logits[cut], tuple(logits[cut] for logits in output.auxiliary))


def fitted(model: nn.Module, batch: Batch) -> Batch:
    """Adds the mirrored border that the network needs to a batch, and to its placements.

    The upper left corner of the network's output is that of the batch's own images.
    """
    size, margin = _input(model, (batch.images.shape[2], batch.images.shape[3]))
    rows = _mirrored(-margin[0], size[0], batch.images.shape[2], batch.images.device)
    columns = _mirrored(-margin[1], size[1], batch.images.shape[3], batch.images.device)
    placements = [
        replace(
            placement,
            network_size=size,
            offset=(placement.offset[0] + margin[0], placement.offset[1] + margin[1]),
        )
        for placement in batch.placements
    ]
    images = batch.images.index_select(2, rows).index_select(3, columns)
    return replace(batch, images=images, placements=placements)


def loses_border(model: nn.Module) -> bool:
    """Whether the network's output covers fewer pixels than its input, so that it has no padded border."""
    return any(_input(model, (1, 1))[1])


def _input(model: nn.Module, output_size: Size) -> tuple[Size, Size]:
    """Returns the smallest input whose output covers ``output_size``, and its lost pixels at the top and left."""
    if not isinstance(model, Restricted):
        return output_size, (0, 0)
    network = cast(Restricted, model)
    fitting = network.fitting_size(output_size)
    output = network.output_size(fitting)
    lost = (fitting[0] - output[0], fitting[1] - output[1])
    size = network.fitting_size((output_size[0] + lost[0], output_size[1] + lost[1]))
    return size, (lost[0] // 2, lost[1] // 2)


def _mirrored(start: int, count: int, side: int, device: torch.device) -> Tensor:
    """Returns [count] indices from ``start`` on into a line of ``side`` pixels, mirrored at its ends."""
    period = max(2 * (side - 1), 1)
    indices = torch.arange(start, start + count, device=device) % period
    return torch.where(indices < side, indices, period - indices)


def _edges(side: int, largest: int, step: int) -> list[int]:
    count = -(-side // largest)
    inner = {round(side * number / count / step) * step for number in range(1, count)}
    return sorted({0, side} | {edge for edge in inner if 0 < edge < side})

"""What all tasks share that answer for every pixel: the loss of a batch, and answers for images of any size.

Letters: N images, K classes, H x W pixels of the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from visus.errors import ShapeError, TaskMismatchError
from visus.structures import Batch
from visus.tasks.mirroring import Part, answer, loses_border, pieces

TILE = 1024
"""Images with a longer side are answered in pieces of about this many pixels a side, so that memory stays bounded."""

STEP = 64
"""Pieces begin at multiples of this, so that poolings fall on the same pixels as in the whole image."""

CONTEXT = 128
"""Pixels around a piece that a network with padded convolutions sees and does not answer for."""

BLEND = 64
"""Half the width of the seams, in which the probabilities of two pieces go over into one another in a straight line."""


class DenseTask(ABC):
    """A task of K logits a pixel; what they mean is for those that inherit to say.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes

    @abstractmethod
    def _terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The terms of the loss of one head. logits: [N,K,H,W]; targets: as the task collates them."""

    @abstractmethod
    def _probabilities(self, logits: Tensor) -> Tensor:
        """[N,K,H,W] float32 of logits of that shape."""

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the logits, and "auxiliary", the same of each auxiliary head by the network's weight for it.

        They are 0 where every pixel is ignored.

        Raises:
            ShapeError: if the network does not answer with K logits a pixel.
            TaskMismatchError: if the images have no maps.
        """
        if batch.targets is None:
            raise TaskMismatchError("a loss needs maps", expected="a class for each pixel", got="unlabelled images")
        output = answer(model, batch.images, _whole(batch.images))
        terms = self._terms(output.logits, batch.targets)
        if output.auxiliary:
            shares = cast("tuple[float, ...]", model.auxiliary_weights)
            sums = [torch.stack(list(self._terms(own, batch.targets).values())).sum() for own in output.auxiliary]
            terms["auxiliary"] = torch.stack([w * loss for w, loss in zip(shares, sums, strict=True)]).sum()
        return terms

    def _rows_of_pieces(self, model: nn.Module, images: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The probabilities [N,K,h,W] of the images' rows, from top to bottom, about one row of pieces at a time."""
        size = (images.shape[2], images.shape[3])
        parts = pieces(size, TILE, STEP)
        is_exact = loses_border(model)  # every answer has its whole surroundings, and is the same in every piece
        context, blend = (0, 0) if len(parts) == 1 or is_exact else (CONTEXT, BLEND)
        waiting: Tensor | None = None  # sums of the last rows, which the next pieces reach into
        for top in sorted({part.top for part in parts}):
            row = [part.grown(blend, size) for part in parts if part.top == top]
            first, last = row[0].top, row[0].top + row[0].height
            total = torch.zeros(len(images), len(self.classes), last - first, size[1], device=images.device)
            for part in row:
                seen = part.grown(context, size)
                logits = self._check(answer(model, images, seen).logits).detach()
                down, across = part.top - seen.top, part.left - seen.left
                logits = logits[:, :, down : down + part.height, across : across + part.width]
                columns = slice(part.left, part.left + part.width)
                weights = _ramp(first, last, size[0], blend)[:, None] * _ramp(
                    columns.start, columns.stop, size[1], blend
                )
                total[..., columns] += self._probabilities(logits) * weights.to(images.device)
            if waiting is not None:
                total[:, :, : waiting.shape[2]] += waiting
            done = last if last == size[0] else last - 2 * blend
            yield slice(first, done), total[:, :, : done - first]
            waiting = total[:, :, done - first :]

    def _check(self, logits: Tensor) -> Tensor:
        if logits.ndim != 4 or logits.shape[1] != len(self.classes):
            raise ShapeError(
                "a segmentation network must answer with one logit a pixel and class",
                expected=f"[N, {len(self.classes)}, H, W]",
                got=str(list(logits.shape)),
                remedy=f"build the network with classes={len(self.classes)}",
            )
        return logits


def aligned(logits: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N,K,H',W'] and values [...,H,W] of the same pixels.

    Outputs larger than the values come from a fitted batch (see ``mirroring.fitted``), with mirrored pixels at the
    right and at the bottom; smaller ones are the centre of the values.
    """
    for axis in (-2, -1):
        answered, asked = logits.shape[axis], values.shape[axis]
        values = values.narrow(axis, max(asked - answered, 0) // 2, min(asked, answered))
        logits = logits.narrow(axis, 0, values.shape[axis])
    return logits, values


def _whole(images: Tensor) -> Part:
    return Part(0, 0, images.shape[2], images.shape[3])


def _ramp(start: int, stop: int, side: int, blend: int) -> Tensor:
    """[stop - start] weights of a piece along one axis: 1, but rising and falling over 2 blend pixels at inner ends."""
    places = torch.arange(start, stop, dtype=torch.float32) + 0.5
    weights = torch.ones_like(places)
    if start > 0 and blend:
        weights = torch.minimum(weights, (places - start) / (2 * blend))
    if stop < side and blend:
        weights = torch.minimum(weights, (stop - places) / (2 * blend))
    return weights

"""Semantic segmentation: a class for every pixel.

Letters: N images, K classes, H x W pixels of the batch, H' x W' of the network's outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from visus.data.transforms import Prepared
from visus.errors import ShapeError, TaskMismatchError
from visus.losses.border_weights import border_weights
from visus.losses.class_weights import (
    balanced_weights,
    check_frequencies,
    count_classes,
    median_weights,
    shown_frequencies,
)
from visus.losses.cross_entropy import cross_entropy
from visus.losses.dice import dice_loss
from visus.metrics.segmentation import SegmentationMetric
from visus.models.protocols import Output
from visus.structures import IGNORE, Batch, SegmentationMap, Target
from visus.structures.class_names import border_id
from visus.tasks.mirroring import Part, answer, loses_border, pieces
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric

TILE = 1024
"""Images with a longer side are answered in pieces of about this many pixels a side, so that memory stays bounded."""

STEP = 64
"""Pieces begin at multiples of this, so that poolings fall on the same pixels as in the whole image."""

CONTEXT = 128
"""Pixels around a piece that a network with padded convolutions sees and does not answer for."""

BLEND = 64
"""Half the width of the seams, in which the probabilities of two pieces go over into one another in a straight line."""

_CHOICES = ("class_weights", "dice", "focal", "reduction", "border_weight", "border_sigma")


class Segmentation:
    """A class for every pixel, by softmax cross-entropy; every pixel of the batch is answered by every network.

    A network that restricts its input's size, or loses pixels at the border (U-Net), sees mirrored borders.

    Args:
        classes: names of the K classes; the first is the background of ``border_weight``.
        loss: this task has ``class_weights``, ``dice``, ``focal``, ``reduction``, ``border_weight``, ``border_sigma``.
        frequencies: [K] share of each class in the training pixels, for ``class_weights`` "balanced", or in those of
            the images that show it, for "median"; None: they are counted in every batch anew.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
        ShapeError: if there is not one frequency a class.
    """

    name = "segmentation"
    primary = PrimaryMetric("mean_iou", "mean IoU")

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, frequencies: Sequence[float] | None = None
    ) -> None:
        self.classes = classes
        self._loss = loss or LossOptions()
        self._loss.require_only(self.name, _CHOICES)
        self._frequencies = None if frequencies is None else check_frequencies(frequencies, len(classes))

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets ids [N,H,W] int64, 255 to ignore, or None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size, or a map is not as large as its image.
        """
        images = stack_images(prepared)
        maps = [item.target.map for item in prepared if isinstance(item.target, SegmentationMap)]
        for item, map_ in zip(prepared, maps, strict=False):
            if map_.shape != images.shape[2:]:
                raise ShapeError(
                    f"the map of {item.id} is not as large as its image",
                    expected=f"{images.shape[2]}x{images.shape[3]}",
                    got=f"{map_.shape[0]}x{map_.shape[1]}",
                )
        return Batch(
            images=images,
            targets=torch.from_numpy(np.stack(maps).astype(np.int64)) if len(maps) == len(prepared) else None,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """ "cross_entropy"; if asked for, "dice" times its weight; and "auxiliary", the same of each auxiliary head by
        the network's weight for it. 0 where every pixel is ignored.

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

    def _terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The terms of one head. logits: [N,K,H,W]; targets: [N,H,W]."""
        self._check(logits)
        terms = {
            "cross_entropy": cross_entropy(
                logits,
                targets,
                class_weights=self._class_weights(targets),
                extra_weights=self._border_weights(targets),
                focal=self._loss.focal,
                reduction=self._loss.reduction,
                ignore=IGNORE,
            )
        }
        if self._loss.dice:
            terms["dice"] = self._loss.dice * dice_loss(logits, targets, ignore=IGNORE)
        return terms

    def predict(self, model: nn.Module, batch: Batch) -> list[SegmentationMap]:
        """N maps as large as the batch's images, with the probability of each pixel's class.

        A large image is answered in overlapping pieces. Where a network sees no further than the overlap, every pixel
        is answered as in the whole image; where it does, the pieces go over into one another without a seam.
        """
        size = (batch.images.shape[2], batch.images.shape[3])
        ids = np.empty((len(batch), *size), np.uint8)
        scores = np.empty((len(batch), *size), np.float32)
        for rows, probabilities in self._rows_of_pieces(model, batch.images):
            best = probabilities.max(1)
            ids[:, rows] = best.indices.to(torch.uint8).cpu().numpy()
            scores[:, rows] = best.values.cpu().numpy()
        return [SegmentationMap(self.classes, map_, score) for map_, score in zip(ids, scores, strict=True)]

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
                total[..., columns] += logits.float().softmax(1) * weights.to(images.device)
            if waiting is not None:
                total[:, :, : waiting.shape[2]] += waiting
            done = last if last == size[0] else last - 2 * blend
            yield slice(first, done), total[:, :, : done - first]
            waiting = total[:, :, done - first :]

    def metrics(self) -> SegmentationMetric:
        """A fresh metric."""
        return SegmentationMetric(self.classes)

    def score(self, model: nn.Module, outputs: Any, prediction: Sequence[Target]) -> Tensor:  # noqa: ARG002
        """[N]: the sum, over all pixels, of the logit of the class that was predicted there; 255 is left out.

        Args:
            model: the network; its outputs are logits for every network.
            outputs: [N,K,H',W']. Outputs larger than the maps come from a fitted batch (see ``mirroring.fitted``),
                with mirrored pixels at the right and at the bottom; smaller ones are the centre of the maps.
            prediction: N maps [H,W].
        """
        logits = self._check(outputs.logits if isinstance(outputs, Output) else outputs)
        maps = np.stack([value.map for value in prediction if isinstance(value, SegmentationMap)])
        ids = torch.from_numpy(maps.astype(np.int64)).to(logits.device)  # [N, H, W]
        for axis in (1, 2):
            answered, asked = logits.shape[axis + 1], ids.shape[axis]
            ids = ids.narrow(axis, max(asked - answered, 0) // 2, min(asked, answered))
            logits = logits.narrow(axis + 1, 0, ids.shape[axis])
        counts = ids != IGNORE
        chosen = logits.gather(1, ids.where(counts, 0)[:, None])[:, 0]  # [N, H, W]
        return chosen.where(counts, 0).sum((1, 2))  # [N]

    def _class_weights(self, targets: Tensor) -> Tensor | None:
        if self._loss.class_weights == "none":
            return None
        by_median = self._loss.class_weights == "median"
        frequencies = self._frequencies
        if frequencies is None and by_median:
            counts = torch.stack([count_classes(map_, len(self.classes)) for map_ in targets])
            frequencies = shown_frequencies(counts)
        elif frequencies is None:
            frequencies = count_classes(targets, len(self.classes))
        return median_weights(frequencies) if by_median else balanced_weights(frequencies)

    def _border_weights(self, targets: Tensor) -> Tensor | None:
        if not self._loss.border_weight:
            return None
        weights = [
            border_weights(
                ids,
                weight=self._loss.border_weight,
                sigma=self._loss.border_sigma,
                border=border_id(self.classes),
                ignore=IGNORE,
            )
            for ids in targets.cpu().numpy()
        ]
        return torch.from_numpy(np.stack(weights)).to(targets.device)  # [N, H, W]

    def _check(self, logits: Tensor) -> Tensor:
        if logits.ndim != 4 or logits.shape[1] != len(self.classes):
            raise ShapeError(
                "a segmentation network must answer with one logit a pixel and class",
                expected=f"[N, {len(self.classes)}, H, W]",
                got=str(list(logits.shape)),
                remedy=f"build the network with classes={len(self.classes)}",
            )
        return logits


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

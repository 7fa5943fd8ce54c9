"""Semantic segmentation: one class for each pixel.

Letters: N images, K classes, H x W pixels of the batch, H' x W' of the network's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from visus.answers.maps import SoftmaxMapReader
from visus.data.augmentation.prepared import Prepared
from visus.errors import ShapeError
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
from visus.structures import IGNORE, Batch, SegmentationMap
from visus.structures.class_names import border_id
from visus.tasks.codec_task import CodecTask, batch_of, is_labelled
from visus.tasks.codecs import PixelCodec, aligned, codec_or_plain
from visus.tasks.mirroring import input_rule
from visus.tasks.options import LossOptions
from visus.tasks.scoring import SegmentationScoring
from visus.tasks.stacking import padded


class SoftmaxPixelCodec(PixelCodec):
    """K logits for each pixel as one class of K: a softmax and cross-entropy.

    Args:
        classes: names of the K classes; the first is the background of ``border_weight``.
        loss: ``class_weights``, ``dice``, ``focal``, ``reduction``, ``border_weight``, ``border_sigma`` are read.
        frequencies: [K] as for :class:`Segmentation`.
    """

    def __init__(self, classes: tuple[str, ...], loss: LossOptions, frequencies: Any) -> None:
        super().__init__(classes)
        self._loss = loss
        self._frequencies = frequencies

    def terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """ "cross_entropy" and, if asked for, "dice" times its weight. logits: [N,K,H,W]; targets: [N,H,W]."""
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

    def reader(self, network: nn.Module) -> SoftmaxMapReader:
        """Reads the logits, from inputs that the network takes."""
        return SoftmaxMapReader(len(self.classes), input_rule(network))

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


class Segmentation(SegmentationScoring, CodecTask):
    """One class for each pixel; all pixels of the batch are predicted, whatever the network.

    A network that restricts its input's size, or loses pixels at the border (U-Net), sees mirrored borders.

    Args:
        classes: names of the K classes; the first is the background of ``border_weight``.
        loss: this task has ``class_weights``, ``dice``, ``focal``, ``reduction``, ``border_weight``, ``border_sigma``.
        frequencies: [K] share of each class in the training pixels, for ``class_weights`` "balanced", or in those of
            the images that show it, for "median"; None: they are counted in every batch anew.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
        ShapeError: if the number of frequencies is not the number of classes.
    """

    choices = ("class_weights", "dice", "focal", "reduction", "border_weight", "border_sigma")

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, frequencies: Sequence[float] | None = None
    ) -> None:
        super().__init__(classes, loss)
        checked = None if frequencies is None else check_frequencies(frequencies, len(classes))
        self._plain: PixelCodec = SoftmaxPixelCodec(classes, self._loss, checked)

    def codec(self, network: nn.Module) -> PixelCodec:
        """Returns the network's own codec, or the codec of plain logits."""
        return codec_or_plain(network, self._plain, self._loss)

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch: images [N,C,H,W] uint8; targets ids [N,H,W] int64, 255 to ignore, or None if unlabelled.

        Raises:
            ShapeError: if the images are not of one size, or a map is not as large as its image.
        """
        prepared = padded(prepared)
        batch = batch_of(prepared, None)
        if not is_labelled(prepared):
            return batch
        maps = [cast(SegmentationMap, item.target).map for item in prepared]
        for item, map_ in zip(prepared, maps, strict=True):
            if map_.shape != batch.images.shape[2:]:
                raise ShapeError(
                    f"the map of {item.id} is not as large as its image",
                    expected=f"{batch.images.shape[2]}x{batch.images.shape[3]}",
                    got=f"{map_.shape[0]}x{map_.shape[1]}",
                )
        return replace(batch, targets=torch.from_numpy(np.stack(maps).astype(np.int64)))

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the sum of the logits of the predicted classes over all pixels but those of 255.

        Args:
            network: whose outputs they are.
            outputs: [N,K,H',W']. Outputs larger than the maps come from a fitted batch (see ``mirroring.fitted``),
                with mirrored pixels at the right and at the bottom; smaller ones are the centre of the maps.
            prediction: N maps [H,W].
        """
        logits = self.codec(network).logits(outputs)
        maps = np.stack([cast(SegmentationMap, value).map for value in prediction])
        ids = torch.from_numpy(maps.astype(np.int64)).to(logits.device)  # [N, H, W]
        logits, ids = aligned(logits, ids)
        counts = ids != IGNORE
        class_logits = logits.gather(1, ids.where(counts, 0)[:, None])[:, 0]  # [N, H, W]
        return class_logits.where(counts, 0).sum((1, 2))  # [N]

"""Multi-label segmentation: none, one or several classes for each pixel.

Letters: N images, K classes, H x W pixels of the batch, H' x W' of the network's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from visus.answers.maps import SigmoidMapReader
from visus.data.augmentation.prepared import Prepared
from visus.errors import ShapeError
from visus.losses.multilabel import binary_cross_entropy, multilabel_dice_loss
from visus.structures import IGNORE, Batch, MultiLabelMap
from visus.tasks.codec_task import CodecTask, batch_of, is_labelled
from visus.tasks.codecs import PixelCodec, aligned, codec_or_plain
from visus.tasks.mirroring import input_rule
from visus.tasks.options import LossOptions
from visus.tasks.scoring import MultiLabelSegmentationScoring
from visus.tasks.stacking import padded


class SigmoidPixelCodec(PixelCodec):
    """K logits for each pixel as K independent classes: a sigmoid and binary cross-entropy for each.

    Args:
        classes: names of the K classes.
        dice: weight of the Dice term; 0: none.
    """

    def __init__(self, classes: tuple[str, ...], dice: float) -> None:
        super().__init__(classes)
        self._dice = dice

    def terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """ "binary_cross_entropy" and, if asked for, "dice" times its weight. logits, targets: [N,K,H,W]."""
        terms = {"binary_cross_entropy": binary_cross_entropy(logits, targets, ignore=IGNORE)}
        if self._dice:
            terms["dice"] = self._dice * multilabel_dice_loss(logits, targets, ignore=IGNORE)
        return terms

    def reader(self, network: nn.Module) -> SigmoidMapReader:
        """Reads the logits, from inputs that the network takes."""
        return SigmoidMapReader(len(self.classes), input_rule(network))


class MultiLabelSegmentation(MultiLabelSegmentationScoring, CodecTask):
    """Any number of classes for each pixel; it takes the networks of segmentation.

    Args:
        classes: names of the K classes; there is no background.
        loss: ``dice`` is this task's.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    choices = ("dice",)

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        super().__init__(classes, loss)
        self._plain: PixelCodec = SigmoidPixelCodec(classes, self._loss.dice)

    def codec(self, network: nn.Module) -> PixelCodec:
        """Returns the network's own codec, or the codec of plain logits."""
        return codec_or_plain(network, self._plain, self._loss)

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch: images [N,C,H,W] uint8; targets [N,K,H,W] uint8 (1, 0, or 255 to ignore), None if unlabelled.

        Raises:
            ShapeError: if the images are not of one size, or masks are not as large as their image.
        """
        prepared = padded(prepared)
        batch = batch_of(prepared, None)
        if not is_labelled(prepared):
            return batch
        size = tuple(batch.images.shape[2:])
        maps = [cast(MultiLabelMap, item.target) for item in prepared]
        for item, map_ in zip(prepared, maps, strict=True):
            if map_.size != size or len(map_.classes) != len(self.classes):
                raise ShapeError(
                    f"the masks of {item.id} do not fit their image and the classes",
                    expected=f"{[len(self.classes), *size]}",
                    got=f"{list(map_.masks.shape)}",
                )
        return replace(batch, targets=torch.from_numpy(np.stack([map_.codes for map_ in maps])))

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the sum of the logits of the predicted classes over all pixels.

        Args:
            network: whose outputs they are.
            outputs: [N,K,H',W'], perhaps of a fitted batch; see :func:`visus.tasks.codecs.aligned`.
            prediction: N maps [K,H,W].
        """
        masks = np.stack([cast(MultiLabelMap, value).masks for value in prediction])
        logits = self.codec(network).logits(outputs)
        logits, bears = aligned(logits, torch.from_numpy(masks).to(logits.device))  # [N, K, H, W]
        return logits.where(bears, 0).sum((1, 2, 3))  # [N]

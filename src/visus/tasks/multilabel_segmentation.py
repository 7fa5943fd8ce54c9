"""Multi-label segmentation: for every pixel, which of the classes it bears, none or several.

Letters: N images, K classes, H x W pixels of the batch, H' x W' of the network's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from visus.data.augmentation.preparing import Prepared
from visus.errors import ShapeError
from visus.losses.multilabel import binary_cross_entropy, multilabel_dice_loss
from visus.metrics.multilabel import MultiLabelMetric
from visus.models.protocols import Output
from visus.structures import IGNORE, Batch, MultiLabelMap
from visus.tasks.dense import DenseTask, aligned
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric, quality_by

THRESHOLD = 0.5
"""A pixel bears a class from this probability on."""


class MultiLabelSegmentation(DenseTask):
    """Any number of classes for every pixel, by a sigmoid and binary cross-entropy for each.

    Every network of segmentation will do: its K outputs are read as K questions that do not exclude one another.

    Args:
        classes: names of the K classes; there is no background.
        loss: ``dice`` is this task's.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    name = "multilabel_segmentation"
    primary = PrimaryMetric("mean_iou", "mean IoU")

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        super().__init__(classes)
        self._loss = loss or LossOptions()
        self._loss.require_only(self.name, ("dice",))

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets [N,K,H,W] uint8: 1, 0, or 255 to ignore; None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size, or masks are not as large as their image.
        """
        images = stack_images(prepared)
        maps = [cast(MultiLabelMap, item.target) for item in prepared if item.target is not None]
        for item, map_ in zip(prepared, maps, strict=False):
            if map_.size != images.shape[2:] or len(map_.classes) != len(self.classes):
                raise ShapeError(
                    f"the masks of {item.id} do not fit their image and the classes",
                    expected=f"{[len(self.classes), *images.shape[2:]]}",
                    got=f"{list(map_.masks.shape)}",
                )
        labelled = len(maps) == len(prepared)
        return Batch(
            images=images,
            targets=torch.from_numpy(np.stack([map_.codes for map_ in maps])) if labelled else None,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def _terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """ "binary_cross_entropy" and, if asked for, "dice" times its weight. logits, targets: [N,K,H,W]."""
        self._check(logits)
        terms = {"binary_cross_entropy": binary_cross_entropy(logits, targets, ignore=IGNORE)}
        if self._loss.dice:
            terms["dice"] = self._loss.dice * multilabel_dice_loss(logits, targets, ignore=IGNORE)
        return terms

    def _probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def predict(self, model: nn.Module, batch: Batch) -> list[MultiLabelMap]:
        """N maps as large as the batch's images; large images are answered in pieces, as in segmentation."""
        shape = (len(batch), len(self.classes), batch.images.shape[2], batch.images.shape[3])
        scores = np.empty(shape, np.float32)
        for rows, probabilities in self._rows_of_pieces(model, batch.images):
            scores[:, :, rows] = probabilities.cpu().numpy()
        return [MultiLabelMap(self.classes, own >= THRESHOLD, scores=own) for own in scores]

    def metrics(self) -> MultiLabelMetric:
        """A fresh metric."""
        return MultiLabelMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """The primary score of one image."""
        return quality_by(self.metrics(), self.primary, prediction, truth)

    def score(self, model: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """[N]: the sum, over all pixels, of the logits of the classes that were predicted there.

        Args:
            model: the network; its outputs are logits for every network.
            outputs: [N,K,H',W'], perhaps of a fitted batch; see :func:`visus.tasks.dense.aligned`.
            prediction: N maps [K,H,W].
        """
        logits = self._check(outputs.logits if isinstance(outputs, Output) else outputs)
        masks = np.stack([value.masks for value in prediction])
        logits, bears = aligned(logits, torch.from_numpy(masks).to(logits.device))  # [N, K, H, W]
        return logits.where(bears, 0).sum((1, 2, 3))  # [N]

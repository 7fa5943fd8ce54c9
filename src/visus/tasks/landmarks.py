"""Landmarks: named points of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from visus.data.augmentation.preparing import Prepared
from visus.errors import TaskMismatchError
from visus.metrics.landmarks import LandmarkMetric
from visus.models.protocols import Codec
from visus.structures import Batch, Landmarks
from visus.structures.values.landmarks import flip_pairs
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric, quality_by


class LandmarkOutputs(Protocol):
    """What the raw outputs of a landmark network can be asked."""

    @property
    def visible(self) -> Tensor:
        """[N,K] logits."""


class LandmarkTask:
    """Named points, as the network's codec reads them.

    Args:
        classes: names of the K points.
        loss: must be at its defaults, for this task has no choices inside its loss.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    name = "landmarks"
    primary = PrimaryMetric("pck", "PCK@0.1")

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        self.classes = classes
        (loss or LossOptions()).require_only(self.name, ())

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets a list of N Landmarks in network pixels, or None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size.
        """
        targets = [item.target for item in prepared]
        labelled = all(target is not None for target in targets)
        return Batch(
            images=stack_images(prepared),  # [N, C, H, W]
            targets=targets if labelled else None,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms "points" and "visible" of the network's codec."""
        codec = _codec(model)
        return codec.losses(model(batch.images), codec.encode(batch.targets, batch.images.device))

    def predict(self, model: nn.Module, batch: Batch) -> list[Landmarks]:
        """N Landmarks in network pixels."""
        found: list[Landmarks] = _codec(model).decode(model(batch.images))
        pairs = flip_pairs(self.classes)
        return [replace(value, classes=self.classes, flip_pairs=pairs) for value in found]

    def metrics(self) -> LandmarkMetric:
        """A fresh metric."""
        return LandmarkMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """The primary score of one image."""
        return quality_by(self.metrics(), self.primary, prediction, truth)

    def score(self, model: nn.Module, outputs: LandmarkOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """[N]: the sum of the logits of the points that are said to be visible; of all, where none is."""
        totals = []
        for row, value in zip(outputs.visible, prediction, strict=True):
            chosen = torch.from_numpy(value.visible).to(row.device)
            totals.append(row[chosen].sum() if bool(chosen.any()) else row.sum())
        return torch.stack(totals)


def _codec(model: nn.Module) -> Codec:
    codec = getattr(model, "codec", None)
    if codec is None:
        raise TaskMismatchError(
            f"{type(model).__name__} does not answer with points",
            expected="a network for landmarks",
            got="a network without a codec",
            remedy="visus models --task landmarks lists them",
        )
    return cast(Codec, codec)

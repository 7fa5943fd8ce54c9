"""Localisation: the class of an image's one object, and its box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from visus.data.augmentation.preparing import Prepared
from visus.errors import TaskMismatchError
from visus.metrics.localization import LocalizationMetric
from visus.models.protocols import Codec
from visus.structures import Batch, Detections
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric, quality_by


class LocalizerOutputs(Protocol):
    """What the raw outputs of a localizer can be asked."""

    @property
    def vector(self) -> Tensor:
        """[N, 1 + 4B + K]: presence, B boxes, a value a class."""


class Localization:
    """One class and one box for an image, as the network's codec reads them.

    Values are Detections, as in detection: the truth has one object or none, an answer up to five guesses with their
    scores, the surest first. So everything that draws, saves, counts and undoes boxes serves here too.

    Args:
        classes: names of the K classes.
        loss: must be at its defaults: the choices are the network's options ``loss`` and ``boxes``.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    name = "localization"
    primary = PrimaryMetric("localization_accuracy", "right class and IoU 0.5 or more")

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        self.classes = classes
        (loss or LossOptions()).require_only(self.name, ())

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets a list of N Detections in network pixels, or None for unlabelled images.

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
        """The terms "presence", "box" and "class" of the network's codec."""
        codec = _codec(model)
        return codec.losses(model(batch.images), codec.encode(batch.targets, batch.images.device))

    def predict(self, model: nn.Module, batch: Batch) -> list[Detections]:
        """N Detections in network pixels: up to five guesses each, the surest first."""
        found: list[Detections] = _codec(model).decode(model(batch.images))
        return [replace(detections, classes=self.classes) for detections in found]

    def metrics(self) -> LocalizationMetric:
        """A fresh metric."""
        return LocalizationMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """The primary score of one image."""
        return quality_by(self.metrics(), self.primary, prediction, truth)

    def score(self, model: nn.Module, outputs: LocalizerOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """[N]: presence and the values of the guessed classes, each weighted by its score."""
        classes = outputs.vector[:, -len(self.classes) :]
        totals = []
        for presence, row, value in zip(outputs.vector[:, 0], classes, prediction, strict=True):
            if len(value) == 0:
                totals.append(presence)
                continue
            labels = torch.from_numpy(value.labels).to(row.device)
            weights = torch.ones(len(value)) if value.scores is None else torch.from_numpy(value.scores)
            totals.append(((presence + row[labels]) * weights.to(row)).sum())
        return torch.stack(totals)


def _codec(model: nn.Module) -> Codec:
    codec = getattr(model, "codec", None)
    if codec is None:
        raise TaskMismatchError(
            f"{type(model).__name__} does not answer with a class and a box",
            expected="a localizer",
            got="a network without a codec",
            remedy="visus models --task localization lists them",
        )
    return cast(Codec, codec)

"""Classification: one class for an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from visus.data.transforms import Prepared
from visus.errors import RecipeError
from visus.metrics.classification import ClassificationMetric
from visus.models.protocols import Codec
from visus.structures import Batch, Label, Target
from visus.tasks.options import LossOptions
from visus.tasks.task import PrimaryMetric


class Classification:
    """Cross-entropy over K classes; a network with a codec brings its own loss and reading.

    Args:
        classes: names of the K classes, in the order of their ids.
        loss: choices inside the loss; label smoothing and class weights belong here.
        frequencies: [K] share or count of each class in the training images, for ``class_weights`` "balanced".

    Raises:
        RecipeError: if ``loss`` has a choice of another task, or balanced weights come without frequencies.
    """

    name = "classification"
    primary = PrimaryMetric("accuracy", "accuracy")

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, frequencies: Sequence[float] | None = None
    ) -> None:
        self.classes = classes
        self._loss = loss or LossOptions()
        self._loss.require_only(self.name, ("label_smoothing", "class_weights"))
        self._weights = balanced_weights(frequencies) if self._loss.class_weights == "balanced" else None

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """N images of one size with ids [N] int64."""
        targets = [item.target for item in prepared]
        ids = None
        if all(isinstance(target, Label) for target in targets):
            ids = torch.tensor([cast(Label, target).index for target in targets])
        return Batch(
            images=torch.stack([item.image for item in prepared]),
            targets=ids,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """{"class": mean cross-entropy}, or the codec's terms.

        Raises:
            RecipeError: if the network's codec has a loss of its own and the recipe asks for another.
        """
        outputs = model(batch.images)
        codec = _codec(model)
        if codec is not None:
            if self._weights is not None or self._loss.label_smoothing:
                raise RecipeError(
                    "this network has a loss of its own",
                    expected="loss.label_smoothing=0 and loss.class_weights=none",
                    got=f"label_smoothing={self._loss.label_smoothing}, class_weights={self._loss.class_weights}",
                )
            return codec.losses(outputs, codec.encode(batch.targets, batch.images.device))
        weights = None if self._weights is None else self._weights.to(outputs)
        loss = functional.cross_entropy(
            outputs.float(), batch.targets, weight=weights, label_smoothing=self._loss.label_smoothing
        )
        return {"class": loss}

    def predict(self, model: nn.Module, batch: Batch) -> list[Label]:
        """One label an image, with the probabilities of all classes."""
        outputs = model(batch.images)
        codec = _codec(model)
        scores = outputs.float().softmax(1) if codec is None else codec.decode(outputs)  # [N,K]
        values = scores.float().cpu().numpy().astype(np.float32)
        return [Label(self.classes, int(row.argmax()), row) for row in values]

    def metrics(self) -> ClassificationMetric:
        """A fresh metric."""
        return ClassificationMetric(self.classes)

    def score(self, model: nn.Module, outputs: Any, prediction: Sequence[Target]) -> Tensor:
        """[N]: the logit of the class in question, before the softmax (Selvaraju et al. 2017, sec. 3).

        A codec's network may have no logit a class; there it is the log of the class's probability.
        """
        codec = _codec(model)
        scores = outputs if codec is None else codec.decode(outputs).clamp_min(1e-12).log()  # [N,K]
        index = torch.tensor([cast(Label, value).index for value in prediction], device=scores.device)
        return scores.gather(1, index[:, None])[:, 0]


def balanced_weights(frequencies: Sequence[float] | None) -> Tensor:
    """[K] weights n / (K n_k), so that every class weighs as much as the others; 0 for a class without examples.

    Args:
        frequencies: [K] share or count of each class.

    Raises:
        RecipeError: if there are none.
    """
    if frequencies is None or not sum(frequencies):
        raise RecipeError("balanced class weights need to know how often each class occurs", expected="frequencies")
    counts = torch.tensor(list(frequencies), dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1e-12)), 0.0)


def _codec(model: nn.Module) -> Codec | None:
    return cast("Codec | None", getattr(model, "codec", None))

"""Classification: one class for an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from visus.data.augmentation.preparing import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.class_weights import balanced_weights, check_frequencies, count_classes
from visus.losses.cross_entropy import cross_entropy
from visus.metrics.classification import ClassificationMetric
from visus.models.protocols import Codec, Output
from visus.structures import Batch, Label, Target
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric

_OWN_CHOICES = ("label_smoothing", "class_weights")


class Classification:
    """One class for an image, by softmax cross-entropy, or as the network's own codec has it.

    Args:
        classes: names of the K classes.
        loss: ``label_smoothing`` and ``class_weights`` are this task's.
        frequencies: [K] share or count of each class in the training images, for ``class_weights`` "balanced"; None:
            they are counted in every batch anew.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
        ShapeError: if there is not one frequency a class.
    """

    name = "classification"
    primary = PrimaryMetric("accuracy", "accuracy")

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, frequencies: Sequence[float] | None = None
    ) -> None:
        self.classes = classes
        self._loss = loss or LossOptions()
        self._loss.require_only(self.name, _OWN_CHOICES)
        if self._loss.class_weights == "median":
            raise RecipeError(
                "median frequencies are shares of pixels",
                expected="loss.class_weights none or balanced for classification",
                got="median",
            )
        self._frequencies = None if frequencies is None else check_frequencies(frequencies, len(classes))

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets ids [N] int64, or None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size.
        """
        ids = [cast(Label, item.target).index for item in prepared if item.target is not None]
        return Batch(
            images=stack_images(prepared),
            targets=torch.tensor(ids) if len(ids) == len(prepared) else None,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """ "cross_entropy", and "auxiliary" with the network's own weight for each auxiliary head; or the terms of the
        network's codec. The id -100 does not count; without others it is 0.

        Raises:
            RecipeError: if the network brings a loss of its own, and the recipe asks for choices in the other.
            ShapeError: if the network was built for another number of classes.
            TaskMismatchError: if the images have no labels.
        """
        if batch.targets is None:
            raise TaskMismatchError("a loss needs labels", expected="a class for each image", got="unlabelled images")
        outputs = model(batch.images)
        codec = _codec(model)
        if codec is not None:
            self._refuse_choices(model)
            return codec.losses(outputs, codec.encode(batch.targets, batch.images.device))
        output = outputs if isinstance(outputs, Output) else Output(outputs)
        terms = {"cross_entropy": self._cross_entropy(output.logits, batch.targets)}
        if output.auxiliary:
            shares = cast("tuple[float, ...]", model.auxiliary_weights)
            losses = (self._cross_entropy(logits, batch.targets) for logits in output.auxiliary)
            terms["auxiliary"] = torch.stack([w * loss for w, loss in zip(shares, losses, strict=True)]).sum()
        return terms

    def predict(self, model: nn.Module, batch: Batch) -> list[Label]:
        """N labels with the probabilities of all classes."""
        outputs = model(batch.images)
        codec = _codec(model)
        scores = _logits(outputs).float().softmax(1) if codec is None else codec.decode(outputs)
        rows = self._checked(scores.detach(), len(batch)).float().cpu().numpy()  # [N, K]
        return [Label(self.classes, int(row.argmax()), row) for row in rows]

    def metrics(self) -> ClassificationMetric:
        """A fresh metric."""
        return ClassificationMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """1 for the right class; a wrong one is the worse the surer it is: minus its probability."""
        return 1.0 if prediction.index == truth.index else -(prediction.score or 0.0)

    def score(self, model: nn.Module, outputs: Any, prediction: Sequence[Target]) -> Tensor:
        """[N]: the logit of each prediction's class, before the softmax (Selvaraju et al. 2017, section 3).

        A network whose outputs are no logits is asked for its codec's ``logits(outputs)`` [N,K]; without them, the
        logarithms of the probabilities take their place, which fade where the network is sure.
        """
        codec = _codec(model)
        if codec is None:
            logits = _logits(outputs)
        elif hasattr(codec, "logits"):
            logits = codec.logits(outputs)
        else:
            logits = codec.decode(outputs).clamp(min=1e-12).log()
        logits = self._checked(logits, len(prediction))  # [N, K]
        chosen = torch.tensor([cast(Label, value).index for value in prediction], device=logits.device)
        return logits.gather(1, chosen[:, None])[:, 0]  # [N]

    def _cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(
            self._checked(logits, len(targets)),  # [N, K]
            targets,
            class_weights=self._weights(targets),
            label_smoothing=self._loss.label_smoothing,
        )

    def _weights(self, targets: Tensor) -> Tensor | None:
        if self._loss.class_weights == "none":
            return None
        counted = count_classes(targets, len(self.classes)) if self._frequencies is None else self._frequencies
        return balanced_weights(counted)

    def _checked(self, values: Tensor, images: int) -> Tensor:
        if tuple(values.shape) != (images, len(self.classes)):
            raise ShapeError(
                "a classifier must answer with one value an image and class",
                expected=f"[{images}, {len(self.classes)}]",
                got=str(list(values.shape)),
                remedy=f"build the network with classes={len(self.classes)}",
            )
        return values

    def _refuse_choices(self, model: nn.Module) -> None:
        defaults = LossOptions()
        for name in _OWN_CHOICES:
            if getattr(self._loss, name) != getattr(defaults, name):
                raise RecipeError(
                    f"{type(model).__name__} has a loss of its own, which loss.{name} does not change",
                    expected=f"loss.{name} left at {getattr(defaults, name)}",
                    got=str(getattr(self._loss, name)),
                    remedy="leave it away, or choose a network with one logit a class",
                )


def _logits(outputs: Any) -> Tensor:
    return cast(Tensor, outputs.logits if isinstance(outputs, Output) else outputs)


def _codec(model: nn.Module) -> Codec | None:
    return cast("Codec | None", getattr(model, "codec", None))

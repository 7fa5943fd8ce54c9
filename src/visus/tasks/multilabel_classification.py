"""Multi-label classification: none, one or several classes for each image.

Letters: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.answers.label_sets import SigmoidReader
from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.class_weights import check_frequencies, positive_weights
from visus.losses.multilabel import binary_cross_entropy
from visus.metrics.multilabel_classification import best_threshold
from visus.models.codecs import ReaderCodec, arrays_of
from visus.structures import IGNORE, Batch, LabelSet
from visus.tasks.codec_task import CodecTask, batch_of, is_labelled
from visus.tasks.codecs import class_logits, output_of, with_auxiliary
from visus.tasks.options import LossOptions
from visus.tasks.scoring import MultiLabelClassificationScoring
from visus.tasks.stacking import padded

THRESHOLD = 0.5
"""A class is present from this probability on, until better thresholds are chosen."""

THRESHOLDS = "thresholds"
"""The name of the setting that :meth:`MultiLabelClassification.choose_settings` returns."""


class SigmoidCodec(ReaderCodec):
    """K logits for each image as K independent classes: a sigmoid and binary cross-entropy for each.

    Args:
        classes: names of the K classes.
        thresholds: [K] float32.
        positive: [K] float32, how often an image that shows a class counts; None: once.
    """

    def __init__(self, classes: tuple[str, ...], thresholds: NDArray[np.float32], positive: Tensor | None) -> None:
        self.classes = classes
        self.thresholds = thresholds
        self._positive = positive
        self._reader = SigmoidReader(tuple(thresholds.tolist()))

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """ "binary_cross_entropy", and "auxiliary" with the network's own weight for each auxiliary head.

        Raises:
            ShapeError: if the network was built for another number of classes.
        """
        output = output_of(network(batch.images))
        encoded = self.encode(batch.targets, batch.images.device)
        return with_auxiliary(network, output, lambda logits: self.terms(logits, encoded))

    def encode(self, targets: Tensor, device: torch.device) -> Tensor:
        """[N,K] uint8: 1, 0, or 255 for a class that is not known."""
        return targets.to(device)

    def terms(self, outputs: Any, encoded: Tensor) -> dict[str, Tensor]:
        """ "binary_cross_entropy" of the output alone."""
        logits = self.logits(outputs)
        weights = None if self._positive is None else self._positive.to(logits.device)
        loss = binary_cross_entropy(logits, encoded, ignore=IGNORE, positive_weights=weights)
        return {"binary_cross_entropy": loss}

    def logits(self, outputs: Any) -> Tensor:
        """Returns the network's logits [N,K].

        Raises:
            ShapeError: if there are not K logits for each image.
        """
        return class_logits(outputs, len(self.classes))

    def decode(self, outputs: Any) -> list[LabelSet]:
        """N sets of labels with the scores of all classes."""
        # the size does not matter: labels have no place
        return self._reader.read(arrays_of(self.named_outputs(outputs)), (0, 0))

    def named_outputs(self, outputs: Any) -> dict[str, Tensor]:
        """ "logits" [N,K]."""
        return {"logits": self.logits(outputs)}

    def reader(self, network: nn.Module) -> SigmoidReader:  # noqa: ARG002 - of any classifier
        """Reads the logits, with the thresholds."""
        return self._reader


class MultiLabelClassification(MultiLabelClassificationScoring, CodecTask):
    """Any number of classes for each image; it takes the networks of classification.

    Args:
        classes: names of the K classes.
        loss: ``class_weights`` "balanced" is this task's: images that show a class count together as much as those
            that do not.
        frequencies: [K] share of the training images that show each class, for ``class_weights``; None: all count once.
        thresholds: [K] probabilities from which on a class is present; None: 0.5 each.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
        ShapeError: if the number of frequencies or thresholds is not the number of classes.
    """

    choices = ("class_weights",)

    def __init__(
        self,
        classes: tuple[str, ...],
        loss: LossOptions | None = None,
        frequencies: Sequence[float] | None = None,
        *,
        thresholds: Sequence[float] | None = None,
    ) -> None:
        super().__init__(classes, loss)
        if self._loss.class_weights == "median":
            raise RecipeError(
                "class weights by median frequency need pixels, which multi-label classification does not count",
                expected="loss.class_weights none or balanced for multilabel_classification",
                got="median",
            )
        limits = (
            np.full(len(classes), THRESHOLD, np.float32) if thresholds is None else np.asarray(thresholds, np.float32)
        )
        if limits.shape != (len(classes),):
            raise ShapeError(
                "each class needs one threshold", expected=f"{len(classes)} numbers", got=str(list(limits.shape))
            )
        self._frequencies = frequencies
        positive = None
        if self._loss.class_weights == "balanced" and frequencies is not None:
            positive = positive_weights(check_frequencies(frequencies, len(classes)))
        self._plain = SigmoidCodec(classes, limits, positive)

    def codec(self, network: nn.Module) -> SigmoidCodec:
        """Returns the codec of plain logits.

        Raises:
            TaskMismatchError: if the network has a loss of its own, which knows one class an image.
        """
        if getattr(network, "codec", None) is not None:
            raise TaskMismatchError(
                f"{type(network).__name__} has a loss of its own, for one class an image",
                expected="a classification network with one logit a class",
                got=f"a {type(network).__name__} for {len(self.classes)} classes",
                remedy="choose another with --model, such as resnet18 or lenet5@modern",
            )
        return self._plain

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch: images [N,C,H,W] uint8; targets [N,K] uint8 (1, 0, or 255 if not known), None if unlabelled.

        Raises:
            ShapeError: if the images are not of one size, or a target has another number of classes.
        """
        prepared = padded(prepared)
        if not is_labelled(prepared):
            return batch_of(prepared, None)
        codes = [cast(LabelSet, item.target).codes for item in prepared]
        for item, row in zip(prepared, codes, strict=True):
            if len(row) != len(self.classes):
                raise ShapeError(
                    f"the labels of {item.id} do not fit the classes",
                    expected=f"{len(self.classes)} classes",
                    got=f"{len(row)}",
                )
        return batch_of(prepared, torch.from_numpy(np.stack(codes)))

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the sum of the logits of the present classes.

        An image without a present class is scored by its largest logit: what came nearest.
        """
        logits = self.codec(network).logits(outputs)  # [N, K]
        present = torch.from_numpy(np.stack([cast(LabelSet, value).present for value in prediction])).to(logits.device)
        return torch.where(present.any(1), logits.where(present, 0).sum(1), logits.amax(1))  # [N]

    def choose_settings(self, judged: Iterable[tuple[Any, Any]]) -> Mapping[str, Any]:
        """Returns the thresholds, from class to the probability with the largest F1 on these images."""
        pairs = list(judged)
        if not pairs:
            return {}
        scores = np.asarray([prediction.scores for prediction, _ in pairs], np.float64)  # [N, K]
        codes = np.asarray([target.codes for _, target in pairs])
        chosen = {}
        for k, name in enumerate(self.classes):
            known = codes[:, k] != IGNORE
            chosen[name] = best_threshold(scores[known, k], codes[known, k] == 1, THRESHOLD)
        return {THRESHOLDS: chosen}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """Returns the task with the thresholds of :meth:`choose_settings`."""
        chosen = settings.get(THRESHOLDS, {})
        thresholds = [chosen.get(name, THRESHOLD) for name in self.classes]
        return type(self)(self.classes, self._loss, self._frequencies, thresholds=thresholds)

"""Instance segmentation: the class, the box and the mask of every object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, cast

from torch import nn

from visus.errors import ShapeError, WeightsError
from visus.metrics.instances import COUNTED_SCORE, InstanceMetric, counting_score
from visus.structures import Batch, Detections, Sample
from visus.tasks.detection import Detection
from visus.tasks.options import LossOptions
from visus.tasks.scoring import PrimaryMetric, quality_by

SCORE = "counted_from"
"""The name of the setting that :meth:`InstanceSegmentation.choose_settings` returns."""


class InstanceSegmentation(Detection):
    """Objects with masks. Targets and predictions are Detections whose masks are there, the best object first.

    Args:
        classes: names of the K classes.
        loss: it has no choice of this task. Detection's ``marked`` would learn objects without an outline as boxes.
        counted_from: the score from which on a predicted object is counted as found.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    name = "instance_segmentation"
    primary = PrimaryMetric("mask_map50", "mAP of masks at IoU 0.5")
    choices: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, classes: tuple[str, ...], loss: LossOptions | None = None, *, counted_from: float = COUNTED_SCORE
    ) -> None:
        super().__init__(classes, loss)
        self.counted_from = counted_from

    def predict(self, network: nn.Module, batch: Batch) -> list[Any]:
        """Returns one value for each image, in network pixels.

        Raises:
            ShapeError: if the codec does not return one value for each image, or returns objects without masks.
        """
        answers = super().predict(network, batch)
        for answer in answers:
            if cast("Detections", answer).masks is None and len(answer):
                raise ShapeError(
                    f"{type(network).__name__} answers without masks",
                    expected="a mask for each object",
                    got="boxes alone",
                    remedy="train it for detection",
                )
        return answers

    def metrics(self, samples: Sequence[Sample] | None = None) -> InstanceMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return InstanceMetric(self.classes, least_score=self.counted_from)

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns the mAP of masks at IoU 0.5 of one image, without errors and boundaries."""
        return quality_by(InstanceMetric(self.classes, details=False), self.primary, prediction, target)

    def choose_settings(self, judged: Iterable[tuple[Any, Any]]) -> Mapping[str, Any]:
        """Returns the score from which on objects are counted: that with the smallest error on these images."""
        scores, numbers = [], []
        for prediction, target in judged:
            scores.append(prediction.scores.tolist())
            numbers.append(len(target) if target.ignored is None else int((~target.ignored).sum()))
        return {SCORE: counting_score(scores, numbers)} if numbers else {}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """Returns the task with the score of :meth:`choose_settings`.

        Raises:
            WeightsError: if a model file has something else in its place.
        """
        score = settings.get(SCORE, COUNTED_SCORE)
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise WeightsError(
                f"the setting {SCORE} is no score", expected="a number from 0 to 1", got=repr(score)[:80]
            )
        return type(self)(self.classes, self._loss, counted_from=float(score))

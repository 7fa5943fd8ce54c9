"""What answers are worth: the half of each task that needs no network. Loads no torch.

An exported network is judged by this half alone; see :mod:`visus.tasks` for the other one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from visus.metrics.classification import ClassificationMetric
from visus.metrics.detection import DetectionMetric
from visus.metrics.landmarks import LandmarkMetric
from visus.metrics.localization import LocalizationMetric
from visus.metrics.multilabel import MultiLabelMetric
from visus.metrics.multilabel_classification import LabelSetMetric
from visus.metrics.segmentation import SegmentationMetric
from visus.structures import IGNORE, LabelSet, Sample


class Metric(Protocol):
    """Collects predictions and targets, then scores them."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds the predictions and targets of images; both in file pixels, of the same value type."""

    def compute(self) -> dict[str, Any]:
        """Returns scores as fractions in [0, 1] (None where the images allow none), and small plain tables."""


@dataclass(frozen=True, slots=True)
class PrimaryMetric:
    """The score that chooses the best checkpoint; higher is better."""

    name: str
    label: str


def quality_by(metric: Metric, primary: PrimaryMetric, prediction: Any, target: Any) -> float:
    """Returns the primary score of a single image by a new metric; 1 where the image allows no score."""
    metric.update([prediction], [target])
    score = metric.compute().get(primary.name)
    return 1.0 if score is None else float(score)


class Scoring(ABC):
    """Scores the answers of a task.

    Args:
        classes: names of the K classes.

    Attributes:
        name: the name of the task's card.
        primary: the score that chooses the best checkpoint.
    """

    name: str
    primary: PrimaryMetric

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes

    @abstractmethod
    def metrics(self, samples: Sequence[Sample] | None = None) -> Metric:
        """Makes a new metric; a metric over sets or pairs needs ``samples``, all that will be scored."""

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns the primary score of one image, to find the worst images; 1 where the image allows no score."""
        return quality_by(self.metrics(), self.primary, prediction, target)

    def named(self, value: Any) -> Any:
        """Returns a value with the names of its classes, in place of the numbers of a codec or a reader."""
        is_named = getattr(value, "classes", self.classes) == self.classes
        return value if is_named else value.named(self.classes)


class ClassificationScoring(Scoring):
    """One class for each image."""

    name = "classification"
    primary = PrimaryMetric("accuracy", "accuracy")

    def metrics(self, samples: Sequence[Sample] | None = None) -> ClassificationMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return ClassificationMetric(self.classes)

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns 1 for the right class, and minus the predicted probability for a wrong one."""
        return 1.0 if prediction.index == target.index else -(prediction.score or 0.0)


class MultiLabelClassificationScoring(Scoring):
    """Any number of classes for each image."""

    name = "multilabel_classification"
    primary = PrimaryMetric("mean_average_precision", "mean AP")

    def metrics(self, samples: Sequence[Sample] | None = None) -> LabelSetMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return LabelSetMetric(self.classes)

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns 1 for the right labels, and less by how far the score of each wrong label is from the truth."""
        codes = cast(LabelSet, target).codes
        wrong = (prediction.present != (codes == 1)) & (codes != IGNORE)
        if not wrong.any():
            return 1.0
        scores = prediction.present.astype(float) if prediction.scores is None else prediction.scores
        return 1.0 - float(np.abs(scores - codes)[wrong].sum())


class LocalizationScoring(Scoring):
    """One class and one box for an image."""

    name = "localization"
    primary = PrimaryMetric("localization_accuracy", "right class and IoU 0.5 or more")

    def metrics(self, samples: Sequence[Sample] | None = None) -> LocalizationMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return LocalizationMetric(self.classes)


class LandmarkScoring(Scoring):
    """Named points; ``classes`` are the names of the K points."""

    name = "landmarks"
    primary = PrimaryMetric("pck", "PCK@0.1")

    def metrics(self, samples: Sequence[Sample] | None = None) -> LandmarkMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return LandmarkMetric(self.classes)


class DetectionScoring(Scoring):
    """Boxes and their classes."""

    name = "detection"
    primary = PrimaryMetric("map50", "mAP at IoU 0.5")

    def metrics(self, samples: Sequence[Sample] | None = None) -> Metric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return DetectionMetric(self.classes)

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns the mAP at IoU 0.5 of one image, without the analysis of errors."""
        return quality_by(DetectionMetric(self.classes, errors=False), self.primary, prediction, target)


class SegmentationScoring(Scoring):
    """One class for each pixel."""

    name = "segmentation"
    primary = PrimaryMetric("mean_iou", "mean IoU")

    def metrics(self, samples: Sequence[Sample] | None = None) -> SegmentationMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return SegmentationMetric(self.classes)

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns the mean IoU of one image, without the slower scores of contours."""
        return quality_by(SegmentationMetric(self.classes, shapes=False), self.primary, prediction, target)


class MultiLabelSegmentationScoring(Scoring):
    """Any number of classes for each pixel."""

    name = "multilabel_segmentation"
    primary = PrimaryMetric("mean_iou", "mean IoU")

    def metrics(self, samples: Sequence[Sample] | None = None) -> MultiLabelMetric:  # noqa: ARG002
        """Makes a new metric; each image is scored by itself."""
        return MultiLabelMetric(self.classes)

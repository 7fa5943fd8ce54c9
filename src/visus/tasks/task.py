"""What a task is: it knows what outputs mean, and nothing of any single network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from visus.data.augmentation.preparing import Prepared
from visus.data.loading.order import BatchOrder, Share
from visus.structures import Batch, Sample
from visus.tasks.update import Update


class Metric(Protocol):
    """Collects answers and truths, then scores them."""

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        """Adds images; both in file pixels, of the same value type."""

    def compute(self) -> dict[str, Any]:
        """Scores as fractions in [0, 1] (None where the images allow none), and small plain tables."""


@dataclass(frozen=True, slots=True)
class PrimaryMetric:
    """The score that chooses the best checkpoint; more is better."""

    name: str
    label: str


class Task(Protocol):
    """What outputs mean; :class:`~visus.tasks.codec_task.CodecTask` has defaults for most of it."""

    name: str
    classes: tuple[str, ...]
    primary: PrimaryMetric

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """N images of one size, ready and still uint8, as a batch."""

    def batches(self, samples: Sequence[Sample], share: Share) -> BatchOrder | None:
        """Which samples come together in each training batch; None: all, shuffled anew each epoch.

        Args:
            samples: of the training split.
            share: batch size, seed, and which of the training's processes asks.
        """

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Named scalar terms, in train and in eval mode; their sum is minimised. The batch's images are normalised.

        They must be defined for a batch of one image, or of as many as the update's ``smallest_batch``: the memory of a
        step is measured with such a batch.
        """

    def updates(self, network: nn.Module, recipe: Any) -> Sequence[Update]:
        """What happens with each training batch: usually one update, by :meth:`losses`, of the whole network.

        Args:
            network: that trains.
            recipe: a :class:`visus.engine.recipe.Recipe`; an update without an optimiser gets the recipe's.
        """

    def predict(self, network: nn.Module, batch: Batch) -> list[Any]:
        """One value an image, in network pixels; ``value.undo(placement)`` brings it home. Images are normalised."""

    def metrics(self, samples: Sequence[Sample] | None = None) -> Metric:
        """A fresh metric.

        Args:
            samples: all that will be scored, in their order, for scores over sets and pairs; None: unknown.
        """

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """How good one answer is, at most 1, for finding the worst; 1 where there is nothing to find.

        Cheap, since it is asked of every image. It may fall below 0 where an answer is worse the surer it is.
        """

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """[N]: the score of what was predicted, for an explanation to differentiate."""


def quality_by(metric: Metric, primary: PrimaryMetric, prediction: Any, truth: Any) -> float:
    """The primary score of a single image by a fresh metric; 1 where the image allows none."""
    metric.update([prediction], [truth])
    score = metric.compute().get(primary.name)
    return 1.0 if score is None else float(score)

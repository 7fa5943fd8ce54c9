"""The protocol of tasks; a task knows the meaning of outputs, and no particular network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from visus.data.augmentation.prepared import Prepared
from visus.data.loading.order import BatchOrder, Share
from visus.structures import Batch, Sample
from visus.tasks.scoring import Metric
from visus.tasks.scoring import PrimaryMetric as PrimaryMetric  # where other packages look for it
from visus.tasks.update import Update


class Task(Protocol):
    """Computes a network's losses and reads its outputs; see :class:`~visus.tasks.codec_task.CodecTask` for a base."""

    name: str
    classes: tuple[str, ...]
    primary: PrimaryMetric

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch of N prepared uint8 images of one size."""

    def batches(self, samples: Sequence[Sample], share: Share) -> BatchOrder | None:
        """Composes the training batches; None: each epoch shuffles all samples.

        Args:
            samples: the samples of the training split.
            share: the batch size, the seed, and the rank of this process.
        """

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Returns named scalar terms, in train and eval mode; their sum is minimised. The images are normalised.

        They must be defined for a batch of one image, or of as many as the update's ``smallest_batch``: the memory of a
        step is measured with such a batch.
        """

    def updates(self, network: nn.Module, recipe: Any) -> Sequence[Update]:
        """Returns the updates of each training batch: usually one, of the whole network by :meth:`losses`.

        Args:
            network: the network that trains.
            recipe: a :class:`visus.engine.recipe.Recipe`; an update without an optimiser gets the recipe's.
        """

    def predict(self, network: nn.Module, batch: Batch) -> list[Any]:
        """Returns one value an image in network pixels; ``value.undo(placement)`` moves it to file pixels."""

    def metrics(self, samples: Sequence[Sample] | None = None) -> Metric:
        """Makes a new metric.

        Args:
            samples: all samples that will be scored, in their order, for scores over sets and pairs; None: unknown.
        """

    def image_quality(self, prediction: Any, target: Any) -> float:
        """Returns how good one prediction is, at most 1, to find the worst images; 1 where the image allows no score.

        It must be cheap, since it is called for each image. It may be below 0 for a wrong prediction of high score.
        """

    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the score of each prediction, which an explanation differentiates."""

    def choose_settings(self, judged: Iterable[tuple[Any, Any]]) -> Mapping[str, Any]:
        """Returns how the trained network's outputs are to be read, chosen on held-out images; {} for most tasks.

        A model file keeps it, as JSON. A task without such settings does not iterate over ``judged``, which is when
        the network would answer.

        Args:
            judged: the prediction and the target of each image, in file pixels.
        """

    def with_settings(self, settings: Mapping[str, Any]) -> Task:
        """Returns the task with what :meth:`choose_settings` returned."""

"""The base class of tasks: the network's codec computes the losses and reads the outputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from visus.data.augmentation.prepared import Prepared
from visus.data.loading.order import BatchOrder, Share
from visus.errors import ShapeError, TaskMismatchError
from visus.models.protocols import Codec
from visus.structures import Batch, Sample
from visus.tasks.codecs import own_codec
from visus.tasks.options import LossOptions
from visus.tasks.scoring import Scoring
from visus.tasks.stacking import padded, stack_images
from visus.tasks.update import Update, task_update


class CodecTask(Scoring):
    """The base class of a task whose networks have a codec; tasks of plain logits override :meth:`codec`.

    Args:
        classes: names of the K classes.
        loss: choices inside the loss; None: the defaults.

    Attributes:
        choices: the fields of :class:`LossOptions` that belong to this task.
        smallest_batch: the smallest number of images that the losses are defined for.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    choices: ClassVar[tuple[str, ...]] = ()
    smallest_batch: ClassVar[int] = 1

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        super().__init__(classes)
        self._loss = loss or LossOptions()
        self._loss.require_only(self.name, self.choices)

    def codec(self, network: nn.Module) -> Codec:
        """Returns the codec that trains the network and reads its outputs.

        Raises:
            TaskMismatchError: if the network has no codec.
        """
        return own_codec(network, self.name)

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """Makes a batch: images [N,C,H,W] uint8; targets a list of N values in network pixels, or None if unlabelled.

        Raises:
            ShapeError: if the images are not of one size, and may not be padded.
        """
        prepared = padded(prepared)
        return batch_of(prepared, [item.target for item in prepared])

    def batches(self, samples: Sequence[Sample], share: Share) -> BatchOrder | None:  # noqa: ARG002
        """Returns None: each epoch shuffles all samples."""
        return None

    def updates(self, network: nn.Module, recipe: Any) -> Sequence[Update]:  # noqa: ARG002
        """Returns one update, of the whole network, by the recipe's optimiser."""
        return [task_update(network, self, smallest_batch=self.smallest_batch)]

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Returns the loss terms of the network's codec; finite and differentiable for images without objects, too.

        Raises:
            TaskMismatchError: if the images have no labels, or the network has no codec.
        """
        if batch.targets is None:
            raise TaskMismatchError(
                f"the loss of {self.name} needs labels", expected="a label for each image", got="unlabelled images"
            )
        return self.codec(network).losses(network, batch)

    def predict(self, network: nn.Module, batch: Batch) -> list[Any]:
        """Returns one value for each image, in network pixels.

        Raises:
            ShapeError: if the codec does not return one value for each image.
        """
        answers = self.codec(network).answers(network, batch)
        if len(answers) != len(batch):
            raise ShapeError(
                "a network must return one value for each image",
                expected=f"{len(batch)} values",
                got=f"{len(answers)}",
            )
        return [self.named(value) for value in answers]

    @abstractmethod
    def score(self, network: nn.Module, outputs: Any, prediction: Sequence[Any]) -> Tensor:
        """Returns [N]: the score of each prediction, which an explanation differentiates."""

    def choose_settings(self, judged: Iterable[tuple[Any, Any]]) -> Mapping[str, Any]:  # noqa: ARG002
        """Returns {}: nothing is chosen on held-out images."""
        return {}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:  # noqa: ARG002
        """Returns the same task: it has no settings."""
        return self


def batch_of(prepared: Sequence[Prepared], targets: Any) -> Batch:
    """Makes a batch of prepared samples and their collated targets; its targets are None if any sample has none.

    Raises:
        ShapeError: if the images are not of one size.
    """
    proposals = [item.proposals for item in prepared if item.proposals is not None]
    return Batch(
        images=stack_images(prepared),  # [N, C, H, W]
        targets=targets if is_labelled(prepared) else None,
        placements=[item.placement for item in prepared],
        ids=[item.id for item in prepared],
        proposals=proposals if prepared and len(proposals) == len(prepared) else None,
    )


def is_labelled(prepared: Sequence[Prepared]) -> bool:
    """Whether each sample has a target."""
    return all(item.target is not None for item in prepared)

"""Updates: losses, the modules that they train, and their optimiser. Most trainings have one; a GAN has two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn, optim

from visus.structures import Batch


@dataclass(frozen=True, slots=True)
class Update:
    """One step of one optimiser on each batch. Several updates of a training use the same batch one after another.

    While an update runs, its ``modules`` are in training mode. Every other module is in the mode in which the network
    was handed to the training, whatever the other updates do: a teacher that was put into eval mode stays there, and
    its BatchNorm statistics never move. A GAN's discriminator, as it is built, is in training mode in the generator's
    update too, as is usual; one that was put into eval mode before is not.

    Args:
        losses: ``losses(batch)`` gives named scalar terms whose sum is minimised. Everything that it computes with is
            inside this module: what is outside, several processes would not keep alike.
        modules: the modules that train.
        optimizer: the optimiser of the parameters that train; None: the recipe's, over all parameters of ``modules``.
        name: the name of this update, a different one for each; unless "", it is a prefix of its figures.
        lr: the recipe's learning rate is multiplied by it, where ``optimizer`` is None.
        smallest_batch: the smallest number of images that ``losses`` are defined for: 2 for losses over pairs. The
            memory of a step is measured with so many.
    """

    losses: nn.Module
    modules: Sequence[nn.Module]
    optimizer: optim.Optimizer | None = None
    name: str = ""
    lr: float = 1.0
    smallest_batch: int = 1


class HasLosses(Protocol):
    """The part of a task that an update needs."""

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Returns named scalar terms of a batch of normalised images."""


class TaskLoss(nn.Module):
    """A network and a task's losses of it, as one module."""

    def __init__(self, network: nn.Module, task: HasLosses) -> None:
        super().__init__()
        self.network = network
        self._task = task

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Returns named scalar terms of a batch of normalised images."""
        return self._task.losses(self.network, batch)


def task_update(network: nn.Module, task: HasLosses, *, smallest_batch: int = 1) -> Update:
    """Makes the update of an ordinary training: the task's losses, the whole network, the recipe's optimiser."""
    return Update(TaskLoss(network, task), [network], smallest_batch=smallest_batch)

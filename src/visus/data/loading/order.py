"""Chooses the samples of each batch of an epoch, as a pure function of (seed, epoch, rank, world)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of a training's batches.

    Args:
        batch_size: samples a batch, of this process.
        seed: of the order.
        rank, world: which of how many processes this is.
    """

    batch_size: int
    seed: int
    rank: int = 0
    world: int = 1

    def generator(self, epoch: int) -> np.random.Generator:
        """The random generator of an epoch; the same in all processes, independent of every augmentation."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))


class BatchOrder(Protocol):
    """Composes the batches of a training; a task may have one of its own."""

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """The indices of the samples of each batch of this process; equally many batches in all epochs and processes.

        The same ones each time that an epoch is asked for: a training that stopped goes on in its middle.
        """


@dataclass(frozen=True, slots=True)
class Shuffled:
    """All samples in an order of each epoch's own; see :class:`~visus.data.loading.loader.Loader` for the rest.

    Args:
        count: of the samples.
        share: of this process.
        drop_last: leave out an incomplete last step.
    """

    count: int
    share: Share
    drop_last: bool = False

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Every process takes each ``world``-th sample of a step."""
        size, world = self.share.batch_size, self.share.world
        order = self.share.generator(epoch).permutation(self.count)
        steps = [order[i : i + size * world] for i in range(0, self.count, size * world)]
        if steps and len(steps[-1]) < size * world:
            if self.drop_last or (size == 1 and len(steps) > 1):
                steps.pop()
            elif len(steps) > 1 and len(steps[-1]) < 2 * world:
                steps[-2:] = [np.concatenate(steps[-2:])]
        return [step[self.share.rank :: world] for step in steps]


@dataclass(frozen=True, slots=True)
class InOrder:
    """Each process has its own run of the samples, in their order, each sample exactly once.

    Args:
        count: of the samples.
        share: of this process.
        drop_last: leave out an incomplete last batch.
    """

    count: int
    share: Share
    drop_last: bool = False

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:  # noqa: ARG002  (all epochs are alike)
        """The run in batches."""
        size, rank, world = self.share.batch_size, self.share.rank, self.share.world
        indices = np.arange(self.count * rank // world, self.count * (rank + 1) // world)
        batches = [indices[i : i + size] for i in range(0, len(indices), size)]
        return [batch for batch in batches if len(batch) == size or not self.drop_last]

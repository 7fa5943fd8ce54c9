"""Batches of prepared samples, in an order that is a pure function of (seed, epoch, rank, world, start)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from visus.data.augmentation.prepared import Prepared
from visus.data.loading.order import BatchOrder, InOrder, Share, Shuffled
from visus.data.loading.workers import WorkerPool
from visus.errors import DataError, UsageError
from visus.structures import Batch, Sample

Task = tuple[int, int, list[int]]
"""(epoch, the number of the step over the whole training, the indices of a batch's samples)."""

Prepare = Callable[[Sample, int, int], Prepared]
"""(sample, index, epoch) -> what is ready for a batch."""


@runtime_checkable
class FollowsSteps(Protocol):
    """What prepares samples otherwise as the training goes on within an epoch."""

    def at_step(self, step: int) -> Prepare:
        """What prepares the samples of this step, counted from 0 over the whole training."""


class Loader:
    """Reads samples in this or other processes and yields batches; their number never changes a batch.

    With ``shuffle`` every epoch has an order of its own, and each step takes ``batch_size`` samples for each of the
    ``world`` processes, all of which take equally many steps. Every sample comes once an epoch, with two exceptions
    that equal steps demand: with ``drop_last``, and with a ``batch_size`` of 1 in several processes, the rest of fewer
    samples than a step is left out (other ones each epoch). A rest of fewer than two samples a process joins the step
    before it, for BatchNorm can learn nothing from a single one.

    Without ``shuffle`` each process reads its own run of the samples, in their order, each sample exactly once.

    Args:
        samples: to be read.
        prepare: (sample, index, epoch) -> Prepared; see :class:`visus.data.augmentation.preparing.Preparer`. One that
            :class:`FollowsSteps` is asked anew for each batch.
        collate: makes a batch of prepared samples; a task's.
        batch_size: samples a batch, of this process.
        shuffle: for training.
        seed: of the order.
        workers: processes that read; 0: this one. They start with the first batch and live as long as the loader.
        rank, world: which of how many training processes this is.
        drop_last: leave out an incomplete last step.
        accumulate: batches that make one step of the training.
        order: composes the batches, in place of ``batch_size``, ``shuffle``, ``seed`` and ``drop_last``.
        start_method: how reading processes start: "fork", "spawn" or "forkserver"; None: the platform's own.

    Raises:
        DataError: if there are samples, but too few for every training process to have one.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Prepare,
        collate: Callable[[Sequence[Prepared]], Batch],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        accumulate: int = 1,
        order: BatchOrder | None = None,
        start_method: str | None = None,
    ) -> None:
        if shuffle and 0 < len(samples) < world:
            raise DataError(
                "a training cannot have more processes than images",
                expected=f"at least {world} images",
                got=str(len(samples)),
                remedy="use fewer processes",
            )
        self._read = _Read(samples, prepare, collate)
        share = Share(batch_size, seed, rank, world)
        usual = Shuffled if shuffle else InOrder
        self._order: BatchOrder = usual(len(samples), share, drop_last) if order is None else order
        self._accumulate = accumulate
        self._workers = workers
        self._start_method = start_method
        self._pool: WorkerPool[Task, Batch] | None = None

    def __len__(self) -> int:
        """Batches an epoch, for this process; with ``shuffle`` the same for all."""
        return len(self._order.batches(0))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on, uint8. One iteration at a time.

        Raises:
            DataError: if an image or target cannot be read; names its file.
            MemoryExhaustedError: if a reading process was killed.
            UsageError: if the epoch has no batch of number ``start``, nor ends there.
        """
        batches = self._order.batches(epoch)
        if not 0 <= start <= len(batches):
            raise UsageError(
                "a start lies beyond the last batch of its epoch",
                expected=f"batch 0..{len(batches)}",
                got=f"batch {start}",
            )
        before = epoch * -(-len(batches) // self._accumulate)  # steps of the epochs before; all have as many
        numbered = enumerate(batches)
        tasks: list[Task] = [
            (epoch, before + number // self._accumulate, indices.tolist())
            for number, indices in numbered
            if number >= start
        ]
        if self._workers == 0:
            for task in tasks:
                yield self._read(task)
        elif tasks:
            yield from self._running_pool().answers(tasks)

    def close(self) -> None:
        """Ends the reading processes; a later iteration starts new ones."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _running_pool(self) -> WorkerPool[Task, Batch]:
        if self._pool is None or self._pool.closed:
            self._pool = WorkerPool(
                self._read, self._workers, describe=self._read.describe, start_method=self._start_method
            )
        return self._pool


@dataclass(frozen=True, slots=True)
class _Read:
    """From the indices of a batch to the batch."""

    samples: Sequence[Sample]
    prepare: Prepare
    collate: Callable[[Sequence[Prepared]], Batch]

    def __call__(self, task: Task) -> Batch:
        epoch, step, indices = task
        prepare = self.prepare.at_step(step) if isinstance(self.prepare, FollowsSteps) else self.prepare
        return self.collate([prepare(self.samples[index], index, epoch) for index in indices])

    def describe(self, task: Task) -> str:
        *_, indices = task
        names = [self.samples[index].id for index in indices]
        return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

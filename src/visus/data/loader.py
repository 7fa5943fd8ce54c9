"""Batches of prepared samples, in an order that is a pure function of (seed, epoch, rank, world, start)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from visus.data.transforms import Prepared
from visus.errors import MemoryExhaustedError, VisusError
from visus.structures import Batch, Sample

Place = tuple[int, int]
"""(epoch, index of the sample)."""


class Loader:
    """Reads samples, in this process or in others, and yields batches; nothing about it depends on how many others.

    Args:
        samples: to be read.
        prepare: (sample, index, epoch) -> Prepared; see :class:`visus.data.transforms.Preparer`.
        collate: makes a batch of prepared samples; a task's.
        batch_size: images a batch, of this process.
        shuffle: a new order each epoch; then every process gets as many batches as the others, for which at most
            ``world`` - 1 samples come twice. Without, samples come once, in their order, each to one process.
        seed: of the order.
        workers: processes that read; 0: this one.
        rank, world: which of how many training processes this is.
        drop_last: leave out an incomplete last batch.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        prepare: Callable[[Sample, int, int], Prepared],
        collate: Callable[[Sequence[Prepared]], Batch],
        *,
        batch_size: int,
        shuffle: bool,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> None:
        self.batch_size = batch_size
        self._read = _Reader(samples, prepare)
        self._collate = _Collate(collate)
        self._count = len(samples)
        self._shuffle = shuffle
        self._seed = seed
        self._rank = rank
        self._world = world
        self._drop_last = drop_last
        self._workers = workers
        self._batches = _Batches()
        self._pool: DataLoader[Any] | None = None

    def __len__(self) -> int:
        """Batches an epoch, for this process."""
        return len(self._indices(0))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on, uint8.

        Raises:
            DataError: if an image or target cannot be read; names its file.
            MemoryExhaustedError: if a reading process was killed.
        """
        groups = [[(epoch, int(index)) for index in group] for group in self._indices(epoch)[start:]]
        if self._workers == 0:
            for group in groups:
                yield _unless_error(self._collate([self._read[place] for place in group]))
            return
        if self._pool is None:
            self._pool = DataLoader(
                self._read,
                batch_sampler=self._batches,
                num_workers=self._workers,
                collate_fn=self._collate,
                persistent_workers=True,
                worker_init_fn=_start_worker,
                multiprocessing_context="fork" if _can_fork() else "spawn",
            )
        self._batches.groups = groups
        try:
            for batch in self._pool:
                yield _unless_error(batch)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise MemoryExhaustedError(
                "a process that reads images died",
                got=str(error).partition("\n")[0],
                remedy="it may have run out of memory: use fewer with --workers (0: none)",
            ) from error

    def _indices(self, epoch: int) -> list[NDArray[np.int64]]:
        """The indices of each batch of this process."""
        if not self._shuffle:
            own = np.arange(self._rank, self._count, self._world)
            return self._whole([own[i : i + self.batch_size] for i in range(0, len(own), self.batch_size)])
        order = np.random.Generator(np.random.PCG64([self._seed, epoch])).permutation(self._count)
        # A multiple of the number of processes: all of them take as many steps.
        order = np.concatenate([order, order[: -self._count % self._world]])
        step = self.batch_size * self._world
        parts = [order[i : i + step] for i in range(0, len(order), step)]
        own_parts = [np.array_split(part, self._world)[self._rank] for part in parts]
        if len(own_parts) > 1 and len(own_parts[-1]) == 1:
            # BatchNorm can learn nothing from a single value a channel: the last image joins the batch before.
            own_parts[-2:] = [np.concatenate(own_parts[-2:])]
        return self._whole(own_parts)

    def _whole(self, parts: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        return [part for part in parts if not self._drop_last or len(part) >= self.batch_size]


class _Reader(Dataset[Prepared | VisusError]):
    """Samples by place; an error is a value, so that it crosses from a reading process whole."""

    def __init__(self, samples: Sequence[Sample], prepare: Callable[[Sample, int, int], Prepared]) -> None:
        self._samples = samples
        self._prepare = prepare

    def __getitem__(self, place: Place) -> Prepared | VisusError:
        epoch, index = place
        try:
            return self._prepare(self._samples[index], index, epoch)
        except VisusError as error:
            return error

    def __len__(self) -> int:
        return len(self._samples)


class _Collate:
    """The task's collate, unless something could not be read."""

    def __init__(self, collate: Callable[[Sequence[Prepared]], Batch]) -> None:
        self._collate = collate

    def __call__(self, prepared: Sequence[Prepared | VisusError]) -> Batch | VisusError:
        whole: list[Prepared] = []
        for item in prepared:
            if isinstance(item, VisusError):
                return item
            whole.append(item)
        try:
            return self._collate(whole)
        except VisusError as error:
            return error


class _Batches:
    """A batch sampler whose batches are set before each epoch; the reading processes live on."""

    def __init__(self) -> None:
        self.groups: list[list[Place]] = []

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)


def _unless_error(batch: Batch | VisusError) -> Batch:
    if isinstance(batch, VisusError):
        raise batch
    return batch


def _start_worker(_: int) -> None:
    """One thread a reading process: they are as many as there are cores to use."""
    import signal

    import cv2

    # Ctrl-C goes to the whole terminal; the training process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _can_fork() -> bool:
    import multiprocessing

    # Forking beside an initialised CUDA context is safe as long as the child leaves it alone, which readers do.
    return "fork" in multiprocessing.get_all_start_methods()

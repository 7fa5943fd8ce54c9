"""Computes the region proposals of many images in several processes; what is kept already is not computed again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from visus.data.proposals.computing import Proposer
from visus.errors import DataError
from visus.structures import Sample


def missing(samples: Sequence[Sample], proposer: Proposer) -> list[Sample]:
    """The samples whose images have no kept proposals; those whose image cannot be read are among them."""
    return [sample for sample in samples if not _is_kept(sample, proposer)]


def _is_kept(sample: Sample, proposer: Proposer) -> bool:
    try:
        return proposer.find(sample.image) is not None
    except DataError:
        return False


def fill(
    samples: Sequence[Sample],
    proposer: Proposer,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, DataError]:
    """Computes and keeps the proposals of samples. Each is kept at once: what was stopped goes on where it was.

    Args:
        samples: with their images; see :func:`missing`.
        proposer: finds and keeps.
        workers: processes that compute; None: one a core; 0 or 1: this one.
        progress: called after each image with how many are done, and how many there are.

    Returns:
        From a sample's id to what is wrong with its image; such images have no proposals.

    Raises:
        DiskError: if they cannot be kept.
        MemoryExhaustedError: if a process was killed.
    """
    failed: dict[str, DataError] = {}
    for number, (sample, fault) in enumerate(zip(samples, _faults(samples, proposer, workers), strict=True), 1):
        if fault is not None:
            failed[sample.id] = fault
        if progress is not None:
            progress(number, len(samples))
    return failed


def _faults(samples: Sequence[Sample], proposer: Proposer, workers: int | None) -> Iterator[DataError | None]:
    """What is wrong with the image of each sample, in their order, once its proposals are kept."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores if workers is None else workers, len(samples))
    find = _Find(proposer)
    if count < 2:
        yield from map(find, samples)
        return
    from visus.data.loading.workers import WorkerPool

    pool = WorkerPool(find, count, describe=lambda sample: sample.id)
    try:
        yield from pool.answers(samples)
    finally:
        pool.close()


@dataclass(frozen=True, slots=True)
class _Find:
    """Finds the proposals of a sample; returns what is wrong with its image, if anything is."""

    proposer: Proposer

    def __call__(self, sample: Sample) -> DataError | None:
        try:
            self.proposer(sample.image)
        except DataError as error:
            return error
        return None

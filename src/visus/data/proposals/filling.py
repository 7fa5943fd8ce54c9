"""Computes the missing region proposals of many images in several processes; what is kept already stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from visus.data.proposals.computing import Proposer
from visus.errors import DataError
from visus.structures import Sample


def fill(
    samples: Sequence[Sample],
    proposer: Proposer,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, DataError]:
    """Computes and keeps the proposals of all samples that have none yet. Each is kept at once, so that it can go on.

    Args:
        samples: with their images.
        proposer: finds and keeps.
        workers: processes that compute; None: one a core; 0 or 1: this one.
        progress: called with how many images have proposals, and how many there are.

    Returns:
        From a sample's id to what is wrong with its image; such images have no proposals.

    Raises:
        DiskError: if they cannot be kept.
        MemoryExhaustedError: if a process was killed.
    """
    failed: dict[str, DataError] = {}
    missing = []
    for sample in samples:
        try:
            if proposer.find(sample.image) is None:
                missing.append(sample)
        except DataError as error:
            failed[sample.id] = error
    done = len(samples) - len(missing)
    if progress is not None:
        progress(done, len(samples))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores if workers is None else workers, len(missing))
    find = _Find(proposer)
    if count > 1:
        from visus.data.loading.workers import WorkerPool

        pool = WorkerPool(find, count, describe=lambda sample: sample.id)
        outcomes = pool.answers(missing)
    else:
        pool, outcomes = None, map(find, missing)
    try:
        for sample, fault in zip(missing, outcomes, strict=True):
            done += 1
            if fault is not None:
                failed[sample.id] = fault
            if progress is not None:
                progress(done, len(samples))
    finally:
        if pool is not None:
            pool.close()
    return failed


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

"""Answers any number of images one by one; an image that cannot be read does not stop the others. Loads no torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visus.engine.progress import Progress, Silent
from visus.errors import DataError
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.data.augmentation.prepared import Prepared

_AHEAD = 2  # batches that are prepared while one is answered

Answer = Callable[[Sequence["Prepared"]], Sequence[Any]]
"""From images of one size to one value an image, in network pixels."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's prediction of one image, or the reason why there is none.

    Args:
        id: the id of the image's sample.
        value: the predicted value in file pixels; None if the image could not be read.
        error: the reason in that case; None otherwise.
    """

    id: str
    value: Any
    error: DataError | None = None


def answer_each(
    samples: Sequence[Sample],
    prepare: Callable[[Sample, int, int], Prepared],
    answer: Answer,
    *,
    batch_size: int = 32,
    threads: int = 1,
    progress: Progress | None = None,
    work: str = "prediction",
) -> Iterator[Prediction]:
    """Yields a prediction for each sample, in their order; for an image that cannot be read, one with an error.

    Other threads decode the images while the network computes; at most two batches wait in memory.

    Args:
        samples: labelled or not.
        prepare: makes the network's input of (sample, index, epoch), without randomness: a ``Preparer`` without
            augmentation.
        answer: the network and the reading of its outputs.
        batch_size: the images of a forward pass, all of one size.
        threads: the number of threads that decode images, at least 1.
        progress: shows how many images are done.
        work: the name of this work for ``progress``.
    """
    progress = progress or Silent()
    progress.begin(work, len(samples))
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="visus-decode") as pool:
            for rows in _prepared(samples, prepare, pool, batch_size):
                yield from _answers(rows, answer)
                progress.advance(len(rows))
    finally:
        progress.end()


def _prepared(
    samples: Sequence[Sample],
    prepare: Callable[[Sample, int, int], Prepared],
    pool: ThreadPoolExecutor,
    batch_size: int,
) -> Iterator[list[tuple[str, Prepared | DataError]]]:
    """Yields chunks of ``batch_size`` images, which are prepared ahead of their use."""
    waiting: deque[tuple[str, Future[Prepared]]] = deque()
    rest = iter(enumerate(samples))
    chunk: list[tuple[str, Prepared | DataError]] = []
    while True:
        while len(waiting) < batch_size * _AHEAD and (entry := next(rest, None)) is not None:
            index, sample = entry
            # Without its targets: a prediction does not need them, and they need not be read.
            waiting.append(
                (sample.id, pool.submit(prepare, Sample(sample.id, sample.image, proposals=sample.proposals), index, 0))
            )
        if not waiting:
            break
        name, future = waiting.popleft()
        try:
            chunk.append((name, future.result()))
        except DataError as error:
            chunk.append((name, error))
        if len(chunk) == batch_size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _answers(rows: Sequence[tuple[str, Prepared | DataError]], answer: Answer) -> Iterable[Prediction]:
    """Predicts the images of one chunk, in its order; images of one size go through the network together."""
    answers: dict[int, Prediction] = {}
    by_shape: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}
    for index, (name, prepared) in enumerate(rows):
        if isinstance(prepared, DataError):
            answers[index] = Prediction(name, None, prepared)
        else:
            by_shape.setdefault(tuple(prepared.image.shape), []).append((index, prepared))
    for group in by_shape.values():
        values = answer([prepared for _, prepared in group])
        for (index, prepared), value in zip(group, values, strict=True):
            answers[index] = Prediction(rows[index][0], value.undo(prepared.placement))
    return [answers[index] for index in range(len(rows))]

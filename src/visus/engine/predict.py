"""Answers for images, one after the other, however many there are and whatever is wrong with some of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from visus.engine.device_batches import ToDevice
from visus.engine.progress import Progress, Silent
from visus.errors import DataError
from visus.ops.stopwatch import timed
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.data.augmentation.preparing import Prepared
    from visus.tasks.task import Task

_AHEAD = 2  # batches that are prepared while one is answered


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image, or why it says nothing.

    Args:
        id: the image's name.
        value: in file pixels; None if the image could not be read.
        error: the reason then; None otherwise.
    """

    id: str
    value: Any
    error: DataError | None = None


def predict(
    network: nn.Module,
    task: Task,
    samples: Sequence[Sample],
    prepare: Callable[[Sample, int, int], Prepared],
    *,
    to_device: ToDevice,
    batch_size: int = 32,
    threads: int = 1,
    precision: str = "float32",
    progress: Progress | None = None,
    work: str = "prediction",
) -> Iterator[Prediction]:
    """Yields an answer for each sample, in their order; an image that cannot be read becomes an answer with an error.

    Images are decoded by other threads while the network computes; at most two batches wait in memory.

    Args:
        network: on its device; it is in eval mode afterwards.
        task: reads the outputs.
        samples: labelled or not.
        prepare: (sample, index, epoch) to a network's input, deterministic (a ``Preparer`` without augmentation).
        to_device: brings a batch to the device and normalises it.
        batch_size: images a forward pass; those of one size are answered together.
        threads: that decode images, at least 1.
        precision: "float32", "bfloat16" or "float16", of the forward passes.
        progress: who is told.
        work: what it is called there.
    """
    progress = progress or Silent()
    progress.begin(work, len(samples))
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="visus-decode") as pool:
            for rows in _prepared(samples, prepare, pool, batch_size):
                yield from _answers(network, task, rows, to_device, precision)
                progress.advance(len(rows))
    finally:
        progress.end()


def _prepared(
    samples: Sequence[Sample],
    prepare: Callable[[Sample, int, int], Prepared],
    pool: ThreadPoolExecutor,
    batch_size: int,
) -> Iterator[list[tuple[str, Prepared | DataError]]]:
    """Chunks of ``batch_size`` images, prepared ahead of their use."""
    waiting: deque[tuple[str, Future[Prepared]]] = deque()
    rest = iter(enumerate(samples))
    chunk: list[tuple[str, Prepared | DataError]] = []
    while True:
        while len(waiting) < batch_size * _AHEAD and (entry := next(rest, None)) is not None:
            index, sample = entry
            # Without its targets: what is only to be answered need not read them.
            waiting.append((sample.id, pool.submit(prepare, Sample(sample.id, sample.image), index, 0)))
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


def _answers(
    network: nn.Module,
    task: Task,
    rows: Sequence[tuple[str, Prepared | DataError]],
    to_device: ToDevice,
    precision: str,
) -> Iterable[Prediction]:
    """The answers of one chunk, in its order; images of one size go through the network together."""
    answers: dict[int, Prediction] = {}
    by_shape: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}
    for place, (name, prepared) in enumerate(rows):
        if isinstance(prepared, DataError):
            answers[place] = Prediction(name, None, prepared)
        else:
            by_shape.setdefault(tuple(prepared.image.shape), []).append((place, prepared))
    for group in by_shape.values():
        batch = to_device(task.collate([prepared for _, prepared in group]))
        # Entered anew for each chunk: a generator must not hold such a context while its consumer runs.
        with _inference(network, precision), timed("answer"):
            values = task.predict(network, batch)
        for (place, _), value, placement in zip(group, values, batch.placements, strict=True):
            answers[place] = Prediction(rows[place][0], value.undo(placement))
    return [answers[place] for place in range(len(rows))]


def _inference(network: nn.Module, precision: str) -> ExitStack:
    """A context without gradients, the network in eval mode, forward passes in a precision."""
    network.eval()
    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    if precision != "float32":
        device = next(network.parameters()).device
        stack.enter_context(torch.autocast(device.type, getattr(torch, precision)))
    return stack

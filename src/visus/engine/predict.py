"""Predicts any number of images one by one; an image that cannot be read does not stop the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from visus.engine.device_batches import ToDevice
from visus.engine.progress import Progress, Silent
from visus.errors import DataError, DivergedError
from visus.ops.stopwatch import timed
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.data.augmentation.prepared import Prepared
    from visus.tasks.task import Task

_AHEAD = 2  # batches that are prepared while one is predicted


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
    """Yields a prediction for each sample, in their order; for an image that cannot be read, one with an error.

    Other threads decode the images while the network computes; at most two batches wait in memory.

    Args:
        network: on its device; it stays in eval mode.
        task: reads the network's outputs.
        samples: labelled or not.
        prepare: makes the network's input of (sample, index, epoch), without randomness: a ``Preparer`` without
            augmentation.
        to_device: moves a batch to the device and normalises it.
        batch_size: the images of a forward pass, all of one size.
        threads: the number of threads that decode images, at least 1.
        precision: "float32", "bfloat16" or "float16", of the forward passes.
        progress: shows how many images are done.
        work: the name of this work for ``progress``.
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


def _answers(
    network: nn.Module,
    task: Task,
    rows: Sequence[tuple[str, Prepared | DataError]],
    to_device: ToDevice,
    precision: str,
) -> Iterable[Prediction]:
    """Predicts the images of one chunk, in its order; images of one size go through the network together."""
    answers: dict[int, Prediction] = {}
    by_shape: dict[tuple[int, ...], list[tuple[int, Prepared]]] = {}
    for index, (name, prepared) in enumerate(rows):
        if isinstance(prepared, DataError):
            answers[index] = Prediction(name, None, prepared)
        else:
            by_shape.setdefault(tuple(prepared.image.shape), []).append((index, prepared))
    for group in by_shape.values():
        batch = to_device(task.collate([prepared for _, prepared in group]))
        # Entered anew for each chunk: a generator must not hold such a context while its consumer runs.
        with _inference(network, precision), timed("answer"):
            values = task.predict(network, batch)
        for (index, _), value, placement in zip(group, values, batch.placements, strict=True):
            answers[index] = Prediction(rows[index][0], value.undo(placement))
    return [answers[index] for index in range(len(rows))]


def _require_finite(_network: nn.Module, _inputs: object, outputs: Any) -> None:
    """A forward hook: outputs that are not finite would become classes, boxes and scores of no meaning.

    Raises:
        DivergedError: if a value is NaN or infinite.
    """
    for tensor in _tensors(outputs):
        if not bool(torch.isfinite(tensor).all()):
            raise DivergedError(
                "the outputs of the network are not finite",
                expected="numbers",
                got="NaN or infinity, from weights that are too large or not finite themselves",
                remedy="lower optimizer.lr, or take an earlier model; a training's last checkpoint before it is intact",
            )


def _tensors(outputs: Any) -> Iterator[Tensor]:
    """The floating-point tensors among outputs, which may be tuples, lists and mappings of such."""
    if isinstance(outputs, Tensor):
        if outputs.is_floating_point():
            yield outputs
    elif isinstance(outputs, Mapping):
        for part in outputs.values():
            yield from _tensors(part)
    elif isinstance(outputs, tuple | list):
        for part in outputs:
            yield from _tensors(part)


def _inference(network: nn.Module, precision: str) -> ExitStack:
    """A context for predictions: no gradients, the network in eval mode, outputs in ``precision`` and finite."""
    network.eval()
    stack = ExitStack()
    stack.callback(network.register_forward_hook(_require_finite).remove)
    stack.enter_context(torch.inference_mode())
    if precision != "float32":
        device = next(network.parameters()).device
        stack.enter_context(torch.autocast(device.type, getattr(torch, precision)))
    return stack

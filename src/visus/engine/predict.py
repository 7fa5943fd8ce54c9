"""Predicts any number of images by a network of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from visus.engine.answering import Prediction, answer_each
from visus.engine.device_batches import ToDevice
from visus.engine.progress import Progress
from visus.errors import DivergedError
from visus.ops.stopwatch import timed
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.data.augmentation.prepared import Prepared
    from visus.tasks.task import Task


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

    def answer(images: Sequence[Prepared]) -> Sequence[Any]:
        batch = to_device(task.collate(images))
        # Entered anew for each chunk: a generator must not hold such a context while its consumer runs.
        with _inference(network, precision), timed("answer"):
            return task.predict(network, batch)

    return answer_each(samples, prepare, answer, batch_size=batch_size, threads=threads, progress=progress, work=work)


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

"""Judging a network on labelled images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from visus.engine.feeding import Batches, Ready
from visus.engine.progress import Progress, Silent
from visus.errors import DataError
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out of an evaluation.

    Args:
        scores: of the task's metric, as fractions.
        ids: the images' names, in the order of the samples.
        predictions: in file pixels, one an image; [] unless they were kept.
        targets: likewise.
        seconds: that it took.
    """

    scores: dict[str, Any]
    ids: list[str]
    predictions: list[Any]
    targets: list[Any]
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Images by the seconds that they took, loading and judging included."""
        return len(self.ids) / max(self.seconds, 1e-9)


def evaluate(
    network: nn.Module,
    task: Task,
    samples: Sequence[Sample],
    loader: Batches,
    *,
    ready: Ready,
    precision: str = "float32",
    keep: bool = False,
    progress: Progress | None = None,
    work: str = "evaluation",
) -> Evaluation:
    """Predicts every sample, brings the answers home to file pixels, and scores them there.

    Args:
        network: on its device; it is in eval mode afterwards.
        task: reads the outputs and has the metric.
        samples: with their targets.
        loader: over exactly these samples, in their order, without augmentation.
        ready: brings a batch to the device and normalises it.
        precision: "float32", "bfloat16" or "float16", of the forward passes.
        keep: whether predictions and targets are returned too.
        progress: who is told.
        work: what it is called there.

    Raises:
        DataError: if the loader's images are not the samples.
    """
    progress = progress or Silent()
    metric = task.metrics()
    ids: list[str] = []
    predictions: list[Any] = []
    targets: list[Any] = []
    began = time.monotonic()
    progress.begin(work, len(samples))
    try:
        with inference(network, precision):
            for batch in loader.batches(0):
                homes = [
                    value.undo(p)
                    for value, p in zip(task.predict(network, ready(batch)), batch.placements, strict=True)
                ]
                own = samples[len(ids) : len(ids) + len(batch)]
                if [sample.id for sample in own] != list(batch.ids):
                    raise DataError(
                        "an evaluation's loader must give the samples in their order",
                        expected=", ".join(sample.id for sample in own[:3]),
                        got=", ".join(list(batch.ids)[:3]),
                    )
                truths = [sample.target(task.name) for sample in own]
                metric.update(homes, truths)
                ids += batch.ids
                if keep:
                    predictions += homes
                    targets += truths
                progress.advance(len(batch))
    finally:
        progress.end()
    if len(ids) != len(samples):
        raise DataError("an evaluation needs every image", expected=f"{len(samples)} images", got=f"{len(ids)} images")
    return Evaluation(metric.compute(), ids, predictions, targets, time.monotonic() - began)


def inference(network: nn.Module, precision: str = "float32") -> ExitStack:
    """A context without gradients, the network in eval mode, forward passes in a precision."""
    network.eval()
    stack = ExitStack()
    stack.enter_context(torch.inference_mode())
    if precision != "float32":
        device = next(network.parameters()).device
        stack.enter_context(torch.autocast(device.type, getattr(torch, precision)))
    return stack

"""Evaluates a network on labelled images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from visus.engine.device_batches import ToDevice
from visus.engine.predict import predict
from visus.engine.progress import Progress
from visus.structures import Sample

if TYPE_CHECKING:
    from visus.data.augmentation.prepared import Prepared
    from visus.tasks.task import Task


@dataclass(frozen=True, slots=True)
class JudgedSamples:
    """The scores of a network on labelled samples, and what they were computed from.

    Args:
        scores: the scores of the task's metric, as fractions.
        predictions: one prediction a sample, in file pixels; () unless ``keep`` was set.
        targets: one target a sample, in file pixels; () unless ``keep`` was set.
        images: the number of samples.
        seconds: the time of the whole evaluation, with the loading of the images.
    """

    scores: dict[str, Any]
    predictions: tuple[Any, ...]
    targets: tuple[Any, ...]
    images: int
    seconds: float


def evaluate(
    network: nn.Module,
    task: Task,
    samples: Sequence[Sample],
    prepare: Callable[[Sample, int, int], Prepared],
    *,
    to_device: ToDevice,
    batch_size: int = 32,
    threads: int = 1,
    precision: str = "float32",
    keep: bool = False,
    progress: Progress | None = None,
    work: str = "evaluation",
) -> JudgedSamples:
    """Predicts every sample, and scores the predictions in file pixels.

    Args:
        network, prepare, to_device, batch_size, threads, precision, progress, work: as for
            :func:`visus.engine.predict.predict`.
        task: reads the network's outputs, and provides the metric.
        samples: labelled samples.
        keep: whether the predictions and targets are returned too.

    Raises:
        DataError: if an image or its target cannot be read; leaving it out would change the score.
    """
    metric = task.metrics(samples)
    predictions: list[Any] = []
    targets: list[Any] = []
    began = time.monotonic()
    answers = predict(
        network,
        task,
        samples,
        prepare,
        to_device=to_device,
        batch_size=batch_size,
        threads=threads,
        precision=precision,
        progress=progress,
        work=work,
    )
    for sample, answer in zip(samples, answers, strict=True):
        if answer.error is not None:
            raise answer.error
        target = sample.target(task.name)
        metric.update([answer.value], [target])
        if keep:
            predictions.append(answer.value)
            targets.append(target)
    seconds = time.monotonic() - began
    return JudgedSamples(metric.compute(), tuple(predictions), tuple(targets), len(samples), seconds)

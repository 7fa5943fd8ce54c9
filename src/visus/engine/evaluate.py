"""Judging a network on labelled images."""

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
    from visus.data.augmentation.preparing import Prepared
    from visus.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out of an evaluation.

    Args:
        scores: of the task's metric, as fractions.
        predictions: in file pixels, one a sample; () unless they were kept.
        targets: likewise.
        images: that were judged.
        seconds: that it took, loading and judging included.
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
) -> Evaluation:
    """Predicts every sample, brings the answers home to file pixels, and scores them there.

    Args:
        network, prepare, to_device, batch_size, threads, precision, progress, work: as for
            :func:`visus.engine.predict.predict`.
        task: reads the outputs and has the metric.
        samples: with their targets.
        keep: whether predictions and targets are returned too.

    Raises:
        DataError: if an image or its target cannot be read; a score without it would be another one.
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
    return Evaluation(metric.compute(), tuple(predictions), tuple(targets), len(samples), seconds)

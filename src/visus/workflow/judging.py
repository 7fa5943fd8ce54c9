"""Scores a model image by image, and keeps the images with the worst predictions."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visus.engine.progress import Progress
from visus.errors import DataError
from visus.metrics.objects import ObjectMetric
from visus.ops.stopwatch import Stopwatch
from visus.structures import Sample, Value
from visus.workflow.answering import AnsweringModel
from visus.workflow.object_counting import Counting
from visus.workflow.sliding import Slider

SHOWN = 12
"""So many of the worst images, and as many evenly spread ones, are kept to be shown."""


@dataclass(frozen=True, slots=True)
class JudgedCase:
    """One image's target and prediction; both name the source of the pixels.

    Args:
        sample: the image.
        target: the truth about the image.
        prediction: what the model said.
        quality: the primary score of this image alone, in [0, 1]; 1 where there is nothing to find.
        sampled: whether it is one of the evenly spread ones.
        note: a line for people.
    """

    sample: Sample
    target: Value
    prediction: Value
    quality: float
    sampled: bool
    note: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The results of judging a model on a split.

    Args:
        metrics: the scores, as fractions.
        cases: the images to show, the worst first.
        speed: in images a second.
        absent: the classes without an example; empty where the targets count none.
    """

    metrics: dict[str, Any]
    cases: tuple[JudgedCase, ...]
    speed: dict[str, float]
    absent: tuple[str, ...] = ()


def judge(
    model: AnsweringModel,
    samples: Sequence[Sample],
    *,
    batch_size: int,
    progress: Progress | None = None,
    counting: Counting | None = None,
    slider: Slider | None = None,
) -> Judged:
    """Scores a model; keeps only the worst and some ordinary images with their predictions in memory.

    Args:
        model: that answers.
        samples: with their targets.
        batch_size: images at a time.
        progress: told of every batch.
        counting: segmentation: also score counted objects, under "objects"; None: no.
        slider: that answers in place of the model; None: the model itself.

    Raises:
        DataError: if an image cannot be read, or there is none.
    """
    if not samples:
        raise DataError("there are no images to score", expected="labelled images")
    metric = model.task.metrics(samples)
    objects = None if counting is None else ObjectMetric(counting.classes)
    spread = {round(i * (len(samples) - 1) / (SHOWN - 1)) for i in range(SHOWN)}
    worst: list[tuple[float, int, Value, Any]] = []  # a heap whose first entry is the least bad
    ordinary: list[tuple[float, int, Value, Any]] = []
    if slider is None:
        answers = model.answers(samples, batch_size=batch_size, progress=progress)
    else:
        answers = slider.answers(samples, progress)
    watch, counted = Stopwatch(model.network), 0
    examples = np.zeros(len(model.classes), np.int64)
    with watch:
        for index, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
            if answer.error is not None:
                raise answer.error
            target = sample.target(model.task.name)
            metric.update([answer.value], [target])
            examples += target.class_counts()
            if counting is not None and objects is not None:
                predicted, true = counting.compared(sample, answer.value, target)
                objects.update([predicted], [true])
            badness = 1.0 - model.task.image_quality(answer.value, target)
            entry = (badness, -index, target, answer.value)
            (heapq.heappushpop if len(worst) == SHOWN else heapq.heappush)(worst, entry)
            if index in spread:
                ordinary.append(entry)
            counted += 1
            if index == batch_size - 1 and len(samples) > batch_size:  # the first batch warms up
                watch.seconds.clear()
                counted = 0
    shown = {-entry[1]: entry for entry in [*worst, *ordinary]}
    ordered = sorted(shown.values(), key=lambda entry: (-entry[0], -entry[1]))
    cases = tuple(_case(model, samples[-entry[1]], entry, -entry[1] in spread) for entry in ordered)
    scores = metric.compute()
    if objects is not None:
        scores["objects"] = objects.compute()
    absent = tuple(name for name, count in zip(model.classes, examples, strict=True) if not count)
    return Judged(
        metrics=scores,
        cases=cases,
        speed=_speed(watch.seconds, counted),
        absent=absent if examples.any() else (),
    )


def _speed(seconds: Mapping[str, float], images: int) -> dict[str, float]:
    """Images a second of the network and its timed parts, of decoding (without suppression), and of suppression."""
    whole = ("network", "answer", "suppression")
    network, suppression = seconds.get("network", 0.0), seconds.get("suppression", 0.0)
    parts = {"network": network, **{part: spent for part, spent in seconds.items() if part not in whole}}
    parts["decoding"] = seconds.get("answer", 0.0) - network - suppression
    if suppression:
        parts["suppression"] = suppression
    return {part: images / spent for part, spent in parts.items() if spent > 0}


def _case(model: AnsweringModel, sample: Sample, entry: tuple[float, int, Value, Any], sampled: bool) -> JudgedCase:
    badness, _, target, prediction = entry
    quality = max(1.0 - badness, 0.0)
    prediction = prediction.above(model.shown_score)
    in_words = prediction.compared(target).guesses  # these say all that a note could
    note = "" if in_words else f"{model.task.primary.label} of this image: {quality:.1%}"
    return JudgedCase(
        sample=sample,
        target=target.with_image(sample.image),
        prediction=prediction.with_image(sample.image),
        quality=quality,
        sampled=sampled,
        note=note,
    )

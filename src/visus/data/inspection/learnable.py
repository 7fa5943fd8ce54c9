"""Whether a data set has something to learn in train, and something to find in val.

A training on nothing runs to its end and reaches a perfect score, so this is asked of what the targets really hold,
whatever the cause: labels that were lost, crowds, pixels that are ignored, masks that are all background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Dataset, Finding, Severity
from visus.data.formats.objects.object_targets import IGNORED
from visus.data.messages import counted
from visus.data.reading.accounting import LOST_IMAGES, too_many
from visus.structures import TargetState
from visus.structures.task_cards import TaskCard, task_card

MOST_IGNORED = 0.5
"""More than this share of the objects must not be ignored: then the mark means something else."""

NOT_WORTH_TELLING = 0.01
"""Up to this share of ignored pixels or objects is usual and is not remarked on."""


def missing_parts(dataset: Dataset) -> list[Finding]:
    """What a training would lack before any target is looked at: labels, or images to train on."""
    count = sum(len(samples) for samples in dataset.splits.values())
    if not dataset.tasks:
        labels = "captions, which no task of visus learns from" if dataset.format == "captions" else "no labels"
        message = f"the {counted(count, 'images have')} {labels}: a training needs classes, boxes, points or masks"
        return [Finding("no-labels", "stop", message, count)]
    if not dataset.splits.get("train"):
        present = " and ".join(name for name, samples in dataset.splits.items() if samples) or "none with images"
        message = f"no images to train on: a training needs a split named train; the splits here: {present}"
        return [Finding("no-training-images", "stop", message, 1)]
    return []


def learnable_findings(dataset: Dataset, task: str, states: Iterable[tuple[str, TargetState | None]]) -> list[Finding]:
    """The findings about one task whose targets hold nothing to learn or nothing to find, or are mostly ignored.

    Args:
        dataset: for the names of its classes and splits.
        task: one of its tasks.
        states: of every sample that was read, with its split; None for a sample without a target.
    """
    card, classes = task_card(task), dataset.classes[task]
    counts: dict[str, NDArray[np.int64]] = {}
    images: dict[str, int] = {}
    marked, left = Counter[str](), Counter[str]()
    ignored = 0
    for split, state in states:
        total = counts.setdefault(split, np.zeros(len(classes), np.int64))
        if state is None or state.fault or state.counts is None:
            continue
        total += state.counts
        images[split] = images.get(split, 0) + 1
        ignored += state.ignored
        shows = _shows_foreground(classes, state.counts)
        marked[split] += shows or state.ignored > 0
        left[split] += not shows and state.ignored > 0
    counting = sum(int(total.sum()) for total in counts.values())
    told = any(finding.kind == IGNORED for finding in dataset.findings)  # the reader counted the objects of each class
    findings = [] if told and card.unit == "objects" else _ignored(card, ignored, counting)
    if card.unit == "pixels" and len(classes) > 1:
        findings = _only_ignored(left, marked) or findings
    for split, kind, lack in (("train", "nothing-to-learn", "learn"), ("val", "nothing-to-find", "find")):
        if images.get(split) and (what := _lacks(card, classes, counts[split])):
            message = f"there is nothing to {lack} in {split}: its {counted(images[split], 'images hold')} {what}"
            if ignored:
                message += f" ({ignored:,} {_noun(card)} are marked as ignored)"
            findings.append(Finding(kind, "stop", message, images[split]))
    return findings


def _shows_foreground(classes: Sequence[str], counts: NDArray[np.int64]) -> bool:
    return any(int(count) for name, count in zip(classes, counts, strict=True) if name.lower() != "background")


def _only_ignored(left: Counter[str], marked: Counter[str]) -> list[Finding]:
    """The stop where in some split all that is marked in too many images is ignored.

    Args:
        left: from split to images with ignored pixels and no class but the background.
        marked: from split to images with ignored pixels or a class besides the background.
    """
    for split, count in left.items():
        if split in ("train", "val") and count == marked[split]:
            continue  # nothing to learn or to find at all, which is told
        if too_many(count, marked[split], LOST_IMAGES):
            message = (
                f"in {count:,} of {counted(marked[split], 'images')} of {split} that are labelled with more than "
                "background, all "
                "of it is ignored: neither right nor wrong; is what is ignored a class of these masks?"
            )
            return [Finding("ignored-pixels", "stop", message, count, acceptable=True)]
    return []


def _lacks(card: TaskCard, classes: Sequence[str], counts: NDArray[np.int64]) -> str:
    """What is all that these counts hold, where it is too little to learn or find; "" where it is enough."""
    if _shows_foreground(classes, counts):
        return ""
    if int(counts.sum()):
        return "background only"
    return f"no {_noun(card)}" if card.names else ""


def _noun(card: TaskCard) -> str:
    return {"images": "class", "pixels": "labelled pixels"}.get(card.unit, card.unit)


def _ignored(card: TaskCard, ignored: int, counting: int) -> list[Finding]:
    """The remark about the share that counts for nothing.

    Maps may be labelled in strokes, with most pixels left open on purpose; objects are marked one by one.
    """
    total = ignored + counting
    if ignored <= NOT_WORTH_TELLING * total or card.unit not in ("pixels", "objects"):
        return []
    severity: Severity = "stop" if card.unit == "objects" and ignored > MOST_IGNORED * total else "note"
    message = f"{ignored:,} of {total:,} {card.unit} ({ignored / total:.1%}) are ignored: neither right nor wrong"
    return [Finding(f"ignored-{card.unit}", severity, message, ignored)]

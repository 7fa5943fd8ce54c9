"""Finds what is wrong with a data set: what stops a training, what is repaired or left out, what is only noted.

The rules for severity:

- Images or labels that cannot be used (empty, unreadable or damaged files, images of another number of channels than
  most, masks of another size or with values that no class has) are left out ("repair") if they are at most 1 % of the
  data set, but one always may be; more of them are a "stop", because then something has gone wrong with the data as a
  whole. So is a split that would be left empty.
- Boxes outside or with swapped corners are corrected ("repair"). Boxes without area or not a number are dropped
  ("repair"); more than 5 % of all boxes are a "stop". What readers lose is judged in ``data.reading.accounting``.
- Exact copies of an image in two given splits are a "stop": what is measured would be memory. In splits that were made
  here a copy stays in the held-back split only ("repair"). In data sets that are published with their splits they are a
  "note": their published figures are measured with them, and nobody may repair a benchmark.
- Data without labels, without a split named "train", or with nothing to learn in "train" or nothing to find in "val"
  are a "stop" (``learnable``).
- A classification without two classes is a "stop", and so are a class that a given split has and "train" lacks, and
  classes that mostly have one image (``class_balance``).
- All else is a "note": near copies, wrong suffixes, images without objects, unused, missing and rare classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from visus.data.dataset import Dataset, Finding
from visus.data.formats.objects.boxes import BOX_FAULTS, CAUSES, DROPPED
from visus.data.inspection.annotations import examine_target
from visus.data.inspection.class_balance import class_findings, count_classes
from visus.data.inspection.cooccurrence import together_findings
from visus.data.inspection.duplicates import find_copies
from visus.data.inspection.integrity import ImageState, encoded_bytes, examine_image
from visus.data.inspection.leaks import LEAK_IN_MADE_SPLITS, copy_findings
from visus.data.inspection.learnable import learnable_findings, missing_parts
from visus.data.messages import counted, with_count
from visus.data.pixels.images import ArrayImage
from visus.data.pixels.intensity import PICTURE
from visus.data.reading.accounting import LOST_IMAGES, LOST_OBJECTS, too_many
from visus.errors import DataError
from visus.structures import Sample, TargetState
from visus.structures.sample import is_target_source
from visus.structures.task_cards import task_card

CheckProgress = Callable[[int, int], None]
"""Called with the number of images looked at so far, and of all."""

QUICK_IMAGES = 5_000
QUICK_BYTES = 250_000_000
"""Up to this many encoded images of this many bytes, the check before a training decodes everything: some 2 to 8 s."""

_CHUNK = 64  # images a thread takes at once

_UNUSABLE: Mapping[str, str] = {
    "empty-file": "{count} image files are empty",
    "unreadable-image": "{count} files cannot be read as an image",
    "damaged-image": "{count} images are damaged: the pixels cannot be decoded",
    "other-channels": "{count} images have another number of channels than the others",
    "unreadable-target": "{count} labels cannot be read",
    "unexpected-values": "{count} masks hold values that no class has",
    "size-differs": "{count} labels are of another size than their image",
}

_LEFT_OUT = frozenset({*_UNUSABLE, LEAK_IN_MADE_SPLITS})


@dataclass(frozen=True, slots=True)
class _Examined:
    """One sample of a split, with the states of its image and targets."""

    split: str
    sample: Sample
    image: ImageState
    targets: Mapping[str, TargetState]


def check(dataset: Dataset, task: str | None = None, *, progress: CheckProgress | None = None) -> list[Finding]:
    """Decodes every image, reads every target, and returns the findings, the worst first; none if all is well.

    Args:
        dataset: it is not changed; what its reader noticed is among the findings.
        task: the task whose targets are looked at; None: every task that the labels allow.
        progress: is told how far it is.

    Raises:
        TaskMismatchError: if the labels do not allow the task.
    """
    return _check(dataset, task, thorough=True, progress=progress)


def check_before_training(dataset: Dataset, task: str | None) -> list[Finding]:
    """The same as :func:`check` for data sets of up to :data:`QUICK_IMAGES` images; a quick look at larger ones.

    The quick look reads the header and the end of every image file, and decodes only files whose end mark is missing.
    It leaves out what needs all pixels: damage in the middle of a file; copies whose bytes differ; masks; boxes of
    labels that are read one by one.

    Raises:
        TaskMismatchError: if the labels do not allow the task.
    """
    encoded = [s.image for samples in dataset.splits.values() for s in samples if not isinstance(s.image, ArrayImage)]
    small = len(encoded) <= QUICK_IMAGES and sum(map(encoded_bytes, encoded)) <= QUICK_BYTES
    return _check(dataset, task, thorough=small, progress=None)


def left_out(findings: Sequence[Finding]) -> dict[str, int]:
    """From the kinds of images that a repair leaves out to their numbers."""
    return {finding.kind: len(finding.samples) for finding in findings if finding.kind in _LEFT_OUT and finding.samples}


def repair(dataset: Dataset, findings: Sequence[Finding]) -> Dataset:
    """The data set without unusable images, and with repaired boxes in the targets that are in memory.

    Args:
        dataset: it is not changed.
        findings: of a check of this data set.

    Raises:
        DataError: if a split is left without an image.
    """
    leave = {name for finding in findings if finding.kind in _LEFT_OUT for name in finding.samples}
    damaged = {name for finding in findings if finding.kind in BOX_FAULTS for name in finding.samples}
    if not leave and not damaged:
        return dataset
    splits: dict[str, list[Sample]] = {}
    for split, samples in dataset.splits.items():
        kept = [_repair(sample) if sample.id in damaged else sample for sample in samples if sample.id not in leave]
        if samples and not kept:
            raise DataError(
                f"the split {split} of {dataset.name} has no image that can be used",
                expected="images that can be read, with labels that fit them",
                got=f"{len(samples)} that cannot",
                remedy="visus data check names each and says why",
            )
        splits[split] = kept
    return replace(dataset, splits=splits)


def _repair(sample: Sample) -> Sample:
    targets = {
        task: target if is_target_source(target) else target.repaired()[0] for task, target in sample.targets.items()
    }
    return replace(sample, targets=targets)


def _check(dataset: Dataset, task: str | None, *, thorough: bool, progress: CheckProgress | None) -> list[Finding]:
    tasks = dataset.tasks if task is None else (dataset.choose_task(task),)
    classes = {name: dataset.classes[name] for name in tasks}
    entries = [(split, sample) for split, samples in dataset.splits.items() for sample in samples]
    examined: list[_Examined] = []
    channels = 3 if dataset.values.channels in PICTURE else dataset.values.channels
    with ThreadPoolExecutor(_processors()) as pool:
        try:
            for chunk in _examine_all(entries, classes, thorough, channels, pool):
                examined += chunk
                if progress is not None:
                    progress(len(examined), len(entries))
            portraits = [item.image.portrait for item in examined]
            copies = find_copies(portraits, [item.sample.image for item in examined], pool)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # otherwise an interruption would wait for every image
            raise
    findings = missing_parts(dataset)
    findings += _unusable(examined)
    findings += _of_boxes(examined)
    findings += _of_images(examined)
    findings += copy_findings(dataset, entries, copies)
    counted = set()
    for name in tasks:
        findings += learnable_findings(dataset, name, [(item.split, item.targets.get(name)) for item in examined])
        balance = count_classes(classes[name], [(item.split, item.targets.get(name)) for item in examined])
        if balance is not None:
            counted.add(name)
            findings += class_findings(dataset, name, balance)
            findings += _of_several_classes(examined, name, classes[name])
    # The readers note missing classes of the splits that were given; here those of the final splits are told.
    told = bool(counted) and counted == set(tasks)
    reported = [finding for finding in dataset.findings if not (told and finding.kind == "missing-class")]
    return sorted(reported + findings, key=lambda finding: ("stop", "repair", "note").index(finding.severity))


def _examine_all(
    entries: Sequence[tuple[str, Sample]],
    classes: Mapping[str, tuple[str, ...]],
    thorough: bool,
    channels: int,
    pool: Executor,
) -> Iterator[list[_Examined]]:
    def examine(start: int) -> list[_Examined]:
        part = entries[start : start + _CHUNK]
        return [_examine(split, sample, classes, thorough, channels) for split, sample in part]

    # Decoders work while other threads run; pixels in memory cost less than handing them to a thread.
    in_memory = all(isinstance(sample.image, ArrayImage) for _, sample in entries)
    starts = range(0, len(entries), _CHUNK)
    return map(examine, starts) if in_memory else pool.map(examine, starts)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _examine(
    split: str, sample: Sample, classes: Mapping[str, tuple[str, ...]], thorough: bool, channels: int
) -> _Examined:
    image = examine_image(sample.image, decode=thorough, channels=channels)
    targets = {
        task: examine_target(sample.targets[task], image.size, names, read=thorough)
        for task, names in classes.items()
        if task in sample.targets and image.size is not None and not image.fault
    }
    return _Examined(split, sample, image, targets)


def _unusable(examined: Sequence[_Examined]) -> list[Finding]:
    """Findings about the images that cannot be used, one for each fault."""
    faults: dict[str, list[tuple[str, str]]] = {}
    left: dict[str, int] = {}
    for item in examined:
        states: list[ImageState | TargetState] = [item.image, *item.targets.values()]
        state = next((state for state in states if state.fault), None)
        left[item.split] = left.get(item.split, 0) + (state is None)
        if state is not None:
            faults.setdefault(state.fault, []).append((item.sample.id, state.reason))
    count = sum(map(len, faults.values()))
    allowed = max(1, int(LOST_IMAGES * len(examined)))
    emptied = [split for split, number in left.items() if number == 0]
    if emptied:
        end = f"; nothing is left of {' and '.join(emptied)}"
    elif count > allowed:
        end = f"; {count} of {counted(len(examined), 'images')} cannot be used, at most {allowed} may be left out"
    else:
        end = "; left out"
    return [
        replace(
            Finding.about(
                kind,
                "stop" if emptied or count > allowed else "repair",
                f"{message} ({faults[kind][0][1]}){end}",
                [name for name, _ in faults[kind]],
            ),
            acceptable=not emptied and count > allowed,
        )
        for kind, message in _UNUSABLE.items()
        if kind in faults
    ]


def _of_several_classes(examined: Sequence[_Examined], task: str, classes: tuple[str, ...]) -> list[Finding]:
    """Findings about the classes that occur together in train, of a task whose classes are those of whole images."""
    card = task_card(task)
    if card.unit != "images" or card.least_classes > 1:  # the latter's images have one class each
        return []
    states = [item.targets.get(task) for item in examined if item.split == "train"]
    counts = [state.counts for state in states if state is not None and state.counts is not None]
    return together_findings(classes, [np.flatnonzero(numbers).tolist() for numbers in counts])


def _of_boxes(examined: Sequence[_Examined]) -> list[Finding]:
    """Findings about boxes that are repaired or dropped only now, since their targets were not read before."""
    names: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    boxes = 0
    for item in examined:
        for task, state in item.targets.items():
            if state.counts is not None and task_card(task).unit == "objects":
                boxes += int(state.counts.sum()) + state.ignored
            for kind, count in state.box_faults:
                names.setdefault(kind, []).append(item.sample.id)
                counts[kind] = counts.get(kind, 0) + count
    findings = []
    for kind, message in BOX_FAULTS.items():
        if kind not in names:
            continue
        lost = kind in DROPPED and too_many(counts[kind], boxes, LOST_OBJECTS)
        end = f": of {boxes:,}; {CAUSES[kind]}" if lost else "; dropped" if kind in DROPPED else "; repaired"
        text = with_count(message, counts[kind]) + end
        found = Finding.about(kind, "stop" if lost else "repair", text, names[kind])
        findings.append(replace(found, count=counts[kind], acceptable=lost))
    return findings


def _of_images(examined: Sequence[_Examined]) -> list[Finding]:
    findings = []
    misnamed = [item for item in examined if item.image.kind]
    if misnamed:
        message = (
            f"{{count}} files have the suffix of another format than their own (the first is {misnamed[0].image.kind})"
        )
        names = [item.sample.id for item in misnamed]
        findings.append(Finding.about("wrong-extension", "note", f"{message}; read by the content", names))
    stated = [item.sample.id for item in examined if any(state.stated for state in item.targets.values())]
    if stated:
        message = "{count} annotations state a slightly other size than their image has; the boxes fit"
        findings.append(Finding.about("stated-size", "note", message, stated))
    for kind, message, of_images in (
        ("no-objects", "{count} images hold no object, which is normal", False),
        ("no-class", "{count} images show none of the classes, which is normal", True),
    ):
        empty = [
            item.sample.id
            for item in examined
            if any(
                state.empty and (task_card(name).unit == "images") == of_images for name, state in item.targets.items()
            )
        ]
        if empty:
            findings.append(Finding.about(kind, "note", message, empty))
    return findings

"""The report of a data set: its contents, samples and findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visus.data.dataset import Dataset, Finding
from visus.data.inspection.cooccurrence import count_together
from visus.engine.disk import write_text
from visus.errors import DataError
from visus.report import markup, plots
from visus.report.markup import Markup, element, join, section
from visus.report.pages import findings_section
from visus.report.samples import sample_pictures
from visus.structures import Sample, Value
from visus.structures.sample import is_target_source

PICTURES = 16
SIDE = 360  # of the pictures, in pixels
LOOKED_AT = 2000  # images a split whose sizes are read
READ = 300  # targets a split that are read when each lies in a file of its own


def write_data_report(
    path: Path, dataset: Dataset, task: str, findings: Sequence[Finding] = (), *, seed: int = 0
) -> None:
    """Writes the report of a data set as one HTML file.

    Args:
        path: of the HTML file.
        dataset: read from its header and labels; of large ones evenly spaced images, which the page says.
        task: whose targets are counted and drawn.
        findings: of the checks.
        seed: which samples are shown.

    Raises:
        TaskMismatchError: if the labels do not allow the task.
        DiskError: if the file cannot be written.
    """
    task = dataset.choose_task(task)
    classes = dataset.classes[task]
    splits = {name: samples for name, samples in dataset.splits.items() if samples}
    parts = [
        markup.tiles(
            [
                *(
                    (f"{len(samples):,}", f"{name} {'image' if len(samples) == 1 else 'images'}", _made(dataset, name))
                    for name, samples in splits.items()
                ),
                *([(str(len(classes)), "class" if len(classes) == 1 else "classes", "")] if classes else []),
            ]
        ),
        findings_section([finding.to_dict() for finding in findings]),
        _contents(splits, task, classes),
        _sizes(splits),
        *(_samples(name, samples, task, seed) for name, samples in splits.items()),
        section(
            "Where it comes from",
            markup.facts({"layout": dataset.format, "place": dataset.root or "memory", "allows": list(dataset.tasks)}),
        ),
    ]
    page = markup.page(dataset.name, f"visus data report · {task}", dataset.describe(task), [p for p in parts if p])
    write_text(path, page)


def _made(dataset: Dataset, split: str) -> str:
    return "split off here" if split in dataset.made_splits else ""


def _contents(splits: dict[str, Sequence[Sample]], task: str, classes: tuple[str, ...]) -> Markup:
    counts: dict[str, dict[str, float]] = {}
    shown: list[list[int]] = []
    looked = []
    unit = ""
    for split, samples in splits.items():
        read_samples = _evenly(samples, READ) if _is_late(samples, task) else samples
        if len(read_samples) < len(samples):
            looked.append(f"{len(read_samples):,} of {len(samples):,} {split} images")
        counts[split], unit, ids = _count(read_samples, task, classes)
        shown += ids
    chart = plots.count_bars(counts, unit)
    if chart is None or not unit:
        return Markup()
    rows = [[name, *(_number(counts[split].get(name, 0)) for split in counts)] for name in classes]
    note = f"Counted in {', '.join(looked)}, evenly spaced." if looked else ""
    numbers = range(1, len(counts) + 1)
    listed = markup.folded("All numbers", markup.table(["class", *counts], rows, numbers=numbers))
    contents = section(f"Classes by {unit}", markup.svg(plots.to_svg(chart)), listed, note=note)
    return join([contents, _together(shown, classes)]) if unit == "images" else contents


def _together(shown: list[list[int]], classes: tuple[str, ...]) -> Markup:
    """The table of the classes that occur together; empty where no image shows two."""
    together = count_together(len(classes), shown) if any(len(ids) > 1 for ids in shown) else None
    if together is None:
        return Markup()
    mean = sum(map(len, shown)) / len(shown)
    note = f"{markup.TOGETHER} An image shows {mean:.1f} classes on average."
    return section(
        "Classes that occur together",
        markup.svg(plots.to_svg(plots.cooccurrence(together.tolist(), classes))),
        note=note,
    )


def _count(
    samples: Sequence[Sample], task: str, classes: tuple[str, ...]
) -> tuple[dict[str, float], str, list[list[int]]]:
    """The amount of each class, its unit, and the class ids of each image.

    Unreadable targets are skipped, since the findings name them.
    """
    totals = np.zeros(len(classes))
    shown = []
    unit = ""
    averaged = 0
    for sample in samples:
        if task not in sample.targets:
            continue
        try:
            target: Value = sample.target(task)
        except DataError:
            continue
        amounts = target.class_amounts()
        totals += amounts
        shown.append(np.flatnonzero(amounts).tolist())
        averaged += target.averaged
        unit = target.unit
    return dict(zip(classes, (totals / max(averaged, 1)).tolist(), strict=True)), unit, shown


def _is_late(samples: Sequence[Sample], task: str) -> bool:
    """Whether each target lies in a file of its own."""
    first = next((sample.targets[task] for sample in samples if task in sample.targets), None)
    return first is not None and is_target_source(first)


def _sizes(splits: dict[str, Sequence[Sample]]) -> Markup:
    sizes = []
    for samples in splits.values():
        for sample in _evenly(samples, LOOKED_AT):
            try:
                sizes.append(sample.image.size())
            except DataError:
                continue
    if not sizes:
        return Markup()
    heights, widths = np.asarray(sizes).T
    total = sum(len(samples) for samples in splits.values())
    note = f"Of {len(sizes):,} of {total:,} images, evenly spaced." if len(sizes) < total else ""
    if len(set(sizes)) == 1:
        sentence = element("p", f"Every image is {widths[0]:,} x {heights[0]:,} pixels (width x height).")
        return section("Image sizes", sentence, note=note)
    rows = [
        [name, f"{int(values.min()):,}", f"{int(np.median(values)):,}", f"{int(values.max()):,}"]
        for name, values in (("width", widths), ("height", heights))
    ]
    chart = plots.size_dots(sizes)
    return section(
        "Image sizes",
        element(
            "div",
            markup.svg(plots.to_svg(chart)) if chart is not None else "",
            markup.table(["pixels", "smallest", "median", "largest"], rows, numbers=[1, 2, 3]),
            class_="columns",
        ),
        note=note,
    )


def _samples(split: str, samples: Sequence[Sample], task: str, seed: int) -> Markup:
    count = PICTURES if split in ("train", "predict") else PICTURES // 2
    shown = [
        element("div", markup.picture(picture, name, side=SIDE), element("div", name, class_="id"), class_="case")
        for name, picture in sample_pictures(samples, task, count, seed)
    ]
    return section(f"Samples of {split}", element("div", *shown, class_="cases gallery"))


def _evenly(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """At most so many samples, evenly spaced over all."""
    if len(samples) <= most:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).round().astype(int).tolist()]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else markup.percentage(value)

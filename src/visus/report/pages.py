"""The report of a run: one HTML file that needs nothing else, readable in light and dark, without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.messages import counted
from visus.engine.disk import write_text
from visus.report import markup, plots
from visus.report.box_mistakes import draw_box_mistakes
from visus.report.content import (
    ERROR_NAMES,
    OBJECT_NAMES,
    Case,
    ReportContent,
    class_rows,
    figures,
    headline_scores,
    leading_class_score,
    metric_name,
    scalars,
)
from visus.report.markup import LONGEST_SIDE, Markup, element, join, section
from visus.report.outline_mistakes import draw_outline_mistakes
from visus.report.pruning import pruning_section
from visus.structures import Detections, Heatmap
from visus.structures.comparison import Comparison, DrawOn
from visus.structures.drawing.canvas import canvas, shrink

HEADLINES = 4
MOST_MAPS = 3  # heat maps of one image's labels, the most probable first
CONFUSIONS = 8
SCROLLS_FROM = 21  # classes from which a confusion matrix keeps its size
FOLDED_FROM = 20  # classes above which their table opens at a click
SEVERITIES = {"stop": "stops a training", "repair": "repaired", "note": "note"}


def write_report(path: Path, content: ReportContent) -> None:
    """Writes the report of a run as one HTML file.

    Raises:
        DiskError: if the file cannot be written.
        ShapeError: if a case has no image, or the confusion matrix does not fit the classes.
    """
    drawn = {name: plots.to_svg(figure) for name, figure in figures(content).items()}
    parts = [
        _headline(content),
        _subject(content),
        pruning_section(content.pruning, drawn.get("pruning"), metric_name(content.primary)),
        _curves(drawn),
        _scores(content, drawn),
        _cases("The worst mistakes", content.mistakes, "Where the model is most wrong, worst first."),
        _cases(
            "Samples",
            content.cases,
            "What is true and what the model says, on images that were not chosen by how well it does.",
        ),
        findings_section(content.findings),
        _environment(content),
    ]
    kicker = f"visus report · {content.task}"
    write_text(path, markup.page(content.title, kicker, content.intro, [part for part in parts if part]))


def write_plots(folder: Path, content: ReportContent) -> list[Path]:
    """Writes every plot of the report into a folder as PNG files, and gives their paths.

    Raises:
        DiskError: if a file cannot be written.
    """
    paths = []
    for name, figure in figures(content).items():
        path = folder / f"{name}.png"
        plots.save_png(figure, path)
        paths.append(path)
    return paths


def findings_section(findings: Sequence[Mapping[str, Any]]) -> Markup:
    """The findings about the data, the worst first; empty if there is none."""
    if not findings:
        return Markup()
    order = list(SEVERITIES)
    rows = []
    for finding in sorted(findings, key=lambda f: order.index(f["severity"])):
        examples = list(finding.get("examples", ()))
        more = finding["count"] - len(examples)
        names = ", ".join(str(name) for name in examples[:6])
        rest = max(more, 0) + len(examples[6:])
        names += f" and {rest:,} more" if names and rest else ""
        badge = element("span", SEVERITIES[finding["severity"]], class_=f"badge {finding['severity']}")
        message = join([finding["message"], element("div", names, class_="examples") if names else ""])
        rows.append([badge, message, f"{finding['count']:,}"])
    return section("What was noticed in the data", markup.table(["", "finding", "count"], rows, numbers=[2]))


def _headline(content: ReportContent) -> Markup:
    scores = headline_scores(content, HEADLINES)
    if not scores:
        return Markup()
    others = [name for name in content.metrics if name != content.judged]
    entries = []
    for key, score in scores.items():
        known = [(name, scalars(content.metrics[name]).get(key)) for name in others]
        beside = ", ".join(f"{name} {markup.percentage(value)}" for name, value in known if value is not None)
        entries.append((markup.percentage(score), metric_name(key), beside))
    head = element("p", f"on the {content.judged} images", class_="intro")
    return join([markup.tiles(entries), Markup() if content.judged == "test" else head])


def _subject(content: ReportContent) -> Markup:
    if not content.subject and not content.recipe:
        return Markup()
    parts: list[object] = [markup.facts(content.subject)] if content.subject else []
    if content.recipe:
        # (field, type, value, description) as Recipe.fields() gives them, or without the type.
        rows = [[row[0], markup.plain(row[-2]), row[-1]] for row in content.recipe]
        parts.append(
            markup.folded(f"Recipe: {counted(len(rows), 'fields')}", markup.table(["field", "value", "meaning"], rows))
        )
    return section("What was trained", *parts)


def _curves(drawn: Mapping[str, str]) -> Markup:
    shown = [markup.svg(drawn[name]) for name in ("loss", "scores", "learning_rate") if name in drawn]
    return section("How it went", element("div", *shown, class_="plots")) if shown else Markup()


def _scores(content: ReportContent, drawn: Mapping[str, str]) -> Markup:
    metrics = content.judged_metrics
    parts: list[object] = []
    if len(scalars(metrics)) > HEADLINES or len(content.metrics) > 1:
        keys = list(dict.fromkeys(key for split in content.metrics.values() for key in scalars(split)))
        by_split = {name: scalars(split) for name, split in content.metrics.items()}
        rows = [[metric_name(key), *(markup.percentage(s.get(key)) for s in by_split.values())] for key in keys]
        parts.append(markup.table(["score", *by_split], rows, numbers=range(1, len(by_split) + 1)))
    if "confusion" in drawn:
        parts += [
            element("h3", "Confusion matrix"),
            markup.svg(
                drawn["confusion"],
                "A row for each true class, a column for each predicted one: images, and their share of the row as "
                "colour.",
                wide=len(content.classes) >= SCROLLS_FROM,
            ),
            _confusions(metrics["confusion"], content.classes),
        ]
    if "precision_recall" in drawn:
        parts += [element("h3", "Precision and recall"), markup.svg(drawn["precision_recall"])]
    parts += [_classes(metrics), _box_errors(metrics), _objects(metrics)]
    if "cooccurrence" in drawn:
        parts += [element("h3", "Classes that occur together"), markup.svg(drawn["cooccurrence"], markup.TOGETHER)]
    shown = [part for part in parts if part]
    return section(f"How good it is on the {content.judged} images", *shown) if shown else Markup()


def _confusions(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A table of the classes that are confused most often."""
    table = np.asarray(confusion)
    pairs = [(int(table[r, c]), r, c) for r, c in np.argwhere(table > 0).tolist() if r != c]
    if len(classes) < 3 or not pairs:
        return Markup()
    totals = table.sum(1)
    rows = [
        [classes[r], classes[c], f"{count:,}", markup.percentage(count / int(totals[r]))]
        for count, r, c in sorted(pairs, key=lambda pair: -pair[0])[:CONFUSIONS]
    ]
    columns = ["true class", "taken for", "images", "of the class"]
    return join([element("h3", "Confused most often"), markup.table(columns, rows, numbers=[2, 3])])


def _classes(metrics: Mapping[str, Any]) -> Markup:
    """A table with a row for each class, and a bar for its most important score."""
    rows = class_rows(metrics)
    if not rows:
        return Markup()
    leading = leading_class_score(rows)
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    body = []
    for name, row in rows.items():
        value = row.get(leading)
        cells: list[object] = [name, markup.bar(value) if isinstance(value, float) else ""]
        cells += [_class_score(row.get(key)) for key in keys]
        body.append(cells)
    columns = ["class", metric_name(leading), *(metric_name(key) for key in keys)]
    whole = markup.table(columns, body, numbers=range(2, len(columns)))
    if len(rows) > FOLDED_FROM:
        return markup.folded(f"All {len(rows)} classes", whole)
    return join([element("h3", "Class by class"), whole])


def _box_errors(metrics: Mapping[str, Any]) -> Markup:
    """A table of a detector's kinds of error and their costs."""
    errors = metrics.get("errors")
    if not errors or errors["map"] is None:
        return Markup()
    rows = [[ERROR_NAMES[kind], f"{row['count']:,}", _points(row["gain"])] for kind, row in errors["kinds"].items()]
    rows += [[ERROR_NAMES[key], "", _points(errors[key])] for key in ("false_positives", "false_negatives")]
    note = (
        "Every wrong box is of one kind, and each kind costs what mAP at IoU 0.5 would gain without it "
        "(Bolya et al., TIDE, ECCV 2020); boxes of low scores count here too."
    )
    table = markup.table(["kind", "errors", "mAP gained without it"], rows, numbers=[1, 2])
    return join([element("h3", "What is wrong"), element("p", note, class_="intro"), table])


def _points(gain: float | None) -> str:
    return "-" if gain is None else f"{100 * gain:+.1f} points"


def _objects(metrics: Mapping[str, Any]) -> Markup:
    """The scores of counted objects."""
    objects = metrics.get("objects")
    if not objects:
        return Markup()
    counts = objects["counts"]
    facts = {
        "images": f"{counts['images']:,}",
        "objects in the truth": f"{counts['objects']:,}",
        "objects found": f"{counts['found']:,}",
        "too many or too few, an image": "-" if objects["count_error"] is None else f"{objects['count_error']:.2f}",
    }
    if "least_score" in objects:
        facts["found from a score of"] = f"{objects['least_score']:.2f}"
    scores = [[name, markup.percentage(objects[key])] for key, name in OBJECT_NAMES.items() if key in objects]
    parts = [element("h3", "Counted objects"), markup.facts(facts), markup.table(["score", ""], scores, numbers=[1])]
    rows = class_rows(objects)
    if len(rows) > 1:
        keys = list(next(iter(rows.values())))
        cells = [[name, *(_class_score(row[key]) for key in keys)] for name, row in rows.items()]
        columns = ["class", *(OBJECT_NAMES.get(key, key.replace("_", " ")) for key in keys)]
        parts.append(markup.table(columns, cells, numbers=range(1, len(columns))))
    return join(parts)


def _class_score(value: object) -> object:
    return markup.percentage(value) if isinstance(value, float) or value is None else markup.plain(value)


def _cases(title: str, cases: Sequence[Case], note: str) -> Markup:
    if not cases:
        return Markup()
    compared = [case.prediction.compared(case.target) for case in cases]
    shown = [
        _case_in_words(case, comparison) if comparison.guesses else _drawn_case(case, comparison)
        for case, comparison in zip(cases, compared, strict=True)
    ]
    small = all(comparison.guesses for comparison in compared)
    return section(title, element("div", *shown, class_="cases" if small else "cases rows"), note=note)


def _case_in_words(case: Case, comparison: Comparison) -> Markup:
    """The plain image and its heat map side by side, with the answer in words below."""
    pixels = _pixels(case)
    pictures = [("image", markup.picture(canvas(pixels, case.id), f"{case.id}: image"))]
    if case.heatmap is not None:
        for part in case.heatmap.parts[:MOST_MAPS] or (case.heatmap,):
            heat = markup.picture(_plain_heat(part, pixels), f"{case.id}: what speaks for {part.label}")
            pictures.append((part.label, heat))
    many = len(pictures) > 2  # only then it is not plain which is which
    views = [element("figure", element("figcaption", name) if many else "", shown) for name, shown in pictures]
    return element(
        "div",
        element("div", *views, class_="views many" if many else "views"),
        _verdict(comparison),
        *_words(case),
        class_="case",
    )


def _verdict(comparison: Comparison) -> Markup:
    kinds = {True: "right", False: "wrong", None: ""}
    lines: list[Markup] = []
    for guess in comparison.guesses:
        if guess.chosen:
            kind = kinds[comparison.right if guess.right is None else guess.right]
        else:
            kind = "wrong" if guess.right else "other"  # a class of the target that was not found
        figure = markup.percentage(guess.share) if guess.scored else ""
        bar = element("span", element("i", style=f"width:{100 * guess.share:.1f}%"), class_=f"bar {kind}".strip())
        lines += [element("span", guess.name, class_="name"), element("span", figure, class_="number"), bar]
    if comparison.verdict:
        lines.append(element("span", comparison.verdict, class_=f"truth {kinds[comparison.right]}".strip()))
    return element("div", *lines, class_="verdict")


def _drawn_case(case: Case, comparison: Comparison) -> Markup:
    """Target, prediction, differences and heat map side by side, each drawn on the image."""
    pixels = _pixels(case)
    drawings: dict[str, DrawOn] = {}
    if case.target is not None:
        drawings["truth"] = case.target.draw
    drawings |= {"prediction": case.prediction.draw, **comparison.pictures}
    # The kinds of error are a metric's, a floor above the values, so boxes cannot say themselves what is wrong.
    if isinstance(case.target, Detections) and isinstance(case.prediction, Detections):
        outlined = case.target.masks is not None and case.prediction.masks is not None
        draw_mistakes = draw_outline_mistakes if outlined else draw_box_mistakes
        drawings["what is wrong"] = partial(draw_mistakes, case.prediction, case.target)
    views = [
        element("figure", element("figcaption", name), markup.picture(draw(pixels), f"{case.id}: {name}"))
        for name, draw in drawings.items()
    ]
    if case.heatmap is not None:
        name = f"what speaks for {case.heatmap.label}" if case.heatmap.label else "heat map"
        heat = markup.picture(_plain_heat(case.heatmap, pixels), f"{case.id}: {name}")
        views.append(element("figure", element("figcaption", name), heat))
    return element("div", element("div", *views, class_="views"), *_words(case), class_="case")


def _words(case: Case) -> list[Markup]:
    words = [element("div", case.id, class_="id")]
    return [*words, element("div", case.note, class_="remark")] if case.note else words


def _pixels(case: Case) -> NDArray[np.uint8]:
    """[3,H,W]: the case's image at the size of the page, so that drawings on it stay legible."""
    sources = (value.image for value in (case.prediction, case.target, case.heatmap) if value is not None)
    source = next((source for source in sources if source is not None), None)
    pixels = None if source is None else source.load()
    if pixels is not None and max(pixels.shape[1:]) <= LONGEST_SIDE:
        return pixels
    small = shrink(canvas(pixels, case.id), LONGEST_SIDE)
    return np.asarray(small).transpose(2, 0, 1)


def _plain_heat(heatmap: Heatmap, pixels: NDArray[np.uint8]) -> Image.Image:
    """The heat map on the image without its caption, which the page writes itself."""
    ground = canvas(pixels, "a heat map")
    return heatmap.draw(pixels).crop((0, 0, ground.width, ground.height))


def _environment(content: ReportContent) -> Markup:
    parts: list[object] = []
    if content.env:
        parts.append(markup.facts(content.env))
    if content.command:
        parts += [element("h3", "To run it again"), markup.code(content.command)]
    return section("Where it ran", *parts) if parts else Markup()

"""Writes the reports of runs and evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.messages import counted
from visus.engine.recipe import ABOUT
from visus.engine.run_folder import RunFolder
from visus.report.content import Case, ReportContent
from visus.report.pages import write_plots, write_report
from visus.structures import Heatmap
from visus.workflow.answering import AnsweringModel
from visus.workflow.folders import make_folder
from visus.workflow.judging import JudgedCase
from visus.workflow.plan import Preparation
from visus.workflow.pruning_curve import read_curve
from visus.workflow.scores import Evaluation

if TYPE_CHECKING:
    from visus.workflow.model import Model

EXPLAINED = 12
"""So many of the worst mistakes and of the samples each get a heat map."""


def write_run_report(
    folder: RunFolder,
    prepared: Preparation,
    model: Model,
    metrics: Mapping[str, Mapping[str, Any]],
    judged: Sequence[JudgedCase],
) -> None:
    """Writes ``report.html``, ``plots/`` and ``samples/`` (truth beside prediction) of a run.

    Args:
        folder: of the run.
        prepared: what was trained on.
        model: the best weights.
        metrics: by split.
        judged: images of the last judged split, the worst first.
    """
    plan = prepared.plan
    worst = [case for case in judged if case.quality < 1][:EXPLAINED]
    others = [case for case in judged if case.sampled][:EXPLAINED]
    curve = read_curve(folder.path)
    content = ReportContent(
        title=folder.path.name,
        task=plan.task,
        metrics=metrics,
        results=folder.read_results(),
        classes=prepared.classes,
        intro=prepared.dataset.describe(plan.task),
        subject={
            "model": prepared.card.full_name,
            "paper": prepared.card.paper,
            "weights at the start": plan.weights,
            "parameters": f"{sum(p.numel() for p in model.network.parameters()):,}",
            "data": f"{prepared.dataset.name} ({prepared.dataset.format})",
            "recipe": plan.recipe.source or "given",
            **({"missing in it": "; ".join(plan.recipe.missing)} if plan.recipe.missing else {}),
        },
        primary=model.task.primary.name,
        recipe=[field for field in plan.recipe.fields() if field[0] not in ABOUT],
        findings=[finding.to_dict() for finding in prepared.findings],
        env=folder.read_environment(),
        command=folder.read_command(),
        cases=_explained(model, others),
        mistakes=_explained(model, worst),
        pruning=[] if curve is None else [asdict(point) for point in curve.points],
    )
    write_report(folder.path / "report.html", content)
    for name in ("plots", "samples"):  # a run that was copied may lack empty folders
        make_folder(folder.path / name)
    write_plots(folder.path / "plots", content)
    for number, case in enumerate(content.cases):
        pixels = None if case.prediction.image is None else case.prediction.image.load()
        for kind, value in (("truth", case.target), ("prediction", case.prediction)):
            if value is not None:
                value.draw(pixels).convert("RGB").save(folder.path / "samples" / f"{number:02d}-{kind}.jpg", quality=90)


def write_evaluation_report(
    path: Path, model: AnsweringModel, result: Evaluation, judged: Sequence[JudgedCase]
) -> None:
    """Writes the report of an evaluation: scores, mistakes and samples.

    Args:
        path: of the HTML file.
        model: that was judged.
        result: its scores.
        judged: images worth showing, the worst first.
    """
    content = ReportContent(
        title=f"{Path(model.path).stem} on {result.data}",
        task=model.info.task,
        metrics={result.split: result.metrics},
        classes=model.classes,
        intro=f"{counted(result.images, 'images')} of the split {result.split}",
        subject={"model": model.info.model},
        primary=model.task.primary.name,
        cases=_explained(model, [case for case in judged if case.sampled][:EXPLAINED]),
        mistakes=_explained(model, [case for case in judged if case.quality < 1][:EXPLAINED]),
    )
    make_folder(path.parent)
    write_report(path, content)


def _explained(model: AnsweringModel, judged: Sequence[JudgedCase]) -> list[Case]:
    heatmaps: Sequence[Heatmap | None] = [None] * len(judged)  # an exported network gives no gradients
    if model.network is not None:
        heatmaps = model.explain([case.sample for case in judged], values=[case.prediction for case in judged])
    return [
        Case(id=case.sample.id, target=case.target, prediction=case.prediction, heatmap=heatmap, note=case.note)
        for case, heatmap in zip(judged, heatmaps, strict=True)
    ]

"""Repeats a published comparison: trains networks, writes a table and a figure, and checks the paper's claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.messages import counted
from visus.errors import InterruptedRunError, UsageError
from visus.experiments.experiment import GO_ON
from visus.files.extras import require_train

if TYPE_CHECKING:
    from visus.experiments.detector_outcome import DetectorOutcome
    from visus.experiments.detectors import DetectorComparison
    from visus.experiments.experiment import Experiment
    from visus.experiments.outcome import Check, Outcome
    from visus.experiments.running import Setting


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The results of an experiment.

    Attributes:
        experiment: what was run.
        setting: data and steps.
        outcome: the curves.
        checks: of what the paper says.
        path: the folder with ``table.csv``, ``table.md``, ``results.json``, ``figure.png`` and ``figure.svg``.
    """

    experiment: Experiment
    setting: Setting
    outcome: Outcome
    checks: tuple[Check, ...]
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        environment = json.loads((self.path / "env.json").read_text(encoding="utf-8"))
        return {
            "experiment": self.experiment.name,
            "paper": self.experiment.paper,
            "claim": self.experiment.claim,
            "setup": self.experiment.setup,
            "setting": self.setting.to_dict(),
            "networks": self.outcome.summary(),
            "checks": [
                {"claim": c.claim, "verdict": c.verdict, "holding": c.holding, "seeds": c.seeds, "seen": c.seen}
                for c in self.checks
            ],
            "seconds": round(sum(curve.seconds for curve in self.outcome.curves), 1),
            "environment": environment,
            "folder": str(self.path),
        }

    def describe(self) -> str:
        """Describes the experiment in Markdown: the comparison, the tables, and the machine."""
        values = self.to_dict()
        machine = values["environment"]
        train, test = self.setting.images
        cpu = sum(curve.cpu_seconds for curve in self.outcome.curves)
        lines = (
            f"# {self.experiment.title}",
            f"{self.experiment.paper}.",
            f"The paper: {self.experiment.claim}",
            f"How it differs: {self.experiment.setup}.",
            self.outcome.to_markdown(self.checks).rstrip(),
            "± is the standard deviation over the seeds. Training errors are those of the images as they were trained "
            "on during the last row's steps.",
            f"Data: {self.setting.data}, {counted(train, 'images')} to train on, {test:,} to test "
            f"({min(self.experiment.judged or test, test):,} of them judged). "
            f"{machine['processor']}, threads: {machine['threads']}, torch {machine['packages']['torch']}; "
            f"{values['seconds'] / 60:.1f} minutes in all, {cpu / 60:.1f} of CPU.",
        )
        return "\n\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class ComparedDetectors:
    """The results of a comparison of detectors.

    Attributes:
        comparison: what was compared.
        data: the data set.
        outcome: the trials.
        checks: of what the papers say.
        path: the folder with ``table.csv``, ``table.md``, ``results.json``, ``figure.png`` and ``figure.svg``, and the
            run folders in ``runs``.
    """

    comparison: DetectorComparison
    data: str
    outcome: DetectorOutcome
    checks: tuple[Check, ...]
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "experiment": self.comparison.name,
            "paper": self.comparison.paper,
            "claim": self.comparison.claim,
            "setup": self.comparison.setup,
            "data": self.data,
            "detectors": self.outcome.summary(),
            "checks": [
                {"claim": c.claim, "verdict": c.verdict, "holding": c.holding, "seeds": c.seeds, "seen": c.seen}
                for c in self.checks
            ],
            "environment": json.loads((self.path / "env.json").read_text(encoding="utf-8")),
            "folder": str(self.path),
        }

    def describe(self) -> str:
        """Describes the comparison in Markdown: what was compared, the tables, and the machine."""
        machine = self.to_dict()["environment"]
        train, scored = self.outcome.trials[0].images
        lines = (
            f"# {self.comparison.title}",
            f"{self.comparison.paper}.",
            f"The papers: {self.comparison.claim}",
            f"How it differs: {self.comparison.setup}.",
            self.outcome.to_markdown(self.checks).rstrip(),
            "± is the standard deviation over the seeds; an image's time is that of one image at a time, without "
            "reading the file. The minutes are of wall-clock time; > says that a training was stopped, and only its "
            "last stretch was timed.",
            f"Data: {self.data}, {counted(train, 'images')} to train on, {scored:,} to score. {machine['processor']}, "
            f"torch {machine['packages']['torch']}.",
        )
        return "\n\n".join(lines) + "\n"


def reproduce(
    name: str,
    *,
    data: str | Path | None = None,
    seeds: int | None = None,
    scale: float = 1.0,
    minutes: float | None = None,
    weights: str | None = None,
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Reproduction | ComparedDetectors:
    """Repeats a published comparison at a size that a CPU can train.

    A run that was stopped goes on with what is not done when it is started again.

    Args:
        name: of the experiment, such as "degradation".
        data: a folder or file that takes the place of the experiment's data set; a comparison of detectors needs one,
            with boxes.
        seeds: how many trainings of each network; None: the experiment's own.
        scale: factor of the experiment's steps, or of the epochs of the recipes of detectors.
        minutes: the trainings take fewer steps where they would take longer than this in all; None: 30. Detectors are
            trained as long as their recipes say.
        weights: detectors: those of the backbones to begin with, as for :func:`visus.train`.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        out: the results are in the folder ``out/reproduce-NAME``.
        quiet: no progress on standard error.

    Raises:
        UsageError: if there is no such experiment, or the folder holds one with another setting.
        DataError: if the data cannot be read, or are not images of one size.
        InterruptedRunError: after Ctrl-C or SIGTERM.
    """
    require_train("an experiment")
    from visus.experiments.detectors import COMPARISONS
    from visus.experiments.table import EXPERIMENTS

    if name not in EXPERIMENTS and name not in COMPARISONS:
        raise UsageError(f"there is no experiment {name}", expected=" or ".join([*EXPERIMENTS, *COMPARISONS]), got=name)
    if scale <= 0 or (minutes is not None and minutes <= 0) or (seeds is not None and seeds < 1):
        raise UsageError(
            "scale, minutes or seeds are out of range",
            expected="scale and minutes above 0, one seed or more",
            got=f"scale {scale}, minutes {minutes}, seeds {seeds}",
        )
    if name in COMPARISONS:
        if minutes is not None:
            raise UsageError(f"{name} trains as long as the recipes say", remedy="leave --minutes out, or use --scale")
        comparison = COMPARISONS[name]
        return _compared(comparison, data, seeds or comparison.seeds, scale, weights, device, Path(out), quiet=quiet)
    if weights is not None:
        raise UsageError(f"{name} begins with random weights", remedy="leave --weights out")
    from visus.data.reading.opening import open_data
    from visus.engine.disk import write_text
    from visus.engine.progress import choose_progress
    from visus.engine.runtime import open_runtime
    from visus.experiments.figure import draw
    from visus.experiments.running import run_experiment
    from visus.experiments.step_epochs import ExperimentData
    from visus.workflow.folders import make_folder, output_folder

    experiment = EXPERIMENTS[name]
    images = ExperimentData.of(open_data(data or experiment.data), experiment.reduction)
    folder = Path(out) / f"reproduce-{name}"
    with output_folder(folder, "reproduce"):
        make_folder(folder / "trainings")
    with _stoppable(), open_runtime(device) as runtime:
        outcome, setting = run_experiment(
            experiment,
            images,
            folder,
            seeds=range(seeds or experiment.seeds),
            scale=scale,
            minutes=30.0 if minutes is None else minutes,
            runtime=runtime,
            progress=choose_progress(quiet=quiet),
        )
    checks = tuple(experiment.judge(outcome))
    result = Reproduction(experiment, setting, outcome, checks, folder)
    write_text(folder / "table.csv", outcome.to_csv())
    write_text(folder / "table.md", result.describe())
    write_text(folder / "results.json", json.dumps(result.to_dict(), indent=2) + "\n")
    draw(experiment, outcome, folder)
    return result


def _compared(
    comparison: DetectorComparison,
    data: str | Path | None,
    seeds: int,
    scale: float,
    weights: str | None,
    device: str,
    out: Path,
    *,
    quiet: bool,
) -> ComparedDetectors:
    if data is None:
        raise UsageError(
            f"{comparison.name} needs images with boxes", expected="--data FOLDER, such as BCCD's", got="none"
        )
    from visus.engine.disk import write_text
    from visus.experiments.detector_figure import draw
    from visus.workflow.detector_comparison import compare
    from visus.workflow.folders import make_folder, output_folder

    folder = out / f"reproduce-{comparison.name}"
    with output_folder(folder, "reproduce"):
        make_folder(folder / "trials")
    with _stoppable():
        outcome = compare(
            comparison, data, folder, seeds=seeds, scale=scale, weights=weights, device=device, quiet=quiet
        )
    result = ComparedDetectors(comparison, str(data), outcome, tuple(comparison.judge(outcome)), folder)
    write_text(folder / "table.csv", outcome.to_csv())
    write_text(folder / "table.md", result.describe())
    write_text(folder / "results.json", json.dumps(result.to_dict(), indent=2) + "\n")
    draw(comparison, outcome, folder)
    return result


@contextmanager
def _stoppable() -> Iterator[None]:
    """Lets a signal end the work at once between trainings; within a training the engine handles signals."""
    from visus.engine.interruption import Interrupted, Interruption

    with Interruption() as interruption:
        try:
            with interruption.at_once():
                yield
        except (Exception, Interrupted):  # whatever the signal broke off: it is the cause
            if not interruption.signal:
                raise
            raise InterruptedRunError.by_signal(
                interruption.signal, "stopped between two trainings", remedy=GO_ON
            ) from None


def list_experiments() -> tuple[Experiment | DetectorComparison, ...]:
    """Lists all experiments; loads no torch."""
    from visus.experiments.detectors import COMPARISONS
    from visus.experiments.table import EXPERIMENTS

    return (*EXPERIMENTS.values(), *COMPARISONS.values())


__all__ = ["ComparedDetectors", "Reproduction", "list_experiments", "reproduce"]

"""Repeats a published comparison: trains networks, writes a table and a figure, and checks the paper's claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import InterruptedRunError, UsageError
from visus.experiments.experiment import GO_ON

if TYPE_CHECKING:
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
            f"Data: {self.setting.data}, {train:,} images to train on, {test:,} to test "
            f"({min(self.experiment.judged or test, test):,} of them judged). "
            f"{machine['processor']}, threads: {machine['threads']}, torch {machine['packages']['torch']}; "
            f"{values['seconds'] / 60:.1f} minutes in all, {cpu / 60:.1f} of CPU.",
        )
        return "\n\n".join(lines) + "\n"


def reproduce(
    name: str,
    *,
    data: str | Path | None = None,
    seeds: int | None = None,
    scale: float = 1.0,
    minutes: float = 30.0,
    device: str = "auto",
    out: str | Path = "runs",
    quiet: bool = False,
) -> Reproduction:
    """Repeats a published comparison at a size that a CPU can train.

    A run that was stopped goes on with what is not done when it is started again.

    Args:
        name: of the experiment, such as "degradation".
        data: a folder or file that takes the place of the experiment's data set.
        seeds: how many trainings of each network; None: the experiment's own.
        scale: factor of the experiment's steps.
        minutes: the trainings take fewer steps where they would take longer than this in all.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        out: the results are in the folder ``out/reproduce-NAME``.
        quiet: no progress on standard error.

    Raises:
        UsageError: if there is no such experiment, or the folder holds one with another setting.
        DataError: if the data cannot be read, or are not images of one size.
        InterruptedRunError: after Ctrl-C or SIGTERM.
    """
    from visus.experiments.table import EXPERIMENTS

    if name not in EXPERIMENTS:
        raise UsageError(f"there is no experiment {name}", expected=" or ".join(EXPERIMENTS), got=name)
    if scale <= 0 or minutes <= 0 or (seeds is not None and seeds < 1):
        raise UsageError(
            "scale, minutes or seeds are out of range",
            expected="scale and minutes above 0, one seed or more",
            got=f"scale {scale}, minutes {minutes}, seeds {seeds}",
        )
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
            minutes=minutes,
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


def list_experiments() -> tuple[Experiment, ...]:
    """Lists all experiments; loads no torch."""
    from visus.experiments.table import EXPERIMENTS

    return tuple(EXPERIMENTS.values())


__all__ = ["Reproduction", "list_experiments", "reproduce"]

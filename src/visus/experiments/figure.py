"""Draws the figure of an experiment: each configuration's mean curve, and the range over its seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visus.engine.disk import write_atomically
from visus.experiments.experiment import Experiment
from visus.experiments.outcome import Curve, Outcome

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "visus",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8a93a0",
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}
# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a93a0")
_LABELS = {"train_error": "training error, %", "test_error": "test error, %", "train_loss": "training loss"}


def draw(experiment: Experiment, outcome: Outcome, folder: Path) -> tuple[Path, Path]:
    """Writes the figure as ``figure.png`` and ``figure.svg``, and returns their paths."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        count = len(experiment.panels)
        figure = Figure(figsize=(4.6 * max(count, 1.3), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for number, (title, axis) in enumerate(zip(experiment.panels, axes, strict=True)):
            for index, configuration in enumerate(experiment.configurations):
                if configuration.panel in (None, number):
                    _curve(axis, outcome.of(configuration.name), experiment.measure, COLOURS[index % len(COLOURS)])
            axis.set_title(title, loc="left", fontsize=9.5)
            axis.set_xlabel("step")
            if experiment.log_steps:
                axis.set_xscale("log")
            axis.legend()
        axes[0].set_ylabel(_LABELS[experiment.measure])
        png, svg = folder / "figure.png", folder / "figure.svg"
        # Without dates, so that equal results make equal files.
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=150, metadata={"Software": None}))
        write_atomically(svg, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    return png, svg


def _curve(axis: Any, curves: list[Curve], measure: str, colour: str) -> None:
    """Draws the mean of the trainings and their range, over the steps that all of them reached."""
    length = min((len(curve.rows) for curve in curves), default=0)
    if not length:
        return
    factor = 1 if measure == "train_loss" else 100
    steps = [row["step"] for row in curves[0].rows[:length]]
    values = np.asarray([[factor * row[measure] for row in curve.rows[:length]] for curve in curves])
    axis.plot(steps, values.mean(axis=0), color=colour, linewidth=1.6, label=curves[0].configuration)
    if len(curves) > 1:
        axis.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)

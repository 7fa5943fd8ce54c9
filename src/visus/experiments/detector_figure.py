"""Draws a comparison of detectors: the parts of an image's time as bars, or quality over time with the Pareto front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visus.engine.disk import write_atomically
from visus.experiments.detector_outcome import PARTS, DetectorOutcome, pareto_front
from visus.experiments.detectors import DetectorComparison
from visus.experiments.figure import COLOURS, STYLE

_MARKERS = "osD^vP*X"


def draw(comparison: DetectorComparison, outcome: DetectorOutcome, folder: Path) -> tuple[Path, Path]:
    """Writes the figure as ``figure.png`` and ``figure.svg``, and returns their paths."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = outcome.summary()
    with matplotlib.rc_context(STYLE):
        height = 1.0 + 0.42 * len(rows) if comparison.picture == "bars" else 4.6
        figure = Figure(figsize=(7.2, height), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        (_bars if comparison.picture == "bars" else _scatter)(axis, comparison, rows)
        axis.set_title(comparison.title, loc="left", fontsize=9.5)
        png, svg = folder / "figure.png", folder / "figure.svg"
        # Without dates, so that equal results make equal files.
        write_atomically(png, lambda file: figure.savefig(file, format="png", dpi=150, metadata={"Software": None}))
        write_atomically(svg, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    return png, svg


def _bars(axis: Any, comparison: DetectorComparison, rows: list[dict[str, Any]]) -> None:  # noqa: ARG001
    names = [row["detector"] for row in rows]
    left = [0.0] * len(rows)
    for part, colour in zip(PARTS, COLOURS, strict=False):
        widths = [row["seconds"][part] for row in rows]
        axis.barh(names, widths, left=left, color=colour, label=part, height=0.62)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for number, row in enumerate(rows):
        text = f" {row['total']:.2f} s, {100 * row['map50']:.0f} %"
        text += f"  (published: {row['published']:g} s)" if row["published"] else ""
        axis.text(left[number], number, text, va="center", fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.4)
    axis.set_xlabel("seconds an image; mAP at IoU 0.5 behind the bars")
    axis.legend(loc="lower right")


def _scatter(axis: Any, comparison: DetectorComparison, rows: list[dict[str, Any]]) -> None:
    families = list(dict.fromkeys(contender.family for contender in comparison.contenders))
    for number, family in enumerate(families):
        own = [row for row, one in zip(rows, comparison.contenders, strict=True) if one.family == family]
        axis.plot(
            [1000 * row["total"] for row in own],
            [100 * row["ap"] for row in own],
            _MARKERS[number % len(_MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            label=family,
        )
    points = [(1000 * row["total"], 100 * row["ap"]) for row in rows]
    front = [points[index] for index in pareto_front(points)]
    axis.plot(
        [x for x, _ in front], [y for _, y in front], color="#8a93a0", linewidth=1, zorder=0, label="Pareto front"
    )
    axis.set_xscale("log")
    axis.set_xlabel("milliseconds an image")
    axis.set_ylabel("AP, %")
    axis.legend()

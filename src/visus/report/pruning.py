"""Draws the score of a network against its size, at each step of a pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from visus.report import markup, plots
from visus.report.markup import Markup, section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = Sequence[Mapping[str, Any]]
"""Each with sparsity, left, weights, dense_bytes, sparse_bytes, and scores and before by split."""

_UNTUNED = " before the fine-tuning"


def pruning_curve(points: Points, score: str) -> Figure | None:
    """Plots the score over the size of the network, had it been stored sparsely; the sparsity is above each point.

    As figure 5 of Han et al. 2015: with the fine-tuning, and without it.

    Args:
        points: the unpruned network first.
        score: its name for people.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        size = point["sparse_bytes"] / 1e6
        for name, value in point["scores"].items():
            if value is not None:
                lines.setdefault(name, []).append((size, value))
        for name, value in (point["before"] or (point["scores"] if point is points[0] else {})).items():
            if value is not None:
                lines.setdefault(name + _UNTUNED, []).append((size, value))
    judged_before = {name + _UNTUNED for point in points for name in point["before"]}
    lines = {name: line for name, line in lines.items() if not name.endswith(_UNTUNED) or name in judged_before}
    if len(points) < 2 or not lines:
        return None
    from matplotlib.ticker import LogLocator, NullFormatter

    with plots.styled_figure(4.6, 3.0) as (figure, axes):
        splits = list(dict.fromkeys(name.removesuffix(_UNTUNED) for name in lines))
        for name, line in lines.items():
            axes.plot(
                *zip(*line, strict=True),
                color=plots.line_colour(splits.index(name.removesuffix(_UNTUNED))),
                linewidth=1.7,
                linestyle=":" if name.endswith(_UNTUNED) else "-",
                marker="o",
                markersize=3,
                label=name,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.invert_xaxis()
        above = axes.get_xaxis_transform()
        for point in points:
            axes.annotate(
                f"{100 * point['sparsity']:.0f} %",
                (point["sparse_bytes"] / 1e6, 1.0),
                xycoords=above,
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set(xlabel="megabytes, zeros not stored", ylabel=score)
        axes.set_title("Share of zeros", pad=16)
        plots.percent_axis(axes.yaxis)
        axes.legend(loc="best")
    return figure


def pruning_section(points: Points, drawn: str | None, score: str) -> Markup:
    """The curve and its values; empty if nothing was pruned."""
    if not points:
        return Markup()
    splits = list(dict.fromkeys(split for point in points for split in point["scores"]))
    before = list(dict.fromkeys(split for point in points for split in point["before"]))
    rows = [
        [
            markup.percentage(point["sparsity"]),
            f"{point['left']:,}",
            f"{point['sparse_bytes'] / 1e6:.3g} MB",
            *(markup.percentage(point["before"].get(split)) for split in before),
            *(markup.percentage(point["scores"].get(split)) for split in splits),
        ]
        for point in points
    ]
    columns = ["zeros", "weights left", "size, zeros not stored"]
    columns += [f"{score}, {split}{_UNTUNED}" for split in before] + [f"{score}, {split}" for split in splits]
    table = markup.table(columns, rows, numbers=range(len(columns)))
    parts: list[object] = [markup.svg(drawn)] if drawn else []
    return section("How good it is at which size", *parts, table)

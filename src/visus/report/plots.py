"""Curves, matrices and bars as matplotlib figures, drawn without a window and without global state.

Every function takes plain values and returns a figure, or None where the values hold nothing to show. ``to_svg`` makes
text of a figure, for a page in light or dark; ``save_png`` writes it as a file.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from visus.data.messages import counted
from visus.engine.disk import write_atomically
from visus.errors import ShapeError
from visus.structures.drawing.canvas import colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from visus.metrics.proposal_recall import ProposalScores

Rows = Sequence[Mapping[str, Any]]

INK = "#1b1f24"  # becomes the page's own text colour in an SVG
GREY = "#8a93a0"
LONGEST_NAME = 26
COUNTS_IN_CELLS = 60
SHARES_IN_CELLS = 12
LEARNING_RATE = ("lr", "learning_rate")
NO_SCORES = ("epoch", "step", "seconds", "time", "images", "samples", "batches")
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "visus",
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
}


def loss_curves(rows: Rows) -> Figure | None:
    """Plots every loss over the epochs.

    Args:
        rows: one mapping an epoch, as results.csv has them (numbers or their text); columns that speak of loss are
            drawn, those of validation dashed.
    """
    names = [name for name in _columns(rows) if "loss" in name.lower()]
    return _curves(rows, names, "Loss")


def metric_curves(rows: Rows) -> Figure | None:
    """Plots every score over the epochs, and marks its best epoch.

    Scores are the columns within [0, 1] whose names do not say loss, rate or time.
    """
    names = []
    for name in _columns(rows):
        plain = name.lower()
        if "loss" in plain or plain in LEARNING_RATE or plain.startswith(("lr_", *NO_SCORES)) or "per_s" in plain:
            continue
        values = _values(rows, name)
        known = values[np.isfinite(values)]
        if len(known) and known.min() >= 0 and known.max() <= 1:
            names.append(name)
    return _curves(rows, names, "Scores", best=True)


def learning_rate_curve(rows: Rows) -> Figure | None:
    """Plots the learning rate over the epochs."""
    names = [name for name in _columns(rows) if name.lower() in LEARNING_RATE or name.lower().startswith("lr_")]
    return _curves(rows, names, "Learning rate")


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Plots a confusion matrix: row is the true class, column the predicted one; colours are shares of the row.

    Args:
        counts: [K][K] images by true and by predicted class.
        classes: K names. Up to 12 classes show the share too; above 60 the colour alone speaks.

    Raises:
        ShapeError: if the counts are no square of the classes.
    """
    table = np.asarray(counts, np.int64)
    wholes = table.sum(1) if table.ndim == 2 else table
    return _matrix("a confusion matrix", table, wholes, classes, ("true", "predicted"))


def cooccurrence(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Plots which classes occur together; colours are shares of the images that show the class of the row.

    Args:
        counts: [K][K] images that show both classes; on the diagonal those that show one.
        classes: K names.

    Raises:
        ShapeError: if the counts are no square of the classes.
    """
    table = np.asarray(counts, np.int64)
    wholes = table.diagonal() if table.ndim == 2 else table
    return _matrix(
        "a table of classes that occur together",
        table,
        wholes,
        classes,
        ("of the images that show", "so many also show"),
    )


def _matrix(
    what: str,
    table: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    wholes: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    classes: Sequence[str],
    axis_names: tuple[str, str],
) -> Figure:
    """Plots a square of counts; colours are shares of each row's whole. axis_names: of the rows and of the columns."""
    number = len(classes)
    if table.shape != (number, number):
        raise ShapeError(
            f"{what} has a row and a column for every class",
            expected=f"[{number}, {number}]",
            got=f"{list(table.shape)}",
        )
    shares = table / np.maximum(wholes[:, np.newaxis], 1)
    cell = 0.52 if number <= SHARES_IN_CELLS else 0.36 if number <= 25 else 0.24 if number <= COUNTS_IN_CELLS else 0.1
    names = [_name(name) for name in classes]
    margin = 0.5 + 0.075 * max(len(name) for name in names)
    side = max(cell * number, 1.2)
    with styled_figure(side + margin + 0.3, side + margin + 0.3) as (figure, axes):
        whole = side + margin + 0.3
        axes.set_position((margin / whole, 0.25 / whole, side / whole, side / whole))
        blue = tuple(value / 255 for value in colour_of(0))
        from matplotlib.collections import PolyCollection

        rows, columns = np.nonzero(table)
        corners = np.asarray([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
        squares = np.stack([columns, rows], axis=1)[:, np.newaxis] + corners
        faces = [
            (*blue, 0.08 + 0.92 * float(shares[r, c])) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        axes.add_collection(PolyCollection(list(squares), facecolors=faces, edgecolors="none"))
        size = 9.0 if number <= SHARES_IN_CELLS else 7.5 if number <= 25 else 5.6
        if number <= COUNTS_IN_CELLS:
            for r, c in zip(rows.tolist(), columns.tolist(), strict=True):
                colour = "#ffffff" if shares[r, c] > 0.5 else INK
                text = f"{table[r, c]}"
                if number <= SHARES_IN_CELLS:
                    text += f"\n{100 * shares[r, c]:.0f} %"
                axes.text(c, r, text, ha="center", va="center", color=colour, fontsize=size, linespacing=1.1)
        axes.set_xlim(-0.5, number - 0.5)
        axes.set_ylim(number - 0.5, -0.5)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        step = 1 if number <= COUNTS_IN_CELLS else math.ceil(number / COUNTS_IN_CELLS)
        ticks = range(0, number, step)
        axes.set_xticks(ticks, [names[i] for i in ticks], rotation=0 if max(map(len, names)) < 4 else 90, fontsize=size)
        axes.set_yticks(ticks, [names[i] for i in ticks], fontsize=size)
        axes.set_ylabel(axis_names[0])
        axes.set_xlabel(axis_names[1])
        axes.set_xticks(np.arange(number + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(number + 1) - 0.5, minor=True)
        axes.grid(False)
        if number <= COUNTS_IN_CELLS:
            axes.grid(True, which="minor")
        axes.tick_params(which="minor", length=0)
    return figure


def precision_recall(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure | None:
    """Plots precision over recall, one line for each class.

    Args:
        curves: from class to (recalls, precisions), both in [0, 1] and equally long. Up to 20 classes have a line of
            their own in the legend; of more, all lines are drawn and the first 20 named.
    """
    if not curves:
        return None
    with styled_figure(5.0, 3.6) as (figure, axes):
        for i, (name, (recalls, precisions)) in enumerate(curves.items()):
            label = _name(name) if i < 20 else None
            axes.plot(recalls, precisions, color=line_colour(i), linewidth=1.6, label=label, drawstyle="steps-post")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def class_bars(values: Mapping[str, float | None], title: str, *, most: int = 60) -> Figure | None:
    """Plots one bar for each class, the lowest first.

    Args:
        values: from class to a score in [0, 1]; None where the images allow none.
        title: the name of the score.
        most: of more classes, this many with the lowest scores are shown.
    """
    known = sorted(((value, name) for name, value in values.items() if value is not None and math.isfinite(value)))
    if not known:
        return None
    shown = known[:most]
    with styled_figure(6.0, 0.7 + 0.24 * len(shown)) as (figure, axes):
        rows = range(len(shown))
        axes.barh(rows, [value for value, _ in shown], color=line_colour(0), height=0.66)
        for row, (value, _) in enumerate(shown):
            axes.text(value + 0.01, row, f"{100 * value:.1f} %", va="center", fontsize=8)
        axes.set_yticks(rows, [_name(name) for _, name in shown])
        axes.set(xlim=(0, 1.1), ylim=(len(shown) - 0.4, -0.6))
        axes.set_title(title if len(known) == len(shown) else f"{title}: the lowest {most} of {len(known)} classes")
        axes.grid(False, axis="y")
        percent_axis(axes.xaxis)
    return figure


def count_bars(counts: Mapping[str, Mapping[str, float]], unit: str, *, most: int = 60) -> Figure | None:
    """Plots the count of each class, the most frequent first, with a coloured part for each split.

    Args:
        counts: from split to class to number.
        unit: what is counted, such as "images".
        most: of more classes, this many are shown.
    """
    totals: dict[str, float] = {}
    for classes in counts.values():
        for name, number in classes.items():
            totals[name] = totals.get(name, 0) + number
    names = sorted(totals, key=lambda name: -totals[name])
    if not names:
        return None
    shown = names[:most]
    with styled_figure(6.6, 0.9 + 0.24 * len(shown)) as (figure, axes):
        left = np.zeros(len(shown))
        for i, (split, classes) in enumerate(counts.items()):
            widths = np.asarray([classes.get(name, 0) for name in shown], float)
            axes.barh(range(len(shown)), widths, left=left, color=line_colour(i), height=0.68, label=_name(split))
            left += widths
        longest = max(float(left.max()), 1e-12)
        for row, name in enumerate(shown):
            total = f"{totals[name]:,.0f}" if totals[name] >= 1 else f"{totals[name]:.3g}"
            axes.text(left[row] + 0.01 * longest, row, total, va="center", fontsize=8)
        axes.set_yticks(range(len(shown)), [_name(name) for name in shown])
        axes.set(xlim=(0, 1.12 * longest), ylim=(len(shown) - 0.4, -0.6), xlabel=unit)
        axes.grid(False, axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=6, borderaxespad=0.2)
    return figure


def size_dots(sizes: Sequence[tuple[int, int]]) -> Figure | None:
    """Plots widths and heights of images, one dot for each size; larger dots stand for more images.

    Args:
        sizes: (height, width) in pixels, one an image.
    """
    if not sizes:
        return None
    kinds, numbers = np.unique(np.asarray(sizes), axis=0, return_counts=True)
    with styled_figure(4.4, 3.4) as (figure, axes):
        axes.scatter(
            kinds[:, 1],
            kinds[:, 0],
            s=12 + 180 * numbers / numbers.max(),
            color=line_colour(0),
            alpha=0.45,
            linewidths=0,
        )
        axes.set(xlim=(0, 1.15 * kinds[:, 1].max()), ylim=(0, 1.15 * kinds[:, 0].max()))
        axes.set(xlabel="width in pixels", ylabel="height in pixels")
    return figure


def anchor_curve(mean_iou: Sequence[float], anchor_count: int) -> Figure:
    """Plots the mean IoU of boxes with the nearest of 1, 2 ... anchors, and marks ``anchor_count``."""
    with styled_figure(4.6, 3.0) as (figure, axes):
        numbers = range(1, len(mean_iou) + 1)
        axes.plot(numbers, mean_iou, color=line_colour(0), marker="o", markersize=3.5)
        axes.plot(anchor_count, mean_iou[anchor_count - 1], color=line_colour(0), marker="o", markersize=8)
        axes.annotate(
            f"{anchor_count}: {mean_iou[anchor_count - 1]:.1%}",
            (anchor_count, mean_iou[anchor_count - 1]),
            xytext=(6, -14),
            textcoords="offset points",
        )
        percent_axis(axes.yaxis)
        axes.set(xlabel="anchors", ylabel="mean IoU with the nearest", title="How well anchors fit the boxes")
    return figure


def proposal_curves(scores: ProposalScores) -> Figure | None:
    """Plots the recall of region proposals: left over their number, one line an IoU; right over the IoU, one a number.

    None without objects.
    """
    if not len(scores.best):
        return None
    numbers = scores.numbers
    with styled_figure(8.6, 3.2) as (figure, axes):
        axes.remove()
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.08})
        for i, iou in enumerate((0.5, 0.6, 0.7, 0.8, 0.9)):
            shares = [share or 0.0 for share in scores.by_number(iou)]
            left.plot(numbers, shares, color=line_colour(i), linewidth=1.7, label=f"IoU {iou:g}")
        left.set_xscale("log")
        left.set_xticks(ticks := [10**power for power in range(len(str(numbers[-1])))], [f"{tick:,}" for tick in ticks])
        left.minorticks_off()
        left.set(xlabel="proposals an image", ylabel="recall", xlim=(1, numbers[-1] * 1.02), ylim=(0, 1.03))
        ious = np.linspace(0.5, 1, 101)
        shown = [
            place for place, number in enumerate(numbers) if number in (10, 100, 1000) or place == len(numbers) - 1
        ]
        for i, place in enumerate(shown):
            shares = [float((scores.overlaps[:, place] >= iou - 1e-9).mean()) for iou in ious]
            right.plot(
                ious, shares, color=line_colour(i), linewidth=1.7, label=f"{counted(numbers[place], 'proposals')}"
            )
        right.set(xlabel="IoU that finds an object", xlim=(0.5, 1))
        percent_axis(left.yaxis)
        for side, place_of_legend in ((left, "upper left"), (right, "upper right")):
            side.legend(loc=place_of_legend)
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element whose text takes the colour of the page around it."""
    text = io.StringIO()
    with _styled():
        figure.savefig(
            text, format="svg", bbox_inches="tight", pad_inches=0.05, transparent=True, metadata={"Date": None}
        )
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([^;\"]*?)(?:'[^']*',? ?)+[^;\"]*sans-serif", r"font: \1sans-serif", svg)
    return svg.replace(INK, "currentColor")


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG on white; raises DiskError when it cannot."""
    content = io.BytesIO()
    with _styled():
        figure.savefig(content, format="png", dpi=144, bbox_inches="tight", facecolor="white")

    def fill(file: BinaryIO) -> None:
        file.write(content.getvalue())

    write_atomically(path, fill, size=len(content.getvalue()))


def _curves(rows: Rows, names: Sequence[str], title: str, *, best: bool = False) -> Figure | None:
    lines = [(name, _values(rows, name)) for name in names]
    lines = [(name, values) for name, values in lines if np.isfinite(values).any()]
    if not lines:
        return None
    from matplotlib.ticker import MaxNLocator

    epochs = _values(rows, "epoch")
    if not np.isfinite(epochs).all():
        epochs = np.arange(1, len(rows) + 1, dtype=float)
    with styled_figure(4.3, 2.8) as (figure, axes):
        groups = list(dict.fromkeys(_group(name) for name, _ in lines))
        for name, values in lines:
            colour = line_colour(groups.index(_group(name)))
            known = np.isfinite(values)
            held_back = name.lower().startswith(("val", "test"))
            axes.plot(
                epochs[known],
                values[known],
                color=colour,
                linewidth=1.7,
                linestyle="--" if held_back and not best else "-",
                marker="o" if known.sum() < 12 else None,
                markersize=3,
                label=_name(name.replace("_", " ").replace("/", " ")),
            )
            if best:
                at = int(np.nanargmax(values))
                axes.plot(epochs[at], values[at], marker="o", markersize=6, color=colour, markerfacecolor="none")
                axes.annotate(
                    f"{100 * values[at]:.1f} %",
                    (epochs[at], values[at]),
                    xytext=(0, 6),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                )
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if best:
            low, high = axes.get_ylim()
            axes.set_ylim(low, high + 0.08 * (high - low))
            percent_axis(axes.yaxis)
        else:
            axes.set_ylim(bottom=min(0.0, *(float(np.nanmin(values)) for _, values in lines)))
        if len(rows) == 1:
            axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
        if len(lines) > 1 or best:
            axes.legend(loc="best")
    return figure


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure (sides in inches) with one pair of axes, in our style; pyplot's global list does not hold it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _styled():
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure, figure.add_subplot()


@contextmanager
def _styled() -> Iterator[None]:
    import matplotlib

    # Letters that its own font lacks are text in an SVG, which a browser has the fonts for.
    with matplotlib.rc_context(cast(Any, STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def percent_axis(axis: Any) -> None:
    """Writes the fractions of an axis in per cent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(xmax=1, symbol=" %"))


def _columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _values(rows: Rows, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The values of a column; NaN where a row has no finite number."""
    values = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        try:
            values[i] = float(row.get(name, ""))
        except (TypeError, ValueError):
            continue
    values[~np.isfinite(values)] = np.nan
    return values


def _group(name: str) -> str:
    """A column's name without its split; both splits of one measure share a colour."""
    return re.sub(r"^(train|val|test)[_/ .]", "", name.lower())


def line_colour(i: int) -> tuple[float, float, float]:
    """The colour of line ``i`` for matplotlib."""
    red, green, blue = colour_of(i)
    return red / 255, green / 255, blue / 255


def _name(name: str) -> str:
    """A name as one line of at most 26 letters, in a form that matplotlib does not hide from legends."""
    text = " ".join(str(name).split())
    text = text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
    return text if text and not text.startswith("_") else "\u200b" + text

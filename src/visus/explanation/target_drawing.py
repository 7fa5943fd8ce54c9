"""Draws a detector on one image: its grids, its predictors, the objects that they learn, and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.explanation.panels import FINER, Canvas, Entry, Panel, answers_panel, sheet_of
from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Detections
from visus.structures.drawing.canvas import HUES, INK, UNCOUNTED, Colour

MOST_SENTENCES = 8
NEUTRAL_DOT: Colour = (70, 70, 70)


class DrawnObject(Protocol):
    """The part of a LearnedObject that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def box(self) -> NDArray[np.float32]: ...
    @property
    def ignored(self) -> bool: ...
    @property
    def predictors(self) -> NDArray[np.int64]: ...
    @property
    def best(self) -> int: ...
    @property
    def overlap(self) -> float: ...


class DrawnTargets(Protocol):
    """The part of ExplainedTargets that is drawn."""

    @property
    def image(self) -> NDArray[np.uint8]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def predictors(self) -> PredictionGrid: ...
    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def objects(self) -> Sequence[DrawnObject] | None: ...
    @property
    def matches(self) -> NDArray[np.int64] | None: ...
    @property
    def candidates(self) -> Detections | None: ...
    @property
    def kept(self) -> Detections | None: ...
    @property
    def score(self) -> float: ...
    @property
    def sampled(self) -> NDArray[np.int64] | None: ...
    @property
    def noun(self) -> str: ...
    def counts(self) -> dict[str, int]:
        """Returns the numbers of predictors that learn an object, do not count, and are background."""

    def sentence(self, number: int) -> str:
        """Says which predictors learn an object."""

    def title(self) -> str:
        """Returns the title over all panels."""


def draw_targets(value: DrawnTargets) -> Image.Image:
    """Draws the panels that have content, in rows of two; three panels make one row."""
    panels = [grids_panel(value), anchors_panel(value)]
    if value.objects is not None:
        panels.append(learned_panel(value))
    if value.candidates is not None and value.kept is not None:
        panels.append(answers_panel(value.image, value.size, value.candidates, value.kept, value.score))
    return sheet_of(value.title(), panels, columns=3 if len(panels) == 3 else 2)


def _cell(value: DrawnTargets, grid: int, row: int, column: int) -> list[float]:
    """Returns the box (xyxy) of a cell in network pixels."""
    top, left = value.predictors.corner(grid)
    height, width = value.predictors.grids[grid].step
    return [left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height]


def _centres(value: DrawnTargets) -> list[tuple[float, float]]:
    """Returns the centres (x, y) of the objects."""
    return [((o.box[0] + o.box[2]) / 2, (o.box[1] + o.box[3]) / 2) for o in value.objects or ()]


def grids_panel(value: DrawnTargets) -> Panel:
    canvas, predictors = Canvas(value.image, value.size), value.predictors
    lines: list[Entry] = []
    for number, grid in enumerate(predictors.grids):
        colour, rank = HUES[number % len(HUES)], number if _finer_first(value) else len(predictors.grids) - 1 - number
        top, left = predictors.corner(number)
        height, width = grid.step
        held = {predictors.cell_of(number, x, y) for x, y in _centres(value)}
        cells = np.asarray([_cell(value, number, *cell) for cell in sorted(held)]).reshape(-1, 4)
        finest = (grid.rows, grid.columns) == max((g.rows, g.columns) for g in predictors.grids)
        if grid.rows * grid.columns > 1:
            canvas.fill(cells, colour, 120 if finest else 45)
        thick = 1.0 if len(predictors.grids) == 1 else 0.5 + 0.4 * rank
        columns = [left + width * k for k in range(grid.columns + 1)]
        rows = [top + height * k for k in range(grid.rows + 1)]
        sheet, draw = canvas.layer()
        ink = (*colour, 110 + 20 * rank if len(predictors.grids) > 1 else 230)
        for x in columns:
            ends = np.asarray([x, rows[0], x, rows[-1]]) * canvas.scale
            draw.line(tuple(ends), fill=ink, width=max(1, round(thick * FINER)))
        for y in rows:
            ends = np.asarray([columns[0], y, columns[-1], y]) * canvas.scale
            draw.line(tuple(ends), fill=ink, width=max(1, round(thick * FINER)))
        canvas.lay(sheet)
        canvas.boxes(cells, colour, line=thick + 1, alpha=255)
        lines.append(
            (f"{grid.rows} x {grid.columns} cells of {_pixels(grid.step)} pixels, {grid.per_cell} in each", colour)
        )
    canvas.dots(np.asarray(_centres(value)).reshape(-1, 2), INK, 3)
    if value.objects:
        lines.append(("framed: the cells that hold the centre of an object (dots)", None))
    return canvas.panel("The grid" if len(predictors.grids) == 1 else "The grids", lines)


def _finer_first(value: DrawnTargets) -> bool:
    grids = value.predictors.grids
    return grids[0].rows >= grids[-1].rows


def _pixels(step: tuple[float, float]) -> str:
    height, width = (f"{side:.1f}".removesuffix(".0") for side in step)
    return f"{width} x {height}"


def anchors_panel(value: DrawnTargets) -> Panel:
    canvas, predictors = Canvas(value.image, value.size), value.predictors
    total = f"{len(predictors.boxes):,} {value.noun} in all"
    if predictors.compared == "answer":
        lines: list[Entry] = [(total + "; none has a shape of its own", None)]
        for number, cell in enumerate(_shown_cells(value)):
            for row, column in cell:
                colour = HUES[number % len(HUES)]
                canvas.fill(np.asarray([_cell(value, 0, row, column)]), colour, 70)
                canvas.boxes(value.boxes[predictors.of_cell(0, row, column)], colour, line=2, alpha=220)
        lines.append(("shown: what the cells of the objects answer with", None))
        return canvas.panel("The boxes of a cell", lines)
    lines = []
    for number, cell in enumerate(_shown_cells(value)):
        colour = HUES[number % len(HUES)]
        for row, column in cell:
            cell_boxes = predictors.boxes[predictors.of_cell(number, row, column)].numpy()
            canvas.boxes(cell_boxes, colour, line=1.5, alpha=230)
            x1, y1, x2, y2 = _cell(value, number, row, column)
            canvas.dots(np.asarray([[(x1 + x2) / 2, (y1 + y2) / 2]]), colour, 4)
        first = predictors.boxes[
            predictors.first(number) : predictors.first(number) + predictors.grids[number].per_cell
        ]
        sides = (first[:, 2:] - first[:, :2]).prod(1).sqrt().tolist()
        grid = predictors.grids[number]
        lines.append((f"{grid.total:,}: {grid.per_cell} a cell, areas of {_range(sides)} pixels", colour))
    lines.append((f"{total}; shown: those of one cell of each map", None))
    return canvas.panel(f"The {value.noun} of a cell", lines)


def _range(values: Sequence[float]) -> str:
    """Writes the smallest and the largest area; ``values`` are their square roots."""
    low, high = round(min(values)), round(max(values))
    return f"{low} x {low}" + (f" to {high} x {high}" if high > low else "")


def _shown_cells(value: DrawnTargets) -> list[list[tuple[int, int]]]:
    """Chooses the cells (row, column) of each grid whose predictors are shown.

    It is the cell of the best fitting predictor that learns an object, or else the cell of an object's centre, or that
    of the image's centre. Where predictors have no shape, the cells of all objects are shown.
    """
    predictors = value.predictors
    centres = _centres(value) or [(value.size[1] / 2, value.size[0] / 2)]
    if predictors.compared == "answer":
        return [[predictors.cell_of(0, x, y)] for x, y in centres]
    chosen = []
    for number, grid in enumerate(predictors.grids):
        first = predictors.first(number)
        rows: list[int] = [
            int(k) for obj in value.objects or () for k in obj.predictors if first <= k < first + grid.total
        ]
        best = [obj.best for obj in value.objects or () if obj.best in rows]
        if rows:
            _, row, column = predictors.position((best or rows)[0])
            chosen.append([(row, column)])
        else:
            chosen.append([predictors.cell_of(number, *centres[0])])
    return chosen


def learned_panel(value: DrawnTargets) -> Panel:
    canvas, predictors = Canvas(value.image, value.size), value.predictors
    objects = value.objects or ()
    shapes = value.boxes if predictors.compared == "answer" else predictors.boxes.numpy()
    matches = value.matches if value.matches is not None else np.zeros(0, np.int64)
    # of a step's sample the background is shown; without one every predictor counts, but for the neutral ones
    dotted = np.flatnonzero(matches == NEUTRAL)
    if value.sampled is not None:
        dotted = value.sampled[matches[value.sampled] < 0]
    cells = np.asarray([_cell(value, *predictors.position(int(k))) for k in dotted]).reshape(-1, 4)
    colours = [UNCOUNTED if obj.ignored else HUES[number % len(HUES)] for number, obj in enumerate(objects)]
    for obj, colour in zip(objects, colours, strict=True):
        if predictors.compared != "box":
            held = {predictors.position(int(k)) for k in obj.predictors}
            canvas.fill(np.asarray([_cell(value, *cell) for cell in sorted(held)]).reshape(-1, 4), colour, 90)
        few = len(obj.predictors) <= 3
        drawn = np.ones(len(obj.predictors), bool) if value.sampled is None else np.isin(obj.predictors, value.sampled)
        canvas.boxes(shapes[obj.predictors[drawn]], colour, line=2 if few else 1, alpha=230 if few else 180)
        canvas.boxes(shapes[obj.predictors[~drawn]], colour, line=0.5, alpha=120)
    canvas.dots((cells[:, :2] + cells[:, 2:]) / 2, NEUTRAL_DOT, 2)
    texts = [f"{obj.name}: {len(obj.predictors)}" for obj in objects]
    canvas.named(np.asarray([obj.box for obj in objects]).reshape(-1, 4), texts, colours)
    counts = value.counts()
    lines: list[Entry] = []
    shown = list(range(len(objects)))
    if len(objects) > MOST_SENTENCES:
        shown = sorted(shown, key=lambda number: objects[number].overlap)[:MOST_SENTENCES]
    lines += [(value.sentence(number), colours[number]) for number in shown]
    if len(objects) > MOST_SENTENCES:
        lines.append((f"and {len(objects) - MOST_SENTENCES} objects that fit better", None))
    dots = " (grey dots: their cells)" if value.sampled is None and len(dotted) else ""
    lines.append(
        (
            f"of {len(matches):,}, {counts['learn']:,} learn, {counts['background']:,} are background, "
            f"{counts['neutral']:,} do not count{dots}",
            None,
        )
    )
    if value.sampled is not None:
        said = f"a step draws {counts['sampled']:,}: {counts['sampled_learn']:,} that learn, and background"
        lines.append((f"{said} (grey dots: its cells)", None))
    return canvas.panel("Bold: objects; thin: who learns them", lines)

"""Draws a detector on one image: its grids, its predictors, the objects that they learn, and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.explanation.object_marks import MarkedObject, Marks
from visus.explanation.panels import FINER, MOST_BOXES, Canvas, Entry, Panel, answers_panel, sheet_of, stretched
from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Detections
from visus.structures.drawing.canvas import HUES, INK, Colour

MOST_DOTS = 500
FINEST = 6  # pixels of the final picture between two lines of a grid; closer ones would be an even grey
NEUTRAL_DOT: Colour = (70, 70, 70)


class DrawnObject(MarkedObject, Protocol):
    """The part of a LearnedObject that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def predictors(self) -> NDArray[np.int64]: ...
    @property
    def best(self) -> int: ...


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
    note = stretched(value.image, value.size)
    return sheet_of(value.title(), panels, columns=3 if len(panels) == 3 else 2, note=note)


def _cell(value: DrawnTargets, grid: int, row: int, column: int) -> list[float]:
    """Returns the box (xyxy) of a cell in network pixels."""
    top, left = value.predictors.corner(grid)
    height, width = value.predictors.grids[grid].step
    return [left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height]


def _marks(value: DrawnTargets, canvas: Canvas) -> Marks:
    objects = value.objects or ()
    return Marks.of(objects, [len(obj.predictors) > 0 for obj in objects], canvas)


def _shown(value: DrawnTargets, canvas: Canvas) -> tuple[list[DrawnObject], str]:
    """Returns the objects whose cells and predictors are shown, and which these are of a crowd."""
    marks, objects = _marks(value, canvas), value.objects or ()
    which = f", of the {len(marks.named)} that fit worst" if marks.crowd else ""
    return [objects[number] for number in marks.named], which


def _centres(objects: Sequence[DrawnObject]) -> list[tuple[float, float]]:
    """Returns the centres (x, y) of objects."""
    return [((o.box[0] + o.box[2]) / 2, (o.box[1] + o.box[3]) / 2) for o in objects]


def grids_panel(value: DrawnTargets) -> Panel:
    canvas, predictors = Canvas(value.image, value.size), value.predictors
    objects, which = _shown(value, canvas)
    lines: list[Entry] = []
    for number, grid in enumerate(predictors.grids):
        colour, rank = HUES[number % len(HUES)], number if _finer_first(value) else len(predictors.grids) - 1 - number
        top, left = predictors.corner(number)
        height, width = grid.step
        held = {predictors.cell_of(number, x, y) for x, y in _centres(objects)}
        cells = np.asarray([_cell(value, number, *cell) for cell in sorted(held)]).reshape(-1, 4)
        finest = (grid.rows, grid.columns) == max((g.rows, g.columns) for g in predictors.grids)
        if grid.rows * grid.columns > 1:
            canvas.fill(cells, colour, 120 if finest else 45)
        thick = 1.0 if len(predictors.grids) == 1 else 0.5 + 0.4 * rank
        columns = [left + width * k for k in range(grid.columns + 1)]
        rows = [top + height * k for k in range(grid.rows + 1)]
        sheet, draw = canvas.layer()
        ink = (*colour, 110 + 20 * rank if len(predictors.grids) > 1 else 230)
        across, down = np.asarray([width, height]) * canvas.scale[:2] >= FINEST * FINER
        for x in columns if across or grid.columns == 1 else ():
            ends = np.asarray([x, rows[0], x, rows[-1]]) * canvas.scale
            draw.line(tuple(ends), fill=ink, width=max(1, round(thick * FINER)))
        for y in rows if down or grid.rows == 1 else ():
            ends = np.asarray([columns[0], y, columns[-1], y]) * canvas.scale
            draw.line(tuple(ends), fill=ink, width=max(1, round(thick * FINER)))
        canvas.lay(sheet)
        canvas.boxes(cells, colour, line=thick + 1, alpha=255)
        fine = "" if (across or grid.columns == 1) and (down or grid.rows == 1) else " (too fine to draw)"
        cell = f"{grid.rows} x {grid.columns} cells of {_pixels(grid.step)} pixels"
        lines.append((f"{cell}, {grid.per_cell} in each{fine}", colour))
    canvas.dots(np.asarray(_centres(objects)).reshape(-1, 2), INK, 3)
    if objects:
        lines.append((f"framed: the cells that hold the centre of an object (dots){which}", None))
    return canvas.panel("The grid" if len(predictors.grids) == 1 else "The grids", lines)


def _finer_first(value: DrawnTargets) -> bool:
    grids = value.predictors.grids
    return grids[0].rows >= grids[-1].rows


def _pixels(step: tuple[float, float]) -> str:
    height, width = (f"{side:.1f}".removesuffix(".0") for side in step)
    return f"{width} x {height}"


def anchors_panel(value: DrawnTargets) -> Panel:
    canvas, predictors = Canvas(value.image, value.size), value.predictors
    objects, which = _shown(value, canvas)
    total = f"{len(predictors.boxes):,} {value.noun} in all"
    if predictors.compared == "answer":
        lines: list[Entry] = [(total + "; none has a shape of its own", None)]
        for number, cell in enumerate(_shown_cells(value, objects)):
            for row, column in cell:
                colour = HUES[number % len(HUES)]
                canvas.fill(np.asarray([_cell(value, 0, row, column)]), colour, 70)
                canvas.boxes(value.boxes[predictors.of_cell(0, row, column)], colour, line=2, alpha=220)
        lines.append((f"shown: what the cells of the objects answer with{which}", None))
        return canvas.panel("The boxes of a cell", lines)
    lines = []
    for number, cell in enumerate(_shown_cells(value, objects)):
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


def _shown_cells(value: DrawnTargets, objects: Sequence[DrawnObject]) -> list[list[tuple[int, int]]]:
    """Chooses the cells (row, column) of each grid whose predictors are shown, by the objects that are shown.

    It is the cell of the best fitting predictor that learns an object, or else the cell of an object's centre, or that
    of the image's centre. Where predictors have no shape, the cells of all objects are shown.
    """
    predictors = value.predictors
    centres = _centres(objects) or [(value.size[1] / 2, value.size[0] / 2)]
    if predictors.compared == "answer":
        return [[predictors.cell_of(0, x, y)] for x, y in centres]
    chosen = []
    for number, grid in enumerate(predictors.grids):
        first = predictors.first(number)
        rows: list[int] = [int(k) for obj in objects for k in obj.predictors if first <= k < first + grid.total]
        best = [obj.best for obj in objects if obj.best in rows]
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
    positions = sorted({predictors.position(int(k)) for k in dotted})
    spread = np.linspace(0, len(positions) - 1, min(len(positions), MOST_DOTS)).round().astype(int)
    cells = np.asarray([_cell(value, *positions[k]) for k in spread]).reshape(-1, 4)
    marks, texts = _marks(value, canvas), [f"{obj.name}: {len(obj.predictors):,}" for obj in objects]
    for number in marks.named:
        obj, colour = objects[number], marks.colours[number]
        if predictors.compared != "box":
            held = {predictors.position(int(k)) for k in obj.predictors}
            canvas.fill(np.asarray([_cell(value, *cell) for cell in sorted(held)]).reshape(-1, 4), colour, 90)
        few, learning = len(obj.predictors) <= 3, obj.predictors[:MOST_BOXES]
        drawn = np.ones(len(learning), bool) if value.sampled is None else np.isin(learning, value.sampled)
        canvas.boxes(shapes[learning[drawn]], colour, line=2 if few else 1, alpha=230 if few else 180)
        canvas.boxes(shapes[learning[~drawn]], colour, line=0.5, alpha=120)
    canvas.dots((cells[:, :2] + cells[:, 2:]) / 2, NEUTRAL_DOT, 2)
    marks.draw(canvas, texts)
    counts = value.counts()
    lines = marks.lines(value.sentence) + marks.legend("something learns them", "nothing learns them")
    some = f"{len(spread)} of their cells" if len(spread) < len(positions) else "their cells"
    dots = f" (grey dots: {some})" if value.sampled is None and len(dotted) else ""
    lines.append(
        (
            f"of {len(matches):,}, {counts['learn']:,} learn, {counts['background']:,} are background, "
            f"{counts['neutral']:,} do not count{dots}",
            None,
        )
    )
    if value.sampled is not None:
        said = f"a step draws {counts['sampled']:,}: {counts['sampled_learn']:,} that learn, and background"
        lines.append((f"{said} (grey dots: {some})", None))
    return canvas.panel("Bold: objects; thin: who learns them", lines)

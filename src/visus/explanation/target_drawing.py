"""Draws a detector on one image: its grids, its predictors, the objects that they learn, and its predictions.

The panels are drawn with twice the pixels and reduced, so that thin lines are smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Detections
from visus.structures.drawing.boxes import draw_tags, outline
from visus.structures.drawing.canvas import HUES, INK, PAPER, UNCOUNTED, Colour, colour_of, font_of, percent

FINER = 2  # pixels drawn for one shown
GAP = 22
WASH = 0.5  # share of white over the photograph, so that lines stand out
MOST_CANDIDATES = 400
MOST_SENTENCES = 8
NEUTRAL_DOT: Colour = (70, 70, 70)
HEADING, TEXT = 17, 14  # letters, in pixels

Entry = tuple[str, Colour | None]
"""A line under a panel, and the colour of its mark."""


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
    def noun(self) -> str: ...
    def counts(self) -> dict[str, int]:
        """Returns the numbers of predictors that learn an object, do not count, and are background."""

    def sentence(self, number: int) -> str:
        """Says which predictors learn an object."""

    def title(self) -> str:
        """Returns the title over all panels."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """A picture in its final size, with its title and the lines under it."""

    title: str
    picture: Image.Image
    lines: tuple[Entry, ...]


class _Canvas:
    """A pale photograph in finer pixels. Boxes come in network pixels, line widths in pixels of the final picture."""

    def __init__(self, value: DrawnTargets, wash: float = WASH) -> None:
        photo = Image.fromarray(np.ascontiguousarray(value.image.transpose(1, 2, 0)))
        self.size = photo.size
        fine = photo.resize((photo.width * FINER, photo.height * FINER), Image.Resampling.BICUBIC)
        self.picture = Image.blend(fine, Image.new("RGB", fine.size, PAPER), wash)
        height, width = value.size
        self.scale = np.asarray([fine.width / width, fine.height / height] * 2)

    def layer(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Makes an empty, transparent sheet of the picture's size."""
        sheet = Image.new("RGBA", self.picture.size, (0, 0, 0, 0))
        return sheet, ImageDraw.Draw(sheet)

    def lay(self, sheet: Image.Image) -> None:
        """Pastes a sheet onto the picture."""
        self.picture.paste(sheet, (0, 0), sheet)

    def boxes(self, boxes: NDArray[np.floating], colour: Colour, *, line: float, alpha: int) -> None:
        """Draws the outlines of boxes [N,4] in one colour, half transparent."""
        sheet, draw = self.layer()
        for x1, y1, x2, y2 in boxes * self.scale:
            corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            draw.rectangle(corners, outline=(*colour, alpha), width=max(1, round(line * FINER)))
        self.lay(sheet)

    def fill(self, boxes: NDArray[np.floating], colour: Colour, alpha: int) -> None:
        """Fills boxes [N,4] with a transparent colour."""
        sheet, draw = self.layer()
        for box in boxes * self.scale:
            draw.rectangle(tuple(box), fill=(*colour, alpha))
        self.lay(sheet)

    def dots(self, points: NDArray[np.floating], colour: Colour, radius: float) -> None:
        """Draws dots at points [N,2] (x, y)."""
        sheet, draw = self.layer()
        r = radius * FINER
        for x, y in points * self.scale[:2]:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))
        self.lay(sheet)

    def named(
        self, boxes: NDArray[np.floating], texts: Sequence[str], colours: Sequence[Colour], line: int = 2
    ) -> None:
        """Draws bold outlines of boxes [N,4] with a text at each, the first box on top."""
        scaled = boxes * self.scale
        draw = ImageDraw.Draw(self.picture)
        for box, colour in reversed(list(zip(scaled, colours, strict=True))):
            outline(draw, box, colour, line * FINER)
        draw_tags(self.picture, scaled, texts, colours)

    def panel(self, title: str, lines: Sequence[Entry]) -> _Panel:
        """Makes the panel, in its final size."""
        return _Panel(title, self.picture.resize(self.size, Image.Resampling.LANCZOS), tuple(lines))


def draw_targets(value: DrawnTargets) -> Image.Image:
    """Draws the panels that have content, in rows of two; three panels make one row."""
    panels = [_grids(value), _predictors(value)]
    if value.objects is not None:
        panels.append(_learned(value))
    if value.candidates is not None:
        panels.append(_kept(value))
    lettered = [_Panel(f"{letter}   {p.title}", p.picture, p.lines) for letter, p in zip("abcd", panels, strict=False)]
    return _sheet(value.title(), lettered, columns=3 if len(panels) == 3 else 2)


def _cell(value: DrawnTargets, grid: int, row: int, column: int) -> list[float]:
    """Returns the box (xyxy) of a cell in network pixels."""
    top, left = value.predictors.corner(grid)
    height, width = value.predictors.grids[grid].step
    return [left + column * width, top + row * height, left + (column + 1) * width, top + (row + 1) * height]


def _centres(value: DrawnTargets) -> list[tuple[float, float]]:
    """Returns the centres (x, y) of the objects."""
    return [((o.box[0] + o.box[2]) / 2, (o.box[1] + o.box[3]) / 2) for o in value.objects or ()]


def _grids(value: DrawnTargets) -> _Panel:
    canvas, predictors = _Canvas(value), value.predictors
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


def _predictors(value: DrawnTargets) -> _Panel:
    canvas, predictors = _Canvas(value), value.predictors
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


def _learned(value: DrawnTargets) -> _Panel:
    canvas, predictors = _Canvas(value), value.predictors
    objects = value.objects or ()
    shapes = value.boxes if predictors.compared == "answer" else predictors.boxes.numpy()
    matches = value.matches if value.matches is not None else np.zeros(0, np.int64)
    neutral = np.flatnonzero(matches == NEUTRAL)
    cells = np.asarray([_cell(value, *predictors.position(int(k))) for k in neutral]).reshape(-1, 4)
    colours = [UNCOUNTED if obj.ignored else HUES[number % len(HUES)] for number, obj in enumerate(objects)]
    for obj, colour in zip(objects, colours, strict=True):
        if predictors.compared != "box":
            held = {predictors.position(int(k)) for k in obj.predictors}
            canvas.fill(np.asarray([_cell(value, *cell) for cell in sorted(held)]).reshape(-1, 4), colour, 90)
        few = len(obj.predictors) <= 3
        canvas.boxes(shapes[obj.predictors], colour, line=2 if few else 1, alpha=230 if few else 180)
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
    uncounted = f"{counts['neutral']:,} do not count" + (" (grey dots: their cells)" if len(neutral) else "")
    lines.append(
        (f"of {len(matches):,}, {counts['learn']:,} learn, {counts['background']:,} are background, {uncounted}", None)
    )
    return canvas.panel("Bold: objects; thin: who learns them", lines)


def _kept(value: DrawnTargets) -> _Panel:
    canvas = _Canvas(value, wash=0.25)
    candidates, kept = value.candidates, value.kept
    lines: list[Entry] = []
    if candidates is not None and kept is not None:
        scores = candidates.scores if candidates.scores is not None else np.ones(len(candidates))
        best = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
        for label in np.unique(candidates.labels[best]):
            of_class = best[candidates.labels[best] == label]
            canvas.boxes(candidates.boxes[of_class], colour_of(int(label)), line=1, alpha=110)
        order = np.argsort(-(kept.scores if kept.scores is not None else np.ones(len(kept))), kind="stable")
        texts = [
            kept.classes[int(kept.labels[k])] + ("" if kept.scores is None else f" {percent(float(kept.scores[k]))}")
            for k in order
        ]
        canvas.named(kept.boxes[order], texts, [colour_of(int(kept.labels[k])) for k in order])
        lines = [
            (f"thin: {len(candidates):,} answers of a score of {value.score:g} or more", None),
            (f"bold: the {len(kept):,} that suppression keeps", None),
        ]
    return canvas.panel("What is answered, and kept", lines)


def _sheet(title: str, panels: Sequence[_Panel], columns: int) -> Image.Image:
    """Puts the panels in rows onto one picture, under a title."""
    panels = [_Panel(p.title, p.picture, _wrapped(p.lines, p.picture.width)) for p in panels]
    width = max(panel.picture.width for panel in panels)
    row_height = round(1.5 * TEXT)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [
        round(2 * HEADING) + max(p.picture.height for p in row) + 8 + row_height * max(len(p.lines) for p in row) + GAP
        for row in rows
    ]
    top = GAP + round(2.2 * HEADING)
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), top + sum(heights)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, fill=INK, font=font_of(HEADING + 4, title))
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            left = GAP + column * (width + GAP)
            draw.text((left, top), panel.title, fill=INK, font=font_of(HEADING, panel.title))
            y = top + round(2 * HEADING)
            sheet.paste(panel.picture, (left, y))
            y += panel.picture.height + 8
            for text, colour in panel.lines:
                x = left
                if colour is not None:
                    middle = y + row_height / 2
                    draw.rectangle((left, middle - 5, left + 10, middle + 5), fill=colour)
                    x += 18
                draw.text((x, y + row_height / 2), text, fill=INK, font=font_of(TEXT, text), anchor="lm")
                y += row_height
        top += height
    return sheet


def _wrapped(lines: Sequence[Entry], width: int) -> tuple[Entry, ...]:
    """Breaks lines that are wider than a panel between words; only the first part keeps its mark."""
    wrapped: list[Entry] = []
    for text, colour in lines:
        room = width - (18 if colour is not None else 0)
        line, mark = "", colour
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font_of(TEXT, longer).getlength(longer) > room:
                wrapped.append((line, mark))
                line, mark = word, None
            else:
                line = longer
        wrapped.append((line, mark))
    return tuple(wrapped)

"""Branching networks: boxes and arrows from top to bottom, in columns, with blocks in frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from visus.analysis.diagrams.blocks import (
    GAP,
    Box,
    DiagramPart,
    Frame,
    NodePositions,
    Split,
    Stack,
    name_of,
    part_of,
    shape_text,
)
from visus.analysis.diagrams.layered import Layers
from visus.analysis.diagrams.nodes import COLOURS
from visus.analysis.diagrams.structure import Fork, Item, Repeat, Series, Structure, nodes_in
from visus.analysis.diagrams.svg import SOFT, Point, Sheet, text_width
from visus.analysis.line import IMAGE

GUTTER = 46.0  # between columns
ASIDE = 34.0  # between a column and what hangs from it
ROWS = 7.0  # between rows that hang from one node
WANTED = 1.5  # width to height of a picture


@dataclass
class _Piece:
    """A part of the main path: its nodes, and its output shape where that differs from the shape before."""

    part: DiagramPart
    nodes: list[int]
    shape: str = ""


class Image:
    """The box of the input image."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self.width = text_width(f"image {shape}", 11) + 20
        self.height, self.axis = 22.0, self.width / 2

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        colour = COLOURS["image"]
        sheet.rectangle(x, y, self.width, self.height, fill=colour.fill, stroke=colour.stroke, radius=11)
        sheet.text(x + self.axis, y + 15, f"image {self.shape}")
        positions.right[IMAGE] = (x + self.width, y + 11)


def draw_flow(structure: Structure, shape: Sequence[int], sheet: Sheet) -> None:
    """Draws a network with its image at (0, 0) onto the sheet.

    Args:
        structure: the network.
        shape: of its image.
        sheet: to draw on.
    """
    pieces = [_Piece(Image(shape_text(shape)), [IMAGE]), *_pieces(structure)]
    last = shape_text(shape)
    for piece in pieces[1:]:
        output = structure.nodes[piece.nodes[-1]].output
        text = shape_text(output)
        piece.shape, last = (text if len(output) > 1 else "", text) if text != last else ("", last)
    sides = {source: _Aside(hanging, structure) for source, hanging in structure.sides.items()}
    _draw_columns(_columns(pieces, sides, together=bool(structure.collectors)), sides, structure, sheet)


def _pieces(structure: Structure) -> list[_Piece]:
    return [_Piece(part, nodes) for part, nodes in parts_of(structure.main, structure, framed=True)]


class _Aside:
    """The side branches of one node: rows of boxes, one below the other, or parts that run from top to bottom."""

    def __init__(self, hanging: Sequence[Series], structure: Structure) -> None:
        self.dashed = all(structure.nodes[i].only_in_training for series in hanging for i in nodes_in(series))
        rows = [Across.of(series, structure) for series in hanging] if structure.collectors else [None]
        self.rows = [row for row in rows if row is not None]
        self.parts: list[DiagramPart] = []
        if len(self.rows) < len(rows):
            self.rows, self.parts = [], [stack_of(series, structure) for series in hanging]
        sizes = [(row.width, row.height) for row in self.rows] or [(part.width, part.height) for part in self.parts]
        self.width = max(width for width, _ in sizes)
        self.height = sum(height for _, height in sizes) + ROWS * (len(sizes) - 1)

    def draw(self, sheet: Sheet, start: Point, x: float, y: float, positions: NodePositions) -> list[Point]:
        """Draws the branches from (x, y) to the right and down, with lines from ``start``; returns their right ends."""
        ends = []
        for row in self.rows:
            middle = y + row.entry
            sheet.way([start, (x - 14, start[1]), (x - 14, middle), (x, middle)], dashed=self.dashed)
            start = (x - 14, middle - 8)  # the next one goes on from this way
            ends += row.draw(sheet, x, y, positions)
            y += row.height + ROWS
        for part in self.parts:
            top = x + part.axis
            sheet.way([start, (top, start[1]), (top, y)], dashed=self.dashed)
            part.draw(sheet, x, y, positions)
            y += part.height + ROWS
            ends.append((x + part.width, y - ROWS - 11))
        return ends


class Across:
    """Boxes from left to right; a fork at the end continues in rows, one below the other."""

    STEP = 24.0

    def __init__(self, boxes: Sequence[Box], rows: Sequence[Across]) -> None:
        self.boxes, self.rows = boxes, rows
        boxes_width = sum(box.width for box in boxes) + self.STEP * max(len(boxes) - 1, 0)
        below = sum(row.height for row in rows) + ROWS * max(len(rows) - 1, 0)
        self.width: float = boxes_width + (self.STEP + max(row.width for row in rows) if rows else 0.0)
        self.height: float = max([below, *(box.height for box in boxes)])
        self.entry = self.height / 2

    @classmethod
    def of(cls, series: Series, structure: Structure) -> Across | None:
        """The series as boxes from left to right; None if the series has another form."""
        items = [part for item in series.items for part in (_unfolded(item) if isinstance(item, Repeat) else [item])]
        last = items[-1] if items else None
        rows = [cls.of(branch, structure) for branch in last.branches] if isinstance(last, Fork) else []
        numbers = [item for item in (items[:-1] if isinstance(last, Fork) else items) if isinstance(item, int)]
        if len(numbers) + int(isinstance(last, Fork)) < len(items) or not numbers or any(row is None for row in rows):
            return None
        return cls([Box(i, structure.nodes[i]) for i in numbers], [row for row in rows if row is not None])

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> list[Point]:
        """Draws the boxes and returns their right ends."""
        middle = y + self.entry
        for index, box in enumerate(self.boxes):
            if index:
                sheet.way([(x - self.STEP, middle), (x, middle)])
            box.draw(sheet, x, middle - box.height / 2, positions)
            x += box.width + self.STEP
        x -= self.STEP
        if not self.rows:
            return [(x, middle)]
        ends = []
        bus = x + self.STEP / 2 - 3
        for row in self.rows:
            sheet.way([(x, middle), (bus, middle), (bus, y + row.entry), (x + self.STEP, y + row.entry)])
            ends += row.draw(sheet, x + self.STEP, y, positions)
            y += row.height + ROWS
        return ends


def _unfolded(repeat: Repeat) -> list[Item]:
    return [item for body in repeat.bodies for item in body.items]


# --- assembling parts


def parts_of(series: Series, structure: Structure, *, framed: bool) -> list[tuple[DiagramPart, list[int]]]:
    """The parts of a series, each with its nodes; if ``framed``, forks get a frame, as blocks do."""
    nodes = structure.nodes
    items = list(series.items)
    parts: list[tuple[DiagramPart, list[int]]] = []
    index = 0
    while index < len(items):
        item = items[index]
        index += 1
        if isinstance(item, int):
            parts.append((part_of(item, nodes[item]), [item]))
        elif isinstance(item, Fork):
            join = -1
            if index < len(items) and isinstance(after := items[index], int) and nodes[after].is_join:
                join, index = after, index + 1
            branches = [stack_of(branch, structure) for branch in item.branches if branch.items]
            shortcut = any(not branch.items for branch in item.branches)
            split = Split(branches, join, nodes[join] if join >= 0 else None, shortcut=shortcut)
            inside = [*nodes_in(item), *([join] if join >= 0 else [])]
            parts.append((Frame(split, name_of([inside], nodes), 1) if framed else split, inside))
        elif isinstance(item, Repeat):
            bodies = [list(nodes_in(body)) for body in item.bodies]
            body = stack_of(item.body, _growing(structure, bodies))
            inside = [node for body_nodes in bodies for node in body_nodes]
            parts.append((Frame(body, name_of(bodies, nodes), len(bodies), bodies), inside))
        else:
            layers: DiagramPart = Layers(item, structure)
            parts.append((Frame(layers, name_of([item.nodes], nodes), 1) if framed else layers, list(item.nodes)))
    return parts


def _growing(structure: Structure, bodies: Sequence[Sequence[int]]) -> Structure:
    """The structure with labels such as "concat, 64 … 256" where a repeated concatenation grows, as in dense blocks."""
    nodes = list(structure.nodes)
    for first, last in zip(bodies[0], bodies[-1], strict=True):
        one, other = nodes[first].output[0], nodes[last].output[0]
        if nodes[first].kind == "concatenation" and one != other:
            nodes[first] = replace(nodes[first], label=f"concat, {one} … {other}")
    return replace(structure, nodes=nodes)


def stack_of(series: Series, structure: Structure) -> Stack:
    """A series as one part, to be drawn inside another part."""
    return Stack([part for part, _ in parts_of(series, structure, framed=False)])


# --- columns


@dataclass
class _Column:
    """Pieces one below the other; height and width include their side branches."""

    pieces: list[_Piece]
    axis: float
    width: float
    height: float


def _columns(pieces: Sequence[_Piece], sides: dict[int, _Aside], *, together: bool) -> list[_Column]:
    """Distributes the pieces over columns of about equal heights, so that the picture has about the wanted shape.

    With ``together``, all pieces that have side branches stand in the last column.
    """
    best: tuple[float, list[_Column]] | None = None
    hanging = [index for index, piece in enumerate(pieces) if any(node in sides for node in piece.nodes)]
    free = pieces[: hanging[0]] if together and hanging else pieces
    rest = pieces[len(free) :]
    for count in range(1, min(len(free), 9) + 1):
        groups = [*_parted(free, count), *([list(rest)] if rest else [])]
        columns = [_column(group, sides) for group in groups]
        if rest and max(column.height for column in columns[:-1]) <= columns[-1].height:
            return columns
        width = sum(column.width for column in columns) + GUTTER * (len(columns) - 1)
        height = max(column.height for column in columns)
        ratio = width / height
        off = max(ratio / WANTED, WANTED / ratio)
        if best is None or off < best[0]:
            best = (off, columns)
    return best[1] if best is not None else []


def _parted(pieces: Sequence[_Piece], count: int) -> list[list[_Piece]]:
    """Splits the pieces into ``count`` groups of neighbours; the highest group is as low as possible."""
    heights = [piece.part.height + GAP for piece in pieces]
    low, high = max(heights), sum(heights)
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (low, middle) if _fits(heights, middle) <= count else (middle, high)
    groups: list[list[_Piece]] = [[]]
    filled = 0.0
    for piece, height in zip(pieces, heights, strict=True):
        if filled + height > high and groups[-1]:
            groups.append([])
            filled = 0.0
        groups[-1].append(piece)
        filled += height
    return groups


def _fits(heights: Sequence[float], limit: float) -> int:
    """The number of columns of at most this height that hold all pieces."""
    columns, filled = 1, 0.0
    for height in heights:
        if filled + height > limit:
            columns, filled = columns + 1, 0.0
        filled += height
    return columns


def _column(pieces: list[_Piece], sides: dict[int, _Aside]) -> _Column:
    label = max(text_width(piece.shape, 9) + 10 for piece in pieces)
    axis = max([label, *(piece.part.axis for piece in pieces)])
    width = axis + max(piece.part.width - piece.part.axis for piece in pieces)
    height = sum(piece.part.height for piece in pieces) + GAP * (len(pieces) - 1)
    hanging = [sides[node] for piece in pieces for node in piece.nodes if node in sides]
    if hanging:
        width += ASIDE + max(aside.width for aside in hanging)
        y, low = 0.0, 0.0
        for piece in pieces:
            y += piece.part.height
            for node in piece.nodes:
                if node in sides:
                    low = max(y + GAP, low + 2 * ROWS) + sides[node].height
            y += GAP
        height = max(height, low)
    return _Column(pieces, axis, width, height)


def _draw_columns(columns: Sequence[_Column], sides: dict[int, _Aside], structure: Structure, sheet: Sheet) -> None:
    positions = NodePositions()
    x = 0.0
    leaving: Point | None = None
    ends: list[Point] = []
    for column in columns:
        axis = x + column.axis
        if leaving is not None:
            lane, low = x - GUTTER / 2, leaving[1] + 12
            sheet.way([leaving, (leaving[0], low), (lane, low), (lane, -14), (axis, -14), (axis, 0)])
        branch_ends, leaving = _draw_column(column, x, sides, sheet, positions)
        ends += branch_ends
        x += column.width + GUTTER
    if structure.collectors:
        _draw_collectors(structure, ends, x - GUTTER + ASIDE, sheet)


def _draw_column(
    column: _Column, x: float, sides: dict[int, _Aside], sheet: Sheet, positions: NodePositions
) -> tuple[list[Point], Point]:
    """Draws a column; returns the ends of its side branches, and the point where the main path leaves it."""
    axis, y, low = x + column.axis, 0.0, 0.0
    beside = axis + max(piece.part.width - piece.part.axis for piece in column.pieces) + ASIDE
    ends: list[Point] = []
    for index, piece in enumerate(column.pieces):
        piece.part.draw(sheet, axis - piece.part.axis, y, positions)
        y += piece.part.height
        for node in piece.nodes:
            if node in sides:
                low = max(y + GAP, low + 2 * ROWS)
                start = positions.right[node] if node != piece.nodes[-1] else (axis, y + 5)
                ends += sides[node].draw(sheet, start, beside, low, positions)
                low += sides[node].height
        if index < len(column.pieces) - 1:
            sheet.way([(axis, y), (axis, y + GAP)])
        if piece.shape:
            sheet.text(axis - 6, y + GAP / 2 + 3, piece.shape, size=9, colour=SOFT, anchor="end")
        y += GAP
    return ends, (axis, y - GAP)


def _draw_collectors(structure: Structure, ends: Sequence[Point], x: float, sheet: Sheet) -> None:
    """Draws the bar at the right in which all heads end."""
    colour = COLOURS["concatenation"]
    shapes = ", ".join(shape_text(structure.nodes[i].output) for i in structure.collectors)
    top, bottom = min(y for _, y in ends) - 30, max(y for _, y in ends) + 30
    with sheet.hint("; ".join(structure.nodes[i].hint for i in structure.collectors)):
        sheet.rectangle(x, top, 30, bottom - top, fill=colour.fill, stroke=colour.stroke, radius=8)
        middle = (top + bottom) / 2
        sheet.text(x + 19, middle, f"answers: {shapes}", turned=-90)
    for end in ends:
        sheet.way([end, (x, end[1])])

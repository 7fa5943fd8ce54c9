"""Branching networks: boxes and arrows from top to bottom, in columns, with blocks in frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from visus.analysis.diagrams.blocks import GAP, Box, Frame, Part, Places, Row, Split, name_of, shape_text
from visus.analysis.diagrams.nodes import COLOURS
from visus.analysis.diagrams.structure import Fork, Repeat, Series, Structure, nodes_in
from visus.analysis.diagrams.svg import SOFT, Point, Sheet, text_width
from visus.analysis.diagrams.tangle import Web
from visus.analysis.line import IMAGE

GUTTER = 46.0  # between columns
ASIDE = 34.0  # between a column and what hangs from it
WANTED = 1.5  # width to height of a picture


@dataclass
class _Piece:
    """A part of the main way: its nodes, and the shape that leaves it, if that is new."""

    part: Part
    nodes: list[int]
    shape: str = ""


class Image:
    """The input."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        self.width = text_width(f"image {shape}", 11) + 20
        self.height, self.axis = 22.0, self.width / 2

    def draw(self, sheet: Sheet, x: float, y: float, places: Places) -> None:
        colour = COLOURS["image"]
        sheet.rectangle(x, y, self.width, self.height, fill=colour.fill, stroke=colour.stroke, radius=11)
        sheet.text(x + self.axis, y + 15, f"image {self.shape}")
        places.right[IMAGE] = (x + self.width, y + 11)


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
    sides = {source: [row_of(series, structure) for series in hanging] for source, hanging in structure.sides.items()}
    columns = _columns(pieces, sides)
    _draw_columns(columns, sides, structure, sheet)


def _pieces(structure: Structure) -> list[_Piece]:
    return [_Piece(part, nodes) for part, nodes in parts_of(structure.main, structure, framed=True)]


# --- assembling parts


def parts_of(series: Series, structure: Structure, *, framed: bool) -> list[tuple[Part, list[int]]]:
    """The parts of a series, each with its nodes; ``framed``: forks stand in a frame, as blocks."""
    nodes = structure.nodes
    items = list(series.items)
    parts: list[tuple[Part, list[int]]] = []
    place = 0
    while place < len(items):
        item = items[place]
        place += 1
        if isinstance(item, int):
            parts.append((Box(item, nodes[item]), [item]))
        elif isinstance(item, Fork):
            join = -1
            if place < len(items) and isinstance(after := items[place], int) and nodes[after].is_join:
                join, place = after, place + 1
            branches = [row_of(branch, structure) for branch in item.branches if branch.items]
            shortcut = any(not branch.items for branch in item.branches)
            split = Split(branches, join, nodes[join] if join >= 0 else None, shortcut=shortcut)
            inside = [*nodes_in(item), *([join] if join >= 0 else [])]
            parts.append((Frame(split, name_of([inside], nodes), 1) if framed else split, inside))
        elif isinstance(item, Repeat):
            bodies = [list(nodes_in(body)) for body in item.bodies]
            body = row_of(item.body, structure)
            inside = [node for body_nodes in bodies for node in body_nodes]
            parts.append((Frame(body, name_of(bodies, nodes), len(bodies), bodies), inside))
        else:
            parts.append((Web(item, structure), list(item.nodes)))
    return parts


def row_of(series: Series, structure: Structure) -> Row:
    """A series as a part of something else."""
    return Row([part for part, _ in parts_of(series, structure, framed=False)])


# --- columns


@dataclass
class _Column:
    """Pieces one below the other, and the height and width that they take with all that hangs from them."""

    pieces: list[_Piece]
    axis: float
    width: float
    height: float


def _columns(pieces: Sequence[_Piece], sides: dict[int, list[Row]]) -> list[_Column]:
    """As many columns as make the picture about as wide as is wanted, of about equal heights."""
    best: tuple[float, list[_Column]] | None = None
    for count in range(1, min(len(pieces), 9) + 1):
        columns = [_column(group, sides) for group in _parted(pieces, count)]
        width = sum(column.width for column in columns) + GUTTER * (len(columns) - 1)
        height = max(column.height for column in columns)
        ratio = width / height
        off = max(ratio / WANTED, WANTED / ratio)
        if best is None or off < best[0]:
            best = (off, columns)
    return best[1] if best is not None else []


def _parted(pieces: Sequence[_Piece], count: int) -> list[list[_Piece]]:
    """``count`` groups of neighbours whose highest is as low as can be."""
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
    """How many columns of at most this height the pieces take."""
    columns, filled = 1, 0.0
    for height in heights:
        if filled + height > limit:
            columns, filled = columns + 1, 0.0
        filled += height
    return columns


def _column(pieces: list[_Piece], sides: dict[int, list[Row]]) -> _Column:
    label = max(text_width(piece.shape, 9) + 10 for piece in pieces)
    axis = max([label, *(piece.part.axis for piece in pieces)])
    width = axis + max(piece.part.width - piece.part.axis for piece in pieces)
    height = sum(piece.part.height for piece in pieces) + GAP * (len(pieces) - 1)
    hanging = [row for piece in pieces for node in piece.nodes for row in sides.get(node, [])]
    if hanging:
        width += ASIDE + max(row.width for row in hanging)
        height = max(height, _low_of_sides(pieces, sides))
    return _Column(pieces, axis, width, height)


def _low_of_sides(pieces: Sequence[_Piece], sides: dict[int, list[Row]]) -> float:
    """How far down what hangs from a column reaches: each row begins below its node, and below the one before."""
    y, low = 0.0, 0.0
    for piece in pieces:
        y += piece.part.height
        for node in piece.nodes:
            for row in sides.get(node, []):
                low = max(y + GAP, low + GAP) + row.height
        y += GAP
    return low


def _draw_columns(columns: Sequence[_Column], sides: dict[int, list[Row]], structure: Structure, sheet: Sheet) -> None:
    places = Places()
    x = 0.0
    leaving: Point | None = None
    ends: list[Point] = []
    for column in columns:
        axis, y = x + column.axis, 0.0
        if leaving is not None:
            lane = x - GUTTER / 2
            sheet.way(
                [leaving, (leaving[0], leaving[1] + 12), (lane, leaving[1] + 12), (lane, -14), (axis, -14), (axis, 0)]
            )
        low = 0.0
        inner = axis + max(piece.part.width - piece.part.axis for piece in column.pieces)
        for place, piece in enumerate(column.pieces):
            piece.part.draw(sheet, axis - piece.part.axis, y, places)
            y += piece.part.height
            for node in piece.nodes:
                for row in sides.get(node, []):
                    low = max(y + GAP, low + GAP)
                    start = places.right[node] if node != piece.nodes[-1] else (axis, y + 5)
                    dashed = structure.nodes[_first(row)].only_in_training
                    top = inner + ASIDE + row.axis
                    sheet.way([start, (top, start[1]), (top, low)], dashed=dashed)
                    row.draw(sheet, inner + ASIDE, low, places)
                    low += row.height
                    ends.append((inner + ASIDE + row.width, low - 12))
            last = place == len(column.pieces) - 1
            if not last:
                sheet.way([(axis, y), (axis, y + GAP)])
            if piece.shape:
                sheet.text(axis - 6, y + GAP / 2 + 3, piece.shape, size=9, colour=SOFT, anchor="end")
            if not last:
                y += GAP
        leaving = (axis, y)
        x += column.width + GUTTER
    if structure.collectors:
        _draw_collectors(structure, ends, x - GUTTER + ASIDE, sheet)


def _first(row: Row) -> int:
    part = row.parts[0]
    while isinstance(part, Row | Frame):
        part = part.parts[0] if isinstance(part, Row) else part.body
    if isinstance(part, Box):
        return part.number
    if isinstance(part, Web):
        return next(iter(part.boxes))
    if isinstance(part, Split):
        return _first(part.branches[0])
    raise TypeError(type(part).__name__)


def _draw_collectors(structure: Structure, ends: Sequence[Point], x: float, sheet: Sheet) -> None:
    """A bar at the right, in which all heads end."""
    colour = COLOURS["concatenation"]
    lines = [f"{shape_text(structure.nodes[i].output)}" for i in structure.collectors]
    top, bottom = min(y for _, y in ends) - 30, max(y for _, y in ends) + 30
    with sheet.hint("; ".join(structure.nodes[i].hint for i in structure.collectors)):
        sheet.rectangle(x, top, 30, bottom - top, fill=colour.fill, stroke=colour.stroke, radius=8)
        middle = (top + bottom) / 2
        sheet.text(x + 19, middle, "answers " + ", ".join(lines), turned=-90)
    for end in ends:
        sheet.way([end, (x, end[1])])

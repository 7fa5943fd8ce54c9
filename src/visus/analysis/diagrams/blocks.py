"""The parts of a flow diagram: boxes, forks, frames around blocks. The size of each part is known before drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from visus.analysis.diagrams.nodes import COLOURS, REMARKS, Node
from visus.analysis.diagrams.svg import INK, SOFT, Point, Sheet, text_width

GAP = 17.0  # between boxes, room for an arrow
BETWEEN = 16.0  # branches
STRIPE = 3.0
FRAME = "#f7f7f9"
FRAME_EDGE = "#d4d6dc"


@dataclass
class NodePositions:
    """The drawn nodes' positions: for each node the middle of its right edge."""

    right: dict[int, Point] = field(default_factory=dict)


class DiagramPart(Protocol):
    """A part of a diagram; its line enters at the top and leaves at the bottom, ``axis`` right of its left edge."""

    width: float
    height: float
    axis: float

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        """Draws the part with its upper left corner at (x, y)."""


class Box:
    """A layer: its label, and a stripe for each remark."""

    def __init__(self, number: int, node: Node) -> None:
        self.number, self.node = number, node
        self.before, self.after = visible(node.before), visible(node.after)
        self.label = node.label
        self.width = max(text_width(self.label, 11) + 20, 92)
        self.height = 22 + STRIPE * (len(self.before) + len(self.after))
        self.axis = self.width / 2

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        colour = COLOURS[self.node.kind]
        with sheet.hint(self.node.hint):
            sheet.rectangle(
                x, y, self.width, self.height, fill=colour.fill, stroke=colour.stroke, radius=4,
                dashed=self.node.only_in_training,
            )  # fmt: skip
            for index, remark in enumerate(self.before):
                _stripe(sheet, x, y + 1 + index * STRIPE, self.width, remark)
            for index, remark in enumerate(reversed(self.after)):
                _stripe(sheet, x, y + self.height - 1 - (index + 1) * STRIPE, self.width, remark)
            middle = y + STRIPE * len(self.before) + 15
            sheet.text(x + self.axis, middle, self.label)
        positions.right[self.number] = (x + self.width, y + self.height / 2)


class Joint:
    """A sum or product outside of a fork: a disc with its sign."""

    def __init__(self, number: int, node: Node) -> None:
        self.number, self.node = number, node
        self.width = self.height = 18.0
        self.axis = 9.0

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        with sheet.hint(self.node.hint):
            draw_sign(sheet, x + 9, y + 9, self.node)
        positions.right[self.number] = (x + 18, y + 9)


def draw_sign(sheet: Sheet, x: float, y: float, node: Node) -> None:
    """Draws a sum or product as a disc around (x, y); the edge has the colour of the activation that follows."""
    remarks = visible(node.after)
    if remarks:
        sheet.circle(x, y, 9, fill=REMARKS[meaning(remarks[-1])], stroke="none")
        sheet.circle(x, y, 6.6, fill="#ffffff", stroke="none")
    else:
        sheet.circle(x, y, 8.4, fill="#ffffff", stroke=COLOURS["sum"].stroke)
    for dx, dy in ((3.6, 0.0), (0.0, 3.6)) if node.label == "+" else ((2.6, 2.6), (2.6, -2.6)):
        sheet.way([(x - dx, y - dy), (x + dx, y + dy)], arrow=False, colour=INK)


def part_of(number: int, node: Node) -> Box | Joint:
    """The box or disc that shows one node."""
    return Joint(number, node) if node.kind == "sum" else Box(number, node)


class Stack:
    """Parts one below the other, with arrows between."""

    def __init__(self, parts: Sequence[DiagramPart]) -> None:
        self.parts = parts
        self.axis = max((part.axis for part in parts), default=0.0)
        self.width = self.axis + max((part.width - part.axis for part in parts), default=0.0)
        self.height = sum(part.height for part in parts) + GAP * max(len(parts) - 1, 0)

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        axis = x + self.axis
        for index, part in enumerate(self.parts):
            part.draw(sheet, axis - part.axis, y, positions)
            y += part.height
            if index < len(self.parts) - 1:
                sheet.way([(axis, y), (axis, y + GAP)], arrow=not isinstance(self.parts[index + 1], Split))
                y += GAP


class Split:
    """Branches side by side; they start at one point and end in a join node or in one point.

    Args:
        branches: from left to right.
        number, join: the node in which they end; None where they only meet.
        shortcut: whether a way leads past them.
    """

    LANE = 20.0

    def __init__(self, branches: Sequence[Stack], number: int, join: Node | None, *, shortcut: bool) -> None:
        self.branches, self.number, self.join, self.shortcut = branches, number, join, shortcut
        self.is_sum = join is not None and join.kind == "sum"
        self.top = 14.0 if len(branches) == 1 else 26.0
        self.tall = max((branch.height for branch in branches), default=0.0)
        self.lefts: list[float] = []
        x = 0.0
        for branch in branches:
            self.lefts.append(x)
            x += branch.width + BETWEEN
        self.inner = max(x - BETWEEN, 0.0)
        self.axes = [left + branch.axis for left, branch in zip(self.lefts, branches, strict=True)]
        self.axis = self._main_axis()
        self.lane = self.inner + self.LANE
        self.bar = self._bar() if join is not None and not self.is_sum else (0.0, 0.0)
        shift = -min(0.0, self.bar[0])
        if shift:
            self.lefts = [left + shift for left in self.lefts]
            self.axes = [axis + shift for axis in self.axes]
            self.axis, self.lane = self.axis + shift, self.lane + shift
            self.bar = (self.bar[0] + shift, self.bar[1] + shift)
        right = self.inner + shift
        self.width = max(right, self.lane + 2 if shortcut else right, self.bar[1], self.axis + 10)
        self.low = 18.0 if join is not None else 12.0
        self.join_height = 0.0 if join is None else 18.0
        self.height = self.top + self.tall + self.low + self.join_height

    def _main_axis(self) -> float:
        """The x position of the line in and out: at the highest branch if that is the main one, else in the middle."""
        sizes = sorted((branch.height for branch in self.branches), reverse=True)
        if not sizes:
            return 0.0
        leads = len(sizes) == 1 or (len(sizes) == 2 and self.is_sum)
        if leads:
            return self.axes[[branch.height for branch in self.branches].index(sizes[0])]
        return (self.axes[0] + self.axes[-1]) / 2

    def _bar(self) -> tuple[float, float]:
        """The left and right end of the bar that joins the branches."""
        ends = [*self.axes, self.axis, *([self.lane] if self.shortcut else [])]
        left, right = min(ends) - 14, max(ends) + 14
        needed = text_width(self.join.label, 10) + 20 if self.join is not None else 0.0
        spare = max(needed - (right - left), 0.0) / 2
        return left - spare, right + spare

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        axis, bottom = x + self.axis, y + self.top + self.tall
        join_y = bottom + self.low
        bus = y + 8
        for left, branch in zip(self.lefts, self.branches, strict=True):
            start = y + self.top + (self.tall - branch.height)
            way = x + left + branch.axis
            points = [(axis, y), (axis, bus), (way, bus), (way, start)] if way != axis else [(axis, y), (way, start)]
            sheet.way(points)
            branch.draw(sheet, x + left, start, positions)
            self._end(sheet, way, bottom, axis, join_y)
        if self.shortcut:
            lane = x + self.lane
            points = [(axis, y + 4), (lane, y + 4)]
            if self.is_sum:
                points += [(lane, join_y + 9), (axis + 9, join_y + 9)]
            else:
                points += [(lane, join_y)] if self.join is not None else [(lane, join_y), (axis, join_y)]
            sheet.way(points, radius=10, arrow=self.join is not None)
        self._draw_join(sheet, x, axis, join_y, positions)

    def _end(self, sheet: Sheet, way: float, bottom: float, axis: float, join_y: float) -> None:
        """Draws the line from the end of a branch to the join."""
        if self.join is None:
            sheet.way([(way, bottom), (way, join_y), (axis, join_y)], arrow=False)
        elif self.is_sum and way != axis:
            side = axis - 9 if way < axis else axis + 9
            sheet.way([(way, bottom), (way, join_y + 9), (side, join_y + 9)], radius=10)
        else:
            sheet.way([(way, bottom), (way, join_y)])

    def _draw_join(self, sheet: Sheet, x: float, axis: float, y: float, positions: NodePositions) -> None:
        if self.join is None:
            return
        colour = COLOURS[self.join.kind]
        with sheet.hint(self.join.hint):
            if self.is_sum:
                draw_sign(sheet, axis, y + 9, self.join)
                positions.right[self.number] = (axis + 9, y + 9)
            else:
                left, right = self.bar
                sheet.rectangle(
                    x + left, y, right - left, 18, fill=colour.fill, stroke=colour.stroke, radius=9,
                    dashed=self.join.only_in_training,
                )  # fmt: skip
                for index, remark in enumerate(visible(self.join.after)):
                    _stripe(sheet, x + left + 8, y + 18 - STRIPE * (index + 1), right - left - 16, remark)
                sheet.text(x + (left + right) / 2, y + 12.6, self.join.label, size=10)
                positions.right[self.number] = (x + right, y + 9)


class Frame:
    """A light frame around a block, with the block's name and the number of its repetitions."""

    SIDE = 12.0
    TOP = 22.0

    def __init__(self, body: DiagramPart, name: str, times: int, same: Sequence[Sequence[int]] = ()) -> None:
        self.body, self.times, self.same = body, times, same
        self.badge = f"× {times}" if times > 1 else ""
        self.width = max(body.width + 2 * self.SIDE, 96.0)
        self.axis = body.axis + (self.width - body.width) / 2
        # The way in passes through the line of the name, which stands on the side where there is more room.
        self.on_left = self.axis >= self.width / 2
        room = (self.axis if self.on_left else self.width - self.axis) - 14
        self.name = _shortened(name, room)
        self.bottom = 23.0 if self.badge else 10.0
        self.height = body.height + self.TOP + self.bottom

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        sheet.rectangle(x, y, self.width, self.height, fill=FRAME, stroke=FRAME_EDGE, radius=8)
        axis = x + self.axis
        if self.name:
            if self.on_left:
                sheet.text(x + 9, y + 13, self.name, size=8.5, colour=SOFT, anchor="start")
            else:
                sheet.text(x + self.width - 9, y + 13, self.name, size=8.5, colour=SOFT, anchor="end")
        sheet.way([(axis, y), (axis, y + self.TOP)], arrow=_boxed(self.body))
        self.body.draw(sheet, axis - self.body.axis, y + self.TOP, positions)
        sheet.way([(axis, y + self.TOP + self.body.height), (axis, y + self.height)], arrow=False)
        if self.badge:
            width = text_width(self.badge, 11, bold=True) + 12
            left = x + self.width - width - 6 if x + self.width - width - 10 > axis else x + 6
            sheet.rectangle(left, y + self.height - 21, width, 16, fill="#3d4350", radius=8)
            sheet.text(left + width / 2, y + self.height - 9, self.badge, colour="#ffffff", bold=True)
        for nodes in self.same:  # of bodies that are not drawn
            for mine, first in zip(nodes, self.same[0], strict=True):
                if first in positions.right:
                    positions.right[mine] = positions.right[first]


def _boxed(part: DiagramPart) -> bool:
    """Whether the part begins with a box, so that the line into it ends with an arrow."""
    return isinstance(part, Stack) and bool(part.parts) and not isinstance(part.parts[0], Split)


def visible(remarks: Sequence[str]) -> list[str]:
    """The remarks that are drawn as stripes."""
    return [remark for remark in remarks if remark != "flat"]


def meaning(remark: str) -> str:
    """The key of a remark in ``REMARKS``; all activations share the key "act"."""
    return remark if remark in REMARKS else "act"


def name_of(bodies: Sequence[Sequence[int]], nodes: Sequence[Node]) -> str:
    """The name of a block from its modules: "layer1.1", or "layer1.1 – layer1.2" for several bodies."""
    names = [_common([path for node in body for path in nodes[node].paths]) for body in bodies]
    first, last = names[0], names[-1]
    return first if first == last else f"{first} – {last}" if first and last else ""


def shape_text(shape: Sequence[int]) -> str:
    """A shape as text, such as "64×112×112"."""
    return "×".join(map(str, shape))


def _common(paths: Sequence[str]) -> str:
    split = [path.split(".") for path in paths]
    common = []
    for words in zip(*split, strict=False):
        if len(set(words)) > 1:
            break
        common.append(words[0])
    return ".".join(common)


def _shortened(text: str, room: float) -> str:
    """The text, or its last modules that fit into ``room``; "" if none fits."""
    first, dash, last = text.partition(" – ")
    if dash:
        tail = last.rpartition(".")[2]
        candidates = [text, *(f"{words} – {tail}" for words in _ends(first)), *_ends(first)]
    else:
        candidates = list(_ends(text))
    return next((words for words in candidates if text_width(words, 8.5) <= room), "")


def _ends(path: str) -> list[str]:
    """The ends of a path, the longest first: "a.b.c", "b.c", "c"."""
    words = path.split(".")
    return [".".join(words[start:]) for start in range(len(words))]


def _stripe(sheet: Sheet, x: float, y: float, width: float, remark: str) -> None:
    sheet.rectangle(x + 3, y, width - 6, STRIPE, fill=REMARKS[meaning(remark)])

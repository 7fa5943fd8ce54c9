"""Draws networks without branches, and U-shaped ones, as a row of volumes like the figures of AlexNet and U-Net.

A volume's height and depth stand for the sides of a map, its thickness for the channels, all by their square roots;
vectors are bars. A network that gets narrower and wider again descends and ascends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from visus.analysis.diagrams.blocks import meaning, shape_text, visible
from visus.analysis.diagrams.nodes import COLOURS, REMARKS, Node
from visus.analysis.diagrams.structure import Fork, Item, Repeat, Series, Structure
from visus.analysis.diagrams.svg import INK, LINE, SOFT, Colour, Sheet, text_width

HIGHEST = 150.0
SLOPE = (0.30, 0.20)  # of the depth, to the right and up, in shares of the height
TURN = 40.0  # degrees, of the labels
LABEL = 10.0
MOST = 64  # volumes
STEP = 1.6  # from a map to one that is smaller by this factor it is a level down


@dataclass
class _Volume:
    """A node drawn as a volume, with its size and position.

    Args:
        node: what it is.
        level: how far down in a U.
        rising: whether it stands on the right side of a U.
        times: how often the part comes that ends here; 0 within such a part or outside of any.
        begins: the index of the first volume of that part.
        copied: of a concatenation that stands for a transposed convolution too: the channels that come from afar.
    """

    node: Node
    level: int = 0
    rising: bool = False
    times: int = 0
    begins: int = 0
    copied: int = 0
    x: float = 0.0
    axis: float = 0.0
    thickness: float = 0.0
    height: float = 0.0
    run: bool = False  # whether the label of its size stands above it

    @property
    def is_vector(self) -> bool:
        return len(self.node.output) < 3 or self.node.output[1:] == (1, 1)

    @property
    def across(self) -> float:
        """Width in pixels of the side face."""
        return 5.0 if self.is_vector else SLOPE[0] * self.height

    @property
    def up(self) -> float:
        """Height in pixels of the top face."""
        return 4.0 if self.is_vector else SLOPE[1] * self.height

    @property
    def top(self) -> float:
        """The upper edge of the front face."""
        return self.axis - self.height / 2 + self.up / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height


def can_draw_volumes(structure: Structure) -> bool:
    """Whether the network is a plain row, or a U with shortcuts between its two sides."""
    if structure.sides or structure.collectors:
        return False
    order = _row(structure) or _descent(structure.main)
    return order is not None and 0 < len(order) <= MOST


def draw_volumes(structure: Structure, shape: tuple[int, int, int], sheet: Sheet) -> None:
    """Draws the network onto the sheet, from left to right."""
    image = Node("image", f"image, {shape[0]}", shape, [], [""])
    row = _row(structure)
    volumes = [_Volume(image)]
    if row is not None:
        volumes += [replace(volume, begins=volume.begins + 1) for volume in row]
        skips: list[tuple[int, int]] = []
    else:
        volumes, skips = _both_sides(volumes, structure)
        _set_levels(volumes)
    _measure(volumes)
    _place(volumes)
    _draw_ways(volumes, skips, sheet)
    for volume in volumes:
        _draw(volume, sheet)
    _draw_labels(volumes, sheet)
    _draw_repeats(volumes, sheet)


def _row(structure: Structure) -> list[_Volume] | None:
    """The volumes of a network without forks; None if it has one."""
    volumes: list[_Volume] = []
    for item in structure.main.items:
        if isinstance(item, int):
            volumes.append(_Volume(structure.nodes[item]))
        elif isinstance(item, Repeat) and all(isinstance(part, int) for part in item.body.items):
            begins = len(volumes)
            volumes += [_Volume(structure.nodes[part]) for part in item.body.items if isinstance(part, int)]
            volumes[-1].times, volumes[-1].begins = len(item.bodies), begins
        else:
            return None
    return volumes


def _descent(main: Series) -> list[int] | None:
    """The nodes of a U-shaped network, in order; None for any other form.

    In a U every fork has two branches, one of them a shortcut, and the other branch contains the next fork.
    """
    order: list[int] = []
    depth = 0

    def follow(items: Sequence[Item], level: int) -> bool:
        nonlocal depth
        depth = max(depth, level)
        for item in items:
            if isinstance(item, int):
                order.append(item)
            elif isinstance(item, Fork) and len(item.branches) == 2 and sum(not b.items for b in item.branches) == 1:
                inner = next(branch for branch in item.branches if branch.items)
                if not follow(inner.items, level + 1):
                    return False
            else:
                return False
        return True

    return order if follow(main.items, 0) and depth >= 2 else None


def _both_sides(volumes: Sequence[_Volume], structure: Structure) -> tuple[list[_Volume], list[tuple[int, int]]]:
    """The volumes of a U, and the pairs joined by shortcuts. A concatenation includes the up-convolution before it."""
    nodes = structure.nodes
    all_volumes = list(volumes)
    volume_of_node: dict[int, int] = {}
    skips = []
    previous = -1
    for i in _descent(structure.main) or []:
        node, last = nodes[i], all_volumes[-1].node
        far = [source for source in node.inputs if source in volume_of_node and source != previous]
        previous = i
        copied = 0
        if node.kind == "concatenation" and last.kind == "upward" and len(far) == 1:
            copied = nodes[far[0]].output[0]
            label = last.label.rpartition(",")[0]
            node = replace(node, label=f"{label} | copy, {node.output[0]}", paths=[*last.paths, *node.paths])
            all_volumes.pop()
        all_volumes.append(_Volume(node, copied=copied))
        volume_of_node[i] = len(all_volumes) - 1
        skips += [(volume_of_node[source], volume_of_node[i]) for source in far]
    return all_volumes, skips


def _set_levels(volumes: Sequence[_Volume]) -> None:
    level, deepest = 0, 0
    for before, volume in pairwise(volumes):
        side, was = _side(volume.node), _side(before.node)
        level += 1 if was >= STEP * side else -1 if side >= STEP * was else 0
        volume.level = max(level, 0)
        volume.rising = volume.level < deepest or (before.rising and volume.level <= deepest)
        deepest = max(deepest, volume.level)


def _side(node: Node) -> int:
    return max(node.output[1:]) if len(node.output) == 3 else 1


def _measure(volumes: Sequence[_Volume]) -> None:
    largest = max(_side(volume.node) for volume in volumes)
    highest = HIGHEST if all(volume.level == 0 for volume in volumes) else HIGHEST * 0.75
    for volume in volumes:
        channels = volume.node.output[0]
        if volume.is_vector:
            volume.thickness = 7.0
            volume.height = 14.0 + 1.7 * math.sqrt(channels)
        else:
            volume.thickness = 4.0 + 0.75 * math.sqrt(channels)
            volume.height = max(highest * math.sqrt(_side(volume.node) / largest), 12.0)


def _place(volumes: Sequence[_Volume]) -> None:
    """Sets each volume's position, and whether its size is written above it."""
    axes = _axes(volumes)
    x = 0.0
    free = dict.fromkeys(axes, -math.inf)  # where the next label of a size may begin
    for index, volume in enumerate(volumes):
        before = volumes[index - 1] if index else None
        volume.axis = axes[volume.level]
        new = before is None or volume.node.output[1:] != before.node.output[1:] or volume.level != before.level
        volume.run = new and not volume.is_vector
        if before is not None:
            same = not new or (volume.is_vector and before.is_vector)
            gap = 7.0 if same and not volume.is_vector else 12.0
            room = before.across if before.height > volume.height * 1.05 and volume.level == before.level else 0.0
            x = before.x + before.thickness + max(gap, room * 0.75 + gap / 2, 17.0 - before.thickness)
        if volume.run:
            width = text_width(_size_text(volume.node), 9.5)
            middle = (volume.thickness + volume.across) / 2
            if (
                before is not None
                and before.level == volume.level
                and before.top - before.up < volume.top - volume.up - 4
            ):
                free[volume.level] = max(free[volume.level], before.x + before.thickness + before.across + 3)
            if before is not None and before.level < volume.level:  # the way down passes beside the label
                x = max(x, before.x + (before.thickness + before.across) / 2 + 5 + max(width / 2 - middle, 11))
            if before is not None and before.level > volume.level:  # the way up, beside the label of the last
                x = max(x, free[before.level] - volume.thickness / 2, before.x + before.thickness + before.across + 6)
            x = max(x, free[volume.level] - middle + width / 2)
            free[volume.level] = x + middle + width / 2 + 7
        volume.x = x


def _axes(volumes: Sequence[_Volume]) -> dict[int, float]:
    """The vertical position of each level's middle."""
    heights: dict[int, float] = {}
    for volume in volumes:
        heights[volume.level] = max(heights.get(volume.level, 0.0), volume.height + volume.up)
    axes, y, last = {}, 0.0, 0.0
    for level in sorted(heights):
        y += (last + heights[level]) / 2 + (44 if level else 0)
        axes[level], last = y, heights[level]
    return axes


def _draw_ways(volumes: Sequence[_Volume], skips: Sequence[tuple[int, int]], sheet: Sheet) -> None:
    """Draws the line through all volumes, behind them, and the shortcuts."""
    for before, volume in pairwise(volumes):
        start = (before.x + before.thickness / 2 + before.across / 2, before.axis)
        end = (volume.x + 1, volume.axis)
        if volume.level == before.level:
            sheet.way([start, end], arrow=False)
        elif volume.level > before.level:
            corner = (before.x + before.thickness / 2 + before.across / 2, volume.axis)
            sheet.way([start, corner, end])
        else:
            part = (
                0.5 + volume.copied / volume.node.output[0] / 2
            )  # of the thickness, where what comes from below stands
            middle = volume.x + volume.thickness * part
            sheet.way([start, (middle, before.axis), (middle, volume.bottom + 1)])
    for source, target in skips:
        one, other = volumes[source], volumes[target]
        y = other.axis
        sheet.way(
            [(one.x + one.thickness + one.across + 2, y), (other.x - 2, y)], colour=COLOURS["concatenation"].stroke
        )


def _draw(volume: _Volume, sheet: Sheet) -> None:
    colour = COLOURS[volume.node.kind]
    x, y, t, h = volume.x, volume.top, volume.thickness, volume.height
    dx, dy = volume.across, volume.up
    with sheet.hint(volume.node.hint if volume.node.paths != [""] else volume.node.label):
        sheet.polygon(
            [(x, y), (x + dx, y - dy), (x + t + dx, y - dy), (x + t, y)], fill=_lighter(colour), stroke=colour.stroke
        )
        sheet.polygon(
            [(x + t, y), (x + t + dx, y - dy), (x + t + dx, y + h - dy), (x + t, y + h)],
            fill=colour.shade,
            stroke=colour.stroke,
        )
        sheet.polygon([(x, y), (x + t, y), (x + t, y + h), (x, y + h)], fill=colour.fill, stroke=colour.stroke)
        if volume.copied:
            left = x + t * volume.copied / volume.node.output[0]
            below = COLOURS["upward"]
            sheet.polygon([(left, y), (x + t, y), (x + t, y + h), (left, y + h)], fill=below.fill, stroke=below.stroke)
        remarks = visible(volume.node.after)[-2:]
        for index, remark in enumerate(reversed(remarks)):
            sheet.rectangle(x + t - 2.4 * (index + 1) - 0.4, y + 0.5, 2.2, h - 1, fill=REMARKS[meaning(remark)])


def _lighter(colour: Colour) -> str:
    """The face colour half-way to white."""
    parts = [int(colour.fill[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{(part + 255) // 2:02x}" for part in parts)


def _draw_labels(volumes: Sequence[_Volume], sheet: Sheet) -> None:
    """Writes each volume's label aslant below it, and the sizes of maps above."""
    for volume in volumes:
        if volume.run:
            middle = volume.x + (volume.thickness + volume.across) / 2
            sheet.text(middle, volume.top - volume.up - 7, _size_text(volume.node), size=9.5, colour=SOFT)
    left = [volume for volume in volumes if not volume.rising]
    right = [volume for volume in volumes if volume.rising]
    _draw_aslant(left, -1, volumes, sheet)
    _draw_aslant(right[::-1], 1, volumes, sheet)


def _draw_aslant(labelled: Sequence[_Volume], sign: int, volumes: Sequence[_Volume], sheet: Sheet) -> None:
    """Writes labels that lead down to the left (sign -1) or to the right (1).

    Each label stands below all volumes that it passes, and at least a line away from every other label.
    """
    slant = math.radians(TURN)
    sine, cosine = math.sin(slant), math.cos(slant)
    lines: list[tuple[float, float, float]] = []  # each label: how low its line is, and from where to where along it
    for volume in labelled:
        label = volume.node.label
        x = volume.x + volume.thickness / 2
        if sign > 0 and volume.copied:  # the way up ends here
            x = volume.x + volume.thickness + 1
        length = text_width(label, LABEL)
        first, last = sorted((x, x + sign * (length * cosine + 8)))
        near = [o for o in volumes if o.level == volume.level and o.x + o.thickness >= first and o.x <= last]
        y = max(other.bottom for other in (volume, *near)) + 11
        while True:
            low = y * cosine - sign * x * sine
            end = sign * x * cosine + y * sine  # along the line
            crossed = [o for o in lines if abs(o[0] - low) < LABEL * 1.15 and o[1] < end + length and end < o[2]]
            if not crossed:
                break
            y = (max(o[0] for o in crossed) + LABEL * 1.16 + sign * x * sine) / cosine
        lines.append((low, end, end + length))
        anchor = "start" if sign > 0 else "end"
        sheet.text(x, y, label, size=LABEL, colour=INK, anchor=anchor, turned=TURN * sign)


def _draw_repeats(volumes: Sequence[_Volume], sheet: Sheet) -> None:
    """Draws a bracket above each part that repeats."""
    for index, volume in enumerate(volumes):
        if volume.times < 2:
            continue
        part = volumes[volume.begins : index + 1]
        left, right = part[0].x, volume.x + volume.thickness + volume.across
        y = min(v.top - v.up for v in part) - 24
        sheet.way([(left, y + 5), (left, y), (right, y), (right, y + 5)], arrow=False, colour=LINE, radius=3)
        text = f"× {volume.times}"
        width = text_width(text, 11, bold=True) + 12
        middle = (left + right) / 2
        sheet.rectangle(middle - width / 2, y - 9, width, 16, fill="#3d4350", radius=8)
        sheet.text(middle, y + 3, text, colour="#ffffff", bold=True)


def _size_text(node: Node) -> str:
    return shape_text(node.output[1:])

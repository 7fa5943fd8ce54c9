"""Draws a general graph in layers: every edge leads down, and few lines cross.

The four steps are those of Sugiyama, Tagawa and Toda (Methods for visual understanding of hierarchical system
structures, IEEE Transactions on Systems, Man, and Cybernetics 11, 1981):

1. Cycles are removed. A forward pass has none; modules drawn as one box can have them, and are merged (``_grouped``).
2. Each box gets a layer, below all boxes that lead to it. A line that passes a layer gets a slot of its own in it.
3. The slots of each layer are ordered, so that few lines cross: each near the mean of the slots that it is joined to.
4. The slots of each layer get coordinates: as near to that mean as the widths allow.

Steps 3 and 4 take turns, layer by layer, in sweeps down and up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from visus.analysis.diagrams.blocks import GAP, NodePositions, name_of, part_of, shape_text
from visus.analysis.diagrams.nodes import Node
from visus.analysis.diagrams.structure import Dag, Structure
from visus.analysis.diagrams.svg import Point, Sheet

APART = 14.0  # between neighbours in a layer
SWEEPS = 12
LANE = 10.0  # the width that a passing line takes
MOST = 40  # nodes; more are drawn as the modules that they belong to


class Slot(NamedTuple):
    """A position in a layer: a box, or a point where a line passes the layer.

    Args:
        number: of the box's node; for a line, a number above those of all nodes.
        layer: from 0, downwards.
    """

    number: int
    layer: int


class Layers:
    """A graph as layers of boxes; lines pass between the boxes of a layer.

    Args:
        dag: the nodes to draw.
        structure: the network that they belong to.
    """

    def __init__(self, dag: Dag, structure: Structure) -> None:
        nodes, self.members = _grouped(dag, structure)  # step 1
        inside = set(self.members)
        self.boxes = {i: part_of(i, nodes[i]) for i in self.members}
        self.edges = [(s, i) for i in self.members for s in dict.fromkeys(nodes[i].inputs) if s in inside]
        self.entries = [i for i in self.members if any(s not in inside for s in nodes[i].inputs) or not nodes[i].inputs]
        self.exits = [i for i in self.members if all(s != i for s, _ in self.edges)]
        self.layer_of = self._layers_of_boxes()
        layers, self.lines = self._slots()
        self.centres = self._arranged(layers)  # x of each slot
        left = min(self.centres[slot] - self._width(slot) / 2 for layer in layers for slot in layer)
        self.centres = {slot: centre - left for slot, centre in self.centres.items()}
        self.width = max(self.centres[slot] + self._width(slot) / 2 for layer in layers for slot in layer)
        self.tops, self.height = self._heights(layers)  # y of each layer, and of the end
        last = [line[-1] for line in self.lines[-len(self.exits) :]]
        self.axis = _mean([self.centres[slot] for slot in last], self.width / 2)

    def _layers_of_boxes(self) -> dict[int, int]:
        """Step 2: each box stands one layer below the lowest box that leads to it (the longest path from an entry)."""
        layer_of: dict[int, int] = {}
        for i in self.members:  # in the order of the pass, so that sources come first
            layer_of[i] = max((layer_of[source] + 1 for source, end in self.edges if end == i), default=0)
        return layer_of

    def _slots(self) -> tuple[list[list[Slot]], list[list[Slot]]]:
        """Step 2, continued: the slots of each layer, and each line as the slots that it joins, from top to bottom.

        Lines are the entries from above the first layer, the edges, and the exits to below the last layer.
        """
        layers: list[list[Slot]] = [[] for _ in range(max(self.layer_of.values()) + 1)]
        for i, layer in self.layer_of.items():
            layers[layer].append(Slot(i, layer))
        lines: list[list[Slot]] = []
        number = max(self.boxes) + 1
        ends: list[tuple[int | None, int | None]] = [
            *((None, i) for i in self.entries),
            *self.edges,
            *((i, None) for i in self.exits),
        ]
        for start, end in ends:
            first = 0 if start is None else self.layer_of[start] + 1
            last = len(layers) if end is None else self.layer_of[end]
            passed = [Slot(number, layer) for layer in range(first, last)]
            for slot in passed:
                layers[slot.layer].append(slot)
            number += 1
            above = [] if start is None else [Slot(start, self.layer_of[start])]
            below = [] if end is None else [Slot(end, self.layer_of[end])]
            lines.append([*above, *passed, *below])
        return layers, lines

    def _arranged(self, layers: Sequence[list[Slot]]) -> dict[Slot, float]:
        """Steps 3 and 4: sorts the slots of each layer in place, and gives the x of every slot's centre."""
        above: dict[Slot, list[Slot]] = {slot: [] for layer in layers for slot in layer}
        below: dict[Slot, list[Slot]] = {slot: [] for layer in layers for slot in layer}
        for line in self.lines:
            for upper, lower in pairwise(line):
                below[upper].append(lower)
                above[lower].append(upper)
        centres = {slot: index * 100.0 for layer in layers for index, slot in enumerate(layer)}
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            joined = above if down else below
            for layer in layers if down else layers[::-1]:
                # Step 3, crossing reduction: in the order of the means (barycentres) of the slots that they are joined
                # to in the layer done before.
                wished = {slot: _mean([centres[other] for other in joined[slot]], centres[slot]) for slot in layer}
                layer.sort(key=wished.__getitem__)
                centres.update(self._spaced(layer, wished))  # step 4
        return centres

    def _spaced(self, layer: Sequence[Slot], wished: Mapping[Slot, float]) -> dict[Slot, float]:
        """Step 4, coordinates: as near to the wished ones as the widths allow.

        Slots are pushed to the right, from the left one on, until none overlap; then to the left, from the right one
        on; the mean of both keeps the layer in the middle, and its slots apart.
        """
        halves = [(self._width(one) + self._width(other)) / 2 for one, other in pairwise(layer)]
        to_right = [wished[slot] for slot in layer]
        for index, half in enumerate(halves):
            to_right[index + 1] = max(to_right[index + 1], to_right[index] + half + APART)
        to_left = [wished[slot] for slot in layer]
        for index, half in reversed(list(enumerate(halves))):
            to_left[index] = min(to_left[index], to_left[index + 1] - half - APART)
        return {slot: (one + other) / 2 for slot, one, other in zip(layer, to_right, to_left, strict=True)}

    def _heights(self, layers: Sequence[Sequence[Slot]]) -> tuple[list[float], float]:
        """The y of each layer's top, and of the lower end of the drawing."""
        tops = []
        y = 24.0 if len(self.entries) > 1 else GAP
        for layer in layers:
            tops.append(y)
            boxes = [self.boxes[slot.number].height for slot in layer if slot.number in self.boxes]
            y += max(boxes, default=10.0) + 2 * GAP
        return tops, y

    def _width(self, slot: Slot) -> float:
        return self.boxes[slot.number].width if slot.number in self.boxes else LANE

    def draw(self, sheet: Sheet, x: float, y: float, positions: NodePositions) -> None:
        axis, end = x + self.axis, y + self.height
        for number, line in enumerate(self.lines):
            enters, leaves = number < len(self.entries), number >= len(self.lines) - len(self.exits)
            points: list[Point] = []
            for index, slot in enumerate(line):
                centre, top = x + self.centres[slot], y + self.tops[slot.layer]
                if slot.number in self.boxes:  # from the lower edge of its first box to the upper edge of its last
                    starts = index == 0 and not enters
                    points.append((centre, top + (self.boxes[slot.number].height if starts else 0)))
                else:
                    points += [(centre, top - 4), (centre, top + 26)]
            if enters:
                points = [(axis, y), (axis, y + 8), (points[0][0], y + 8), *points]
            if leaves:
                points += [(points[-1][0], end - 8), (axis, end - 8), (axis, end)]
            sheet.way(points, radius=9 if enters or leaves else 14, arrow=not leaves)
        for i, box in self.boxes.items():
            layer = self.layer_of[i]
            box.draw(sheet, x + self.centres[Slot(i, layer)] - box.axis, y + self.tops[layer], positions)
            for member in self.members[i]:
                positions.right[member] = positions.right[i]


def _grouped(dag: Dag, structure: Structure) -> tuple[list[Node], dict[int, list[int]]]:
    """The nodes to draw, and the members of each; more than ``MOST`` nodes are drawn as their modules.

    Of all depths of module names, the one with the most boxes is taken that needs no more than ``MOST``.
    """
    nodes = structure.nodes
    single = {i: [i] for i in dag.nodes}
    if len(dag.nodes) <= MOST:
        return nodes, single
    best: dict[int, list[int]] = {}
    for depth in range(1, 6):
        groups: dict[str, list[int]] = {}
        for i in dag.nodes:
            groups.setdefault(".".join(nodes[i].paths[0].split(".")[:depth]), []).append(i)
        if len(groups) > MOST:
            break
        ordered = _without_cycles(list(groups.values()), nodes)
        if len(ordered) > len(best):
            best = {members[-1]: members for members in ordered}
    if len(best) < 2:
        return nodes, single
    box_of = {member: last for last, members in best.items() for member in members}
    merged = list(nodes)
    for last, members in best.items():
        if len(members) > 1:
            merged[last] = _block(last, members, box_of, nodes)
        else:
            inputs = list(dict.fromkeys(box_of.get(source, source) for source in nodes[last].inputs))
            merged[last] = replace(nodes[last], inputs=inputs)
    return merged, best


def _without_cycles(groups: list[list[int]], nodes: list[Node]) -> list[list[int]]:
    """Step 1: the groups, each after all groups that lead to it; groups on one cycle are merged."""
    group_of = {member: number for number, members in enumerate(groups) for member in members}
    sources = [
        {group_of[s] for i in members for s in nodes[i].inputs if s in group_of} - {number}
        for number, members in enumerate(groups)
    ]
    for middle in range(len(groups)):  # Warshall's closure: the groups that lead to each, over any number of others
        for number in range(len(groups)):
            if middle in sources[number]:
                sources[number] |= sources[middle]
    merged: list[list[int]] = []
    done: set[int] = set()
    for number in sorted(range(len(groups)), key=lambda number: len(sources[number] | {number})):
        if number not in done:
            cycle = [number, *(o for o in sources[number] if o != number and number in sources[o])]
            done |= set(cycle)
            merged.append(sorted(member for o in cycle for member in groups[o]))
    return merged


def _block(last: int, members: list[int], box_of: dict[int, int], nodes: list[Node]) -> Node:
    """One node for all members of a module; ``last`` is the number of its box."""
    inputs = [box_of.get(source, source) for i in members for source in nodes[i].inputs]
    module = name_of([members], nodes) or nodes[members[0]].paths[0].partition(".")[0] or f"{len(members)} layers"
    leaving = {s for i, node in enumerate(nodes) if box_of.get(i) != last for s in node.inputs if box_of.get(s) == last}
    shape = f", {shape_text(nodes[last].output)}" if leaving <= {last} else ""
    return Node(
        kind="block",
        label=f"{module}{shape}",
        output=nodes[last].output,
        inputs=[source for source in dict.fromkeys(inputs) if source != last],
        paths=[path for i in members for path in nodes[i].paths],
        parameters=sum(nodes[i].parameters for i in members),
        macs=sum(nodes[i].macs for i in members),
    )


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default

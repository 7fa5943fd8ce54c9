"""What neither stands in a row nor side by side: nodes in layers, and lines between them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from visus.analysis.diagrams.blocks import GAP, Places, name_of, part_of, shape_text
from visus.analysis.diagrams.nodes import Node
from visus.analysis.diagrams.structure import Structure, Tangle
from visus.analysis.diagrams.svg import Point, Sheet

APART = 14.0
SWEEPS = 12
LANE = 10.0  # the width that a passing line takes
MOST = 40  # nodes; more are drawn as the modules that they belong to


class Web:
    """Layers of boxes, each below all that lead to it (Sugiyama's way); lines pass between the boxes of a layer."""

    def __init__(self, tangle: Tangle, structure: Structure) -> None:
        nodes, chosen = _grouped(tangle, structure)
        self.boxes = {i: part_of(i, nodes[i]) for i in chosen}
        self.members = chosen
        inside = set(chosen)
        self.edges = [(s, i) for i in chosen for s in dict.fromkeys(nodes[i].inputs) if s in inside]
        self.entries = [i for i in chosen if any(s not in inside for s in nodes[i].inputs) or not nodes[i].inputs]
        self.exits = [i for i in chosen if all(s != i for s, _ in self.edges)]
        depth: dict[int, int] = {}
        for i in chosen:
            depth[i] = max((depth[s] + 1 for s, e in self.edges if e == i), default=0)
        self.depth = depth
        self._lay_out()

    def _lay_out(self) -> None:
        rows: list[list[tuple[int, int]]] = [[] for _ in range(max(self.depth.values()) + 1)]
        self.ways: list[list[tuple[int, int]]] = []  # each edge as the slots that it passes
        for i, layer in self.depth.items():
            rows[layer].append((i, layer))
        passing = max(self.boxes) + 1
        whole: list[tuple[int | None, int | None]] = [
            *((None, i) for i in self.entries),
            *self.edges,
            *((i, None) for i in self.exits),
        ]
        for start, end in whole:  # None: what comes before and after
            first = 0 if start is None else self.depth[start] + 1
            last = len(rows) if end is None else self.depth[end]
            between = [(passing, layer) for layer in range(first, last)]
            for slot in between:
                rows[slot[1]].append(slot)
            passing += 1
            starts = [] if start is None else [(start, self.depth[start])]
            ends = [] if end is None else [(end, self.depth[end])]
            self.ways.append([*starts, *between, *ends])
        below: dict[tuple[int, int], list[tuple[int, int]]] = {slot: [] for row in rows for slot in row}
        above: dict[tuple[int, int], list[tuple[int, int]]] = {slot: [] for row in rows for slot in row}
        for way in self.ways:
            for upper, lower in pairwise(way):
                below[upper].append(lower)
                above[lower].append(upper)
        centres = {slot: place * 100.0 for row in rows for place, slot in enumerate(row)}
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for row in rows if down else rows[::-1]:
                near = above if down else below
                wish = {s: _mean([centres[n] for n in near[s]], centres[s]) for s in row}
                row.sort(key=lambda slot, wish=wish: wish[slot])  # type: ignore[misc]
                self._place(row, wish, centres)
        left = min(centres[s] - self._width(s) / 2 for row in rows for s in row)
        self.centres = {slot: centre - left for slot, centre in centres.items()}
        self.width = max(self.centres[s] + self._width(s) / 2 for row in rows for s in row)
        self.tops: list[float] = []
        y = 24.0 if len(self.entries) > 1 else GAP
        for row in rows:
            self.tops.append(y)
            y += max((self.boxes[s[0]].height for s in row if s[0] in self.boxes), default=10.0) + 2 * GAP
        self.height = y
        self.axis = _mean([self.centres[way[-1]] for way in self.ways[-len(self.exits) :]], self.width / 2)

    def _place(
        self, row: list[tuple[int, int]], wish: dict[tuple[int, int], float], centres: dict[tuple[int, int], float]
    ) -> None:
        """As near to the wishes as the widths allow, from the left and from the right, and the mean of both."""
        from_left: list[float] = []
        for place, slot in enumerate(row):
            least = (
                from_left[-1] + (self._width(row[place - 1]) + self._width(slot)) / 2 + APART if place else wish[slot]
            )
            from_left.append(max(wish[slot], least))
        from_right: list[float] = []
        for place, slot in enumerate(reversed(row)):
            before = row[len(row) - place] if place else slot
            most = from_right[-1] - (self._width(before) + self._width(slot)) / 2 - APART if place else wish[slot]
            from_right.append(min(wish[slot], most))
        for slot, one, other in zip(row, from_left, reversed(from_right), strict=True):
            centres[slot] = (one + other) / 2

    def _width(self, slot: tuple[int, int]) -> float:
        return self.boxes[slot[0]].width if slot[0] in self.boxes else LANE

    def draw(self, sheet: Sheet, x: float, y: float, places: Places) -> None:
        axis, end = x + self.axis, y + self.height
        for number, way in enumerate(self.ways):
            begins, leaves = number < len(self.entries), number >= len(self.ways) - len(self.exits)
            points: list[Point] = []
            for place, slot in enumerate(way):
                centre, top = x + self.centres[slot], y + self.tops[slot[1]]
                if slot[0] in self.boxes:
                    points.append((centre, top + (self.boxes[slot[0]].height if place == 0 and not begins else 0)))
                else:
                    points += [(centre, top - 4), (centre, top + 26)]
            if begins:
                points = [(axis, y), (axis, y + 8), (points[0][0], y + 8), *points]
            if leaves:
                points += [(points[-1][0], end - 8), (axis, end - 8), (axis, end)]
            sheet.way(points, radius=9 if begins or leaves else 14, arrow=not leaves)
        for i, box in self.boxes.items():
            centre = x + self.centres[i, self.depth[i]]
            box.draw(sheet, centre - box.axis, y + self.tops[self.depth[i]], places)
            for member in self.members[i]:
                places.right[member] = places.right[i]


def _grouped(tangle: Tangle, structure: Structure) -> tuple[list[Node], dict[int, list[int]]]:
    """The nodes to draw, and for each what it stands for: of very many, the modules that they belong to."""
    nodes = structure.nodes
    single = {i: [i] for i in tangle.nodes}
    if len(tangle.nodes) <= MOST:
        return nodes, single
    best: dict[int, list[int]] = {}
    for depth in range(1, 6):
        groups: dict[str, list[int]] = {}
        for i in tangle.nodes:
            groups.setdefault(".".join(nodes[i].paths[0].split(".")[:depth]), []).append(i)
        if len(groups) > MOST:
            break
        ordered = _in_order(list(groups.values()), nodes)
        if len(ordered) > len(best):
            best = {members[-1]: members for members in ordered}
    if len(best) < 2:
        return nodes, single
    name = {member: last for last, members in best.items() for member in members}
    merged = list(nodes)
    for last, members in best.items():
        if len(members) > 1:
            merged[last] = _block(last, members, name, nodes)
        else:
            merged[last] = replace(nodes[last], inputs=list(dict.fromkeys(name.get(s, s) for s in nodes[last].inputs)))
    return merged, best


def _in_order(groups: list[list[int]], nodes: list[Node]) -> list[list[int]]:
    """The groups, each behind all that lead to it; those that lead to one another become one."""
    group_of = {member: place for place, members in enumerate(groups) for member in members}
    reached = [
        {group_of[s] for i in members for s in nodes[i].inputs if s in group_of} - {place}
        for place, members in enumerate(groups)
    ]  # from where each is reached
    for middle in range(len(groups)):
        for place in range(len(groups)):
            if middle in reached[place]:
                reached[place] |= reached[middle]
    merged: list[list[int]] = []
    taken: set[int] = set()
    for place in sorted(range(len(groups)), key=lambda place: len(reached[place] | {place})):
        if place not in taken:
            together = [place, *(o for o in reached[place] if o != place and place in reached[o])]
            taken |= set(together)
            merged.append(sorted(member for o in together for member in groups[o]))
    return merged


def _block(last: int, members: list[int], name: dict[int, int], nodes: list[Node]) -> Node:
    """One node for all members of a module."""
    inputs = [name.get(source, source) for i in members for source in nodes[i].inputs]
    module = name_of([members], nodes) or nodes[members[0]].paths[0].partition(".")[0] or f"{len(members)} layers"
    leaving = {s for i, node in enumerate(nodes) if name.get(i) != last for s in node.inputs if name.get(s) == last}
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

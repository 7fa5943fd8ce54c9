"""The structure of a network: series, forks and repeats of nodes; what is none of them is a general graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from visus.analysis.diagrams.nodes import Node
from visus.analysis.line import IMAGE

LONGEST = 8  # items of a pattern that is looked for over and over


@dataclass(frozen=True, slots=True)
class Fork:
    """Branches side by side between two nodes; an empty branch is a shortcut."""

    branches: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Dag:
    """A general directed acyclic graph: nodes that form neither a series nor a fork."""

    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Equal parts one after another; ``bodies`` are all of them, and the first is drawn."""

    bodies: tuple[Series, ...]

    @property
    def body(self) -> Series:
        return self.bodies[0]


Item = int | Fork | Dag | Repeat


@dataclass(frozen=True, slots=True)
class Series:
    """Items one after another; an item that is a number is a node."""

    items: tuple[Item, ...] = ()


@dataclass
class Structure:
    """The structure of a whole network.

    Args:
        nodes: all of them, by number.
        main: from the image to the outputs.
        sides: by the node from which they hang (-1 is the image): what a training alone runs, and, where the network
            collects answers from several maps, the heads on these maps.
        collectors: the nodes that collect these answers.
    """

    nodes: list[Node]
    main: Series
    sides: dict[int, list[Series]] = field(default_factory=dict)
    collectors: tuple[int, ...] = ()


def structure_of(nodes: list[Node]) -> Structure:
    """Finds the structure of a network."""
    collectors = _collectors(nodes)
    main = _main(nodes, collectors)
    hanging: dict[int, list[Series]] = defaultdict(list)
    for source, group in _sides(nodes, set(main) | set(collectors)):
        hanging[source].append(_folded(_Graph(nodes, group).series(group), nodes, frozenset()))
    series = _folded(_Graph(nodes, main).series(main), nodes, frozenset(hanging))
    return Structure(nodes, series, dict(hanging), tuple(collectors))


def nodes_in(item: Item | Series) -> Iterator[int]:
    """All nodes of a part, with those of all bodies of its repeats."""
    if isinstance(item, int):
        yield item
    elif isinstance(item, Dag):
        yield from item.nodes
    else:
        parts: Sequence[Item | Series]
        parts = item.items if isinstance(item, Series) else item.branches if isinstance(item, Fork) else item.bodies
        for part in parts:
            yield from nodes_in(part)


def _collectors(nodes: Sequence[Node]) -> list[int]:
    """The concatenations that end a detector: each joins the answers from several maps."""
    sources = {source for node in nodes for source in node.inputs}
    ends = [i for i, node in enumerate(nodes) if i not in sources and not node.only_in_training]
    concatenations = [i for i in ends if nodes[i].kind == "concatenation" and len(nodes[i].output) == 2]
    return concatenations if concatenations == ends else []


def _main(nodes: Sequence[Node], collectors: Sequence[int]) -> list[int]:
    """The nodes of the main path: all nodes that run outside of training, without the heads of a detector."""
    candidates = [i for i, node in enumerate(nodes) if not node.only_in_training and i not in collectors]
    if not collectors:
        return candidates
    heads = {source for collector in collectors for source in nodes[collector].inputs}
    reached: dict[int, set[int]] = {i: {i} & heads for i in candidates}
    for i in reversed(candidates):
        for source in nodes[i].inputs:
            if source in reached:
                reached[source] |= reached[i]
    last = max((i for i in candidates if len(reached[i]) > 1), default=candidates[-1])
    leads = {last}
    for i in reversed(candidates):
        if i in leads:
            leads.update(source for source in nodes[i].inputs if source != IMAGE)
    return [i for i in candidates if i in leads]


def _sides(nodes: Sequence[Node], main: set[int]) -> list[tuple[int, list[int]]]:
    """The side branches of the main path: groups of connected nodes, each with the node that it starts from."""
    groups: list[tuple[int, list[int]]] = []
    for i, node in enumerate(nodes):
        if i in main:
            continue
        mine = [group for group in groups if any(source in group[1] for source in node.inputs)]
        if mine:
            joined = (mine[0][0], sorted({i, *(member for group in mine for member in group[1])}))
            groups = [group for group in groups if group not in mine] + [joined]
        else:
            groups.append((node.inputs[0] if node.inputs else IMAGE, [i]))
    return sorted(groups, key=lambda group: group[1][0])


class _Graph:
    """A subgraph: the chosen nodes with their predecessors and successors; the others are one source and one sink."""

    def __init__(self, nodes: Sequence[Node], members: Sequence[int]) -> None:
        inside = set(members)
        self.begin = {i for i in members if any(s not in inside for s in nodes[i].inputs) or not nodes[i].inputs}
        self.before = {i: [s for s in nodes[i].inputs if s in inside] for i in members}
        self.after: dict[int, list[int]] = {i: [] for i in members}
        for i in members:
            for source in self.before[i]:
                self.after[source].append(i)

    def series(
        self, part: Sequence[int], entries: frozenset[int] = frozenset(), exits: frozenset[int] = frozenset()
    ) -> Series:
        """The structure of a part of the graph.

        Args:
            part: the nodes, in order.
            entries: the nodes of the part that take something from before it; empty: those with an input from outside
                of the graph.
            exits: the nodes of the part that give something to what follows; empty: those without a successor.
        """
        if not part:
            return Series()
        inside = set(part)
        entries = entries or frozenset(i for i in part if i in self.begin)
        exits = exits or frozenset(i for i in part if not self.after[i])
        cuts = self._cuts(part, inside, entries, exits)
        if not cuts:
            return Series(self._between(part, inside, entries, exits, direct=False, whole=True))
        items: list[Item] = []
        segments = self._segments(part, cuts)
        bounds: list[int | None] = [None, *cuts, None]
        for segment, (start, end) in zip(segments, pairwise(bounds), strict=True):
            begins = frozenset(i for i in segment if (i in entries if start is None else start in self.before[i]))
            ends = frozenset(i for i in segment if (i in exits if end is None else end in self.after[i]))
            if start is None:
                direct = end in entries
            elif end is None:
                direct = start in exits
            else:
                direct = end in self.after[start]
            if segment:
                part_items = self._between(segment, set(segment), begins, ends, direct=direct, whole=False)
                items += part_items if end is None else _as_joined(part_items, self.before[end])
            if end is not None:
                items.append(end)
        return Series(tuple(items))

    def _cuts(self, part: Sequence[int], inside: set[int], entries: frozenset[int], exits: frozenset[int]) -> list[int]:
        """The nodes that lie on every path through the part, in order."""
        to: dict[int, int] = {}
        for i in part:
            to[i] = (i in entries) + sum(to[s] for s in self.before[i] if s in inside)
        away: dict[int, int] = {}
        for i in reversed(part):
            away[i] = (i in exits) + sum(away[s] for s in self.after[i] if s in inside)
        ways = sum(to[i] for i in exits)
        return [i for i in part if to[i] * away[i] == ways]

    def _segments(self, part: Sequence[int], cuts: Sequence[int]) -> list[list[int]]:
        """The nodes before the first cut, between each two cuts, and after the last cut."""
        number_of = {cut: number for number, cut in enumerate(cuts)}
        segments: list[list[int]] = [[] for _ in range(len(cuts) + 1)]
        passed: dict[int, int] = {}
        for i in part:
            behind = [passed[s] for s in self.before[i] if s in passed]
            passed[i] = number_of[i] + 1 if i in number_of else max(behind, default=0)
            if i not in number_of:
                segments[passed[i]].append(i)
        return segments

    def _between(
        self, part: Sequence[int], inside: set[int], entries: frozenset[int], exits: frozenset[int], *, direct: bool,
        whole: bool,
    ) -> tuple[Item, ...]:  # fmt: skip
        """The items between two cuts: a fork of branches, or a general graph."""
        groups = self._connected(part, inside)
        if len(groups) == 1 and not direct:
            return (Dag(tuple(part)),) if whole else self._branch(part, entries, exits).items
        branches = [self._branch(group, entries & set(group), exits & set(group)) for group in groups]
        return (Fork((*branches, *([Series()] if direct else []))),)

    def _branch(self, part: Sequence[int], entries: frozenset[int], exits: frozenset[int]) -> Series:
        if not entries or not exits:
            return Series((Dag(tuple(part)),)) if len(part) > 1 else Series(tuple(part))
        return self.series(part, entries, exits)

    def _connected(self, part: Sequence[int], inside: set[int]) -> list[list[int]]:
        """The connected groups of nodes within the part, in order."""
        group_of: dict[int, list[int]] = {}
        for i in part:
            merged = [i]
            for source in self.before[i]:
                if source in inside and (other := group_of[source]) is not merged:
                    merged = other + merged
                    for member in other:
                        group_of[member] = merged
            merged = sorted(set(merged))
            for member in merged:
                group_of[member] = merged
        groups: list[list[int]] = []
        for i in part:
            if all(group_of[i] is not group for group in groups):
                groups.append(group_of[i])
        return groups


def _as_joined(items: tuple[Item, ...], order: Sequence[int]) -> tuple[Item, ...]:
    """The items, with the branches of the last fork in the order in which the next node takes them; shortcuts last."""
    fork = items[-1]
    if not isinstance(fork, Fork):
        return items
    rank_of = {node: rank for rank, node in enumerate(order)}

    def rank(branch: Series) -> int:
        return min((rank_of[node] for node in nodes_in(branch) if node in rank_of), default=len(order))

    return (*items[:-1], Fork(tuple(sorted(fork.branches, key=rank))))


# --- what comes over and over


def _folded(series: Series, nodes: Sequence[Node], alone: frozenset[int]) -> Series:
    """Folds equal neighbours into a repeat, also inside of forks; nodes with side branches (``alone``) stay."""
    items = [_folded_item(item, nodes, alone) for item in series.items]
    signatures = [item if alone & set(nodes_in(item)) else _signature(item, nodes) for item in items]
    weights = [sum(1 for _ in nodes_in(item)) for item in items]
    folded: list[Item] = []
    at = 0
    while at < len(items):
        best = (0, 0, 0)
        for length in range(1, min(LONGEST, (len(items) - at) // 2) + 1):
            pattern, times = signatures[at : at + length], 1
            while signatures[at + times * length : at + (times + 1) * length] == pattern:
                times += 1
            is_block = any(not isinstance(item, int) for item in items[at : at + length])
            enough = times >= 2 if is_block else times >= 3 and sum(weights[at : at + length]) * times >= 6
            if enough and _may_begin(items[at], nodes):
                best = max(best, (times * length, -length, times))
        covered, length, times = best[0], -best[1], best[2]
        if not covered:
            folded.append(items[at])
            at += 1
            continue
        bodies = [Series(tuple(items[at + n * length : at + (n + 1) * length])) for n in range(times)]
        folded.append(Repeat(tuple(bodies)))
        at += covered
    return Series(tuple(folded))


def _may_begin(item: Item, nodes: Sequence[Node]) -> bool:
    """Whether a repeat may begin with this item: not with a join, which belongs to the fork before it."""
    return not (isinstance(item, int) and nodes[item].is_join)


def _folded_item(item: Item, nodes: Sequence[Node], alone: frozenset[int]) -> Item:
    if isinstance(item, Fork):
        return Fork(tuple(_folded(branch, nodes, alone) for branch in item.branches))
    return item


def _signature(item: Item | Series, nodes: Sequence[Node]) -> object:
    if isinstance(item, int):
        return nodes[item].signature
    if isinstance(item, Dag):
        return "dag", tuple(nodes[i].signature for i in item.nodes), _wiring(item.nodes, nodes)
    if isinstance(item, Repeat):
        return "repeat", len(item.bodies), _signature(item.body, nodes)
    parts: Sequence[Item | Series] = item.items if isinstance(item, Series) else item.branches
    return type(item).__name__, tuple(_signature(part, nodes) for part in parts)


def _wiring(part: Sequence[int], nodes: Sequence[Node]) -> Mapping[int, object] | tuple[object, ...]:
    number_of = {node: number for number, node in enumerate(part)}
    return tuple(tuple(number_of.get(s, -1) for s in nodes[i].inputs) for i in part)

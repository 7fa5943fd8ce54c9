"""Weights that follow from what a layer sees, so that two programs of one network get equal weights without any names.

A layer's weights are drawn when it first runs. They are kept in a table under the layer's shape and the values of its
input. Another network that brings the same values to a layer of the same shape finds the same weights there. Layers of
one shape on one input, twins, are told apart by the order in which they run.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

LEVEL = 2.5
"""The root mean square of what a drawn layer gives: large enough that a ReLU6 cuts, small enough for a sigmoid."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What is kept of drawn weights: they are drawn again, by the seed, each time that a layer uses them.

    Args:
        seed: of the generator.
        measured: numbers that were measured where the weights were drawn, such as the scale that keeps values sane.
    """

    seed: int
    measured: tuple[float, ...] = ()

    def uniform(self, shape: tuple[int, ...]) -> Tensor:
        """Values in [-1, 1)."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.empty(shape, dtype=torch.float64).uniform_(-1, 1, generator=generator)


_NO_PAIRS: Mapping[int, Draw] = MappingProxyType({})


class ValueTable:
    """Numbers tensors by their content: equal values, but for rounding, in equal order have one number.

    A tensor is known by its number of values, its norm and three projections onto fixed random directions, so that
    axes of length 1 do not count, and the order of the values does.

    Args:
        tolerance: the largest difference of equal tensors, relative to their norm.
    """

    def __init__(self, tolerance: float = 1e-9) -> None:
        self.tolerance = tolerance
        self.count = 0
        self._known: defaultdict[int, list[tuple[float, tuple[float, ...], int]]] = defaultdict(list)
        self._random = torch.empty(0)

    def number(self, tensor: Tensor) -> int:
        """The tensor's number; a new one if no equal tensor was seen."""
        flat = tensor.detach().reshape(-1).double()
        norm = float(flat.norm()) if len(flat) else 0.0
        if not math.isfinite(norm):  # such as a map padded with minus infinity
            flat = flat.nan_to_num(-2.0, 3.0, -1.0)
            norm = float(flat.norm())
        projections = tuple(float(flat @ direction) / (norm or 1.0) for direction in self._directions(len(flat)))
        known = self._known[len(flat)]
        place = bisect.bisect_left(known, (norm * (1 - self.tolerance),))
        for other, others, number in known[place:]:
            if other > norm * (1 + self.tolerance):
                break
            if all(abs(p - q) <= self.tolerance for p, q in zip(projections, others, strict=True)):
                return number
        self.count += 1
        bisect.insort(known, (norm, projections, self.count))
        return self.count

    def _directions(self, length: int) -> list[Tensor]:
        shift = 997  # the three directions are parts of one sequence
        if len(self._random) < length + 2 * shift:  # a longer sequence of one seed begins with the same numbers
            generator = torch.Generator().manual_seed(1)
            self._random = torch.rand(2 * length + 2 * shift, generator=generator, dtype=torch.float64) - 0.5
        return [self._random[start : start + length] for start in (0, shift, 2 * shift)]


class ContentWeights:
    """The table of drawn weights, which networks that are compared share.

    Args:
        tolerance: of :class:`ValueTable`.
        seed: of all weights.
    """

    def __init__(self, tolerance: float = 1e-9, seed: int = 0) -> None:
        self.values = ValueTable(tolerance)
        self.seed = seed
        self.uses: list[tuple[Hashable, Draw]] = []
        """The kinds of weights that the network used so far, and which it got, one for each use."""
        self._alike = False
        self._pairs: Mapping[int, Draw] = {}
        self._draws: defaultdict[Hashable, list[Draw]] = defaultdict(list)
        self._turns: Counter[Hashable] = Counter()
        self._owned: dict[Hashable, Draw] = {}
        self._drawn = 0

    def begin(self, *, alike: bool = False, pairs: Mapping[int, Draw] = _NO_PAIRS) -> None:
        """Begins a network: its first layer of each shape and input takes the first weights again.

        Args:
            alike: whether twins get equal weights.
            pairs: weights by the number of their use, where they do not follow from the order of twins.
        """
        self.uses = []
        self._alike, self._pairs = alike, pairs
        self._turns.clear()
        self._owned.clear()

    @property
    def twins(self) -> bool:
        """Whether the network has layers of one shape on one input."""
        return any(turns > 1 for turns in self._turns.values())

    def find(self, owner: Hashable, role: Hashable, value: int) -> Draw | None:
        """The weights of a layer; None if they are to be drawn.

        Args:
            owner: of the weights; the same owner gets the same weights at each call.
            role: the shape of the weights, and what they do.
            value: the number of the layer's input.
        """
        draws, turn = self._draws[role, value], self._turns[role, value]
        draw = self._owned.get((owner, role)) or self._pairs.get(len(self.uses))
        if draw is None and draws and (self._alike or turn < len(draws)):
            draw = draws[0 if self._alike else turn]
        return draw if draw is None else self.keep(owner, role, value, draw)

    def new_seed(self) -> int:
        """The seed of weights that :meth:`find` did not find."""
        self._drawn += 1
        return self.seed * 1_000_003 + self._drawn

    def keep(self, owner: Hashable, role: Hashable, value: int, draw: Draw) -> Draw:
        """Keeps weights that were just drawn, and gives them."""
        turn = self._turns[role, value]
        if turn == len(self._draws[role, value]):
            self._draws[role, value].append(draw)
        self._turns[role, value] += 1
        self._owned[owner, role] = draw
        self.uses.append(((role, value), draw))
        return draw

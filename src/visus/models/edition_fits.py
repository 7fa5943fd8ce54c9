"""Tries a file of weights on the network of one edition, without loading anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.card import Card, Part
from visus.models.detection.darknet_weights import count, is_darknet, slots
from visus.models.on_meta import build_on_meta
from visus.models.weight_files import without_prefixes
from visus.models.weight_matching import (
    Match,
    WeightsContent,
    backbone_of,
    conversions_for,
    converts,
    match_file,
    require_fit,
)

_SAME_HEAD = (0.99, 1.1)
_ANY_HEAD = (0.3, 3.0)
"""A state of a whole network has so many times the parameters on its card: BatchNorm's statistics come on top, and a
head for other classes may be most of a small network."""

_SMALL = 2_000_000


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks without values, each built once: many editions differ only in what is done to the images.

    Args:
        in_channels: of their input; None: each card's own.
        options: of their builders, before the cards' own.
    """

    in_channels: int | None
    options: Mapping[str, Any]
    _built: dict[str, nn.Module] = field(default_factory=dict)

    def of(self, card: Card, classes: int | None = None) -> nn.Module:
        """The network of a card, for so many classes; None: the card's own."""
        classes = card.classes if classes is None else classes
        key = repr((card.builder, sorted(card.options.items()), card.input[0], card.backbone, classes))
        if key not in self._built:
            self._built[key] = build_on_meta(card, classes=classes, in_channels=self.in_channels, options=self.options)
        return self._built[key]


@dataclass(frozen=True, slots=True)
class Fit:
    """An edition that a file fits.

    Args:
        card: of the edition.
        part: what the file fills of its network.
        is_partial: whether that part keeps values of its own.
        has_head: whether the file has a head of the network's form, for any number of classes.
        classes: that this head tells apart; None without one.
        origin: see :class:`~visus.models.weight_matching.Match`.
        state: the values that are to be loaded.
        values: how many numbers the file has for this network.
        tensors: in how many tensors.
    """

    card: Card
    part: Part
    is_partial: bool
    has_head: bool
    classes: int | None
    origin: str
    state: Mapping[str, Tensor]
    values: int
    tensors: int

    @property
    def is_whole(self) -> bool:
        """Whether the file fills the network from its first layer to its last, up to the head's classes."""
        return self.part == "network" and not self.is_partial


@dataclass(frozen=True, slots=True)
class Misfit:
    """An edition that a file does not fit.

    Args:
        card: of the edition.
        nearness: how near the file comes; the largest is the nearest.
        error: the first difference.
        length: how many values a Darknet file of this edition has; 0 for other files.
    """

    card: Card
    nearness: tuple[float, ...]
    error: WeightsError
    length: int = 0


def try_edition(card: Card, file: WeightsContent, networks: Networks) -> Fit | Misfit:
    """Tries a file on one edition.

    Raises:
        VisusError: if the edition's network cannot be built with the options.
    """
    network = networks.of(card)
    match: Match | None = None
    try:
        match = match_file(file, network, card)
        target = backbone_of(network, card) if match.part == "backbone" else network
        fitting = require_fit(target, match.state, file.path, is_partial=match.is_partial)
    except WeightsError as error:
        return _misfit(card, file, network, match, error)
    is_partial = match.is_partial or bool(fitting.drawn)
    has_head, classes = True, None
    if match.part == "network" and not is_partial:
        classes = card.classes
        if fitting.is_other_head:
            classes = match.classes or _classes_of_head(match.state, card, networks)
            has_head = classes is not None
    values = sum(value.numel() for value in match.state.values() if value.is_floating_point())
    tensors = len(match.state)
    return Fit(card, match.part, is_partial, has_head, classes, match.origin, fitting.state, values, tensors)


def likely_editions(cards: Sequence[Card], file: WeightsContent, networks: Networks) -> Iterator[list[Card]]:
    """The editions of a whole catalogue that are worth building for a file, in groups: the likely ones first.

    What can be asked without a network is asked first: how the file is written, how many values it has, and whether the
    smallest network of the same source file has any name of it.
    """
    if file.values is None:
        yield [card for card in cards if any(_has_darknets(other) for other in catalog.editions(card.name))]
        return
    names = without_prefixes(file.values, ()).by_name
    values = sum(math.prod(value.shape) for value in names.values() if hasattr(value, "shape"))
    conversions = {id(card): conversions_for(file.path, names, card) for card in cards}
    converted = [card for card in cards if any(c.convert and converts(file, c) for c in conversions[id(card)])]
    ours = [card for card in cards if any(not c.convert for c in conversions[id(card)])]
    if converted:
        yield converted
    for low, high in (_SAME_HEAD, _ANY_HEAD):
        yield [card for card in ours if low < values / card.parameters < high and _knows(card, cards, names, networks)]


def _has_darknets(card: Card) -> bool:
    return any(is_darknet(Path(file.name)) for file in card.files)


def _knows(card: Card, cards: Sequence[Card], names: Mapping[str, Any], networks: Networks) -> bool:
    """Whether the smallest network of the card's source file, which mostly names its layers alike, has a name of these;
    true for small networks, which are built as fast."""
    if card.parameters < _SMALL:
        return True
    module = card.builder.partition(":")[0]
    smallest = min((c for c in cards if c.builder.partition(":")[0] == module), key=lambda c: c.parameters)
    return not networks.of(smallest).state_dict().keys().isdisjoint(names)


def names_such_files(card: Card, path: Path) -> bool:
    """Whether the card names a whole network's file that is written as this one is."""
    names = [Path(file.name) for file in card.files if file.part == "network" and not file.is_partial]
    return any(is_darknet(name) if is_darknet(path) else name.suffix == path.suffix for name in names)


def length_of(card: Card, networks: Networks) -> int:
    """The number of values of a Darknet file of this edition."""
    return count(slots(networks.of(card)))


def _misfit(card: Card, file: WeightsContent, network: nn.Module, match: Match | None, error: WeightsError) -> Misfit:
    if file.values is None:
        length = count(slots(network))
        given = 0 if file.darknet is None else len(file.darknet.values)
        return Misfit(card, (-abs(given - length),), error, length)
    own = network.state_dict()
    state = match.state if match is not None else {}
    alike = sum(1 for name, value in state.items() if name in own and own[name].shape == value.shape)
    total = max(len(state), len(own), 1)
    given = sum(math.prod(value.shape) for value in file.values.by_name.values() if hasattr(value, "shape"))
    ratio = abs(math.log(max(given, 1) / max(sum(value.numel() for value in own.values()), 1)))
    return Misfit(card, (alike / total, -ratio), error)


def _classes_of_head(state: Mapping[str, Tensor], card: Card, networks: Networks) -> int | None:
    """The number of classes of a state whose head differs from the card's; None if no number gives such a head.

    The sides of a head grow by the same number with each class, which two networks show.
    """
    fewer, more = (networks.of(card, classes).state_dict() for classes in (card.classes, card.classes + 1))
    found: set[float] = set()
    for name, low in fewer.items():
        if name not in state or state[name].ndim != low.ndim:
            continue
        for side, first, second in zip(state[name].shape, low.shape, more[name].shape, strict=True):
            if first != second:
                found.add(card.classes + (side - first) / (second - first))
            elif side != first and name.startswith(tuple(getattr(networks.of(card), "head", ())) or ("-",)):
                return None
    (classes,) = found if len(found) == 1 else (0.5,)
    return int(classes) if classes >= 1 and float(classes).is_integer() else None

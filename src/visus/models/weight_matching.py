"""Matches the values of a file of weights to a network: their names, the part that they fill, and their shapes.

Nothing is loaded here, so that a network on the meta device will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.card import ARRAY_FILES, Card, Conversion, Part, WeightsFile
from visus.models.detection.darknet_file import DarknetFile, is_darknet, read_darknet
from visus.models.detection.darknet_weights import fit
from visus.models.on_meta import build_on_meta
from visus.models.protocols import WarmStart
from visus.models.weight_files import Values, read_all, require_weights_file, without_prefixes
from visus.structures.extensions import load_object

State = dict[str, Tensor]

DARKNET = "darknet"
"""The origin of values that have no names but those of their order."""


@dataclass(frozen=True, slots=True)
class WeightsContent:
    """A file that was read once, to be matched to any number of networks.

    Args:
        path: the file.
        values: by name; None for a Darknet file, whose values have none.
        darknet: the content of a Darknet file.
        converted: what was converted so far, and what was no file of a conversion.
    """

    path: Path
    values: Values | None
    darknet: DarknetFile | None = None
    converted: dict[tuple[str, tuple[str, ...]], State | WeightsError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The values of a file under the names of a network.

    Args:
        part: what they fill.
        is_partial: whether they leave values of that part as they are.
        state: the values.
        origin: the function that converted them; "" where the names were ours, ``DARKNET`` where there were none.
        taken_off: the wrappings and prefixes that were around them.
        classes: for how many classes the length of a Darknet file says that it answers; else None.
    """

    part: Part
    is_partial: bool
    state: State
    origin: str = ""
    taken_off: tuple[str, ...] = ()
    classes: int | None = None


@dataclass(frozen=True, slots=True)
class Fitting:
    """What of a state can be loaded.

    Args:
        state: the values, those of a head for other classes left out.
        adapted: the names of first kernels that were fitted to another number of channels.
        drawn: the names whose values were drawn at random, because the state is a smaller network's.
        is_other_head: whether the state has a head for other classes.
    """

    state: State
    adapted: tuple[str, ...]
    drawn: frozenset[str]
    is_other_head: bool


def open_file(path: Path, limit: int) -> WeightsContent:
    """Reads a file of at most ``limit`` bytes, packed or unpacked.

    Raises:
        WeightsError: if there is no such file, it cannot be read safely, or it holds no weights.
    """
    if is_darknet(path):
        require_weights_file(path, limit)
        return WeightsContent(path, None, read_darknet(path))
    return WeightsContent(path, read_all(path, limit))


def match_published(
    file: WeightsContent, published: WeightsFile, network: nn.Module, card: Card, *, for_backbone: bool
) -> Match:
    """The values of a published file, written as its card says; see :func:`match_file`."""
    if file.values is None:
        return _match_darknet(file, network, card, for_backbone)
    conversion = published.conversion
    values = without_prefixes(file.values, tuple(network.state_dict()))
    state = _converted(file, values, conversion)
    return Match(conversion.part, conversion.is_partial, state, conversion.convert, values.taken_off)


def match_file(file: WeightsContent, network: nn.Module, card: Card, *, for_backbone: bool = False) -> Match:
    """The values of a person's file under the names of a network: those of the conversion whose names fit best.

    Args:
        file: the file.
        network: as built from ``card``, on any device.
        card: of the network: it says how files for it, and for its backbone, may be written.
        for_backbone: only what fills the backbone.

    Raises:
        WeightsError: if no name fits, or it is a Darknet file of a wrong length.
    """
    if file.values is None:
        return _match_darknet(file, network, card, for_backbone)
    own = tuple(network.state_dict())
    values = without_prefixes(file.values, own)
    matches: list[Match] = []
    problems: list[WeightsError] = []
    for conversion in conversions_for(file.path, values.by_name, card):
        try:
            state = _converted(file, values, conversion)
        except WeightsError as error:
            if conversion.suffix:  # a file of tensors may be of any origin, so that no single one explains it
                problems.append(error)
            continue
        matches.append(Match(conversion.part, conversion.is_partial, state, conversion.convert, values.taken_off))
    parts: dict[Part, nn.Module] = {"network": network}
    if isinstance(getattr(network, "backbone", None), nn.Module):
        parts["backbone"] = backbone_of(network, card)
    most, best = 0, None
    for match in matches:
        for part, module in parts.items():
            may_fill = part == "backbone" if for_backbone or match.part == "backbone" else True
            shared = len(set(match.state) & set(module.state_dict()))
            if may_fill and shared > most:
                most, best = shared, replace(match, part=part)
    if best is not None:
        return best
    if problems:
        raise problems[0]
    raise WeightsError(
        f"{file.path.name} holds the weights of another network",
        expected=f"values such as {next(iter(own))} of {card.full_name}",
        got=f"{len(values.by_name)} values such as {next(iter(values.by_name), 'none')}",
        remedy="choose a file of this network, or use --weights none",
    )


def conversions_for(path: Path, names: Mapping[str, Any], card: Card) -> list[Conversion]:
    """How a file of this suffix and these names may be written, for a network of this card or for its backbone.

    First comes a state under our names.
    """
    cards = [card, catalog.find(card.backbone)] if card.backbone else [card]
    stated = [c for one in cards for c in (*(file.conversion for file in one.weights), *one.conversions)]
    suffix = path.suffix if path.suffix in ARRAY_FILES else ""
    ours = (Conversion(), Conversion(suffix=".npz"))
    known = dict.fromkeys((*ours, *(conversion for conversion in stated if conversion.convert)))
    return [one for one in known if one.suffix == suffix and (not one.mark or one.mark in names)]


def converts(file: WeightsContent, conversion: Conversion) -> bool:
    """Whether a file is one of this conversion's, by its names."""
    try:
        return file.values is not None and bool(_converted(file, without_prefixes(file.values, ()), conversion))
    except WeightsError:
        return False


def _converted(file: WeightsContent, values: Values, conversion: Conversion) -> State:
    """Converts the values of a file to a state with the names of visus, once for each conversion."""
    key = (conversion.convert, values.taken_off)
    if key not in file.converted:
        try:
            file.converted[key] = (
                load_object(conversion.convert)(values.by_name) if conversion.convert else _as_state(values.by_name)
            )
        except WeightsError as error:
            file.converted[key] = WeightsError(
                f"{file.path.name}: {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
            )
    found = file.converted[key]
    if isinstance(found, WeightsError):
        raise found
    return found


def _as_state(values: Mapping[str, Any]) -> State:
    """Converts numpy arrays to tensors; the names stay."""
    try:
        return {name: torch.as_tensor(value) for name, value in values.items()}
    except TypeError as error:
        raise WeightsError("the arrays do not hold numbers", expected="numbers by name", got=str(error)) from None


def _match_darknet(file: WeightsContent, network: nn.Module, card: Card, for_backbone: bool) -> Match:
    """The part that a Darknet file fills, and its state; its values have no names but those of their order."""
    fitted = fit(file.path, network, build_on_meta(card), for_backbone=for_backbone, file=file.darknet)
    return Match(fitted.part, fitted.is_partial, fitted.state, DARKNET, classes=fitted.classes)


def backbone_of(network: nn.Module, card: Card) -> nn.Module:
    """The network's backbone; raises WeightsError if it has none."""
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise WeightsError(f"{type(network).__name__} has no backbone to load {card.full_name} into")
    return backbone


def require_fit(target: nn.Module, state: State, path: Path, *, is_partial: bool) -> Fitting:
    """Checks the names, types and shapes of a state against those of a network or a backbone.

    Args:
        target: to be filled, on any device; it stays as it is.
        state: under its names.
        path: the file, for messages.
        is_partial: whether names may be missing.

    Raises:
        WeightsError: at the first value that does not fit.
    """
    drawn: frozenset[str] = frozenset()
    if isinstance(target, WarmStart) and (initial := target.initial_state_from(state)) is not None:
        state, drawn = initial
    current: State = target.state_dict()
    heads = tuple(f"{name}." for name in getattr(target, "head", ()))
    # A backbone has no head, and its file more than it needs.
    unused = () if heads else tuple(f"{name}." for name in getattr(target, "classifier_modules", ()))
    state = {name: value for name, value in state.items() if name in current or not name.startswith(unused)}
    missing = [n for n in current if n not in state and not n.endswith("num_batches_tracked")]
    foreign = [name for name in state if name not in current]
    if foreign or (missing and not is_partial):
        raise WeightsError(
            f"{path.name} holds the weights of another network",
            expected=f"the {len(current)} values of {type(target).__name__}",
            got=f"{_some(missing)} missing, {_some(foreign)} unknown",
            remedy="choose a file of this network and edition, or use --weights none",
        )
    for name, value in state.items():
        if current[name].is_floating_point() and not value.is_floating_point():
            raise WeightsError(
                f"{path.name} does not fit: {name} holds whole numbers",
                expected=str(current[name].dtype),
                got=str(value.dtype),
                remedy="save the weights as real numbers, or use --weights none",
            )
    different = [name for name in state if state[name].shape != current[name].shape]
    adapted = []
    for name in different:
        if name.startswith(heads):
            continue
        fitted = _fitted_to_channels(state[name], current[name]) if name == _first_kernel(current) else None
        if fitted is None:
            raise WeightsError(
                f"{path.name} does not fit: {name} has another shape",
                expected=str(list(current[name].shape)),
                got=str(list(state[name].shape)),
                remedy="build the network with the options of these weights, or use --weights none",
            )
        state[name] = fitted
        adapted.append(name)
    is_other_head = any(name.startswith(heads) for name in different)
    if is_other_head:
        state = {name: value for name, value in state.items() if not name.startswith(heads)}
    return Fitting(state, tuple(adapted), drawn, is_other_head)


def require_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Checks that values are numbers.

    Raises:
        WeightsError: that names the first tensor with NaN or an infinite value.
    """
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            wrong = int((~torch.isfinite(value)).sum())
            raise WeightsError(
                f"{path.name} holds values that are no numbers: {name}",
                expected="finite values",
                got=f"{wrong:,} of {value.numel():,} values are NaN or infinite",
                remedy="take a file of a training that did not diverge, or download it again if it is damaged",
            )


def _first_kernel(state: State) -> str:
    return next((name for name, value in state.items() if value.ndim == 4), "")


def _fitted_to_channels(kernel: Tensor, current: Tensor) -> Tensor | None:
    """Converts a first kernel [O,C,k,k] to another number of channels.

    To one channel it is summed, as if grey were fed to all; from one it is shared among all. Any other number takes
    the C kernels in turn and scales them by C over that number, so that the sum keeps its size.
    """
    if kernel.ndim != 4 or kernel.shape[0] != current.shape[0] or kernel.shape[2:] != current.shape[2:]:
        return None
    had, has = kernel.shape[1], current.shape[1]
    if has == 1:
        return kernel.sum(1, keepdim=True)
    return kernel[:, torch.arange(has) % had] * (had / has)


def _some(names: list[str]) -> str:
    return f"{len(names)} values" + (f" such as {names[0]}" if names else "")

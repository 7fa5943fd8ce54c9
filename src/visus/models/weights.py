"""Loads weights from files into networks: published files and a user's own.

Loading never runs code (see :mod:`visus.models.weight_files`); a published file is read only when its
SHA-256 is the one on the card.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.card import ARRAY_FILES, Card, Conversion, Part
from visus.models.detection.darknet_weights import fit, is_darknet
from visus.models.fetching import DownloadProgress, fetch
from visus.models.on_meta import build_on_meta
from visus.models.protocols import WarmStart
from visus.models.weight_files import Values, read_values, require_weights_file, size_limit
from visus.structures.extensions import load_object

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The tensors that were loaded into a network.

    Args:
        source: the file.
        part: "network", or "backbone" when only that was loaded.
        loaded: how many tensors were.
        left_random: the names that the file has no fitting values for, because the number of classes differs or the
            file is that of a backbone.
        adapted: the names of first kernels that were fitted to another number of channels.
        taken_off: the wrappings and prefixes that were around the file's tensors, such as "model_state_dict" and
            "_orig_mod.*".
    """

    source: Path
    part: Part
    loaded: int
    left_random: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    taken_off: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.part}: {self.loaded} tensors kept from {self.source.name}"
        if self.taken_off:
            text += f" ({' > '.join(self.taken_off)} taken off)"
        if self.left_random:
            text += f"; new, with random values: {', '.join(sorted({n.rpartition('.')[0] for n in self.left_random}))}"
        if self.adapted:
            text += f"; fitted to the number of channels: {', '.join(self.adapted)}"
        return text


def load_weights(
    network: nn.Module,
    card: Card,
    source: Path | Literal["default"],
    *,
    prefix_backbone: bool = False,
    progress: DownloadProgress | None = None,
) -> LoadReport:
    """Loads weights into a network; the head keeps random weights if the number of classes differs.

    A network that can begin with the weights of a smaller one (a VGG with those of configuration A) takes the smaller
    one's file too; the report then names the layers that were drawn at random.

    Args:
        network: as built from ``card``, with any number of classes, and 1 or 3 channels.
        card: of the network. A composition has no published weights of its own: "default" is then its backbone's.
        source: "default" for the first published file of the card, from the cache or its publisher; or a file:
            ``.safetensors`` (such as a run's model), ``.pth``/``.pt`` (a state), ``.npz`` (a state's arrays, or the
            TFLite layout), Caffe's ``.caffemodel`` of SSD and its base, or Darknet's ``.weights`` and ``.conv.N``.
        prefix_backbone: load only ``network.backbone``; ``card`` is the composition's, or the backbone's own.
        progress: called while a file comes from its publisher.

    Raises:
        WeightsError: if there are no such weights, the file is missing, corrupt, or of another network. The network is
            then unchanged.
        DiskError: if the file cannot be stored in the cache.
    """
    values = Values({})
    if card.backbone and (prefix_backbone or source == "default") and not card.weights:
        card, prefix_backbone = catalog.find(card.backbone), True
    if source == "default":
        if not card.weights:
            raise WeightsError(
                f"no weights are published for {card.full_name}",
                expected=_with_weights(card),
                remedy="use --weights none, or a file",
            )
        file = card.weights[0]
        path = fetch(file, progress=progress)
        conversion = file.conversion
        if is_darknet(path):
            conversion, state = _darknet(path, network, card, prefix_backbone)
        else:
            values = read_values(path, network)
            state = _converted(values.by_name, conversion, path)
    else:
        path = Path(source)
        if is_darknet(path):
            require_weights_file(path, size_limit(network))
            conversion, state = _darknet(path, network, card, prefix_backbone)
        else:
            values = read_values(path, network)
            conversion, state = _recognised(values.by_name, path, network, card, prefix_backbone)
    part = "backbone" if prefix_backbone else conversion.part
    target = _backbone_of(network, card) if part == "backbone" else network
    drawn: frozenset[str] = frozenset()
    if isinstance(target, WarmStart) and (initial := target.initial_state_from(state)) is not None:
        state, drawn = initial
    left_random, adapted, loaded = _apply(target, state, path, is_partial=conversion.is_partial)
    return LoadReport(path, part, loaded - len(drawn), (*left_random, *sorted(drawn)), adapted, values.taken_off)


def _converted(values: Mapping[str, Any], conversion: Conversion, path: Path) -> State:
    """Converts the values of a file to a state with the names of visus."""
    try:
        if not conversion.convert:
            return _as_state(values)
        state: State = load_object(conversion.convert)(values)
        return state
    except WeightsError as error:
        raise WeightsError(
            f"{path.name}: {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from None


def _as_state(values: Mapping[str, Any]) -> State:
    """Converts numpy arrays to tensors; the names stay."""
    try:
        return {name: torch.as_tensor(value) for name, value in values.items()}
    except TypeError as error:
        raise WeightsError("the arrays do not hold numbers", expected="numbers by name", got=str(error)) from None


def _conversions(card: Card) -> tuple[Conversion, ...]:
    """How a person's file for a network of this card, or for its backbone, may be written: first, under our names."""
    cards = [card, *catalog.editions(card.name.partition("+")[0].partition("@")[0])]
    if card.backbone:
        cards += catalog.editions(catalog.find(card.backbone).name)
    named = [c for other in cards for c in (*(file.conversion for file in other.weights), *other.conversions)]
    ours = (Conversion(), Conversion(suffix=".npz"))
    return tuple(dict.fromkeys([*ours, *(conversion for conversion in named if conversion.convert)]))


def _recognised(
    values: Mapping[str, Any], path: Path, network: nn.Module, card: Card, for_backbone: bool
) -> tuple[Conversion, State]:
    """The conversion of a person's file and the part that it fills, whose names fit best, and its state."""
    candidates: list[tuple[Conversion, State]] = []
    problems: list[WeightsError] = []
    suffix = path.suffix if path.suffix in ARRAY_FILES else ""
    for conversion in _conversions(card):
        if conversion.suffix != suffix or (conversion.mark and conversion.mark not in values):
            continue
        try:
            candidates.append((conversion, _converted(values, conversion, path)))
        except WeightsError as error:
            if conversion.suffix:  # a file of tensors may be of any origin, so that no single one explains it
                problems.append(error)
    parts: dict[Part, nn.Module] = {"network": network}
    if isinstance(getattr(network, "backbone", None), nn.Module):
        parts["backbone"] = _backbone_of(network, card)
    most, best = 0, None
    for conversion, state in candidates:
        for part, module in parts.items():
            may_fill = part == "backbone" if for_backbone or conversion.part == "backbone" else True
            shared = len(set(state) & set(module.state_dict()))
            if may_fill and shared > most:
                most, best = shared, (replace(conversion, part=part), state)
    if best is not None:
        return best
    if problems:
        raise problems[0]
    raise WeightsError(
        f"{path.name} holds the weights of another network",
        expected=f"values such as {next(iter(network.state_dict()))} of {card.full_name}",
        got=f"{len(values)} values such as {next(iter(values), 'none')}",
        remedy="choose a file of this network, or use --weights none",
    )


def _darknet(path: Path, network: nn.Module, card: Card, for_backbone: bool) -> tuple[Conversion, State]:
    """The part that a Darknet file fills, and its state; its values have no names but those of their order."""
    fitted = fit(path, network, build_on_meta(card), for_backbone=for_backbone)
    return Conversion(part=fitted.part, is_partial=fitted.is_partial), fitted.state


def _backbone_of(network: nn.Module, card: Card) -> nn.Module:
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise WeightsError(f"{type(network).__name__} has no backbone to load {card.full_name} into")
    return backbone


def _apply(
    target: nn.Module, state: State, path: Path, *, is_partial: bool
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Loads ``state``; gives the names left random, those fitted to other channels, and the number of tensors."""
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
    target.load_state_dict(state, strict=False)
    left = tuple(n for n in current if n not in state and not n.endswith("num_batches_tracked"))
    return left, tuple(adapted), len(state)


def _first_kernel(state: State) -> str:
    return next((name for name, value in state.items() if value.ndim == 4), "")


def _fitted_to_channels(kernel: Tensor, current: Tensor) -> Tensor | None:
    """Converts a first kernel [O,C,k,k] to another number of channels.

    To one channel it is summed, as if grey were fed to all; from one it is shared among all. Any other number takes
    the C kernels in turn and scales them by C over that number, so that the sum keeps its size.
    """
    if kernel.shape[0] != current.shape[0] or kernel.shape[2:] != current.shape[2:]:
        return None
    had, has = kernel.shape[1], current.shape[1]
    if has == 1:
        return kernel.sum(1, keepdim=True)
    return kernel[:, torch.arange(has) % had] * (had / has)


def _some(names: list[str]) -> str:
    return f"{len(names)} values" + (f" such as {names[0]}" if names else "")


def _with_weights(card: Card) -> str:
    others = [other.full_name for other in catalog.editions(card.name) if other.weights]
    return "an edition that has some: " + " or ".join(others) if others else ""

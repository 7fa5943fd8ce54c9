"""Fits Darknet's files to networks: whole ones, classifiers for backbones, and the first N layers.

The values come layer by layer in the order of the cfg file. Of a layer come first its biases, then, if it is
normalised, scales, means and variances, and then its weights; with BatchNorm the biases are those of BatchNorm. So a
file says by its length alone what it is: the number of its classes follows from it, too.

BatchNorm's epsilon is 1e-5 within the root, as in Darknet's code for GPUs, with which these weights were trained
(blas_kernels.cu); its code for CPUs adds 1e-6 to the root instead (blas.c), so that its answers differ a little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.layers.locally_connected import LocallyConnected
from visus.models.detection.darknet_file import DarknetFile, is_cut, is_darknet, read_darknet, stated_layers
from visus.models.detection.darknet_layers import layer_numbers

__all__ = ["FittedWeights", "Slot", "count", "fit", "is_darknet", "read_darknet", "slots", "state_of"]


class Slot(NamedTuple):
    """The place of one parameter or statistic in a file.

    Args:
        name: of the value in the network's state.
        shape: its shape.
        layer: the path of the layer, the convolution's if the value is BatchNorm's.
        dense: whether it is a dense layer's matrix.
    """

    name: str
    shape: torch.Size
    layer: str
    dense: bool = False

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)


def slots(network: nn.Module, classes: int | None = None) -> list[Slot]:
    """Lists the values of a network in the order of a Darknet file, which is that of the layers.

    Args:
        network: any one.
        classes: for how many classes the answering layers' values are listed; None: as they are.
    """
    if classes is None:
        return list(_slots(network))
    widths = _answers(network, classes)
    return [
        slot._replace(shape=torch.Size([widths[slot.layer], *slot.shape[1:]])) if slot.layer in widths else slot
        for slot in _slots(network)
    ]


def _slots(network: nn.Module) -> Iterator[Slot]:
    kernel = None  # of the convolution whose BatchNorm is still to come
    for path, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            kernel = Slot(f"{path}.weight", layer.weight.shape, path)
        elif isinstance(layer, nn.BatchNorm2d) and kernel is not None:
            for part in ("bias", "weight", "running_mean", "running_var"):
                yield Slot(f"{path}.{part}", torch.Size([layer.num_features]), kernel.layer)
            yield kernel
            kernel = None
        elif isinstance(layer, nn.Conv2d | nn.Linear | LocallyConnected) and layer.bias is not None:
            yield Slot(f"{path}.bias", layer.bias.shape, path)
            yield Slot(f"{path}.weight", layer.weight.shape, path, dense=isinstance(layer, nn.Linear))


def _answers(network: nn.Module, classes: int) -> dict[str, int]:
    """{path of each answering layer: how many values it gives for so many classes}; a classifier's has one a class."""
    own = getattr(network, "answer_widths", None)
    widths: dict[str, int] = own(classes) if own else dict.fromkeys(getattr(network, "head", ()), classes)
    return widths


class FittedWeights(NamedTuple):
    """A file's values for a network.

    Args:
        part: what of the network they fill.
        is_partial: whether they leave values of that part as they are.
        state: the values by name.
        classes: how many classes the file answers for; None if it has no answering layers, or those of another network.
    """

    part: Literal["network", "backbone"]
    is_partial: bool
    state: dict[str, Tensor]
    classes: int | None = None


CLASSIFIERS = (1000,)
"""Classes of the classifiers whose files may serve as a backbone's: ImageNet's."""


def fit(
    path: Path, network: nn.Module, published: nn.Module, *, for_backbone: bool, file: DarknetFile | None = None
) -> FittedWeights:
    """Decides by the length of a file which part of the network it fills.

    All of it, with any number of classes; the backbone, from a classifier's file; or, of a file that is named so
    (``.conv.15``, ``.conv.weights``), the first layers.

    Args:
        path: the file.
        network: to be filled, with any number of classes; only its type is read.
        published: the same network with the channels of its publication; its values are not read.
        for_backbone: fill the backbone alone.
        file: its content, if it was read before.

    Raises:
        WeightsError: if it is no Darknet file, fits nothing of the network, states another number of layers than it
            has, or holds what no weights are: NaN, or variances below 0. Its ``got`` names the layer.
    """
    file = read_darknet(path) if file is None else file
    length, whole = len(file.values), slots(published)
    name = type(network).__name__
    backbone = getattr(published, "backbone", None)
    classes = classes_of(length, published)
    if classes is not None or length == count(whole):
        state = _state(path, file, slots(published, classes), published)
        if not for_backbone:
            return FittedWeights("network", False, state, classes)
        inner = {name.removeprefix("backbone."): v for name, v in state.items() if name.startswith("backbone.")}
        return FittedWeights("backbone", False, inner)
    if isinstance(backbone, nn.Module):
        order = slots(backbone)
        last = max(getattr(backbone, "channels", {1: 0}).items())[1]
        heads = [0, *((last + 1) * classes for classes in CLASSIFIERS)]
        if length - count(order) in heads:
            _require_stated(path, order, backbone, is_whole=length == count(order))
            return FittedWeights("backbone", False, _state(path, file, order, backbone))
    behind = tuple(f"{name}." for name in getattr(published, "classifier_modules", ())) or ("-",)
    first = whole if not for_backbone or backbone is None else slots(backbone)
    target = published if not for_backbone or backbone is None else backbone
    for end in _ends(first):
        order = first[:end]
        if count(order) == length and (is_cut(path) or _is_before(first, end, behind)):
            _require_stated(path, order, target, is_whole=False)
            part: Literal["network", "backbone"] = "backbone" if target is backbone else "network"
            return FittedWeights(part, True, _state(path, file, order, target))
    raise _misfit(path, file, name, published, for_backbone=for_backbone)


def classes_of(length: int, network: nn.Module) -> int | None:
    """The number of classes of a file that holds so many values and fills this network; None if there is no such.

    Every answering layer has as many kernels a class as any other file of the network, so the length tells.
    """
    none, one = (count(slots(network, classes)) for classes in (0, 1))
    if one == none:
        return None  # a network without answering layers
    classes, left = divmod(length - none, one - none)
    return classes if left == 0 and classes > 0 else None


def _ends(order: Sequence[Slot]) -> Iterator[int]:
    """The numbers of slots up to the end of each layer but the last."""
    for number in range(1, len(order)):
        if order[number].layer != order[number - 1].layer:
            yield number


def _is_before(order: Sequence[Slot], end: int, modules: tuple[str, ...]) -> bool:
    """Whether what follows ``end`` is all in these modules, and nothing before is."""
    return all(slot.name.startswith(modules) for slot in order[end:]) and not order[end - 1].name.startswith(modules)


def _require_stated(path: Path, order: Sequence[Slot], network: nn.Module, *, is_whole: bool) -> None:
    """Checks the number of layers that a file's name states against those that its values fill."""
    stated = stated_layers(path)
    if stated is None:
        return
    numbers = layer_numbers(network)
    last = numbers[order[-1].layer]
    later = [number for number in numbers.values() if number > last]
    if not last < stated or (later and not is_whole and stated > min(later)):
        raise WeightsError(
            f"{path.name} does not hold the layers that its name states",
            expected=f"the values of {stated} layers, 0 to {stated - 1}",
            got=f"{count(order):,} values, which fill the layers up to {_said(order[-1], network)}",
            remedy="check where the file comes from, and give it its right name",
        )


def _state(path: Path, file: DarknetFile, order: Sequence[Slot], network: nn.Module) -> dict[str, Tensor]:
    """The values by name.

    Raises:
        WeightsError: at the first layer whose values cannot be weights. Values that are read at the wrong places show
            themselves so: among the variances some are negative.
    """
    state = state_of(file, order)
    for slot in order:
        values = state[slot.name]
        problem = ""
        if not bool(torch.isfinite(values).all()):
            problem = "values that are no numbers"
        elif slot.name.endswith("running_var") and bool((values < 0).any()):
            problem = "variances below 0"
        if problem:
            raise WeightsError(
                f"{path.name} does not hold the weights of {type(network).__name__}",
                expected=f"{' x '.join(f'{side:,}' for side in slot.shape)} values of {slot.name.rpartition('.')[2]}",
                got=f"{problem} in {_said(slot, network)}",
                remedy="take the file of this network and edition, or download it again: it is damaged",
            )
    return state


def _misfit(path: Path, file: DarknetFile, name: str, network: nn.Module, *, for_backbone: bool) -> WeightsError:
    """The error for a file whose length fits nothing."""
    backbone = getattr(network, "backbone", None)
    behind = tuple(f"{name}." for name in getattr(network, "classifier_modules", ())) or ("-",)
    known = []
    if not for_backbone:
        known.append((f"{name}'s", count(slots(network))))
        if behind != ("-",):
            first = [slot for slot in slots(network) if not slot.name.startswith(behind)]
            known.append((f"{name}'s first layers", count(first)))
    if isinstance(backbone, nn.Module):
        known.append((f"{type(backbone).__name__}'s", count(slots(backbone))))
    target = backbone if for_backbone and isinstance(backbone, nn.Module) else network
    return WeightsError(
        f"{path.name} does not fit {name}",
        expected=" or ".join(dict.fromkeys(f"{number:,} values ({what})" for what, number in known)),
        got=f"{len(file.values):,} values, {stop(len(file.values), target)}",
        remedy="download the file again if it is truncated; else name the network that it belongs to",
    )


def stop(length: int, network: nn.Module) -> str:
    """Where so many values end in a network, in words: within or behind which layer."""
    left = length
    order = slots(network)
    for slot in order:
        if left < slot.size:
            shape = " x ".join(f"{side:,}" for side in slot.shape)
            part = slot.name.rpartition(".")[2]
            return f"which end within {_said(slot, network)}: {shape} of {part} expected, {left:,} left"
        left -= slot.size
    return f"{left:,} more than the last layer takes" if left else f"which end behind {_said(order[-1], network)}"


def _said(slot: Slot, network: nn.Module) -> str:
    number = layer_numbers(network).get(slot.layer)
    return f"layer {number} ({slot.layer})"


def count(order: Sequence[Slot]) -> int:
    """The total number of values."""
    return sum(slot.size for slot in order)


def state_of(file: DarknetFile, order: Sequence[Slot]) -> dict[str, Tensor]:
    """Gives the first values of a file their names; ignores the rest, such as another network's classifier."""
    state, offset = {}, 0
    for slot in order:
        values = file.values[offset : offset + slot.size]
        offset += slot.size
        if slot.dense and file.transposed:
            values = values.reshape(slot.shape[1], slot.shape[0]).T
        state[slot.name] = torch.from_numpy(np.array(values, np.float32)).reshape(slot.shape)  # a copy, not the file
    return state

"""Reads the authors' weights: Darknet's ``.weights``, and the ``.conv.N`` files of its first N layers.

A file is a header and then float32 values, little-endian, layer by layer in the order of the cfg file. The header is
three 32-bit integers, the version's major, minor and revision, and the number of images seen: of 64 bits from version
0.2 on, of 32 before (darknet's parser.c, load_weights_upto). Of a layer come first its biases, then, if it is
normalised, scales, means and variances, and then its weights; with BatchNorm the biases are those of BatchNorm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.errors import WeightsError
from visus.files.regular import GIB, read_regular
from visus.layers.locally_connected import LocallyConnected


class Slot(NamedTuple):
    """The name and shape of one parameter or statistic in a file, and whether it is a dense layer's matrix."""

    name: str
    shape: torch.Size
    dense: bool = False


_LARGEST = 8 * GIB


class DarknetFile(NamedTuple):
    """The contents of a Darknet file.

    Args:
        version: (major, minor, revision).
        seen: number of images that the training saw.
        values: [V] float32.
        transposed: whether the matrices of dense layers stand inputs first, as in old files.
    """

    version: tuple[int, int, int]
    seen: int
    values: NDArray[np.float32]
    transposed: bool


def is_darknet(path: Path) -> bool:
    """Whether a path names a Darknet file: ``yolov3.weights``, ``darknet53.conv.74``."""
    return path.suffix == ".weights" or re.search(r"\.conv\.\d+$", path.name) is not None


def read_darknet(path: Path) -> DarknetFile:
    """Reads a file's header and values.

    Raises:
        WeightsError: if there is no such file, or it is no whole one.
    """
    content = read_regular(path, limit=_LARGEST, expected="Darknet's .weights", error=WeightsError)
    major, minor, revision = (int(part) for part in np.frombuffer(content[:12].ljust(12, b"\0"), "<i4"))
    is_long = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    start = 20 if is_long else 16
    if len(content) <= start or (len(content) - start) % 4 or not (major >= 0 and minor >= 0 and revision >= 0):
        raise WeightsError(
            f"{path.name} is not a complete Darknet file",
            expected=f"a header of {start} bytes and then values of 4 bytes each",
            got=f"{len(content)} bytes, of version {major}.{minor}.{revision}",
            remedy="download the file again: it is truncated, or not a file of weights",
        )
    seen = int(np.frombuffer(content[12:start], "<u8" if is_long else "<u4")[0])
    values = np.frombuffer(content, "<f4", offset=start)
    return DarknetFile((major, minor, revision), seen, values, transposed=major > 1000 or minor > 1000)


def slots(network: nn.Module) -> list[Slot]:
    """Lists the values of a network in the order of a Darknet file, which is that of the layers."""
    return list(_slots(network))


def _slots(network: nn.Module) -> Iterator[Slot]:
    kernel = None  # of the convolution whose BatchNorm is still to come
    for path, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is None:
            kernel = Slot(f"{path}.weight", layer.weight.shape)
        elif isinstance(layer, nn.BatchNorm2d) and kernel is not None:
            for part in ("bias", "weight", "running_mean", "running_var"):
                yield Slot(f"{path}.{part}", torch.Size([layer.num_features]))
            yield kernel
            kernel = None
        elif isinstance(layer, nn.Conv2d | nn.Linear | LocallyConnected) and layer.bias is not None:
            yield Slot(f"{path}.bias", layer.bias.shape)
            yield Slot(f"{path}.weight", layer.weight.shape, dense=isinstance(layer, nn.Linear))


class FittedWeights(NamedTuple):
    """A file's values for a network.

    Args:
        part: what of the network they fill.
        is_partial: whether they leave values of that part as they are.
        state: the values by name.
    """

    part: Literal["network", "backbone"]
    is_partial: bool
    state: dict[str, Tensor]


CLASSIFIERS = (1000,)
"""Classes of the classifiers whose files may serve as a backbone's: ImageNet's."""


def fit(path: Path, network: nn.Module, published: nn.Module, *, for_backbone: bool) -> FittedWeights:
    """Decides by the length of a file which part of the network it fills: all, or the backbone.

    Args:
        path: the file.
        network: to be filled, with any number of classes.
        published: the same network with the classes and channels of its publication; its values are not read.
        for_backbone: fill the backbone alone.

    Raises:
        WeightsError: if it is no Darknet file, or fits nothing of the network.
    """
    file = read_darknet(path)
    backbone = getattr(network, "backbone", None)
    known: list[tuple[str, int]] = []
    if not for_backbone:
        for whole in (published, network):
            order = slots(whole)
            known.append((f"{type(network).__name__}'s", count(order)))
            if known[-1][1] == len(file.values):
                return FittedWeights("network", False, state_of(file, order))
        behind = tuple(f"{name}." for name in getattr(network, "classifier_modules", ()))
        order = [slot for slot in slots(published) if not slot.name.startswith(behind or ("-",))]
        known.append((f"{type(network).__name__}'s first layers", count(order)))
        if behind and known[-1][1] == len(file.values):
            return FittedWeights("network", True, state_of(file, order))
    if isinstance(backbone, nn.Module):
        order = slots(getattr(published, "backbone", backbone))
        last = max(getattr(backbone, "channels", {1: 0}).items())[1]
        heads = [0, *((last + 1) * classes for classes in CLASSIFIERS)]
        known.append((f"{type(backbone).__name__}'s", count(order)))
        if len(file.values) - count(order) in heads:
            return FittedWeights("backbone", False, state_of(file, order))
    raise WeightsError(
        f"{path.name} does not fit {type(network).__name__}",
        expected=" or ".join(dict.fromkeys(f"{number:,} values ({what})" for what, number in known)),
        got=f"{len(file.values):,} values",
        remedy="download the file again if it is truncated; else name the network that it belongs to",
    )


def count(order: Sequence[Slot]) -> int:
    """The total number of values."""
    return sum(math.prod(slot.shape) for slot in order)


def state_of(file: DarknetFile, order: Sequence[Slot]) -> dict[str, Tensor]:
    """Gives the first values of a file their names; ignores the rest, such as another network's classifier."""
    state, offset = {}, 0
    for slot in order:
        size = math.prod(slot.shape)
        values = file.values[offset : offset + size]
        offset += size
        if slot.dense and file.transposed:
            values = values.reshape(slot.shape[1], slot.shape[0]).T
        state[slot.name] = torch.from_numpy(np.array(values, np.float32)).reshape(slot.shape)  # a copy, not the file
    return state

"""Turns the arrays of Caffe's layers into those of torch's, by tables from our modules to Caffe's layers.

Caffe and torch keep kernels alike: [O,I/groups,h,w] of convolutions, [I,O,h,w] of transposed ones, [O,I] of dense
layers. Files from before 2015 give every array four axes: [1,1,O,I] for a dense layer, [1,1,1,C] for biases. What torch
has in one layer, BatchNorm, are two of Caffe's: BatchNorm, which has sums of means and variances and their number, and
Scale.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.errors import WeightsError

Arrays = Mapping[str, NDArray[np.float32]]
"""By "layer.number", as :func:`~visus.models.caffe_file.read_caffe` gives them."""


class Source(Protocol):
    """Where a module's state comes from."""

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of the file's arrays."""
        ...

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        """The module's state by torch's names; its tensors are new."""
        ...


@dataclass(frozen=True, slots=True)
class Kernel:
    """A convolution, transposed or not.

    Args:
        layer: Caffe's name.
        bias: whether it has biases.
    """

    layer: str
    bias: bool = True

    @property
    def arrays(self) -> tuple[str, ...]:
        return (f"{self.layer}.0", f"{self.layer}.1") if self.bias else (f"{self.layer}.0",)

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        kernel = tensor(arrays[f"{self.layer}.0"])
        if kernel.ndim != 4:
            raise _other_shape(self.layer, "a kernel of four axes", kernel)
        return {"weight": kernel} | ({"bias": tensor(arrays[f"{self.layer}.1"]).flatten()} if self.bias else {})


@dataclass(frozen=True, slots=True)
class Dense:
    """A dense layer with biases.

    Args:
        layer: Caffe's name.
        window: (channels, height, width) of the map that it sees, where ours is a convolution of that size.
    """

    layer: str
    window: tuple[int, int, int] | None = None

    @property
    def arrays(self) -> tuple[str, ...]:
        return f"{self.layer}.0", f"{self.layer}.1"

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        weight = tensor(arrays[f"{self.layer}.0"])
        if weight.ndim != 2 and weight.shape[:-2] != (1, 1):
            raise _other_shape(self.layer, "the weights of a dense layer", weight)
        weight = weight.reshape(weight.shape[-2:])
        if self.window is not None:
            channels, height, width = self.window
            if weight.shape[1] != channels * height * width:
                raise _other_shape(self.layer, f"weights for a map of {channels}x{height}x{width}", weight)
            weight = weight.reshape(len(weight), *self.window)
        return {"weight": weight, "bias": tensor(arrays[f"{self.layer}.1"]).flatten()}


@dataclass(frozen=True, slots=True)
class Norm:
    """BatchNorm with the Scale behind it.

    Caffe's BatchNorm holds mean and variance times a number, its third array; 0 there makes both 0, as in Caffe.

    Args:
        norm: Caffe's name of BatchNorm.
        scale: that of the Scale.
        bias_of: a convolution whose biases stand before BatchNorm, where ours has none: they are taken from the mean.
    """

    norm: str
    scale: str
    bias_of: str = ""

    @property
    def arrays(self) -> tuple[str, ...]:
        moments = tuple(f"{self.norm}.{number}" for number in range(3))
        biases = (f"{self.bias_of}.1",) if self.bias_of else ()
        return *moments, f"{self.scale}.0", f"{self.scale}.1", *biases

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        number = tensor(arrays[f"{self.norm}.2"])
        if number.numel() != 1:
            raise _other_shape(f"{self.norm}.2", "one number", number)
        share = 0.0 if number.item() == 0 else 1 / number.item()
        mean = tensor(arrays[f"{self.norm}.0"]).flatten() * share
        if self.bias_of:
            mean -= tensor(arrays[f"{self.bias_of}.1"]).flatten()
        return {
            "weight": tensor(arrays[f"{self.scale}.0"]).flatten(),
            "bias": tensor(arrays[f"{self.scale}.1"]).flatten(),
            "running_mean": mean,
            "running_var": tensor(arrays[f"{self.norm}.1"]).flatten() * share,
        }


@dataclass(frozen=True, slots=True)
class WholeNorm:
    """The layer BN of yjxiong/caffe: slope, bias, mean and variance in one.

    Args:
        layer: its name.
    """

    layer: str

    @property
    def arrays(self) -> tuple[str, ...]:
        return tuple(f"{self.layer}.{number}" for number in range(4))

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        names = ("weight", "bias", "running_mean", "running_var")
        return {ours: tensor(arrays[name]).flatten() for ours, name in zip(names, self.arrays, strict=True)}


@dataclass(frozen=True, slots=True)
class FixedNorm:
    """The layer BN of HyeonwooNoh/caffe after training: a scale and a shift into which mean and variance are reckoned.

    Args:
        layer: its name.
        epsilon: of our BatchNorm, which is to change nothing.
    """

    layer: str
    epsilon: float

    @property
    def arrays(self) -> tuple[str, ...]:
        return f"{self.layer}.0", f"{self.layer}.1"

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        scale, shift = (tensor(arrays[name]).flatten() for name in self.arrays)
        return {
            "weight": scale,
            "bias": shift,
            "running_mean": torch.zeros_like(scale),
            "running_var": torch.full_like(scale, 1 - self.epsilon),
        }


@dataclass(frozen=True, slots=True)
class Values:
    """A single array of one axis.

    Args:
        layer: Caffe's name.
        name: ours of the value.
    """

    layer: str
    name: str

    @property
    def arrays(self) -> tuple[str, ...]:
        return (f"{self.layer}.0",)

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        return {self.name: tensor(arrays[f"{self.layer}.0"]).flatten()}


Table = Mapping[str, Source]
"""By our module's name."""


def converted(arrays: Arrays, table: Table, network: str, *, unused: Collection[str] = ()) -> dict[str, Tensor]:
    """The state of our network of a file's arrays.

    Args:
        arrays: the file's.
        table: where each module's state comes from.
        network: whose file it should be, for the message.
        unused: Caffe's layers that may be there and are not wanted.

    Raises:
        WeightsError: if an array is missing, not one of that network's, or of a shape that its layer cannot have.
    """
    names = {name for source in table.values() for name in source.arrays}
    there = {name for name in arrays if name.rpartition(".")[0] not in unused}
    missing, foreign = sorted(names - there), sorted(there - names)
    if missing or foreign:
        raise WeightsError(
            f"these are not the weights of {network}",
            expected=missing[0] if missing else "no further values",
            got=f"{len(missing)} values missing, {len(foreign)} of another network"
            + (f", such as {foreign[0]}" if foreign else f"; the last is {list(arrays)[-1]}" if arrays else ""),
            remedy="choose a file of that network",
        )
    return {
        f"{module}.{name}": value for module, source in table.items() for name, value in source.state(arrays).items()
    }


def tensor(array: NDArray[np.float32]) -> Tensor:
    """A copy of an array, which may be a view of a file's bytes."""
    return torch.from_numpy(np.array(array, np.float32))


def _other_shape(layer: str, expected: str, found: Tensor) -> WeightsError:
    return WeightsError(
        f"{layer} has an unexpected shape",
        expected=expected,
        got=str(list(found.shape)),
        remedy="choose a file of the network that is to be filled",
    )

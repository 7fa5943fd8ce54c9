"""Measures a network by one forward pass that computes no values, and notes what every module did.

Nothing here is read from a layer's attributes: kernels, strides, paddings and groups are those of the operators that
ran, shapes are those of their results.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves

from visus.analysis.operations import Operation, OperatorTrace, TensorTable
from visus.analysis.operator_window import IntPair, operator_window, pair
from visus.analysis.recorder import without_values

aten = torch.ops.aten

PRODUCTS = (aten.addmm, aten.mm, aten.bmm, aten.baddbmm)
MEANS = (aten.mean, aten.sum, aten.amax)
ADAPTIVE = (aten._adaptive_avg_pool2d, aten.adaptive_max_pool2d)


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution, pooling or linear layer (a 1x1 convolution of a 1x1 map) as it ran.

    Args:
        kind: which of them.
        kernel: (height, width).
        stride: (vertical, horizontal).
        padding: (top, bottom, left, right), with what was added to its input beforehand.
        groups: of a convolution, else 1.
        inputs: channels.
        outputs: channels.
        area: (height, width) of its input, padding left aside.
        weight: the identity of its weight, 0 for a pooling.
        whole: whether it pools its whole input to one value.
        number: its position in the order of the pass.
        after: the numbers of those whose results come to it without another one in between.
    """

    kind: Literal["convolution", "linear", "pooling"]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    inputs: int
    outputs: int
    area: tuple[int, int]
    weight: int = 0
    whole: bool = False
    number: int = 0
    after: frozenset[int] = frozenset()


@dataclass(slots=True)
class Call:
    """One call of a module, with everything that ran inside it.

    Args:
        output: shape without the batch axis, of the last tensor that it gave back; None if it gave none.
        sees: (vertical, horizontal) receptive field of that tensor; None if it does not come from the image.
        macs: multiply-accumulates of convolutions and matrix products.
        connections: of the same, and of poolings and radial basis functions, and one for each bias and place.
        windows: convolutions and poolings, in the order in which they ran.
        ended: how many calls had ended before.
    """

    output: tuple[int, ...] | None = None
    sees: tuple[int, int] | None = None
    macs: int = 0
    connections: int = 0
    windows: list[Window] = field(default_factory=list)
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """The counts and calls that one pass showed.

    Args:
        params: trainable values, without auxiliary heads.
        params_with_auxiliary: with them.
        params_with_fixed: without auxiliary heads, but with the values that never learn.
        running_statistics: means and variances of BatchNorm, without auxiliary heads.
        macs: multiply-accumulates for one image, without auxiliary heads.
        depth: convolutions and linear layers on the longest way from the image to an output.
        calls: by a module's path, in the order of its calls.
        owned: the identities of the parameters under each path, with their counts.
    """

    params: int
    params_with_auxiliary: int
    params_with_fixed: int
    running_statistics: int
    macs: int
    depth: int
    calls: Mapping[str, Sequence[Call]]
    owned: Mapping[str, Mapping[int, int]]

    def params_at(self, paths: Sequence[str]) -> int:
        """The number of parameter values in these modules; shared parameters count once."""
        return sum({identity: count for path in paths for identity, count in self.owned[path].items()}.values())


def measure(network: nn.Module, size: Sequence[int]) -> Measurement:
    """Measures a network: passes one image of ``size`` (channels, height, width) through it in eval mode.

    The network is left as it was. On torch's meta device nothing is computed; a network that looks at values runs on
    its own device instead.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        try:
            with without_values(network):
                pass_ = _Pass(network, size)
        except Exception:
            pass_ = _Pass(network, size)  # what is wrong with the network is wrong here too
    finally:
        for module, mode in modes.items():
            module.training = mode
    auxiliary = _auxiliary(network)
    owned: dict[str, dict[int, int]] = {}
    _own(network, "", owned)
    learning = {id(p) for p in network.parameters() if p.requires_grad}
    apart = {i for path in auxiliary for i in owned[path]}
    return Measurement(
        params=sum(n for i, n in owned[""].items() if i in learning and i not in apart),
        params_with_auxiliary=sum(n for i, n in owned[""].items() if i in learning),
        params_with_fixed=sum(n for i, n in owned[""].items() if i not in apart),
        running_statistics=sum(_statistics(network, auxiliary)),
        macs=pass_.calls[""][0].macs,
        depth=pass_.depth,
        calls=pass_.calls,
        owned=owned,
    )


def _own(module: nn.Module, path: str, owned: dict[str, dict[int, int]]) -> None:
    """Notes the parameters of a module and of every module in it, by path; a parent has its own and its children's."""
    here: dict[int, int] = {}
    owned[path] = here
    here.update((id(value), value.numel()) for value in module._parameters.values() if value is not None)
    for name, child in module._modules.items():
        if child is not None:
            inside = f"{path}.{name}" if path else name
            _own(child, inside, owned)
            here.update(owned[inside])


def _auxiliary(network: nn.Module) -> tuple[str, ...]:
    return tuple(getattr(network, "auxiliary_heads", ()))


def _statistics(network: nn.Module, auxiliary: Sequence[str]) -> Iterator[int]:
    heads = tuple(f"{name}." for name in auxiliary)
    for path, buffer in network.named_buffers():
        if path.rpartition(".")[2] in ("running_mean", "running_var") and not path.startswith(heads):
            yield buffer.numel()


class _Pass:
    """Observes one forward pass."""

    def __init__(self, network: nn.Module, size: Sequence[int]) -> None:
        self.calls: dict[str, list[Call]] = {}
        self.depth = 0
        self.running: list[tuple[str, nn.Module, Call]] = []
        self.ended = 0
        self.layers: TensorTable[int] = TensorTable()
        self.pads: TensorTable[tuple[int, int, int, int]] = TensorTable()
        self.windows = 0
        self.origins: TensorTable[frozenset[int]] = TensorTable()
        self.paths = {module: path for path, module in network.named_modules()}
        # Two hooks for all modules; two for each would take as long as the pass.
        hooks = [register_module_forward_pre_hook(self._enter), register_module_forward_hook(self._leave)]
        first = next(network.parameters(), torch.empty(0, device="meta"))
        image = torch.zeros(1, *size, device=first.device, dtype=first.dtype)
        self.layers[image] = 0
        try:
            with torch.no_grad(), OperatorTrace(image, self._observe, formulas=False) as self.trace:
                output = network(image)
        finally:
            for hook in hooks:
                hook.remove()
        self.depth = max((self.layers.get(leaf) or 0 for leaf in _tensors(output)), default=0)

    def _enter(self, module: nn.Module, _: Any) -> None:
        if module in self.paths:  # and not another thread's
            self.running.append((self.paths[module], module, Call()))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if module not in self.paths:
            return
        path, module, call = self.running.pop()
        leaves = _tensors(output)
        if leaves:
            call.output = tuple(leaves[-1].shape[1:])
            reach = self.trace.reach(leaves[-1])
            call.sees = None if reach is None else (round(reach.size[0]), round(reach.size[1]))
            if isinstance(getattr(module, "bias", None), Tensor):
                call.connections += math.prod(call.output)
        call.ended = self.ended
        self.ended += 1
        self.calls.setdefault(path, []).append(call)
        if self.running:
            around = self.running[-1][2]
            around.macs += call.macs
            around.connections += call.connections
            around.windows += call.windows

    def _observe(self, operation: Operation) -> None:
        packet, args = operation.operator, operation.arguments
        origins = frozenset[int]().union(*(self.origins.get(tensor) or () for tensor in operation.inputs))
        window = self._window(packet, args, operation.outputs[0], origins) if operation.outputs else None
        if packet is aten.constant_pad_nd:
            self._pad(args, operation.outputs[0])
        is_layer = packet is aten.convolution or (packet in PRODUCTS and len(operation.inputs) == 1)
        before = max((self.layers.get(tensor) or 0 for tensor in operation.inputs), default=0)
        for output in operation.outputs:
            self.layers[output] = before + is_layer
            self.origins[output] = origins if window is None else frozenset((window.number,))
        call = self.running[-1][2]
        call.macs += operation.macs
        call.connections += operation.macs
        if window is not None:
            call.windows.append(window)
            if window.kind == "pooling":
                call.connections += math.prod(window.kernel) * operation.outputs[0].numel()
        elif packet is aten.sub and len(operation.inputs) == 1 and operation.outputs[0].ndim == 3:
            call.connections += operation.outputs[0].numel()  # each unit's distance from its centre

    def _pad(self, args: Sequence[Any], output: Tensor) -> None:
        left, right, top, bottom = [*args[1], 0, 0][:4]
        earlier = self.pads.get(args[0]) or (0, 0, 0, 0)
        self.pads[output] = (earlier[0] + top, earlier[1] + bottom, earlier[2] + left, earlier[3] + right)

    def _window(self, packet: Any, args: Sequence[Any], output: Tensor, after: frozenset[int]) -> Window | None:
        window = self._kind_of_window(packet, args, output)
        if window is None:
            return None
        self.windows += 1
        return replace(window, number=self.windows, after=after)

    def _kind_of_window(self, packet: Any, args: Sequence[Any], output: Tensor) -> Window | None:
        if packet in (aten.addmm, aten.mm):
            left, right = args[-2:]
            return Window(
                "linear", (1, 1), (1, 1), (0, 0, 0, 0), 1, left.shape[1], right.shape[1], (1, 1), _identity(right)
            )
        image = args[0] if args else None
        if not isinstance(image, Tensor) or image.ndim != 4:
            return None
        pad = self.pads.get(image) or (0, 0, 0, 0)
        area = (image.shape[2] - pad[0] - pad[1], image.shape[3] - pad[2] - pad[3])
        inputs = image.shape[1]
        ran = operator_window(packet, args)
        if ran is not None and packet is aten.convolution:
            weight, groups, around = args[1], args[8], _around(pad, ran.padding)
            return Window(
                "convolution", ran.kernel, ran.stride, around, groups, inputs, output.shape[1], area, _identity(weight)
            )
        pooling = _pooling(packet, args, image, output)
        if pooling is None:
            return None
        kernel, stride, padding = pooling
        whole = packet in MEANS or (kernel == area and tuple(output.shape[2:]) == (1, 1))
        return Window("pooling", kernel, stride, _around(pad, padding), 1, inputs, inputs, area, whole=whole)


def _pooling(
    packet: Any, args: Sequence[Any], image: Tensor, output: Tensor
) -> tuple[IntPair, IntPair, IntPair] | None:
    """Kernel, stride and padding of a pooling; None for any other operator."""
    if (window := operator_window(packet, args)) is not None:
        return window.kernel, window.stride, window.padding
    if packet in ADAPTIVE:
        sides = list(zip(image.shape[2:], output.shape[2:], strict=True))
        if any(side % out for side, out in sides):
            return None  # windows of several sizes
        steps = pair([side // out for side, out in sides])
        return steps, steps, (0, 0)
    if packet in MEANS and len(args) > 1 and args[1] is not None:
        axes = {axis % 4 for axis in ([args[1]] if isinstance(args[1], int) else args[1])}
        area = pair(image.shape[2:])
        return (area, area, (0, 0)) if axes == {2, 3} else None
    return None


def _identity(weight: Tensor) -> int:
    """A number that is equal for all views of one tensor."""
    return int(weight.untyped_storage()._cdata)


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]


def _around(pad: tuple[int, int, int, int], padding: tuple[int, int]) -> tuple[int, int, int, int]:
    vertical, horizontal = padding
    return pad[0] + vertical, pad[1] + vertical, pad[2] + horizontal, pad[3] + horizontal

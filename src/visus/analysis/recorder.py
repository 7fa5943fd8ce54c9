"""Records the lines of a summary from forward passes that compute no values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves

from visus.analysis.formulas import bytes_formula, geometry, parameter_formula, sum_formula
from visus.analysis.line import IMAGE, Line
from visus.analysis.operations import Operation, OperatorTrace, TensorTable
from visus.analysis.receptive_field import Reach
from visus.errors import ShapeError, VisusError

TRAINED = 1009  # images of the training pass, where they cost nothing: a number that no other axis is a multiple of


@dataclass(frozen=True, slots=True)
class Recording:
    """The result of recording: one pass in eval mode, and one as in training.

    Args:
        lines: in the order in which they run; then those that only a training runs, then those that nothing calls.
        peak_bytes: of the values that live at one time in a forward pass.
        kept_bytes: what autograd keeps of one image; None if no training pass was possible.
        outputs: the indices of the lines whose outputs the network gives, in eval mode.
    """

    lines: tuple[Line, ...]
    peak_bytes: int
    kept_bytes: int | None
    outputs: tuple[int, ...]


def record(network: nn.Module, size: tuple[int, int, int]) -> Recording:
    """Records a network: passes zeros of ``size`` through it in eval mode, and again as in training.

    Both run on torch's meta device, where nothing is computed, and leave the network as it was. A network that looks
    at values runs on its own device instead, without its convolutions and without the training pass.

    Raises:
        ShapeError: if the network cannot take such an input.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        with without_values(network):
            recorder = _Recorder(network, modes, training=False)
            recorder.run(size)
            trained = _record_training(network, modes, size)
    except VisusError:
        raise
    except Exception as error:
        if any(parameter.is_meta for parameter in network.parameters()):  # there are no values to look at
            raise _unfit(network, size, error) from error
        recorder, trained = _Recorder(network, modes, training=False), None
        try:
            recorder.run(size)
        except RuntimeError as second:
            raise _unfit(network, size, second) from second
    lines, peak = recorder.finished()
    if trained is not None:
        lines = _merged(lines, trained.finished()[0])
    counted = recorder.counted | (trained.counted if trained is not None else set())
    lines += _unused(network, counted)
    kept = None if trained is None else sum(line.kept_bytes for line in lines)
    return Recording(tuple(lines), peak, kept, recorder.outputs)


def _unfit(network: nn.Module, size: tuple[int, int, int], error: Exception) -> ShapeError:
    return ShapeError(
        f"{type(network).__name__} cannot take an input of {size[0]}x{size[1]}x{size[2]}",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        remedy="choose another input size or number of channels",
    )


def _record_training(network: nn.Module, modes: dict[nn.Module, bool], size: tuple[int, int, int]) -> _Recorder | None:
    recorder = _Recorder(network, modes, training=True)
    try:
        recorder.run(size)
    except (VisusError, RuntimeError, ValueError):
        return None  # such a network, or such an input, cannot be trained
    return recorder


@contextmanager
def without_values(network: nn.Module) -> Iterator[None]:
    """Context: replaces all parameters and buffers by tensors on the meta device, which hold no values."""
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
    stand_ins: dict[int, Tensor] = {}
    for module in network.modules():
        both: tuple[dict[str, Any], dict[str, Any]] = (module._parameters, module._buffers)
        for tensors in both:
            kept.append((tensors, dict(tensors)))
            for name, value in tensors.items():
                if value is not None and not value.is_meta:
                    if id(value) not in stand_ins:
                        stand_ins[id(value)] = _stand_in(value)
                    tensors[name] = stand_ins[id(value)]
    try:
        yield
    finally:
        for tensors, before in kept:
            tensors.update(before)


def _stand_in(value: Tensor) -> Tensor:
    empty = torch.empty(value.shape, dtype=value.dtype, device="meta")
    return nn.Parameter(empty, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else empty


def _merged(lines: list[Line], trained: Sequence[Line]) -> list[Line]:
    """The lines of the eval pass with the bytes that training keeps; then the lines that only training runs."""
    line_of = {key: number for number, key in enumerate(_keys(lines))}
    merged = list(lines)
    by_trained = {IMAGE: IMAGE}
    for index, (key, line) in enumerate(zip(_keys(trained), trained, strict=True)):
        if key in line_of:
            number = line_of[key]
            formula = line.formulas.get("kept_bytes")
            formulas = {**merged[number].formulas, **({"kept_bytes": formula} if formula else {})}
            merged[number] = replace(merged[number], kept_bytes=line.kept_bytes, formulas=formulas)
        else:
            number = len(merged)
            inputs = tuple(by_trained[i] for i in line.inputs)
            formulas = {name: text for name, text in line.formulas.items() if name != "live_bytes"}
            merged.append(replace(line, inputs=inputs, live_bytes=0, formulas=formulas, only_in_training=True))
        by_trained[index] = number
    return merged


def _keys(lines: Sequence[Line]) -> list[tuple[str, str, int]]:
    """Keys of the lines: path, kind, and how many times this path and kind have come so far."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    keys = []
    for line in lines:
        counts[line.path, line.kind] += 1
        keys.append((line.path, line.kind, counts[line.path, line.kind]))
    return keys


def _unused(network: nn.Module, counted: set[int]) -> list[Line]:
    """Lines for parameters of modules that no pass called, so that the lines add up to the total."""
    lines = []
    for path, module in network.named_modules():
        parameters = list(module.parameters(recurse=False))
        if parameters and id(module) not in counted:
            formula = parameter_formula(module)
            lines.append(
                Line(
                    path=path,
                    kind=f"{type(module).__name__} (called by no line)",
                    output=(),
                    parameters=sum(p.numel() for p in parameters),
                    formulas={"parameters": formula} if formula else {},
                )
            )
    return lines


@dataclass
class _Storage:
    """Memory of a tensor that comes from the image, with the time of its first and last use."""

    size: int
    formula: str
    born: int
    last: int


@dataclass
class _Call:
    """A call of a module that has not returned yet."""

    path: str
    module: nn.Module
    inputs: frozenset[int]
    reaches: list[Reach | None]
    began: int
    macs: int = 0
    mac_formulas: list[str] = field(default_factory=list)
    shape_formula: tuple[str, torch.Size] = ("", torch.Size())
    kept: list[tuple[int, str]] = field(default_factory=list)

    @property
    def is_layer(self) -> bool:
        return next(self.module.children(), None) is None


@dataclass
class _Draft:
    """A line whose memory is only known when the pass has ended."""

    line: Line
    began: int
    ended: int
    kept: list[tuple[int, str]]


class _Recorder:
    """Records one forward pass."""

    def __init__(self, network: nn.Module, modes: dict[nn.Module, bool], *, training: bool) -> None:
        self.network = network
        self.modes = modes
        self.training = training
        self.learns = {
            name: any(p.requires_grad for p in parameters)
            for name, module in network.named_modules()
            if (parameters := list(module.parameters(recurse=False)))
        }
        self.drafts: list[_Draft] = []
        self.running: list[_Call] = []
        self.counted: set[int] = set()
        self.origins: TensorTable[tuple[int, ...]] = TensorTable()
        self.storages: TensorTable[_Storage] = TensorTable()
        self.memory: list[_Storage] = []
        self.time = 0
        self.pending: list[tuple[int, str]] = []  # kept since the last line, outside of layers
        self.saved: dict[int, Any] = {}  # storages that autograd keeps, by their address
        self.images = TRAINED if training else 1
        self.outputs: tuple[int, ...] = ()

    def run(self, size: tuple[int, int, int]) -> None:
        """Passes zeros through the network."""
        hooks = []
        for path, module in self.network.named_modules():
            hooks.append(module.register_forward_pre_hook(lambda m, args, path=path: self._enter(path, m, args)))
            hooks.append(module.register_forward_hook(lambda _, __, output: self._leave(output)))
        trains_whole = self.training and not self.modes[self.network]
        try:
            for module, mode in self.modes.items():
                module.training = self.training and (trains_whole or mode)
            with torch.random.fork_rng(devices=[]):
                self._forward(size)
        finally:
            for hook in hooks:
                hook.remove()
            for module, mode in self.modes.items():
                module.training = mode

    def _forward(self, size: tuple[int, int, int]) -> None:
        first = next(self.network.parameters(), torch.empty(0, device="meta"))
        image = torch.zeros(self.images, *size, device=first.device, dtype=first.dtype)
        tensors = (*self.network.parameters(), *self.network.buffers())
        self.saved = {tensor.untyped_storage()._cdata: None for tensor in tensors}
        self.origins[image] = (IMAGE,)
        self._remember(image)
        with (
            torch.set_grad_enabled(self.training),
            saved_tensors_hooks(self._keep, _never_asked_for),
            OperatorTrace(image, self._observe) as self.trace,
        ):
            output = self.network(image)
        output_tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        self.outputs = tuple(dict.fromkeys(line for leaf in output_tensors for line in self.origins.get(leaf) or ()))
        for leaf in output_tensors:
            if (storage := self.storages.get(leaf)) is not None:
                storage.last = self.time

    def finished(self) -> tuple[list[Line], int]:
        """The finished lines, and the peak of the bytes that live at one time."""
        live, held = self._lives()
        lines = []
        for draft in self.drafts:
            moment = max(range(draft.began, draft.ended), key=lambda t: live[t])
            formulas = {
                "live_bytes": sum_formula(held(moment)),
                "kept_bytes": sum_formula([text for _, text in draft.kept]),
            }
            lines.append(
                replace(
                    draft.line,
                    live_bytes=live[moment],
                    kept_bytes=sum(size for size, _ in draft.kept),
                    formulas={**draft.line.formulas, **{name: text for name, text in formulas.items() if text}},
                )
            )
        return lines, max(live)

    def _lives(self) -> tuple[list[int], Callable[[int], list[str]]]:
        """The live bytes at each operator, and a function from time to the formulas of what is alive then."""
        changes = [0] * (self.time + 2)
        born: defaultdict[int, list[_Storage]] = defaultdict(list)
        for storage in self.memory:
            changes[storage.born] += storage.size
            changes[storage.last + 1] -= storage.size
            born[storage.born].append(storage)
        at: list[list[_Storage]] = [[]]
        for time in range(self.time + 2):
            at.append([s for s in (*at[-1], *born[time]) if s.last >= time and s.size])
        return list(accumulate(changes)), lambda time: [storage.formula for storage in at[time + 1]]

    # --- what happens while the network runs

    def _enter(self, path: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._settle()
        tensors = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
        reaches = [self.trace.reach(tensor) for tensor in tensors]
        self.running.append(_Call(path, module, frozenset(map(id, tensors)), reaches, self.time))

    def _leave(self, output: Any) -> None:
        call = self.running.pop()
        is_nothing = isinstance(call.module, nn.Identity)
        is_line = call.is_layer or call.path in self.learns
        if isinstance(output, Tensor) and is_line and not is_nothing:
            self._add_layer(call, output)
        else:
            self.pending += call.kept

    def _observe(self, operation: Operation) -> None:
        now = self.time
        self.time += 1
        origins = tuple(dict.fromkeys(o for t in operation.inputs for o in self.origins.get(t) or ()))
        reaches = [self.trace.reach(tensor) for tensor in operation.inputs]
        self._move_memory(operation, now)
        call = self.running[-1]
        if call.is_layer:
            call.macs += operation.macs
            call.mac_formulas += [operation.mac_formula] if operation.mac_formula else []
            if operation.shape_formula:
                call.shape_formula = operation.shape_formula, operation.outputs[0].shape
        elif operation.kind:
            self._add_operator(call, operation, origins, reaches, now)
            origins = (len(self.drafts) - 1,)
        else:
            self._settle()
        for output in operation.outputs:
            self.origins[output] = origins

    def _move_memory(self, operation: Operation, now: int) -> None:
        here = {}
        for tensor in operation.inputs:
            if (storage := self.storages.get(tensor)) is not None:
                storage.last = now
                here[tensor.untyped_storage()._cdata] = storage
        for tensor in operation.outputs:
            address = tensor.untyped_storage()._cdata
            if address in here:
                self.storages[tensor] = here[address]
            else:
                here[address] = self._remember(tensor)

    def _remember(self, tensor: Tensor) -> _Storage:
        """Registers the memory of a new tensor. Indices of maxima, which only training needs, count as 0 bytes."""
        size, formula = self._bytes(tensor) if tensor.is_floating_point() else (0, "")
        storage = _Storage(size, formula, self.time - 1 if self.time else 0, max(self.time - 1, 0))
        self.memory.append(storage)
        self.storages[tensor] = storage
        return storage

    def _bytes(self, tensor: Tensor) -> tuple[int, str]:
        """A tensor's bytes for one image, and their formula; tensors without a batch axis (statistics) count whole."""
        batched = tensor.ndim > 0 and tensor.shape[0] % self.images == 0
        shape = (tensor.shape[0] // self.images, *tensor.shape[1:]) if batched else tuple(tensor.shape)
        size = tensor.element_size()
        for side in shape:
            size *= side
        return size, bytes_formula(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape, tensor.element_size())

    def _regions(self, tensor: Tensor) -> int:
        """How often a tensor holds what a layer gives of one image."""
        rows = tensor.shape[0] if tensor.ndim else 1
        return rows // self.images if rows and rows % self.images == 0 else 1

    def _keep(self, tensor: Tensor) -> None:
        """Notes a tensor that autograd keeps for the backward pass; autograd calls this."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self.saved:
            self.saved[storage._cdata] = storage  # holds it, so that its address stays its own
            (self.running[-1].kept if self.running[-1].is_layer else self.pending).append(self._bytes(tensor))

    def _settle(self) -> None:
        """Adds the bytes kept outside of layers to the line before."""
        if self.pending and self.drafts:
            self.drafts[-1].kept += self.pending
            self.pending = []

    # --- lines

    def _add_operator(
        self, call: _Call, operation: Operation, origins: tuple[int, ...], reaches: Sequence[Reach | None], now: int
    ) -> None:
        output = operation.outputs[0]
        line = Line(
            path=call.path,
            kind=operation.kind,
            output=tuple(output.shape[1:]),
            inputs=origins,
            macs=operation.macs,
            activation_bytes=self._bytes(output)[0],
            regions=self._regions(output),
            formulas={"macs": operation.mac_formula, "output": operation.shape_formula},
        )
        self.drafts.append(_Draft(self._completed(line, output, reaches), now, now + 1, self.pending))
        self.pending = []

    def _add_layer(self, call: _Call, output: Tensor) -> None:
        shape = geometry(call.module)
        fresh = id(call.module) not in self.counted
        self.counted.add(id(call.module))
        parameters = list(call.module.parameters(recurse=False))
        line = Line(
            path=call.path,
            kind=type(call.module).__name__,
            output=tuple(output.shape[1:]),
            inputs=self.origins.get(output) or (),
            kernel=shape.kernel,
            stride=shape.stride,
            padding=shape.padding,
            dilation=shape.dilation,
            groups=shape.groups,
            settings=" ".join(call.module.extra_repr().split()),
            parameters=sum(p.numel() for p in parameters) if fresh else 0,
            macs=call.macs,
            activation_bytes=0 if id(output) in call.inputs else self._bytes(output)[0],
            frozen=self._frozen(call),
            regions=self._regions(output),
            formulas={
                "output": call.shape_formula[0] if call.shape_formula[1] == output.shape else "",
                "parameters": parameter_formula(call.module) if fresh else "",
                "macs": " + ".join(call.mac_formulas),
            },
        )
        ended = max(self.time, call.began + 1)
        self.drafts.append(_Draft(self._completed(line, output, call.reaches), call.began, ended, call.kept))
        self.origins[output] = (len(self.drafts) - 1,)

    def _completed(self, line: Line, output: Tensor, before: Sequence[Reach | None]) -> Line:
        """The line with its receptive field, and without empty formulas."""
        formulas = dict(line.formulas)
        if line.activation_bytes:
            formulas["activation_bytes"] = self._bytes(output)[1]
        reach = self.trace.reach(output)
        if reach is not None:
            if not any(reach is other for other in before):
                formulas |= {"receptive_field": reach.working.size, "offset": reach.working.offset}
                formulas |= {"jump": reach.working.jump} if reach.is_map else {}
            line = replace(
                line,
                receptive_field=(round(reach.size[0]), round(reach.size[1])),
                jump=reach.jump if reach.is_map else None,
                offset=reach.offset,
            )
        return replace(line, formulas={name: text for name, text in formulas.items() if text})

    def _frozen(self, call: _Call) -> str:
        parts = []
        if not self.learns.get(call.path, True):
            parts.append("weights")
        statistics = isinstance(call.module, nn.modules.batchnorm._BatchNorm)
        if statistics and self.modes[self.network] and not self.modes[call.module]:
            parts.append("statistics")
        return " and ".join(parts)


def _never_asked_for(_: Any) -> Tensor:
    raise NotImplementedError("no backward pass follows")

"""A network worked out line by line: shapes, parameters, operations, memory and receptive fields, with formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from visus.analysis.formulas import Geometry, geometry, parameter_formula
from visus.analysis.operations import OperatorTrace
from visus.errors import ShapeError

BYTES = 4  # of a float32


@dataclass(frozen=True, slots=True)
class Line:
    """One layer, or one operator outside any layer, in the order in which they run.

    Args:
        path: the layer's name in the network; for an operator, that of the module around it.
        kind: the layer's class, or the kind of operator.
        kernel, stride, padding: (vertical, horizontal) where the layer has them, else None.
        groups: of a convolution, else 1.
        output: shape without the batch axis.
        parameters: weights and biases, counted where they are used first.
        parameter_formula: how they come about, such as "(3*3*64 + 1)*128"; "" for none.
        macs: multiply-accumulates for one image.
        mac_formula: such as "3 * 3 * 64 * 128 * 56 * 56"; "" for none.
        activation_bytes: of the output for one image, in float32; 0 for a layer that works in place.
        receptive_field: (vertical, horizontal) in pixels of the image; None if it does not come from the image.
        frozen: "weights", "statistics", "weights and statistics", or "".
    """

    path: str
    kind: str
    output: tuple[int, ...]
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    groups: int = 1
    parameters: int = 0
    parameter_formula: str = ""
    macs: int = 0
    mac_formula: str = ""
    activation_bytes: int = 0
    receptive_field: tuple[int, int] | None = None
    frozen: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """All lines of a network, and their totals.

    Args:
        network: its class.
        input: (channels, height, width).
        lines: in the order in which they run.
        parameters: all weights and biases.
        trainable: those that require a gradient.
        buffers: values that are kept but not trained, such as BatchNorm's statistics.
        macs: multiply-accumulates of convolutions and matrix products for one image.
        activation_bytes: all lines' outputs for one image in float32: what a training keeps, about.
        weight_bytes: parameters and buffers as they are stored.
    """

    network: str
    input: tuple[int, int, int]
    lines: tuple[Line, ...]
    parameters: int
    trainable: int
    buffers: int
    macs: int
    activation_bytes: int
    weight_bytes: int

    @property
    def frozen(self) -> int:
        """Parameters that do not learn."""
        return self.parameters - self.trainable

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = asdict(self)
        values["frozen"] = self.frozen
        return values

    def __str__(self) -> str:
        head = ("layer", "kind", "kernel", "output", "parameters", "MACs", "memory", "sees", "")
        rows = [head, *(_row(line) for line in self.lines)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        is_number = (False, False, False, False, True, True, True, True, False)
        table = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, is_number, strict=True)
            ).rstrip()
            for row in rows
        ]
        table.insert(1, "-" * max(map(len, table)))
        frozen = f", {self.frozen:,} of them frozen" if self.frozen else ""
        channels, height, width = self.input
        return "\n".join(
            (
                *table,
                "",
                f"{self.network} for {channels}x{height}x{width}: {self.parameters:,} parameters{frozen} "
                f"({_memory(self.weight_bytes)} with {self.buffers:,} buffered values), {self.macs:,} MACs, "
                f"{_memory(self.activation_bytes)} of activations an image",
            )
        )


def summarize(network: nn.Module, input_size: Sequence[int]) -> Summary:
    """Works a network out by one pass of an image of zeros, in which convolutions are not computed.

    Args:
        network: any network that takes one tensor [N,C,H,W]; it is left as it was.
        input_size: (C, H, W).

    Raises:
        ShapeError: if the network cannot take such an input.
    """
    channels, height, width = input_size
    lines = _Recorder(network).run((channels, height, width))
    parameters = list(network.parameters())
    buffers = list(network.buffers())
    return Summary(
        network=type(network).__name__,
        input=(channels, height, width),
        lines=tuple(lines),
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        buffers=sum(b.numel() for b in buffers),
        macs=sum(line.macs for line in lines),
        activation_bytes=sum(line.activation_bytes for line in lines),
        weight_bytes=sum(t.numel() * t.element_size() for t in (*parameters, *buffers)),
    )


@dataclass
class _Call:
    """A module that is running."""

    path: str
    module: nn.Module
    inputs: frozenset[int]
    macs: int = 0
    formulas: list[str] = field(default_factory=list)

    @property
    def is_layer(self) -> bool:
        return next(self.module.children(), None) is None


class _Recorder:
    """One forward pass, and what was seen of it."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.modes = {name: module.training for name, module in network.named_modules()}
        self.learns = {
            name: any(p.requires_grad for p in own)
            for name, module in network.named_modules()
            if (own := list(module.parameters(recurse=False)))
        }
        self.lines: list[Line] = []
        self.running: list[_Call] = []
        self.counted: set[int] = set()

    def run(self, size: tuple[int, int, int]) -> list[Line]:
        hooks = []
        for path, module in self.network.named_modules():
            hooks.append(module.register_forward_pre_hook(lambda m, args, path=path: self._enter(path, m, args)))
            hooks.append(module.register_forward_hook(lambda _, __, output: self._leave(output)))
        self.network.eval()
        try:
            self._forward(size)
        except RuntimeError as error:
            raise ShapeError(
                f"{type(self.network).__name__} cannot take an input of {size[0]}x{size[1]}x{size[2]}",
                got=str(error).splitlines()[0],
                remedy="choose another input size or number of channels",
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
            for path, module in self.network.named_modules():
                module.training = self.modes[path]
        self._add_unused()
        return self.lines

    def _forward(self, size: tuple[int, int, int]) -> None:
        first = next(self.network.parameters(), torch.empty(0))
        image = torch.zeros(1, *size, device=first.device, dtype=first.dtype)
        with torch.no_grad(), OperatorTrace(image, self._observe) as self.trace:
            self.network(image)

    def _enter(self, path: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.running.append(_Call(path, module, frozenset(map(id, inputs))))

    def _leave(self, output: Any) -> None:
        call = self.running.pop()
        is_nothing = isinstance(call.module, nn.Identity)
        is_line = call.is_layer or call.path in self.learns
        if isinstance(output, Tensor) and is_line and not is_nothing:
            self._add_layer(call, output)

    def _observe(self, kind: str, output: Tensor, macs: int, formula: str) -> None:
        call = self.running[-1]
        if call.is_layer:
            call.macs += macs
            call.formulas += [formula] if formula else []
        elif kind:
            self.lines.append(
                Line(
                    path=call.path,
                    kind=kind,
                    output=tuple(output.shape[1:]),
                    macs=macs,
                    mac_formula=formula,
                    activation_bytes=output.numel() * BYTES,
                    receptive_field=self._sees(output),
                )
            )

    def _add_layer(self, call: _Call, output: Tensor) -> None:
        shape: Geometry = geometry(call.module)
        fresh = id(call.module) not in self.counted
        self.counted.add(id(call.module))
        own = list(call.module.parameters(recurse=False))
        self.lines.append(
            Line(
                path=call.path,
                kind=type(call.module).__name__,
                output=tuple(output.shape[1:]),
                kernel=shape.kernel,
                stride=shape.stride,
                padding=shape.padding,
                groups=shape.groups,
                parameters=sum(p.numel() for p in own) if fresh else 0,
                parameter_formula=parameter_formula(call.module) if fresh else "",
                macs=call.macs,
                mac_formula=" + ".join(call.formulas),
                activation_bytes=0 if id(output) in call.inputs else output.numel() * BYTES,
                receptive_field=self._sees(output),
                frozen=self._frozen(call),
            )
        )

    def _add_unused(self) -> None:
        # Parameters of modules that this forward pass never called, so that the lines add up.
        for path, module in self.network.named_modules():
            own = list(module.parameters(recurse=False))
            if own and id(module) not in self.counted:
                self.counted.add(id(module))
                count = sum(p.numel() for p in own)
                formula = parameter_formula(module)
                self.lines.append(
                    Line(path, f"{type(module).__name__} (called by no line)", (), parameters=count,
                         parameter_formula=formula)
                )  # fmt: skip

    def _sees(self, output: Tensor) -> tuple[int, int] | None:
        reach = self.trace.reach(output)
        return None if reach is None else (round(reach.size[0]), round(reach.size[1]))

    def _frozen(self, call: _Call) -> str:
        parts = []
        if not self.learns.get(call.path, True):
            parts.append("weights")
        if isinstance(call.module, nn.modules.batchnorm._BatchNorm) and self.modes[""] and not self.modes[call.path]:
            parts.append("statistics")
        return " and ".join(parts)


def _row(line: Line) -> tuple[str, ...]:
    window = ""
    if line.kernel is not None:
        window = f"{line.kernel[0]}x{line.kernel[1]}"
        window += f"/{line.stride[0]}" if line.stride is not None and line.stride != (1, 1) else ""
        window += f" g{line.groups}" if line.groups > 1 else ""
    return (
        line.path or "(network)",
        line.kind,
        window,
        "x".join(map(str, line.output)),
        f"{line.parameters:,}" if line.parameters else "",
        f"{line.macs:,}" if line.macs else "",
        _memory(line.activation_bytes) if line.activation_bytes else "",
        f"{line.receptive_field[0]}x{line.receptive_field[1]}" if line.receptive_field else "",
        f"frozen {line.frozen}" if line.frozen else "",
    )


def _memory(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"

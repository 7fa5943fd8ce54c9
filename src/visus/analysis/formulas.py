"""A layer's numbers as formulas, written as a person would calculate them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visus.analysis.operator_window import operator_window, window_count

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Geometry:
    """The window of a layer: (vertical, horizontal) pairs; None for a layer without a window."""

    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    groups: int = 1


def geometry(module: nn.Module) -> Geometry:
    """Reads a layer's window from the attributes that convolutions and poolings have."""
    kernel = _pair(getattr(module, "kernel_size", None))
    if kernel is None:
        return Geometry()
    stride = getattr(module, "stride", None)
    groups = getattr(module, "groups", 1)
    return Geometry(
        kernel=kernel,
        stride=_pair(stride) or (1, 1),
        padding=_pair(getattr(module, "padding", 0)),
        dilation=_pair(getattr(module, "dilation", 1)),
        groups=groups if isinstance(groups, int) else 1,
    )


def parameter_formula(module: nn.Module) -> str:
    """The formula of a module's own parameter count, such as "(3*3*64 + 1)*128"; "" without parameters.

    Python can work it out; any layer that is not known by its class shows the shapes of its parameters.
    """
    parameters = dict(module.named_parameters(recurse=False))
    if isinstance(module, nn.Conv2d):
        inputs = module.in_channels // module.groups
        kernel = f"{module.kernel_size[0]}*{module.kernel_size[1]}*{inputs}"
        return f"({kernel} + 1)*{module.out_channels}" if "bias" in parameters else f"{kernel}*{module.out_channels}"
    if isinstance(module, nn.Linear):
        inputs, outputs = module.in_features, module.out_features
        return f"({inputs} + 1)*{outputs}" if "bias" in parameters else f"{inputs}*{outputs}"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return f"2*{module.num_features}" if parameters else ""
    return " + ".join("*".join(str(side) for side in value.shape) or "1" for value in parameters.values())


def bytes_formula(shape: Sequence[int], size: int) -> str:
    """The formula of the bytes of a tensor of one image (shape without the batch axis), such as "64*112*112*4"."""
    return "*".join(map(str, (*shape, size)))


def sum_formula(terms: Sequence[str]) -> str:
    """The formula of a sum; equal terms are written once, with their count as a factor."""
    return " + ".join(term if count == 1 else f"{count}*{term}" for term, count in Counter(terms).items())


def shape_formula(packet: Any, args: Sequence[Any], output: Tensor) -> str:
    """The formula of an operator's output shape [C,H,W], such as "64 x floor((224 + 2*3 - 7)/2) + 1 x ...".

    The axes stand between " x "; Python can work each out, given floor and ceil. "" where nothing is to be worked out.
    """
    shape = list(output.shape)
    if packet is aten.convolution:
        image, weight, _, stride, padding, dilation, transposed, extra, _ = args
        sides = [
            (_transposed_side if transposed else _side)(side, k, s, p, d, e)
            for side, k, s, p, d, e in zip(
                image.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True
            )
        ]
        return " x ".join([str(shape[1]), *sides])
    if packet in (aten.max_pool2d_with_indices, aten.avg_pool2d) and (window := operator_window(packet, args)):
        axes = zip(args[0].shape[-2:], window.kernel, window.stride, window.padding, window.dilation, strict=True)
        sides = [_pooled(*axis, ceil=window.ceil) for axis in axes]
        return " x ".join([str(shape[1]), *sides])
    if packet is aten.cat and output.ndim > 1:
        axis = (args[1] if len(args) > 1 else 0) % output.ndim
        parts = [str(side) for side in shape]
        parts[axis] = " + ".join(str(tensor.shape[axis]) for tensor in args[0])
        return " x ".join(parts[1:]) if axis > 0 else ""
    return ""


def _side(side: int, k: int, s: int, p: int, d: int, _: int) -> str:
    window = str(k) if d == 1 else f"{d}*({k} - 1) - 1"
    return f"floor(({side} + 2*{p} - {window})/{s}) + 1"


def _transposed_side(side: int, k: int, s: int, p: int, d: int, extra: int) -> str:
    window = str(k) if d == 1 else f"{d}*({k} - 1) + 1"
    return f"({side} - 1)*{s} - 2*{p} + {window}" + (f" + {extra}" if extra else "")


def _pooled(side: int, k: int, s: int, p: int, d: int, *, ceil: bool) -> str:
    if not ceil:
        return _side(side, k, s, p, d, 0)
    text = _side(side, k, s, p, d, 0).replace("floor", "ceil")
    whole = -(-(side + 2 * p - d * (k - 1) - 1) // s) + 1
    # A last window that would begin beyond the image is left out.
    return text if window_count(side, k, s, p, d, ceil=True) == whole else f"{text} - 1"


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0], value[1]
    return None

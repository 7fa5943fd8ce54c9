"""Traces every operator of one forward pass, with its multiply-accumulates and receptive field."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from visus.analysis.formulas import shape_formula
from visus.analysis.meta_shapes import convolution_shape, meta_result, tensors_in
from visus.analysis.operator_window import operator_window
from visus.analysis.receptive_field import Reach, joined

aten = torch.ops.aten

KINDS: Mapping[Any, str] = {
    aten.convolution: "convolution",
    aten.addmm: "linear",
    aten.mm: "linear",
    aten.bmm: "matrix product",
    aten.baddbmm: "matrix product",
    aten.add: "sum",
    aten.add_: "sum",
    aten.mul: "product",
    aten.mul_: "product",
    aten.cat: "concatenation",
    aten.mean: "mean",
    aten.max_pool2d_with_indices: "max pooling",
    aten.avg_pool2d: "average pooling",
    aten._adaptive_avg_pool2d: "average pooling",
    aten.upsample_nearest2d: "interpolation",
    aten.upsample_bilinear2d: "interpolation",
}
"""The operators that deserve a line of their own where no layer stands for them."""

OF_SEVERAL = ("sum", "product")
"""These do only where they join several tensors of the image."""

FRESH = frozenset(
    {
        aten.empty_like,
        aten.zeros_like,
        aten.ones_like,
        aten.full_like,
        aten.rand_like,
        aten.randn_like,
        aten.new_empty,
        aten.new_zeros,
        aten.new_ones,
        aten.new_full,
    }
)
"""What these give takes the image's shape, but nothing of its content."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operator that ran on values that come from the image.

    Args:
        kind: what people call it; "" if it deserves no line of its own.
        inputs: the tensors that come from the image.
        outputs: what it gave.
        macs: multiply-accumulates for one image.
        mac_formula: how they come about; "" for none.
        shape_formula: how the output's shape comes about, "" where nothing is to be worked out.
        operator: torch's own name of it, such as ``aten.convolution``; None where it only made a fresh tensor.
        arguments: what it was called with.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    macs: int = 0
    mac_formula: str = ""
    shape_formula: str = ""
    operator: Any = None
    arguments: tuple[Any, ...] = ()


Observer = Callable[[Operation], None]

Value = TypeVar("Value")


class TensorTable(Generic[Value]):
    """A table from tensors to values, by identity; an entry lasts as long as its tensor."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Tensor], Value]] = {}

    def __setitem__(self, tensor: Tensor, value: Value) -> None:
        self._entries[id(tensor)] = (weakref.ref(tensor), value)

    def get(self, tensor: Tensor) -> Value | None:
        """The tensor's value; None if it has none."""
        entry = self._entries.get(id(tensor))
        return entry[1] if entry is not None and entry[0]() is tensor else None


class OperatorTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, calls an observer after every operator, and keeps the receptive field of each tensor.

    Convolutions are not computed: they give zeros of the right shape. On the meta device nothing is.

    Args:
        image: the input [N,C,H,W], whose receptive field is one pixel.
        observer: called after each operator.
        formulas: whether the observer is told how shapes come about.
    """

    def __init__(self, image: Tensor, observer: Observer, *, formulas: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.observer = observer
        self.formulas = formulas
        self.images = image.shape[0]
        self.reaches: TensorTable[Reach] = TensorTable()
        self.reaches[image] = Reach()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here; a wrapper against it would import the compiler, which takes four seconds.
        return False

    def reach(self, tensor: Tensor) -> Reach | None:
        """The receptive field of a value of ``tensor``; None if the tensor does not come from the image."""
        return self.reaches.get(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        outputs = meta_result(packet, args, kwargs)
        if outputs is None and packet is aten.convolution and (shape := convolution_shape(args)) is not None:
            outputs = args[0].new_zeros(shape)
        if outputs is None:
            outputs = func(*args, **kwargs)
        inputs = tensors_in((*args, *kwargs.values()))
        known = [tensor for tensor in inputs if self.reach(tensor) is not None]
        results = tensors_in((outputs,))
        if known and results and packet in FRESH:
            self.observer(Operation("", (), tuple(results)))
        elif known and results:
            self._tell(packet, args, known, results)
        return outputs

    def _tell(self, packet: Any, args: tuple[Any, ...], known: list[Tensor], results: list[Tensor]) -> None:
        reaches = [reach for tensor in known if (reach := self.reach(tensor)) is not None]
        after = reach_after(packet, args, results[0], joined(reaches))
        for result in results:
            self.reaches[result] = after
        kind = KINDS.get(packet, "")
        if kind in OF_SEVERAL and len(known) < 2:
            kind = ""
        macs, formula = multiply_accumulates(packet, args, results[0], self.images)
        text = shape_formula(packet, args, results[0]) if self.formulas else ""
        self.observer(Operation(kind, tuple(known), tuple(results), macs, formula, text, packet, args))


def multiply_accumulates(packet: Any, args: Sequence[Any], output: Tensor, images: int = 1) -> tuple[int, str]:
    """An operator's multiply-accumulates for one of ``images`` images, and their formula.

    Only convolutions and matrix products count, as in the papers; biases do not. (0, "") for all other operators.
    """
    if packet is aten.convolution:
        image, weight, transposed, groups = args[0], args[1], args[6], args[8]
        map_ = image if transposed else output
        kernel = list(weight.shape[2:])
        factors = [*kernel, weight.shape[1], image.shape[1] if transposed else output.shape[1]]
        if not transposed and groups > 1:
            factors = [*kernel, image.shape[1] // groups, output.shape[1]]
        return _product([*factors, *map_.shape[2:]], map_.shape[0] // images)
    if packet in (aten.addmm, aten.mm):
        left, right = args[-2:]
        return _product([left.shape[1], right.shape[1]], left.shape[0] // images)
    if packet in (aten.bmm, aten.baddbmm):
        left, right = args[-2:]
        return _product([left.shape[1], left.shape[2], right.shape[2]], left.shape[0] // images)
    return 0, ""


def _product(factors: Sequence[int], times: int) -> tuple[int, str]:
    all_factors = [*factors, times] if times > 1 else list(factors)
    return math.prod(all_factors), " * ".join(str(int(f)) for f in all_factors)


def reach_after(packet: Any, args: Sequence[Any], output: Tensor, before: Reach) -> Reach:
    """The receptive field after an operator; ``before`` itself if the operator does not change it."""
    image = args[0] if args and isinstance(args[0], Tensor) else output
    if not before.is_map or image.ndim < 4:
        return before
    if packet.__module__ == "torch._ops.torchvision" and "roi" in str(packet):  # a region lies anywhere
        return before.over_all(image.shape[2], image.shape[3])
    window = operator_window(packet, args)
    if window is not None:
        if packet is aten.convolution and args[6]:
            return before.through_transposed_window(window.kernel, window.stride, window.padding)
        return before.through_window(window.kernel, window.stride, window.dilation, window.padding)
    rule = _REACHES.get(packet)
    if rule is not None:
        return rule(before, image, args, output)
    if output.ndim < 4 and output.numel() == image.numel() and image.shape[2:4].numel() > 1:
        if output.shape[-2:] == image.shape[2:]:
            return before  # images and channels joined
        return before.over_all(image.shape[2], image.shape[3])
    return before


def _after_adaptive_pooling(before: Reach, image: Tensor, _: Sequence[Any], output: Tensor) -> Reach:
    pairs = list(zip(image.shape[-2:], output.shape[-2:], strict=True))
    if tuple(output.shape[-2:]) == (1, 1):
        return before.over_all(image.shape[-2], image.shape[-1])
    # Place i takes the values from floor(i*side/out) to ceil((i + 1)*side/out).
    kernels = [max(-(-(i + 1) * side // out) - i * side // out for i in range(out)) for side, out in pairs]
    return before.through_window(kernels, [side / out for side, out in pairs])


def _after_unfolding(before: Reach, image: Tensor, args: Sequence[Any], _: Tensor) -> Reach:
    axis, size, step = args[1] % image.ndim, args[2], args[3]
    return before.through_window([size if axis == a else 1 for a in (2, 3)], [step if axis == a else 1 for a in (2, 3)])


def _after_reduction(before: Reach, image: Tensor, args: Sequence[Any], _: Tensor) -> Reach:
    axes = {axis % image.ndim for axis in (args[1] if len(args) > 1 and args[1] is not None else range(image.ndim))}
    return before.over_all(image.shape[2], image.shape[3]) if {2, 3} <= axes else before


def _after_interpolation(before: Reach, image: Tensor, _: Sequence[Any], output: Tensor) -> Reach:
    return before.resized((image.shape[2], image.shape[3]), (output.shape[2], output.shape[3]), neighbours=1)


def _after_bilinear(before: Reach, image: Tensor, args: Sequence[Any], output: Tensor) -> Reach:
    sides = (image.shape[2], image.shape[3]), (output.shape[2], output.shape[3])
    return before.resized(*sides, neighbours=2, corners=bool(args[2]))


def _after_padding(before: Reach, _: Tensor, args: Sequence[Any], __: Tensor) -> Reach:
    left, _right, top, _bottom = [*args[1], 0, 0][:4]
    return before.shifted((-top, -left)) if (top, left) != (0, 0) else before


def _after_slice(before: Reach, image: Tensor, args: Sequence[Any], _: Tensor) -> Reach:
    axis = (args[1] if len(args) > 1 else 0) % image.ndim - (image.ndim - 2)
    start, step = (args[2] if len(args) > 2 else None) or 0, args[4] if len(args) > 4 else 1
    if axis not in (0, 1) or (start, step) == (0, 1):
        return before
    start += image.shape[-2 + axis] if start < 0 else 0
    first, steps = (start, 0) if axis == 0 else (0, start), (step, 1) if axis == 0 else (1, step)
    return before.shifted(first, steps)


def _after_permutation(before: Reach, image: Tensor, args: Sequence[Any], _: Tensor) -> Reach:
    order = [axis % image.ndim for axis in args[1]]
    return before if order[-2:] == [image.ndim - 2, image.ndim - 1] else before.elsewhere()


def _after_transposition(before: Reach, image: Tensor, args: Sequence[Any], _: Tensor) -> Reach:
    stays = all(axis % image.ndim < image.ndim - 2 for axis in args[1:3])
    return before if stays else before.elsewhere()


_REACHES: Mapping[Any, Callable[[Reach, Tensor, Sequence[Any], Tensor], Reach]] = {
    aten._adaptive_avg_pool2d: _after_adaptive_pooling,
    aten.adaptive_max_pool2d: _after_adaptive_pooling,
    aten.unfold: _after_unfolding,
    aten.mean: _after_reduction,
    aten.sum: _after_reduction,
    aten.amax: _after_reduction,
    aten.upsample_nearest2d: _after_interpolation,
    aten.upsample_bilinear2d: _after_bilinear,
    aten.constant_pad_nd: _after_padding,
    aten.reflection_pad2d: _after_padding,
    aten.replication_pad2d: _after_padding,
    aten.slice: _after_slice,
    aten.permute: _after_permutation,
    aten.transpose: _after_transposition,
}

"""What torch really computes: every operator of one forward pass, with its multiply-accumulates and receptive field."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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
    aten.cat: "concatenation",
    aten.mean: "mean",
    aten.max_pool2d_with_indices: "max pooling",
    aten.avg_pool2d: "average pooling",
    aten._adaptive_avg_pool2d: "average pooling",
    aten.upsample_nearest2d: "interpolation",
    aten.upsample_bilinear2d: "interpolation",
}
"""The operators that deserve a line of their own where no layer stands for them."""

Observer = Callable[[str, Tensor, int, str], None]
"""Called with the kind of an operator ("" if it deserves no line), its output, its MACs and their formula."""


class OperatorTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, tells an observer of every operator, and remembers what each tensor sees of the image.

    Convolutions are not computed: they give zeros of the right shape. (On torch's meta device nothing would be
    computed, but its first convolution imports a compiler and sympy, which takes longer than all the rest.)

    Args:
        image: the input, whose receptive field is one pixel.
        observer: called after each operator.
    """

    def __init__(self, image: Tensor, observer: Observer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.observer = observer
        self.reaches: dict[int, tuple[weakref.ref[Tensor], Reach]] = {id(image): (weakref.ref(image), Reach())}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled here; a wrapper against it would import the compiler, which takes four seconds.
        return False

    def reach(self, tensor: Tensor) -> Reach | None:
        """What a value of ``tensor`` sees of the image; None if it does not come from the image."""
        found = self.reaches.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet = func.overloadpacket
        outputs = _uncomputed_convolution(args) if packet is aten.convolution else None
        if outputs is None:
            outputs = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        known = [reach for tensor in inputs if (reach := self.reach(tensor)) is not None]
        results = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
        if known and results:
            after = _reach_after(packet, args, results[0], joined(known))
            for result in results:
                self.reaches[id(result)] = (weakref.ref(result), after)
            macs, formula = multiply_accumulates(packet, args, results[0])
            self.observer(KINDS.get(packet, ""), results[0], macs, formula)
        return outputs


def _uncomputed_convolution(args: Sequence[Any]) -> Tensor | None:
    """Zeros of a convolution's output shape; None if the shapes do not fit, so that torch says why."""
    image, weight, _, stride, padding, dilation, transposed, extra, groups = args
    if image.shape[1] != (weight.shape[0] if transposed else weight.shape[1] * groups):
        return None
    sides = []
    for i, before in enumerate(image.shape[2:]):
        window = dilation[i] * (weight.shape[2 + i] - 1) + 1
        if transposed:
            sides.append((before - 1) * stride[i] - 2 * padding[i] + window + extra[i])
        else:
            sides.append((before + 2 * padding[i] - window) // stride[i] + 1)
    if min(sides) < 1:
        return None
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    output: Tensor = image.new_zeros((image.shape[0], channels, *sides))
    return output


def multiply_accumulates(packet: Any, args: Sequence[Any], output: Tensor) -> tuple[int, str]:
    """The multiply-accumulates of an operator and how they come about; (0, "") for one that multiplies nothing.

    Only convolutions and matrix products count, as in the papers; biases do not.
    """
    if packet is aten.convolution:
        image, weight, transposed, groups = args[0], args[1], args[6], args[8]
        places = image if transposed else output
        kernel = list(weight.shape[2:])
        factors = [*kernel, weight.shape[1], image.shape[1] if transposed else output.shape[1]]
        if not transposed and groups > 1:
            factors = [*kernel, image.shape[1] // groups, output.shape[1]]
        return _product([*factors, *places.shape[2:]], places.shape[0])
    if packet in (aten.addmm, aten.mm):
        left, right = args[-2:]
        return _product([left.shape[1], right.shape[1]], left.shape[0])
    if packet in (aten.bmm, aten.baddbmm):
        left, right = args[-2:]
        return _product([left.shape[1], left.shape[2], right.shape[2]], left.shape[0])
    return 0, ""


def _product(factors: Sequence[int], times: int) -> tuple[int, str]:
    all_factors = [*factors, times] if times > 1 else list(factors)
    return math.prod(all_factors), " * ".join(str(int(f)) for f in all_factors)


def _reach_after(packet: Any, args: Sequence[Any], output: Tensor, before: Reach) -> Reach:
    image = args[0] if args and isinstance(args[0], Tensor) else output
    if not before.is_map or image.ndim < 4:
        return before
    if packet is aten.convolution:
        kernel = args[1].shape[2:]
        if args[6]:
            return before.through_transposed_window(kernel, args[3])
        return before.through_window(kernel, args[3], args[5])
    if packet in (aten.max_pool2d_with_indices, aten.avg_pool2d):
        stride = args[2] if len(args) > 2 and args[2] else args[1]
        dilation = args[4] if packet is aten.max_pool2d_with_indices and len(args) > 4 else (1, 1)
        return before.through_window(args[1], stride, dilation)
    height, width = image.shape[2:4]
    if packet is aten._adaptive_avg_pool2d:
        strides = [side // out for side, out in zip(image.shape[2:], output.shape[2:], strict=True)]
        kernels = [
            side - (out - 1) * stride
            for side, out, stride in zip(image.shape[2:], output.shape[2:], strides, strict=True)
        ]
        return before.through_window(kernels, strides, (1, 1))
    if packet is aten.unfold:
        axis, size, step = args[1] % image.ndim, args[2], args[3]
        sizes = [size if axis == a else 1 for a in (2, 3)]
        steps = [step if axis == a else 1 for a in (2, 3)]
        return before.through_window(sizes, steps, (1, 1))
    if packet in (aten.mean, aten.sum, aten.amax):
        axes = {axis % image.ndim for axis in (args[1] if len(args) > 1 and args[1] is not None else range(image.ndim))}
        return before.over_all(height, width) if {2, 3} <= axes else before
    if packet in (aten.upsample_nearest2d, aten.upsample_bilinear2d):
        neighbours = 2 if packet is aten.upsample_bilinear2d else 1
        return before.resized((height, width), (output.shape[2], output.shape[3]), neighbours=neighbours)
    if packet in (aten.permute, aten.transpose):
        return Reach(before.size, before.jump, is_map=False)
    if output.ndim < 4 and output.numel() == image.numel() and height * width > 1:
        return before.over_all(height, width)
    return before

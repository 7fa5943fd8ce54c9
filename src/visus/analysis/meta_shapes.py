"""Shape inference: the shapes of operators' results, without computing the results.

Torch's meta device infers them too, but its first operator imports a compiler and sympy, which takes longer than all
else that a summary does. This module knows the operators of classic networks; torch infers all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from visus.analysis.operator_window import OperatorWindow, operator_window, pair, window_count

aten = torch.ops.aten

Rule = Callable[..., Any]


def meta_result(packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """An operator's results as tensors on the meta device, of the right shapes and types.

    None for operators and arguments that this module does not know; torch itself must run these.
    """
    rule = RULES.get(packet)
    if rule is None:
        return None
    tensors = tensors_in(args)
    if not tensors or not all(tensor.is_meta for tensor in tensors):
        return None
    return rule(*args, **kwargs)


class ShapesAlone(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, operators on the meta device are answered by the rules of this module: a tenth of torch's time."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in operations.py: the compiler is not to be imported

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = meta_result(func.overloadpacket, args, kwargs)
        return func(*args, **kwargs) if result is None else result


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """The tensors of an operator's arguments or results: themselves, or in lists; quicker than ``tree_leaves``."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(value)
    return found


def convolution_shape(args: Sequence[Any]) -> tuple[int, ...] | None:
    """The output shape of ``aten.convolution``; None if the arguments do not fit."""
    image, weight, _, stride, padding, dilation, transposed, extra, groups = args
    if image.ndim != weight.ndim or image.shape[1] != (weight.shape[0] if transposed else weight.shape[1] * groups):
        return None
    sides = []
    for axis, before in enumerate(image.shape[2:]):
        window = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        if transposed:
            sides.append((before - 1) * stride[axis] - 2 * padding[axis] + window + extra[axis])
        else:
            sides.append((before + 2 * padding[axis] - window) // stride[axis] + 1)
    if min(sides) < 1:
        return None
    return (image.shape[0], weight.shape[1] * groups if transposed else weight.shape[0], *sides)


def _convolution(*args: Any) -> Tensor | None:
    shape = convolution_shape(args)
    return None if shape is None else args[0].new_empty(shape)


def _like(x: Tensor, *_: Any, **__: Any) -> Tensor | None:
    return x.new_empty(x.shape) if x.is_floating_point() else None


def _empty_like(x: Tensor, *, dtype: Any = None, device: Any = None, **_: Any) -> Tensor | None:
    return x.new_empty(x.shape) if dtype in (None, x.dtype) and device in (None, x.device) else None


def _itself(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x


def _pointwise(left: Any, right: Any, **_: Any) -> Tensor | None:
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        tensor = left if isinstance(left, Tensor) else right
        return _like(tensor)
    if left.dtype != right.dtype or not left.is_floating_point():
        return None
    try:
        return left.new_empty(_broadcast(left.shape, right.shape))
    except ValueError:
        return None


def _broadcast(left: Sequence[int], right: Sequence[int]) -> list[int]:
    # torch.broadcast_shapes would import sympy.
    length = max(len(left), len(right))
    sides = []
    padded = ([*[1] * (length - len(shape)), *shape] for shape in (left, right))
    for a, b in zip(*padded, strict=True):
        if a != b and 1 not in (a, b):
            raise ValueError(f"{left} and {right} do not fit")
        sides.append(b if a == 1 else a)
    return sides


def _concatenation(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first, axis = tensors[0], dim % tensors[0].ndim
    for tensor in tensors:
        same = tensor.is_meta and tensor.dtype == first.dtype and tensor.ndim == first.ndim
        if not same or any(a != b for i, (a, b) in enumerate(zip(tensor.shape, first.shape, strict=True)) if i != axis):
            return None
    shape = list(first.shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    return first.new_empty(shape)


def _stacking(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    if any(not t.is_meta or t.dtype != first.dtype or t.shape != first.shape for t in tensors):
        return None
    axis = dim % (first.ndim + 1)
    return first.new_empty((*first.shape[:axis], len(tensors), *first.shape[axis:]))


def _batch_norm(
    x: Tensor, weight: Any, _bias: Any, _mean: Any, _var: Any, training: bool, *_: Any
) -> tuple[Tensor, ...] | None:
    if weight is not None and weight.shape != (x.shape[1],):
        return None
    channels = x.shape[1] if training else 0
    return x.new_empty(x.shape), x.new_empty((channels,)), x.new_empty((channels,))


def _pooling_shape(x: Tensor, window: OperatorWindow | None) -> tuple[int, ...] | None:
    if window is None:
        return None
    size = window.output_size(x.shape[-2:])
    return (*x.shape[:-2], *size) if min(size) >= 1 else None


def _max_pooling(*args: Any) -> tuple[Tensor, Tensor] | None:
    shape = _pooling_shape(args[0], operator_window(aten.max_pool2d_with_indices, args))
    return None if shape is None else (args[0].new_empty(shape), args[0].new_empty(shape, dtype=torch.int64))


def _average_pooling(*args: Any) -> Tensor | None:
    shape = _pooling_shape(args[0], operator_window(aten.avg_pool2d, args))
    return None if shape is None else args[0].new_empty(shape)


def _adaptive(x: Tensor, size: Sequence[int]) -> Tensor:
    return x.new_empty((*x.shape[:-2], *pair(size)))


def _adaptive_maximum(x: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    return _adaptive(x, size), x.new_empty((*x.shape[:-2], *pair(size)), dtype=torch.int64)


def _padding(x: Tensor, pads: Sequence[int], *_: Any) -> Tensor:
    shape = list(x.shape)
    for number in range(len(pads) // 2):
        shape[-1 - number] += pads[2 * number] + pads[2 * number + 1]
    return x.new_empty(shape)


def _repetition(x: Tensor, times: Sequence[int]) -> Tensor:
    shape = [*[1] * (len(times) - x.ndim), *x.shape]
    return x.new_empty([side * number for side, number in zip(shape, times, strict=True)])


def _unpooling(x: Tensor, _switches: Any, size: Sequence[int]) -> Tensor:
    return x.new_empty((*x.shape[:-2], *size))


def _group_norm(x: Tensor, _weight: Any, _bias: Any, images: int, _c: int, _n: int, groups: int, *_: Any) -> Any:
    return x.new_empty(x.shape), x.new_empty((images, groups)), x.new_empty((images, groups))


def _patches(
    x: Tensor, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Tensor | None:
    if x.ndim != 4:
        return None
    size = OperatorWindow(pair(kernel), pair(stride), pair(padding), pair(dilation)).output_size(x.shape[-2:])
    return x.new_empty((x.shape[0], x.shape[1] * math.prod(kernel), math.prod(size))) if min(size) >= 1 else None


def _product(left: Tensor, right: Tensor) -> Tensor | None:
    fits = left.dtype == right.dtype and left.ndim == right.ndim and left.shape[-1] == right.shape[-2]
    if not fits or left.shape[:-2] != right.shape[:-2]:
        return None
    return left.new_empty((*left.shape[:-1], right.shape[-1]))


def _product_and_sum(_: Tensor, left: Tensor, right: Tensor, **__: Any) -> Tensor | None:
    return _product(left, right)


def _reduction(x: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Tensor | None:
    if kwargs.get("dtype") is not None or not x.is_floating_point():
        return None
    axes = range(x.ndim) if dim is None or dim == [] else [d % x.ndim for d in ([dim] if isinstance(dim, int) else dim)]
    if keepdim:
        return x.new_empty([1 if axis in axes else side for axis, side in enumerate(x.shape)])
    return x.new_empty([side for axis, side in enumerate(x.shape) if axis not in axes])


def _interpolation(x: Tensor, size: Any, *rest: Any) -> Tensor | None:
    if size is None:  # the overload that takes scale factors
        factors = rest[-1]
        if factors is None:
            return None
        size = [math.floor(side * factor) for side, factor in zip(x.shape[2:], factors, strict=True)]
    return x.new_empty((*x.shape[:2], *size))


def _average_pooling_3d(
    x: Tensor, kernel: Any, stride: Any = (), padding: Any = (0,), ceil: bool = False, *_: Any
) -> Tensor | None:
    each = ([*values] * 3 if len(values) == 1 else values for values in (kernel, stride or kernel, padding))
    sides = [window_count(side, k, s, p, 1, ceil=ceil) for side, k, s, p in zip(x.shape[-3:], *each, strict=True)]
    return x.new_empty((*x.shape[:-3], *sides)) if min(sides) >= 1 else None


def _norm(x: Tensor, _: Any = 2, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Tensor | None:
    return _reduction(x, dim, keepdim, **kwargs)


def _indexing(x: Tensor, indices: Sequence[Any]) -> Tensor | None:
    """Indexing along one axis: all other indices are None or missing."""
    indexed_axes = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(indexed_axes) != 1 or indexed_axes[0][1].ndim != 1 or indexed_axes[0][1].dtype != torch.int64:
        return None
    axis, index = indexed_axes[0]
    return x.new_empty((*x.shape[:axis], index.shape[0], *x.shape[axis + 1 :]))


def _packets(names: str) -> list[Any]:
    return [getattr(aten, name) for name in names.split() if hasattr(aten, name)]


_POINTWISE = (
    "abs clamp clamp_min elu exp gelu hardsigmoid hardswish hardtanh leaky_relu log neg pow reciprocal relu round "
    "rsqrt sigmoid silu softplus sqrt square tanh _softmax _log_softmax _prelu_kernel"
)
_PAIRWISE = "add sub rsub mul div maximum minimum"
_IN_PLACE = "fill_ zero_ bernoulli_ normal_ uniform_ copy_ " + " ".join(
    f"{name}_" for name in f"{_POINTWISE} {_PAIRWISE}".split()
)

RULES: Mapping[Any, Rule] = {
    **dict.fromkeys(_packets(_POINTWISE), _like),
    **dict.fromkeys(_packets(_IN_PLACE), _itself),
    **dict.fromkeys(_packets(_PAIRWISE), _pointwise),
    aten.empty_like: _empty_like,
    aten.zeros_like: _empty_like,
    aten.ones_like: _empty_like,
    aten.cat: _concatenation,
    aten.stack: _stacking,
    aten.convolution: _convolution,
    aten.native_batch_norm: _batch_norm,
    aten.max_pool2d_with_indices: _max_pooling,
    aten.avg_pool2d: _average_pooling,
    aten.avg_pool3d: _average_pooling_3d,
    aten._adaptive_avg_pool2d: _adaptive,
    aten.adaptive_max_pool2d: _adaptive_maximum,
    aten.constant_pad_nd: _padding,
    aten.repeat: _repetition,
    aten.max_unpool2d: _unpooling,
    aten.native_group_norm: _group_norm,
    aten.im2col: _patches,
    aten.mm: _product,
    aten.bmm: _product,
    aten.addmm: _product_and_sum,
    aten.baddbmm: _product_and_sum,
    aten.mean: _reduction,
    aten.sum: _reduction,
    aten.amax: _reduction,
    aten.linalg_vector_norm: _norm,
    aten.index: _indexing,
    aten.upsample_nearest2d: _interpolation,
    aten.upsample_bilinear2d: _interpolation,
}
"""Operator -> its rule; a rule gives None where it does not know."""

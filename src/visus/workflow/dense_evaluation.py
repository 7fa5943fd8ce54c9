"""Runs a classifier on every window of an image: one by one, or all windows at once.

Sermanet et al., OverFeat, ICLR 2014, arXiv:1312.6229, section 3.5: windows that overlap share most of their work.
Convolutions and poolings are simply carried out on the whole image; a dense layer on a map of h x w cells becomes a
convolution with an h x w kernel, the ones after it 1x1 convolutions, a mean over the whole map an average pooling.

:class:`SlidNetwork` finds these layers by itself: the network is recorded once at the size of a window, as PyTorch's
elementary operators, and the record is played for larger images. Places are a stride of the last map apart. Where the
network pads its maps with zeros, those lie at the borders of the image here, and at the borders of each window there:
the answers are then near to, and not equal to, those of cut out windows. Without padding they are equal.

A localizer is slid alike (section 4): its vector stands where a classifier's logits do.

Letters: N images, C channels, H x W pixels, K classes, h x w windows or cells, D values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from visus.analysis.operator_window import OperatorWindow, operator_window, pair
from visus.errors import ShapeError, TaskMismatchError
from visus.models.localization.localizer import Localizer, LocalizerOutput
from visus.models.protocols import Output

Size = tuple[int, int]


def slide_windows(network: nn.Module, images: Tensor, window: Size, stride: Size) -> Tensor:
    """Computes the logits of each window separately. [N,C,H,W] -> [N,K,h',w'].

    Args:
        network: a classifier or a localizer, in eval mode; of the latter K is the length of its vector.
        images: at least as large as a window.
        window: (height, width) of a window in pixels.
        stride: (down, right) from one window to the next, in pixels.

    Raises:
        ShapeError: if the images are smaller than a window.
    """
    _check_size(images, window)
    rows = range(0, images.shape[2] - window[0] + 1, stride[0])
    columns = range(0, images.shape[3] - window[1] + 1, stride[1])
    answers = [
        [_logits(network(images[:, :, y : y + window[0], x : x + window[1]])) for x in columns] for y in rows
    ]  # [N, K] each
    return torch.stack([torch.stack(row, -1) for row in answers], -2)  # [N, K, h', w']


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of sliding.

    Args:
        windows: how many.
        apart: multiply-accumulates of convolutions and dense layers when each window is computed by itself.
        together: the same for all windows at once.
    """

    windows: int
    apart: int
    together: int


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """An intermediate value of the recorded forward pass, for a larger image.

    Args:
        values: [N,C,H',W'] of the whole image.
        cells: (h, w) of it that belong to one window.
        positions: int64, of the shape that the value has for one window: which of the C*h*w values of a window's part
            of the map stands where.
        stride: (down, right) pixels of the image between two cells.
    """

    values: Tensor
    cells: Size
    positions: Tensor
    stride: Size

    @classmethod
    def plain(cls, values: Tensor, cells: Size, stride: Size, *, flat: bool = False) -> _Map:
        """Of the shape [1,C,h,w] for one window; flat: [1,C] of one cell."""
        depth = values.shape[1]
        positions = torch.arange(depth * cells[0] * cells[1]).reshape((1, depth) if flat else (1, depth, *cells))
        return cls(values, cells, positions, stride)

    @property
    def is_plain(self) -> bool:
        shape = (1, self.values.shape[1], *self.cells)
        return tuple(self.positions.shape) == shape and bool(
            (self.positions.flatten() == torch.arange(self.positions.numel())).all()
        )


class SlidNetwork(nn.Module):
    """Classifies all windows of an image at once. [N,C,H,W] -> [N,K,h',w'] logits.

    Its weights are those that the network had when this was made.

    Args:
        network: a classifier of the catalogue, or a localizer, whose K is the length of its vector.
        window: (height, width) of the images that it was made for.
        in_channels: C.

    Attributes:
        window: as given.
        stride: (down, right) pixels from one window to the next.

    Raises:
        TaskMismatchError: if the network cannot be slid, with the reason: it looks at the whole window before its last
            map (squeeze and excitation), has outputs of its own kind, or has layers between its dense ones that are not
            carried over.
    """

    def __init__(self, network: nn.Module, window: Size, in_channels: int = 3) -> None:
        super().__init__()
        if getattr(network, "codec", None) is not None and not isinstance(network, Localizer):
            raise _cannot(network, "its outputs are not logits; its own codec reads them")
        device = next((p.device for p in network.parameters()), torch.device("cpu"))
        was_training = network.training
        network.eval()
        try:
            with torch.no_grad():
                example = torch.zeros(1, in_channels, *window, device=device)
                self.record: fx.GraphModule = make_fx(lambda images: _logits(network(images)))(example)
        finally:
            network.train(was_training)
        self.name = type(network).__name__
        self.window = window
        smallest = self._play(torch.empty(1, in_channels, *window, device="meta"))[0]
        if tuple(smallest.values.shape[2:]) != (1, 1):
            raise _cannot(network, "its output for one window has more than one cell")
        self.stride = smallest.stride

    def forward(self, images: Tensor) -> Tensor:
        _check_size(images, self.window)
        with torch.no_grad():
            answer = self._play(images)[0].values
        rows, columns = self._places(images)  # layers that leave a pixel over may answer for a window that lacks it
        return answer[:, :, :rows, :columns]  # [N, K, h', w']

    def cost(self, size: Size) -> Cost:
        """Counts the multiply-accumulates of both ways for an image of this (height, width); computes no logits.

        Raises:
            ShapeError: if the image is smaller than a window.
        """
        shapes = [torch.empty(1, self._in_channels(), *sides, device="meta") for sides in (self.window, size)]
        _check_size(shapes[1], self.window)
        (_, alone), (_, together) = (self._play(shape) for shape in shapes)
        rows, columns = self._places(shapes[1])
        windows = rows * columns
        return Cost(windows, windows * alone, together)

    def _places(self, images: Tensor) -> Size:
        """The number of windows in the images, (rows, columns)."""
        height, width = images.shape[2:]
        return (height - self.window[0]) // self.stride[0] + 1, (width - self.window[1]) // self.stride[1] + 1

    def _in_channels(self) -> int:
        (images,) = (node for node in self.record.graph.nodes if node.op == "placeholder")
        return int(images.meta["val"].shape[1])

    def _play(self, images: Tensor) -> tuple[_Map, int]:
        """Replays the record for these images; returns the last map, and the multiply-accumulates of an image."""
        player = _Player(self.record, self.name, self.window)
        answer = player.run(images)
        if not isinstance(answer, _Map):
            raise _cannot(self.name, "its output does not depend on the image")
        return answer, player.macs


class _Player(fx.Interpreter):
    """Replays a recorded forward pass of one window on a larger image, operator by operator."""

    def __init__(self, record: fx.GraphModule, name: str, window: Size) -> None:
        super().__init__(record)
        self.name = name
        self.window = window
        self.macs = 0
        self.device = torch.device("cpu")

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        images = super().placeholder(target, args, kwargs)
        self.device = images.device
        return _Map.plain(images, self.window, (1, 1))

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        value = super().get_attr(target, args, kwargs)
        return value.detach().to(self.device) if isinstance(value, Tensor) else value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        maps = [arg for arg in _leaves(args) if isinstance(arg, _Map)]
        if not maps:
            return super().call_function(target, args, kwargs)
        name = str(getattr(target, "__name__", target)).partition(".")[0]
        rule = _RULES.get(name)
        if rule is None:
            raise _cannot(self.name, f"the operator {name} is not known to work alike on larger maps")
        return rule(self, target, args, kwargs)

    def refuse(self, reason: str) -> TaskMismatchError:
        return _cannot(self.name, reason)

    def count(self, map_: Tensor, weight: Tensor) -> None:
        """Adds the multiply-accumulates of a map [N,O,H,W] from a kernel [O,I,h,w]: I * h * w for each value."""
        self.macs += map_[0].numel() * weight[0].numel()


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _convolution(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    x, weight, transposed = args[0], args[1], args[6]
    window = _window(player, target, args)
    if transposed:
        raise player.refuse("it has transposed convolutions")
    result = target(x.values, *args[1:], **kwargs)
    player.count(result, weight)
    return _slid(x, result, window)


def _max_pool(player: _Player, target: Any, args: Any, kwargs: Any) -> tuple[_Map, None]:
    window = _window(player, target, args)
    return _slid(args[0], target(args[0].values, *args[1:], **kwargs)[0], window), None


def _average_pool(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    window = _window(player, target, args)
    return _slid(args[0], target(args[0].values, *args[1:], **kwargs), window)


def _window(player: _Player, target: Any, args: Any) -> OperatorWindow:
    """Kernel size, stride, padding and dilation of a convolution or pooling."""
    _require_plain(player, args[0])
    window = operator_window(target.overloadpacket, args)
    if window is None:
        raise player.refuse(f"the operator {target} has no window")
    return window


def _slid(x: _Map, values: Tensor, window: OperatorWindow) -> _Map:
    """Makes the map of the values that a window gave when it slid over ``x``."""
    return _Map.plain(values, window.output_size(x.cells), _times(x.stride, window.stride))


def _mean(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:  # noqa: ARG001
    x, dims = args[0], args[1]
    keep = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
    axes = sorted(axis % x.positions.ndim for axis in dims)
    if all(x.positions.shape[axis] == 1 for axis in axes):  # the mean of one value
        positions = (
            x.positions if keep else x.positions.reshape([s for i, s in enumerate(x.positions.shape) if i not in axes])
        )
        return _Map(x.values, x.cells, positions, x.stride)
    if not x.is_plain or axes != [2, 3]:
        raise player.refuse("it takes a mean over axes other than height and width")
    pooled = F.avg_pool2d(x.values, x.cells, stride=1)  # [N, C, h', w']
    return _Map.plain(pooled, (1, 1), x.stride, flat=not keep)


def _adaptive_pool(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:  # noqa: ARG001
    x, size = args[0], pair(args[1])
    if size == x.cells:
        return x  # type: ignore[no-any-return]
    if size == (1, 1):
        return _mean(player, target, (x, [2, 3], True), {})
    raise player.refuse(f"it pools {x.cells[0]}x{x.cells[1]} cells to {size[0]}x{size[1]}")


def _dense(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:  # noqa: ARG001
    """addmm(bias, x [1,D], weight [D,O]) and mm(x, weight): a convolution whose kernel covers a window's cells."""
    bias, x, weight = args if len(args) == 3 else (None, *args)
    if not isinstance(x, _Map) or isinstance(weight, _Map) or x.positions.ndim != 2:
        raise player.refuse("it multiplies values of the image with one another")
    kernel = weight.t()  # [O, D]
    if not torch.equal(x.positions[0], torch.arange(kernel.shape[1])):
        kernel = torch.empty_like(kernel)
        kernel[:, x.positions[0].to(weight.device)] = weight.t()
    kernel = kernel.reshape(-1, x.values.shape[1], *x.cells)  # [O, C, h, w]
    result = F.conv2d(x.values, kernel, bias)
    player.count(result, kernel)
    return _Map.plain(result, (1, 1), x.stride, flat=True)


def _layout(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    """Reshapes or permutes one window's values; the map keeps its cells."""
    x, rest = args[0], args[1:]
    positions = target(x.positions.contiguous(), *rest, **kwargs)
    if positions.numel() != x.positions.numel():
        raise player.refuse("it selects parts of the window")
    return _Map(x.values, x.cells, positions, x.stride)


def _slice(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    """Selects channels, or every n-th cell from the first one on."""
    x, axis = args[0], args[1] if len(args) > 1 else 0
    positions = target(x.positions, *args[1:], **kwargs)
    if positions.shape == x.positions.shape:
        return x  # type: ignore[no-any-return]
    _require_plain(player, x)
    step = args[4] if len(args) > 4 else 1
    cells, stride = x.cells, x.stride
    if axis != 1:
        if axis not in (2, 3) or args[2] or args[3] < x.cells[axis - 2]:
            raise player.refuse("it cuts its maps")
        cells = (positions.shape[2], positions.shape[3])
        stride = _times(stride, (step, 1) if axis == 2 else (1, step))
    return _Map.plain(target(x.values, *args[1:], **kwargs), cells, stride)


def _pad(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    x, sides = args[0], list(args[1]) + [0] * 8
    if _is_volume(x) and not any(sides[:4]):  # of the channels alone
        padded = target(x.values.unsqueeze(1), *args[1:], **kwargs).squeeze(1)
        return _volume(padded, x)
    _require_plain(player, x)
    cells = (x.cells[0] + sides[2] + sides[3], x.cells[1] + sides[0] + sides[1])
    return _Map.plain(target(x.values, *args[1:], **kwargs), cells, x.stride)


def _average_pool_3d(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    """A mean over neighbouring channels: PyTorch's local response normalisation."""
    x, kernel = args[0], tuple(args[1])
    if not _is_volume(x) or kernel[1:] != (1, 1):
        raise player.refuse("it pools volumes")
    return _volume(target(x.values.unsqueeze(1), *args[1:], **kwargs).squeeze(1), x)


def _is_volume(x: _Map) -> bool:
    """Whether a window's value is its map with one more axis, [1,1,C,h,w]."""
    return x.positions.ndim == 5 and replace(x, positions=x.positions[0]).is_plain


def _volume(values: Tensor, like: _Map) -> _Map:
    plain = _Map.plain(values, like.cells, like.stride)
    return replace(plain, positions=plain.positions[None])


def _cat(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:  # noqa: ARG001
    maps, axis = args[0], args[1] if len(args) > 1 else 0
    for x in maps:
        _require_plain(player, x)
    if axis not in (1, -3) or len({(x.cells, x.stride) for x in maps}) > 1:
        raise player.refuse("it joins maps of different cells")
    return _Map.plain(torch.cat([x.values for x in maps], 1), maps[0].cells, maps[0].stride)


def _batch_norm(player: _Player, target: Any, args: Any, kwargs: Any) -> tuple[_Map, None, None]:
    x = args[0]
    _require_plain(player, x)
    return replace(x, values=target(x.values, *args[1:], **kwargs)[0]), None, None


def _pointwise(player: _Player, target: Any, args: Any, kwargs: Any) -> _Map:
    """Applies an operator to each value, or to the values of two maps cell by cell."""
    maps = [arg for arg in args if isinstance(arg, _Map)]
    first = maps[0]
    for other in maps[1:]:
        if other.cells != first.cells or other.positions.shape != first.positions.shape:
            raise player.refuse("a value of the whole window acts on a map (such as squeeze and excitation)")
        if not torch.equal(other.positions, first.positions) or other.stride != first.stride:
            raise player.refuse("it joins values of different positions")
    constants = [arg for arg in args if isinstance(arg, Tensor) and arg.numel() > 1]
    if constants and not all(c.ndim == 4 and c.shape[2:] == (1, 1) for c in constants):
        raise player.refuse("it has a constant for each cell of a map")
    plain = [arg.values if isinstance(arg, _Map) else arg for arg in args]
    return replace(first, values=target(*plain, **kwargs))


def _getitem(player: _Player, target: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG001
    return target(*args, **kwargs)


_Rule = Callable[[_Player, Any, Any, Any], Any]
_RULES: Mapping[str, _Rule] = MappingProxyType(
    {
        "convolution": _convolution,
        "max_pool2d_with_indices": _max_pool,
        "avg_pool2d": _average_pool,
        "avg_pool3d": _average_pool_3d,
        "mean": _mean,
        "_adaptive_avg_pool2d": _adaptive_pool,
        "addmm": _dense,
        "mm": _dense,
        "constant_pad_nd": _pad,
        "cat": _cat,
        "slice": _slice,
        "_native_batch_norm_legit_no_training": _batch_norm,
        "native_batch_norm": _batch_norm,
        "cudnn_batch_norm": _batch_norm,
        "getitem": _getitem,
        **dict.fromkeys(
            ("view", "_unsafe_view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "unfold", "expand"),
            _layout,
        ),
        **dict.fromkeys(
            (
                *("relu", "relu_", "leaky_relu", "leaky_relu_", "elu", "elu_", "hardtanh", "hardtanh_", "silu"),
                *("silu_", "hardswish", "hardswish_", "hardsigmoid", "sigmoid", "tanh", "abs", "neg", "exp", "sqrt"),
                *("add", "add_", "sub", "mul", "mul_", "div", "pow", "square", "clone", "detach", "_to_copy", "alias"),
            ),
            _pointwise,
        ),
    }
)
"""Operator -> how it is played. Each is known to give the same for a window whatever lies around it, borders apart."""


def _require_plain(player: _Player, x: Any) -> None:
    if not isinstance(x, _Map) or not x.is_plain:
        raise player.refuse("it has convolutions or poolings after its values were rearranged")


def _times(stride: Size, factor: Size) -> Size:
    return stride[0] * factor[0], stride[1] * factor[1]


def _logits(output: Any) -> Tensor:
    """The logits [N,K] of a classifier's output, or a localizer's vector."""
    logits = output.logits if isinstance(output, Output) else output
    logits = output.vector if isinstance(output, LocalizerOutput) else logits
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise TaskMismatchError(
            "only a classifier or a localizer can be slid over images",
            expected="logits [N, K]",
            got=type(output).__name__,
        )
    return logits


def _cannot(network: nn.Module | str, reason: str) -> TaskMismatchError:
    name = network if isinstance(network, str) else type(network).__name__
    return TaskMismatchError(
        f"{name} cannot be computed for all windows at once",
        expected="convolutions and poolings, then at most a mean, then dense layers",
        got=reason,
        remedy="compute window by window (slide_windows, or shared=False)",
    )


def _check_size(images: Tensor, window: Size) -> None:
    if images.shape[2] < window[0] or images.shape[3] < window[1]:
        raise ShapeError(
            "a window does not fit into the image",
            expected=f"at least {window[0]}x{window[1]}",
            got=f"{images.shape[2]}x{images.shape[3]}",
            remedy="enlarge the image",
        )

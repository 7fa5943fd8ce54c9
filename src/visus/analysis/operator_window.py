"""The window that a convolution or pooling slides over its input, read from the arguments of torch's operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

aten = torch.ops.aten

IntPair = tuple[int, int]
"""(vertical, horizontal)."""


@dataclass(frozen=True, slots=True)
class OperatorWindow:
    """The window of one call of a convolution or pooling over images.

    Args:
        kernel: (height, width).
        stride: from one window to the next.
        padding: on each of both sides.
        dilation: from one value of the kernel to the next.
        ceil: whether the number of windows is rounded up.
    """

    kernel: IntPair
    stride: IntPair
    padding: IntPair = (0, 0)
    dilation: IntPair = (1, 1)
    ceil: bool = False

    def output_size(self, size: Sequence[int]) -> IntPair:
        """The number of windows, down and right, in a map of this (height, width)."""
        sides = zip(size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        rows, columns = (window_count(*side, ceil=self.ceil) for side in sides)
        return rows, columns


def operator_window(operator: Any, arguments: Sequence[Any]) -> OperatorWindow | None:
    """The window of an operator such as ``aten.convolution``, with its arguments; None for one without a window.

    Transposed convolutions have the window of the convolution that they transpose.
    """
    argument_at = dict(enumerate(arguments))  # trailing arguments may be left out
    if operator is aten.convolution:
        return OperatorWindow(
            pair(argument_at[1].shape[2:]), pair(argument_at[3]), pair(argument_at[4]), pair(argument_at[5])
        )
    if operator is aten.max_pool2d_with_indices:
        dilation, ceil = pair(argument_at.get(4, 1)), bool(argument_at.get(5, False))
    elif operator is aten.avg_pool2d:
        dilation, ceil = (1, 1), bool(argument_at.get(4, False))
    else:
        return None
    kernel = pair(argument_at[1])
    return OperatorWindow(kernel, pair(argument_at.get(2) or kernel), pair(argument_at.get(3, 0)), dilation, ceil)


def window_count(side: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool) -> int:
    """The number of windows along one side; with ``ceil``, the last must begin inside the map or its left padding."""
    room = side + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= side + padding else count


def pair(values: Any) -> IntPair:
    """An argument as (vertical, horizontal): torch takes a number, one value for both axes, or two values."""
    if isinstance(values, int):
        return values, values
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])

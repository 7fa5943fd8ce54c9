"""The window that is read from an operator's arguments is the one that torch was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from visus.analysis.operator_window import OperatorWindow, operator_window


class Windows(TorchDispatchMode):
    """Collects the windows of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[OperatorWindow] = []

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None) -> Any:
        window = operator_window(func.overloadpacket, args)
        if window is not None:
            self.windows.append(window)
        return func(*args, **(kwargs or {}))


KERNEL = torch.ones(3, 2, 5, 3)


@pytest.mark.parametrize(
    ("call", "window"),
    [
        (lambda x: F.conv2d(x, KERNEL), OperatorWindow((5, 3), (1, 1))),
        (
            lambda x: F.conv2d(x, KERNEL, stride=(2, 1), padding=(1, 2), dilation=(1, 3)),
            OperatorWindow((5, 3), (2, 1), (1, 2), (1, 3)),
        ),
        (lambda x: F.max_pool2d(x, 3), OperatorWindow((3, 3), (3, 3))),  # the stride is the kernel's side
        (
            lambda x: F.max_pool2d(x, (3, 2), (2, 1), padding=1, dilation=2, ceil_mode=True),
            OperatorWindow((3, 2), (2, 1), (1, 1), (2, 2), ceil=True),
        ),
        (lambda x: F.avg_pool2d(x, 2, padding=1), OperatorWindow((2, 2), (2, 2), (1, 1))),
        (lambda x: F.avg_pool2d(x, (2, 5), 3, ceil_mode=True), OperatorWindow((2, 5), (3, 3), ceil=True)),
    ],
)
def test_windows_are_read_from_arguments(call: Callable[[Tensor], Tensor], window: OperatorWindow) -> None:
    images = torch.ones(1, 2, 17, 22)
    with Windows() as mode:
        result = call(images)
    assert mode.windows == [window]
    assert window.output_size((17, 22)) == tuple(result.shape[2:])


def test_other_operators_have_no_window() -> None:
    with Windows() as mode:
        F.adaptive_avg_pool2d(torch.relu(torch.ones(1, 2, 6, 6)), 2).mean()
    assert mode.windows == []

"""Random values for large networks at a tenth of the cost, for tests that need values and not these values."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class CheapValues(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fills large tensors with one short piece of random numbers, again and again, in place of drawing each number.

    The weights of a network of 100 million parameters then take a tenth of the time; mean and spread are as asked for.
    """

    LARGE = 65_537  # a prime, so that rows of a weight are shifted against each other and none is there twice

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        random_numbers = torch.Generator().manual_seed(0)
        self._filled = 0
        self._pieces = {
            torch.ops.aten.normal_.default: torch.randn(self.LARGE, generator=random_numbers),
            torch.ops.aten.uniform_.default: torch.rand(self.LARGE, generator=random_numbers),
        }

    def begin_at(self, place: int) -> None:
        """The next tensor begins with this number of the piece."""
        self._filled = place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in self._pieces:
            return func(*args, **kwargs or {})
        tensor = args[0]
        if tensor.numel() <= self.LARGE or not tensor.is_contiguous() or tensor.is_meta:
            return func(*args, **kwargs or {})
        low, high = args[1:3] if len(args) > 2 else (0.0, 1.0)
        scale, shift = (high, low) if func is torch.ops.aten.normal_.default else (high - low, low)
        piece = (self._pieces[func] * scale + shift).to(tensor.dtype).roll(self._filled % self.LARGE)
        self._filled += tensor.numel() + 1  # no tensor as the last one: some are drawn until no value is too large
        flat = tensor.view(-1)
        whole = flat.numel() // self.LARGE * self.LARGE
        flat[:whole].view(-1, self.LARGE).copy_(piece)
        flat[whole:].copy_(piece[: flat.numel() - whole])
        return tensor

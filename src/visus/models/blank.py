"""Networks to look at and not to use, built without drawing random weights, which takes seconds for large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from visus.models.building import build
from visus.models.card import Card

LARGE = 10_000  # values; smaller tensors may be tables that a network reads
_NONE: Mapping[str, Any] = MappingProxyType({})


def build_blank(
    card: Card,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    backbone: str | None = None,
    options: Mapping[str, Any] = _NONE,
) -> nn.Module:
    """As :func:`~visus.models.building.build`, but whatever stands in large tensors is left there."""
    with _LeaveAlone():  # type: ignore[no-untyped-call]
        return build(card, classes=classes, in_channels=in_channels, backbone=backbone, options=options)


class _LeaveAlone(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Skips operators that change a large tensor in place.

    Values that are drawn again until all lie within bounds are taken as they are: asked whether any of a large tensor
    is true, none is.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in analysis/operations.py: the compiler is not to be imported

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten.any.default and args[0].numel() > LARGE:
            return torch.tensor(False)
        in_place = func.overloadpacket.__name__.endswith("_") and args and isinstance(args[0], Tensor)
        if in_place and args[0].numel() > LARGE:
            return args[0]
        return func(*args, **(kwargs or {}))

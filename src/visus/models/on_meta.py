"""Builds networks without values, for inspection: drawing random weights takes seconds for large networks."""

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


def build_on_meta(
    card: Card,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    backbone: str | None = None,
    options: Mapping[str, Any] = _NONE,
) -> nn.Module:
    """Builds a network as :func:`~visus.models.building.build` does, but with large tensors on the meta device.

    The whole network cannot be put there by ``torch.device("meta")``: its first random number would import a compiler.
    """
    with _Blank():  # type: ignore[no-untyped-call]
        return build(card, classes=classes, in_channels=in_channels, backbone=backbone, options=options)


class _Blank(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Creates large empty tensors on the meta device, and skips filling them."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in analysis/operations.py: the compiler is not to be imported

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.empty.memory_format and torch.Size(args[0]).numel() > LARGE:
            return func(*args, **{**kwargs, "device": torch.device("meta"), "pin_memory": None})
        in_place = func.overloadpacket.__name__.endswith("_") and args and isinstance(args[0], Tensor)
        if in_place and args[0].is_meta:
            return args[0]
        return func(*args, **kwargs)

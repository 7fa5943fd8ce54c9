"""Builds a network that a file describes, without room for more values than the file can fill.

The options of a card say how wide and how deep a network is. A card that somebody made can ask for terabytes, which
shows only when its values are to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from visus.errors import VisusError, WeightsError
from visus.models.building import build
from visus.models.card import Card

_VALUES, _TENSORS = 1 << 28, 2000
"""So many values and tensors may a network need beyond four times those of its file. A backbone is built whole and then
cut: VGG-16 without its dense layers leaves a tenth of its 138 million values."""

_FACTORIES = frozenset({"empty", "zeros", "ones", "full", "rand", "randn"})


def build_for(
    card: Card, state: Mapping[str, Tensor], *, source: str, classes: int, in_channels: int, options: Mapping[str, Any]
) -> nn.Module:
    """Builds the network of a model file.

    Args:
        card: the model that the file names.
        state: the file's tensors by name.
        source: the file's name, for messages.
        classes: how many it tells apart.
        in_channels: of its images.
        options: keyword arguments of the builder, from the file.

    Raises:
        WeightsError: if the builder cannot take these, or the network would be far larger than the file's weights.
    """
    values = 4 * sum(tensor.numel() for tensor in state.values()) + _VALUES
    try:
        with _Limits(values, 4 * len(state) + _TENSORS):
            return build(card, classes=classes, in_channels=in_channels, options=options)
    except VisusError as error:
        problem, expected, got = error.problem, error.expected, error.got
    except Exception as error:  # a builder of a hundred, with values that nobody foresaw: the file is what is wrong
        problem, expected = f"{card.full_name} cannot be built as its card says", "options that the network takes"
        got = f"{type(error).__name__}: {error}"[:200]
    raise WeightsError(
        f"{source}: {problem}",
        expected=expected,
        got=got,
        remedy="take a model file that visus wrote; this one was made or changed by something else",
    )


class _Limits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raises WeightsError before room is made for more than so many values or tensors in all."""

    def __init__(self, values: int, tensors: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._values, self._tensors = values, tensors

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in on_meta.py: the compiler is not to be imported

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket.__name__ in _FACTORIES:
            self._values -= math.prod(args[0])
            self._tensors -= 1
            if self._values < 0 or self._tensors < 0:
                raise WeightsError(
                    "the card describes a network that is far larger than the weights beside it",
                    expected="a network that these weights fill",
                    got=f"a tensor {list(args[0])}" if self._values < 0 else "thousands of tensors more",
                )
        return func(*args, **(kwargs or {}))

"""Freezes parts of a network: their parameters do not train, and their BatchNorm statistics do not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from visus.engine.optimizer import head_parameters, require_names

Freeze = Literal["none", "batchnorm", "backbone"]


class Freezing:
    """Freezes parts of a network for some epochs.

    Args:
        network: parameters without gradients by the network's own design stay fixed in any case.
        kind: "batchnorm" freezes the scales, shifts and statistics of every BatchNorm, or of the backbone's where the
            network stands on one; "backbone" freezes all but the head, with the statistics of the backbone's
            BatchNorms.
        parts: these are frozen as well, by what the names of their parameters begin with, and so are the statistics of
            their BatchNorms.
        epochs: the number of epochs with frozen parts, from the first one on; None: all epochs.

    Raises:
        RecipeError: if the backbone is to be frozen and the network names no head, or if it has no such part.
    """

    def __init__(self, network: nn.Module, kind: Freeze, epochs: int | None = None, parts: Sequence[str] = ()) -> None:
        self._epochs = epochs
        self._frozen: list[nn.Parameter] = []
        self._norms: list[nn.Module] = []
        require_names(parts, [name for name, _ in network.named_parameters()], "frozen", network)
        composed = isinstance(getattr(network, "backbone", None), nn.Module)
        heads = set(head_parameters(network)) if kind == "backbone" or composed else set()
        for path, module in network.named_modules():
            is_norm = isinstance(module, _BatchNorm)
            parameters = [(f"{path}.{name}" if path else name, p) for name, p in module.named_parameters(recurse=False)]
            of_kind = kind == "backbone" or (kind == "batchnorm" and is_norm)

            def is_frozen(name: str, of_kind: bool = of_kind) -> bool:
                return (of_kind and name not in heads) or name.startswith(tuple(parts))

            self._frozen += [p for name, p in parameters if is_frozen(name) and p.requires_grad]
            # one without parameters has statistics all the same
            if is_norm and all(is_frozen(name) for name in [name for name, _ in parameters] or [f"{path}."]):
                self._norms.append(module)

    def is_on(self, epoch: int) -> bool:
        """Whether anything is frozen in an epoch (from 0)."""
        return bool(self._frozen or self._norms) and (self._epochs is None or epoch < self._epochs)

    def norms(self, epoch: int) -> list[nn.Module]:
        """Returns the BatchNorms that stay in eval mode in an epoch (from 0), so that their statistics do not move."""
        return self._norms if self.is_on(epoch) else []

    def apply(self, epoch: int) -> None:
        """Turns the gradients of frozen parameters off in a frozen epoch (from 0), and on again in later epochs."""
        frozen = self.is_on(epoch)
        for parameter in self._frozen:
            parameter.requires_grad_(not frozen)
            if frozen:
                parameter.grad = None

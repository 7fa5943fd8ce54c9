"""Makes the dense layers of a loaded model smaller, by truncated singular value decomposition."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from visus.errors import UsageError
from visus.layers.low_rank import LowRankLinear, dense_layer, replace_layer, require_rank, truncated

if TYPE_CHECKING:
    from visus.workflow.model import Model


@dataclass(frozen=True, slots=True)
class TruncatedLayer:
    """What became of one dense layer.

    Args:
        name: its path in the network.
        rank: how many singular values are left.
        full_rank: how many there were.
        weights: how many weights it has now.
        full_weights: how many it had.
        lost: the length of what is left out over that of the weights, both as vectors (Frobenius norms), 0 to 1.
    """

    name: str
    rank: int
    full_rank: int
    weights: int
    full_weights: int
    lost: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.rank} of {self.full_rank} singular values, {self.weights:,} weights in place of "
            f"{self.full_weights:,}; {self.lost:.1%} of the weights' norm is left out"
        )


def truncate(model: Model, ranks: Mapping[str, int]) -> tuple[Model, tuple[TruncatedLayer, ...]]:
    """A model whose dense layers of these names have these ranks; the given one stays as it is.

    Its card says so, and no longer states the figures that the whole model reached.

    Args:
        model: whose network's builder has an option ``ranks``.
        ranks: by the layers' names, or the ends of them that only one has.

    Raises:
        UsageError: if the model's network cannot be built so.
        RecipeError: if there is no dense layer of a name, it was truncated before, or it has no such rank.
    """
    from visus.engine.model_file import card_of
    from visus.models.building import known_options

    if "ranks" not in known_options(card_of(model.info, str(model.path))):
        raise UsageError(
            f"{model.info.model} has no dense layers that can be truncated",
            expected="a network whose regions are seen by dense layers, such as fast_rcnn",
            got=model.info.model,
        )
    shared = [*model.network.parameters(), *model.network.buffers()]
    network = copy.deepcopy(model.network, {id(value): value for value in shared})  # its layers, the same values
    layers: list[TruncatedLayer] = []
    for name, rank in ranks.items():
        path, layer = dense_layer(network, name)
        require_rank(name, layer, rank)
        small = truncated(layer, rank)
        replace_layer(network, path, small)
        layers.append(
            TruncatedLayer(
                path,
                rank,
                min(layer.weight.shape),
                small.first.weight.numel() + small.second.weight.numel(),
                layer.weight.numel(),
                _lost(layer.weight.detach(), small),
            )
        )
    known = model.info.options.get("ranks") or {}
    options = {**model.info.options, "ranks": {**known, **{layer.name: layer.rank for layer in layers}}}
    info = replace(model.info, options=options, metrics={})
    return replace(model, network=network, info=info), tuple(layers)


def _lost(weight: Tensor, small: LowRankLinear) -> float:
    """The norm of what a layer of low rank leaves out of weights [O,I], over theirs.

    What is left is a projection of the weights, so that the squares of the three norms add up. That of a product A B
    comes from A^T A and B B^T, which are small.
    """
    first, second = small.first.weight.detach(), small.second.weight.detach()
    kept = float(((second.T @ second) * (first @ first.T)).double().sum())
    whole = float(torch.linalg.norm(weight)) ** 2
    return max(0.0, 1 - kept / whole) ** 0.5 if whole else 0.0

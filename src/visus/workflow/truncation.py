"""Makes the dense layers of a loaded model smaller, by truncated singular value decomposition."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from visus.engine.model_card import ModelInfo
from visus.engine.model_file import card_of
from visus.errors import UsageError
from visus.layers.low_rank import LowRankLinear, dense_layer, replace_layer, require_rank, truncated
from visus.models.building import known_options


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


@dataclass(frozen=True, slots=True)
class Truncation:
    """A network with dense layers of lower rank, and what became of each.

    Args:
        network: with new layers; all other values are those of the given one.
        info: its card, which states the ranks and no longer the figures that the whole network reached.
        layers: in the order in which they were named.
    """

    network: nn.Module
    info: ModelInfo
    layers: tuple[TruncatedLayer, ...]


def truncate(network: nn.Module, info: ModelInfo, ranks: Mapping[str, int]) -> Truncation:
    """Gives dense layers lower ranks; the network stays as it is.

    Args:
        network: of a model file; its builder has an option ``ranks``.
        info: its card.
        ranks: by the layers' names, or the ends of them that only one has.

    Raises:
        UsageError: if the model's network cannot be built so.
        RecipeError: if there is no dense layer of a name, it was truncated before, or it has no such rank.
    """
    if "ranks" not in known_options(card_of(info, info.model)):
        raise UsageError(
            f"{info.model} has no dense layers that can be truncated",
            expected="a network whose regions are seen by dense layers, such as fast_rcnn",
            got=info.model,
        )
    shared = [*network.parameters(), *network.buffers()]
    small_network = copy.deepcopy(network, {id(value): value for value in shared})  # its layers, the same values
    layers: list[TruncatedLayer] = []
    for name, rank in ranks.items():
        path, layer = dense_layer(small_network, name)
        require_rank(name, layer, rank)
        small = truncated(layer, rank)
        replace_layer(small_network, path, small)
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
    known = info.options.get("ranks") or {}
    options = {**info.options, "ranks": {**known, **{layer.name: layer.rank for layer in layers}}}
    replaced = {layer.name for layer in layers}
    sparsity = {name: share for name, share in info.sparsity.items() if name not in replaced}
    return Truncation(small_network, replace(info, options=options, metrics={}, sparsity=sparsity), tuple(layers))


def _lost(weight: Tensor, small: LowRankLinear) -> float:
    """The norm of what a layer of low rank leaves out of weights [O,I], over theirs.

    What is left is a projection of the weights, so that the squares of the three norms add up. That of a product A B
    comes from A^T A and B B^T, which are small.
    """
    first, second = small.first.weight.detach(), small.second.weight.detach()
    kept = float(((second.T @ second) * (first @ first.T)).double().sum())
    whole = float(torch.linalg.norm(weight)) ** 2
    return max(0.0, 1 - kept / whole) ** 0.5 if whole else 0.0

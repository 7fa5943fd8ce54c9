"""A dense layer as the product of two thin ones, which truncated singular value decomposition makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from visus.errors import RecipeError

_BLOCK = 4096
"""So many columns at a time are turned into float64."""


class LowRankLinear(nn.Module):
    """[...,I] -> [...,O]: to ``rank`` values, and from there to O; t(I + O) weights in place of I O.

    Girshick, Fast R-CNN, ICCV 2015, section 3.1: W is about U S V^T; the first layer has S V^T and no biases, the
    second one has U and the biases of W.

    Args:
        in_features: I.
        out_features: O.
        rank: t.
    """

    def __init__(self, in_features: int, out_features: int, rank: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, rank, bias=False)
        self.second = nn.Linear(rank, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.second(self.first(x)))


def truncated(layer: nn.Linear, rank: int) -> LowRankLinear:
    """The layer of this rank that is nearest to a dense one (Eckart and Young 1936); the dense one stays as it is.

    Only one side's singular vectors are computed, as eigenvectors of W W^T or W^T W, whichever is smaller, in float64:
    a projection on them is U S V^T without the rest.

    Args:
        layer: with biases or without.
        rank: 1 to the shorter side of its weights.

    Raises:
        RecipeError: for another rank.
    """
    require_rank("the layer", layer, rank)
    weight = layer.weight.detach()  # [O, I]
    rows, columns = weight.shape
    across = columns < rows
    tall = weight.T if across else weight  # [s, l] with s <= l
    gram = torch.zeros(len(tall), len(tall), dtype=torch.float64, device=weight.device)
    for part in torch.split(tall, _BLOCK, 1):
        wide = part.double()
        gram += wide @ wide.T
    vectors = torch.linalg.eigh(gram).eigenvectors[:, -rank:].flip(1).to(weight.dtype)  # [s, t], the largest first
    other = vectors.T @ tall  # [t, l]
    small = LowRankLinear(columns, rows, rank).to(weight)
    with torch.no_grad():
        # W^T is about V V^T W^T, so that W is about (W V) V^T
        small.first.weight.copy_(vectors.T if across else other)
        small.second.weight.copy_(other.T if across else vectors)
        if layer.bias is None:
            small.second.bias.zero_()
        else:
            small.second.bias.copy_(layer.bias)
    return small.train(layer.training)


def put_low_ranks(network: nn.Module, ranks: Mapping[str, int]) -> None:
    """Replaces dense layers of a network by layers of low rank with values of their own, in place.

    Args:
        network: has the layers.
        ranks: by the layers' names, see :func:`dense_layer`.

    Raises:
        RecipeError: if there is no dense layer of a name, or its weights have no such rank.
    """
    for name, rank in ranks.items():
        path, layer = dense_layer(network, name)
        require_rank(name, layer, rank)
        replace_layer(network, path, LowRankLinear(layer.in_features, layer.out_features, rank).to(layer.weight))


def dense_layer(network: nn.Module, name: str) -> tuple[str, nn.Linear]:
    """A dense layer and its path, by the path or by the end of it that only one has: "fc6" for "regions.fc6".

    Raises:
        RecipeError: if there is none; it lists those that there are.
    """
    layers = {path: module for path, module in network.named_modules() if isinstance(module, nn.Linear)}
    paths = [path for path in layers if path == name] or [path for path in layers if path.endswith(f".{name}")]
    if len(paths) != 1:
        problem = f"the network has no dense layer {name}" if not paths else f"several dense layers are called {name}"
        known = ", ".join(paths or layers) or "no dense layer at all"
        raise RecipeError(problem, expected=known, got=name)
    return paths[0], layers[paths[0]]


def replace_layer(network: nn.Module, path: str, layer: nn.Module) -> None:
    """Puts a layer in the place of another one."""
    around, _, last = path.rpartition(".")
    setattr(network.get_submodule(around), last, layer)


def require_rank(name: str, layer: nn.Linear, rank: int) -> None:
    """Raises RecipeError unless the layer's weights can have this rank."""
    largest = min(layer.weight.shape)
    if not 1 <= rank <= largest:
        raise RecipeError(
            f"{name} cannot have so many singular values",
            expected=f"1 to {largest}, the shorter side of its weights {list(layer.weight.shape)}",
            got=str(rank),
        )

"""The connections of a network: the weights of its convolutions and dense layers, and which of them are zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class LayerConnections:
    """How many of a layer's weights are zero.

    Args:
        weights: all of them.
        zeros: those that are zero.
        bytes_each: of one weight as it is stored.
    """

    weights: int
    zeros: int
    bytes_each: int = 4

    @property
    def sparsity(self) -> float:
        """The share of zeros, 0 to 1."""
        return self.zeros / self.weights if self.weights else 0.0

    @property
    def dense_bytes(self) -> int:
        """The size of all weights, zeros included."""
        return self.weights * self.bytes_each

    @property
    def sparse_bytes(self) -> int:
        """The size if stored sparsely: a bit for each weight that says whether it is there, and those that are.

        A layer with few zeros is smaller as it is, and then stays so.
        """
        return min(self.dense_bytes, (self.weights + 7) // 8 + (self.weights - self.zeros) * self.bytes_each)


def connections(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of convolutions, dense and locally connected layers by the layer's path, in the network's order.

    Biases and the scales and shifts of normalisation are none; weights that two layers share count once.
    """
    found: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for path, module in network.named_modules():
        weight = module._parameters.get("weight")
        if weight is None or weight.ndim < 2 or id(weight) in seen or isinstance(module, nn.LayerNorm | nn.Embedding):
            continue
        seen.add(id(weight))
        found[path] = weight
    return found


def count_zeros(network: nn.Module) -> dict[str, LayerConnections]:
    """Counts the zeros among the connections of each layer; a layer without values (on "meta") has none."""
    return {
        path: LayerConnections(
            weight.numel(), 0 if weight.is_meta else weight.numel() - int(weight.count_nonzero()), weight.element_size()
        )
        for path, weight in connections(network).items()
    }


def sparsities(network: nn.Module) -> dict[str, float]:
    """The share of zeros of each layer by its path; {} if no connection is zero."""
    counts = count_zeros(network)
    return {path: layer.sparsity for path, layer in counts.items()} if any(n.zeros for n in counts.values()) else {}


def counts_of(network: nn.Module, sparsity: Mapping[str, float]) -> dict[str, LayerConnections]:
    """The counts that shares of zeros by layer stand for; ``network`` gives the shapes, and may have no values."""
    return {
        path: LayerConnections(weight.numel(), round(sparsity.get(path, 0.0) * weight.numel()), weight.element_size())
        for path, weight in connections(network).items()
    }


def total(layers: Mapping[str, LayerConnections]) -> LayerConnections:
    """All layers as one; of layers whose weights are stored alike."""
    sizes = {layer.bytes_each for layer in layers.values()} or {4}
    return LayerConnections(
        sum(layer.weights for layer in layers.values()), sum(layer.zeros for layer in layers.values()), max(sizes)
    )

"""Removes the smallest weights of a network, step by step.

Han, Pool, Tran and Dally 2015, Learning both weights and connections for efficient neural networks, arXiv:1506.02626:
weights below a threshold become zero, the others are trained again, and so on in turns. A layer's threshold is the
standard deviation of its weights times a quality parameter (section 4): one number for the whole network, another
threshold in each layer. Here the number follows from the share of weights that is to go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from visus.engine.optimizer import longest_start, require_names
from visus.errors import RecipeError
from visus.layers.connections import connections

Threshold = Literal["deviation", "share", "magnitude"]
"""What is compared: a weight over the standard deviation of its layer's weights (the paper's); only weights of one
layer, each of which loses the same share; or the weights of all layers as they are."""

THRESHOLDS: tuple[str, ...] = get_args(Threshold)


def sparsity_steps(before: float, target: float, steps: int) -> list[float]:
    """The share of zeros after each of the steps, of which each removes the same share of the weights that are left.

    The paper does not print its own. With 0.9 in five steps: 0.369, 0.602, 0.749, 0.842, 0.9.

    Args:
        before: the share of zeros now, 0 to below 1.
        target: of the last step, ``before`` to below 1.
        steps: one or more.
    """
    left = [(1 - before) ** (1 - step / steps) * (1 - target) ** (step / steps) for step in range(1, steps)]
    return [*(1 - share for share in left), target]


class PruningTargets:
    """The share of weights that become zero: of each layer that is named, and of all others together.

    Args:
        weights: of all layers by name; their zeros are pruned already.
        sparsity: of the layers that ``layers`` does not name, together.
        layers: the share of a layer, by what its name begins with; the longest beginning counts.
        network: for the words of an error.

    Raises:
        RecipeError: if a share is not within 0 to below 1, or names no layer, or nothing is left to be pruned.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], sparsity: float, layers: Mapping[str, float], network: nn.Module
    ) -> None:
        for name, share in (("sparsity", sparsity), *layers.items()):
            if not 0 <= share < 1:
                raise RecipeError(
                    f"{name}: no such share of the weights can be pruned",
                    expected="0, or more, and below 1: 0.9 leaves every tenth weight",
                    got=f"{share:g}",
                )
        require_names(layers, list(weights), "the pruning", network)
        starts = {name: longest_start(name, layers) for name in weights}
        own = {name: layers[start] for name, start in starts.items() if start in layers}
        self._groups: list[tuple[list[str], float]] = [([name], share) for name, share in own.items()]
        if others := [name for name in weights if name not in own]:
            self._groups.append((others, sparsity))
        self._before = [_share_of_zeros([weights[name] for name in names]) for names, _ in self._groups]
        for (names, share), before in zip(self._groups, self._before, strict=True):
            if share and share < before:
                raise RecipeError(
                    f"{names[0] if len(names) == 1 else 'the network'} has more zeros already",
                    expected=f"a sparsity above {before:.4g}",
                    got=f"{share:g}",
                    remedy="ask for more, or prune the run that this one came from",
                )
        if not any(share > before for (_, share), before in zip(self._groups, self._before, strict=True)):
            raise RecipeError(
                "there is nothing to prune",
                expected="a sparsity above that of the network",
                got=", ".join(f"{share:g}" for _, share in self._groups) or "a network without such layers",
            )

    def at(self, step: int, steps: int) -> list[tuple[list[str], float]]:
        """The names of each group of layers, and its share of zeros after step 1 to ``steps``."""
        return [
            (names, sparsity_steps(before, share, steps)[step - 1] if share > before else before)
            for (names, share), before in zip(self._groups, self._before, strict=True)
        ]


@torch.no_grad()
def prune_weights(
    network: nn.Module, groups: list[tuple[list[str], float]], *, threshold: Threshold = "deviation"
) -> None:
    """Makes the smallest weights of a network zero, in place; no layer loses its largest weight.

    Args:
        network: its other values stay.
        groups: names of layers, and the share of zeros that they have afterwards, earlier zeros counted.
        threshold: see :data:`Threshold`.
    """
    weights = connections(network)
    for names, share in groups:
        parts = [[name] for name in names] if threshold == "share" else [names]
        for part in parts:
            _prune([weights[name] for name in part], share, by_deviation=threshold == "deviation")


def _prune(weights: list[nn.Parameter], share: float, *, by_deviation: bool) -> None:
    """Makes a share of several layers' weights zero, those with the smallest magnitudes."""
    sizes = [_magnitudes(weight, by_deviation=by_deviation) for weight in weights]
    every = torch.cat(sizes)
    count = min(round(share * len(every)), len(every) - len(weights))
    if count < 1:
        return
    limit = torch.kthvalue(every, count).values
    equal = count - int((every < limit).sum())  # of those at the limit, the first ones go
    for weight, size in zip(weights, sizes, strict=True):
        goes = size < limit
        at_limit = (size == limit).nonzero().flatten()[:equal]
        equal -= len(at_limit)
        goes[at_limit] = True
        weight.copy_(weight.masked_fill(goes.view(weight.shape), 0))


def _magnitudes(weight: Tensor, *, by_deviation: bool) -> Tensor:
    """What is compared, of each of a layer's weights [...], as one row [n]; the layer's largest is infinite."""
    size = weight.detach().float().abs().flatten()
    largest = int(size.argmax())
    if by_deviation and len(size) > 1:
        # The zeros of earlier steps count: what is left of a layer of which much went is the safer for it.
        deviation = float(weight.detach().double().std(correction=0))
        size = size / deviation if deviation > 0 else size
    size[largest] = torch.inf
    return size


def _share_of_zeros(weights: list[Tensor]) -> float:
    count = sum(weight.numel() for weight in weights)
    return sum(weight.numel() - int(weight.count_nonzero()) for weight in weights) / count if count else 0.0


class KeptZeros:
    """Keeps connections that are zero at the beginning of a training at zero: they get no gradient.

    Without one neither a step nor momentum nor weight decay moves them, and they do not count where gradients are
    clipped. Dropout falls with the connections (section 3.2): D sqrt(C / C_0), where of the C_0 connections into a
    dropout's units C are left; the units are those of the layer before it.

    Args:
        network: with its first values. Its dropouts change.
    """

    def __init__(self, network: nn.Module) -> None:
        weights = connections(network)
        self._zeros = [(weight, weight.detach() == 0) for weight in weights.values()]
        self._zeros = [(weight, zero) for weight, zero in self._zeros if bool(zero.any())]
        left = 1.0
        for path, module in network.named_modules():
            if path in weights:
                left = 1 - _share_of_zeros([weights[path].detach()])
            elif isinstance(module, nn.modules.dropout._DropoutNd):
                module.p *= left**0.5

    def clear_gradients(self) -> None:
        """Clears the gradients of the zeros."""
        for weight, zero in self._zeros:
            if weight.grad is not None:
                weight.grad.masked_fill_(zero, 0)

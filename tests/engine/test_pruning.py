"""The smallest weights go, as a plain computation has it, and stay away whatever trains the others."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from visus.engine.fit import fit
from visus.engine.pruning import KeptZeros, PruningTargets, prune_weights, sparsity_steps
from visus.engine.recipe import Recipe
from visus.engine.runtime import Runtime
from visus.errors import RecipeError
from visus.layers.connections import connections, sparsities
from visus.structures import Batch, Placement
from visus.tasks.update import Update


def network() -> nn.Sequential:
    """Layers of quite different spreads."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Flatten(),
        nn.Linear(16, 8),
        nn.Linear(8, 3),
    )
    with torch.no_grad():
        layers[0].weight.mul_(5)
        layers[6].weight.mul_(0.1)
    return layers


def values(layers: nn.Module) -> dict[str, NDArray[np.float32]]:
    return {name: weight.detach().numpy().copy() for name, weight in connections(layers).items()}


def plainly_pruned(
    weights: dict[str, NDArray[np.float32]], share: float, scale: dict[str, float]
) -> dict[str, NDArray[np.float32]]:
    """The weights of all layers, sorted by size over ``scale``, the largest of each layer left out of it."""
    entries = []
    for name, weight in weights.items():
        largest = int(np.abs(weight).argmax())
        for place, value in enumerate(weight.flat):
            if place != largest:
                entries.append((abs(float(value)) / scale[name], name, place))
    count = round(share * sum(weight.size for weight in weights.values()))
    pruned = {name: weight.copy() for name, weight in weights.items()}
    for _, name, place in sorted(entries)[:count]:
        pruned[name].flat[place] = 0
    return pruned


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("threshold", ["deviation", "magnitude", "share"])
def test_the_smallest_weights_go(threshold: Any, share: float) -> None:
    layers = network()
    before = values(layers)
    others = {name: value.clone() for name, value in layers.state_dict().items() if name[:-7] not in before}
    prune_weights(layers, [(list(before), share)], threshold=threshold)
    if threshold == "share":
        expected = {}
        for name, weight in before.items():
            expected |= plainly_pruned({name: weight}, share, {name: 1.0})
    else:
        # one number for all layers, times the standard deviation of each (Han et al. 2015, section 4)
        scale = {
            name: float(np.std(w.astype(float))) if threshold == "deviation" else 1.0 for name, w in before.items()
        }
        expected = plainly_pruned(before, share, scale)
    for name, weight in values(layers).items():
        np.testing.assert_array_equal(weight, expected[name])
    for name, value in others.items():
        assert torch.equal(layers.state_dict()[name], value)


def test_a_threshold_of_each_layer_is_the_quality_times_its_deviation() -> None:
    """Said the other way round: with the smallest quality parameter for which enough weights go."""
    layers = network()
    before = values(layers)
    prune_weights(layers, [(list(before), 0.6)])
    after = values(layers)
    gone = [(np.abs(before[name][after[name] == 0]) / before[name].std()).max() for name in before]
    left = [(np.abs(before[name][after[name] != 0]) / before[name].std()).min() for name in before]
    assert max(gone) < min(left)
    assert sum((weight == 0).sum() for weight in after.values()) == round(0.6 * (36 + 128 + 24))


def test_every_layer_keeps_its_largest_weight_and_equal_weights_are_counted_exactly() -> None:
    layers = network()
    with torch.no_grad():
        layers[6].weight.fill_(1e-9)
    names = list(connections(layers))
    prune_weights(layers, [(names, 0.99)], threshold="magnitude")
    for weight in values(layers).values():
        assert (weight != 0).sum() >= 1
    flat = nn.Sequential(nn.Linear(10, 10, bias=False))
    with torch.no_grad():
        flat[0].weight.copy_(torch.ones(10, 10) * torch.tensor([1.0, -1.0] * 5))
    prune_weights(flat, [(["0"], 0.37)])
    assert (flat[0].weight == 0).sum() == 37
    prune_weights(flat, [(["0"], 0.5)])
    assert (flat[0].weight == 0).sum() == 50


def test_each_step_takes_the_same_share_of_what_is_left() -> None:
    steps = sparsity_steps(0.0, 0.9, 5)
    assert steps == pytest.approx([0.36904, 0.60189, 0.74881, 0.84151, 0.9], abs=1e-5)
    left = [1 - share for share in (0.0, *steps)]
    assert [later / earlier for earlier, later in pairwise(left)] == pytest.approx([0.1**0.2] * 5)
    assert sparsity_steps(0.5, 0.9, 1) == [0.9]
    assert sparsity_steps(0.5, 0.875, 2) == pytest.approx([0.75, 0.875])


def test_layers_with_a_share_of_their_own_and_all_others() -> None:
    layers = network()
    targets = PruningTargets(connections(layers), 0.75, {"0": 0.0, "6": 0.5}, layers)
    assert targets.at(2, 2) == [(["0"], 0.0), (["6"], 0.5), (["5"], 0.75)]
    assert targets.at(1, 2) == [(["0"], 0.0), (["6"], pytest.approx(1 - 0.5**0.5)), (["5"], pytest.approx(0.5))]
    prune_weights(layers, targets.at(2, 2))
    assert sparsities(layers) == {"0": 0.0, "5": 0.75, "6": 0.5}
    again = PruningTargets(connections(layers), 0.75, {"0": 0.0, "6": 0.875}, layers)  # goes on where it is
    assert again.at(1, 2) == [(["0"], 0.0), (["6"], pytest.approx(0.75)), (["5"], 0.75)]
    earlier = values(layers)
    prune_weights(layers, again.at(2, 2))
    for name, weight in values(layers).items():
        assert not weight[earlier[name] == 0].any()


@pytest.mark.parametrize(
    ("sparsity", "layers", "match"),
    [
        (1.5, {}, "sparsity: no such share(.|\n)*got:      1.5"),
        (1.0, {}, "below 1"),
        (-0.1, {}, "no such share"),
        (math.nan, {}, "no such share"),
        (0.5, {"5": 1.0}, "5: no such share"),
        (0.5, {"conv1": 0.2}, "the pruning names no layer(.|\n)*got:      conv1"),
        (0.0, {}, "nothing to prune"),
        (0.3, {}, "more zeros already(.|\n)*above 0.5"),
        (0.0, {"": 0.3}, "more zeros already"),
    ],
)
def test_what_cannot_be_pruned(sparsity: float, layers: dict[str, float], match: str) -> None:
    pruned = network()
    prune_weights(pruned, [(list(connections(pruned)), 0.5)])
    with pytest.raises(RecipeError, match=match):
        PruningTargets(connections(pruned), sparsity, layers, pruned)
    with pytest.raises(RecipeError, match="nothing to prune"):
        PruningTargets({}, 0.5, {}, nn.ReLU())


class Losses(nn.Module):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {"loss": functional.cross_entropy(self.layers(batch.images), batch.targets)}


class Batches:
    """Three batches of noise an epoch."""

    def __len__(self) -> int:
        return 3

    def batches(self, epoch: int, start: int = 0) -> Any:
        for number in range(start, 3):
            generator = torch.Generator().manual_seed(10 * epoch + number)
            images = torch.randn(4, 1, 4, 4, generator=generator)
            targets = torch.randint(3, (4,), generator=generator)
            placements = tuple(Placement.identity((4, 4)) for _ in range(4))
            yield Batch(images=images, targets=targets, placements=placements, ids=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.name": "sgd", "optimizer.momentum": 0.9, "optimizer.nesterov": True, "clip_norm": 0.1},
        {"optimizer.name": "adam"},
        {"optimizer.name": "adamw", "ema": 0.5},
        {"optimizer.name": "rmsprop"},
        {"optimizer.name": "rmsprop_tf", "channels_last": False},
        {"optimizer.name": "adadelta", "accumulate": 2},
    ],
)
def test_zeros_stay_zero_whatever_trains(changes: dict[str, Any]) -> None:
    """With momentum and weight decay, and gradients that would move every one of them."""
    layers = network()
    prune_weights(layers, [(list(connections(layers)), 0.7)])
    before = values(layers)
    recipe = Recipe(epochs=2, batch_size=4, keep_zeros=True).with_changes(
        {"optimizer.lr": 0.05, "optimizer.weight_decay": 0.1, **changes}
    )
    trained = {}
    for keeps in (True, False):
        copy = network()
        copy.load_state_dict(layers.state_dict())
        fit(
            copy,
            [Update(Losses(copy), [copy])],
            Batches(),
            recipe.with_changes({"keep_zeros": keeps}),
            to_device=lambda batch: batch,
            runtime=Runtime(),
        )
        trained[keeps] = values(copy)
    for name, weight in before.items():
        assert not trained[True][name][weight == 0].any()
        assert (trained[True][name][weight != 0] != weight[weight != 0]).any()
    assert sum((weight == 0).sum() for weight in trained[False].values()) < 10


def test_a_clipped_gradient_does_not_count_what_stays_zero() -> None:
    layers = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor([[0.0, 2.0]]))
    zeros = KeptZeros(layers)
    layers[0].weight.grad = torch.tensor([[1000.0, 3.0]])
    zeros.clear_gradients()
    assert torch.equal(layers[0].weight.grad, torch.tensor([[0.0, 3.0]]))


def test_dropout_falls_with_the_connections_of_the_layer_before() -> None:
    """Han et al. 2015, equation 2: D_r = D_o sqrt(C_r / C_o)."""
    layers = nn.Sequential(
        nn.Dropout(0.2), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2), nn.Dropout2d(0.3)
    )
    prune_weights(layers, [(["1"], 0.75)])
    KeptZeros(layers)
    assert [layers[index].p for index in (0, 3, 5)] == pytest.approx([0.2, 0.25, 0.3])

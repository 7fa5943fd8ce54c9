"""What the paper on identity mappings says of its units and networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from visus.errors import RecipeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.preact_resnet import ORDERS, AblatedUnit, ResidualUnit
from visus.proof.published import fact

Layers = list[nn.Module]
relu = nn.functional.relu

FORMULAS: dict[str, Callable[[Tensor, Layers, Layers], Tensor]] = {  # figure 4, of an input x, convolutions, BatchNorms
    "original": lambda x, c, b: relu(b[1](c[1](relu(b[0](c[0](x))))) + x),
    "bn_after_addition": lambda x, c, b: relu(b[1](c[1](relu(b[0](c[0](x)))) + x)),
    "relu_before_addition": lambda x, c, b: relu(b[1](c[1](relu(b[0](c[0](x)))))) + x,
    "relu_only_preactivation": lambda x, c, b: b[1](c[1](relu(b[0](c[0](relu(x)))))) + x,
    "full_preactivation": lambda x, c, b: c[1](relu(b[1](c[0](relu(b[0](x)))))) + x,
}


def parts(module: nn.Module, kind: type[nn.Module]) -> Layers:
    return [layer for layer in module.modules() if isinstance(layer, kind)]


def randomise(module: nn.Module) -> None:
    for norm in parts(module, nn.BatchNorm2d):
        for values in (norm.weight, norm.bias):
            nn.init.normal_(values)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", FORMULAS)
def test_a_unit_has_the_order_of_figure_4(order: str) -> None:
    torch.manual_seed(0)
    unit = ResidualUnit(6, 6, 1, ORDERS[order], None, is_first=False)  # type: ignore[index]
    randomise(unit)
    x = torch.randn(4, 6, 5, 5)
    before = x.clone()
    expected = FORMULAS[order](x, parts(unit, nn.Conv2d), parts(unit, nn.BatchNorm2d))
    torch.testing.assert_close(unit(x), expected)
    assert torch.equal(x, before)
    assert FORMULAS.keys() == ORDERS.keys()


@pytest.mark.parametrize("order", ["relu_only_preactivation", "full_preactivation"])
def test_a_projection_is_with_pre_activation_too(order: str) -> None:
    torch.manual_seed(0)
    unit = ResidualUnit(8, 4, 2, ORDERS[order], "1x1", is_first=False)  # type: ignore[index]
    randomise(unit)
    x = torch.randn(4, 8, 6, 6)
    norms, convolutions = parts(unit.before, nn.BatchNorm2d), parts(unit.shortcut, nn.Conv2d)
    activated = relu(norms[0](x) if norms else x)
    kept = convolutions[0](activated)
    if order == "relu_only_preactivation":  # F ends with a BatchNorm, and so does the projection
        kept = parts(unit.shortcut, nn.BatchNorm2d)[0](kept)
    torch.testing.assert_close(unit(x), unit.residual(activated) + kept)


@pytest.mark.parametrize("order", FORMULAS)
@pytest.mark.parametrize("name", ["preact_resnet110", "preact_resnet164"])
def test_first_and_last_unit_are_special(name: str, order: str) -> None:
    with torch.device("meta"):
        network = build(find(name), options={"activation": order})
    first, *others = [unit for unit in network.modules() if isinstance(unit, ResidualUnit)]
    assert len(others) == 53
    assert len(first.before) == 0  # the stem's BatchNorm and ReLU are before both paths
    assert {len(unit.before) for unit in others} == {len(ORDERS[order].before)}  # type: ignore[index]
    assert [type(layer) for layer in network.last] == [type(layer) for layer in others[0].before]
    norms = sum(norm.num_features for norm in parts(network, nn.BatchNorm2d))
    projections = 448 if name == "preact_resnet164" and "B" in ORDERS[order].at_end else 0  # type: ignore[index]
    expected = {"preact_resnet110": 8096, "preact_resnet164": 24224}[name]  # of full pre-activation; see the facts
    assert 2 * (norms - projections) == expected  # "the same components, only the orders are different"


@pytest.mark.parametrize("depth", [164, 1001])
def test_a_hundred_classes(depth: int) -> None:
    with torch.device("meta"):
        network = build(find(f"preact_resnet{depth}"), classes=100)
    assert sum(p.numel() for p in network.parameters()) == fact(f"preact_resnet_cifar100_{depth}")["params"]


def test_the_signal_passes_from_unit_to_unit_unchanged() -> None:
    torch.manual_seed(0)  # equation 4: x_L = x_l + the sum of F over the units in between
    network = build(find("preact_resnet164")).eval()
    units = list(network.layer2)[1:]
    x = torch.randn(2, 128, 4, 4)
    with torch.no_grad():
        total, y = x, x
        for unit in units:
            total = total + unit.residual(unit.before(y))
            y = unit(y)
    torch.testing.assert_close(y, total)


# --- table 1


def unit_of(name: str, **options: object) -> AblatedUnit:
    torch.manual_seed(0)
    unit = build(find(f"resnet110@{name}"), options=options).layer2[1]
    assert isinstance(unit, AblatedUnit)
    return unit.eval()


@pytest.mark.parametrize(
    ("name", "on_shortcut", "on_residual"), [("no_shortcuts", 0, 1), ("half", 0.5, 1), ("half_both", 0.5, 0.5)]
)
def test_constant_scaling(name: str, on_shortcut: float, on_residual: float) -> None:
    unit, x = unit_of(name), torch.rand(2, 32, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(unit(x), relu(on_shortcut * x + on_residual * unit.residual(x)))


@pytest.mark.parametrize("name", ["exclusive_gating", "shortcut_gating"])
@pytest.mark.parametrize("bias", [-6.0, 0.0])
def test_gating(name: str, bias: float) -> None:
    unit, x = unit_of(name, bias=bias), torch.rand(2, 32, 6, 6)
    assert unit.gate is not None
    with torch.no_grad():
        matrix = unit.gate.conv.weight[:, :, 0, 0]
        g = 1 / (1 + torch.exp(-(torch.einsum("oc,nchw->nohw", matrix, x) + bias)))
        residual = unit.residual(x)
        expected = (1 - g) * x + (g * residual if name == "exclusive_gating" else residual)
        torch.testing.assert_close(unit(x), relu(expected))
        zero = torch.zeros(1, 32, 1, 1)
        assert float(unit.gate(zero)[0].mean()) == pytest.approx({-6.0: 0.9975, 0.0: 0.5}[bias], abs=1e-4)
    with pytest.raises(RecipeError, match="bias"):
        unit_of(name, bias=1.0)


def test_convolutional_shortcuts_are_in_every_unit() -> None:
    network = build(find("resnet110@conv_shortcuts"))
    units = [unit for unit in network.modules() if isinstance(unit, AblatedUnit)]
    assert len(units) == 54
    assert all([m.kernel_size for m in parts(unit.shortcut, nn.Conv2d)] == [(1, 1)] for unit in units)


def test_dropout_halves_the_shortcut_in_expectation() -> None:
    unit = unit_of("dropout_shortcuts")
    x = torch.rand(1, 32, 4, 4).expand(2000, -1, -1, -1)
    nn.init.zeros_(unit.bn2.weight)  # F is 0
    with torch.no_grad():
        torch.testing.assert_close(unit(x), 0.5 * x)
        dropped = unit.train()(x)
    assert set(torch.unique((dropped / x).round(decimals=4)).tolist()) == {0.0, 1.0}
    assert (dropped.mean(0) - 0.5 * x[0]).abs().max() < 5 * 0.5 / 2000**0.5  # five standard errors


def steps_to_learn(name: str, most: int) -> int:
    """Steps of Adam until eight images are known by heart."""
    torch.manual_seed(0)
    network = build(find(name), classes=4).train()
    images, classes = torch.rand(8, 3, 32, 32) * 2 - 1, torch.arange(8) % 4
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(most):
        optimiser.zero_grad()
        logits = network(images)
        if torch.equal(logits.argmax(1), classes):
            return step
        nn.functional.cross_entropy(logits, classes).backward()
        optimiser.step()
    return most


@pytest.mark.slow
def test_shortcuts_that_impede_the_signal_are_harder_to_train() -> None:
    # Table 1's trend in small: it reports 6.6 % for the identity, 6.9 % and 8.7 % for gates that begin open, 12 % for
    # halved sums and for convolutions, and failures for the rest.
    for name in ("paper", "shortcut_gating", "exclusive_gating"):
        assert steps_to_learn(f"resnet110@{name}", 60) < 60, name
    for name in ("half_both", "conv_shortcuts", "half", "no_shortcuts", "dropout_shortcuts"):
        assert steps_to_learn(f"resnet110@{name}", 60) == 60, name
    assert all(find(f"resnet110@{name}").proof_level == "L1" for name in ("half_both", "conv_shortcuts", "half"))

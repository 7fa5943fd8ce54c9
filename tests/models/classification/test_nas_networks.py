"""What the papers of NASNet, PNASNet and AmoebaNet, and their released code, say of their networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from networks import shapeless
from visus.analysis.summary import summarize
from visus.errors import ShapeError
from visus.layers.drop_path import DropPath
from visus.models.classification.nas_cells import (
    Cell,
    CellNetwork,
    CellNetworkAuxiliaryHead,
    CellPlan,
    FactorizedReduction,
    figure_2,
)
from visus.models.protocols import Output
from visus.structures import Batch
from visus.tasks.classification import Classification


def small(plan: CellPlan | None = None, **choices: object) -> CellNetwork:
    torch.manual_seed(0)
    plan = plan or shapeless("nasnet_a_mobile").cells[2].plan
    reduction = shapeless("nasnet_a_mobile").cells[0].plan
    options: dict[str, object] = {
        "stem": 8,
        "width": 8,
        "cells": 1,
        "looks_past": False,
        "drop": 0.0,
        "classes": 3,
        "in_channels": 3,
        "dropout": 0.0,
        "auxiliary_side": 2,
    }
    return CellNetwork(plan, reduction, **{**options, **choices})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "n", "penultimate"), [("nasnet_a_large", 6, 4032), ("nasnet_a_mobile", 4, 1056)])
def test_n_at_penultimate_channels(name: str, n: int, penultimate: int) -> None:
    network = shapeless(name)  # table 2 writes "NASNet-A (6 @ 4032)"
    assert network.channels[32] == penultimate
    halving = [i for i, cell in enumerate(network.cells) if cell.plan is network.cells[0].plan]
    assert halving == [0, 1, 2 + n, 3 + 2 * n]
    assert len(network.cells) == 4 + 3 * n


def test_the_largest_amoebanet_has_the_printed_numbers() -> None:
    # Real et al. 2019, table 2, F = 448: 469 million parameters and 104 billion operations. The first is with
    # BatchNorm's running statistics, the second at the 299x299 pixels of the released code.
    network = shapeless("amoebanet_a", options={"filters": 448})
    auxiliary = list(network.auxiliary.parameters())
    values = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in auxiliary)
    running = sum(b.numel() for name, b in network.named_buffers() if "running" in name and "auxiliary" not in name)
    assert round((values + running) / 1e6) == 469
    assert round(summarize(network.eval(), (3, 299, 299)).macs / 1e9) == 104


def test_a_cell_adds_pairs_of_operations() -> None:
    torch.manual_seed(0)
    plan = CellPlan(
        (
            (("sep3", 0), ("identity", 1)),
            (("avg3", 2), ("max3", 1)),
            (("identity", 0), ("identity", 0)),
            (("1x7_7x1", 1), ("avg3", 0)),
            (("sep5", 4), ("identity", 5)),
        ),
        (3, 6, 1),
    )
    cell = Cell(plan, 5, nn.Identity(), 8, width=8, stride=1, drop=0.0).eval()
    a, b = torch.randn(2, 5, 6, 7), torch.randn(2, 8, 6, 7)
    with torch.no_grad():
        answer = cell(a, b)
        h0 = cell.current(a)
        h2 = cell.pairs[0][0](h0) + b
        h3 = cell.pairs[1][0](h2) + nn.functional.max_pool2d(b, 3, 1, 1)
        h6 = cell.pairs[4][0](2 * h0) + cell.pairs[3][0](b) + cell.pairs[3][1](h0)
    torch.testing.assert_close(answer, torch.cat((h3, h6, b), 1))


def test_a_factorized_reduction_sees_both_diagonals() -> None:
    layer = FactorizedReduction(1, 2).eval()
    for kernel in (layer.even.weight, layer.odd.weight):
        nn.init.ones_(kernel)
    x = torch.arange(1.0, 21.0).view(1, 1, 4, 5)
    with torch.no_grad():
        y = layer(x) * math.sqrt(1.001)  # BatchNorm's epsilon
    torch.testing.assert_close(y[0, 0], torch.tensor([[1.0, 3, 5], [11, 13, 15]]))
    torch.testing.assert_close(y[0, 1], torch.tensor([[7.0, 9, 0], [17, 19, 0]]))


@pytest.mark.parametrize(
    ("name", "first", "seen"),
    [("nasnet_a_large", 9, 6), ("nasnet_a_mobile", 7, 5), ("pnasnet_5_mobile", 6, 4), ("amoebanet_a", 9, 7)],
)
def test_what_the_first_cell_after_a_reduction_sees_of_before(name: str, first: int, seen: int) -> None:
    network = shapeless(name).eval()
    outputs: dict[int, Tensor] = {}
    inputs: dict[int, Tensor] = {}

    def note(number: int, given: tuple[Tensor, Tensor], answer: Tensor) -> None:
        outputs[number], inputs[number] = answer, given[1]

    for number, cell in enumerate(network.cells):
        cell.register_forward_hook(lambda _, given, answer, number=number: note(number, given, answer))
    network.features(torch.empty(1, 3, 64, 64, device="meta"))
    assert inputs[first] is outputs[seen]  # slim's skip_reduction_layer_input: the last but one, else the last
    assert inputs[first + 1] is outputs[first - 1]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("nasnet_a_large", 0.3 / 22, 0.3),  # the released code's drop_path_keep_prob of 0.7, by (cell + 1) / cells
        ("pnasnet_5_large", 0.4 / 14, 0.4),  # 0.6
        ("amoebanet_a", 0.3, 0.3),  # 0.7 for all
    ],
)
def test_rates_of_drop_path(name: str, first: float, last: float) -> None:
    network = shapeless(name)
    rates = [{m.rate for m in cell.modules() if isinstance(m, DropPath)} for cell in network.cells]
    assert all(len(of_a_cell) == 1 for of_a_cell in rates)
    assert [next(iter(rates[0])), next(iter(rates[-1]))] == pytest.approx([first, last])
    kinds = [term[-1] for pair in network.cells[3].pairs for term in pair if not isinstance(term, nn.Identity)]
    assert all(isinstance(layer, DropPath) for layer in kinds)  # every operation, but not the identity


def test_mobile_networks_drop_no_path() -> None:
    for name in ("nasnet_a_mobile", "pnasnet_5_mobile"):
        assert not any(isinstance(m, DropPath) for m in shapeless(name).modules())


def test_the_auxiliary_head_stands_on_the_last_map_of_stride_16_and_counts_four_tenths() -> None:
    network = small()
    seen: list[Tensor] = []
    network.auxiliary.register_forward_hook(lambda _, given, answer: seen.append(given[0]))
    batch = Batch(images=torch.rand(4, 3, 64, 64), targets=torch.tensor([0, 1, 2, 0]), placements=[], ids=[])
    answer = network.train()(batch.images)
    assert seen[0].shape[1:] == (network.channels[16], 4, 4)
    losses = [nn.functional.cross_entropy(logits, batch.targets) for logits in (answer.logits, *answer.auxiliary)]
    terms = Classification(("a", "b", "c")).losses(network, batch)
    torch.testing.assert_close(sum(terms.values()), losses[0] + 0.4 * losses[1])
    with torch.no_grad():
        answer = network.eval()(batch.images)
    assert answer == Output(answer.logits, ())
    assert len(seen) == 2


def test_the_auxiliary_head_takes_windows_of_five_at_stride_three() -> None:
    head = CellNetworkAuxiliaryHead(2, 3, side=4, scale=0.25).eval()
    x = torch.rand(1, 2, 14, 14)  # 224x224 pixels
    pooled: list[Tensor] = []
    head.proj.register_forward_hook(lambda _, given, answer: pooled.append(given[0]))
    with torch.no_grad():
        head(x)
        for size in ((1, 1), (9, 30)):
            assert head(torch.rand(1, 2, *size)).shape == (1, 3)
    windows = [x[..., 3 * i : 3 * i + 5, 3 * j : 3 * j + 5].mean((2, 3)) for i in range(4) for j in range(4)]
    torch.testing.assert_close(pooled[0].flatten(2), torch.stack(windows, -1))


def test_weights_begin_with_a_variance_of_two_over_fan_out() -> None:
    torch.manual_seed(0)
    network = small(width=64, classes=1000)
    seps = network.cells[2].pairs[0][0]
    for weight, fan_out in (
        (seps[1].weight, 25),  # a depthwise kernel
        (seps[2].weight, 64),
        (network.classifier.weight, 1000),
    ):
        assert float(weight.detach().var()) * fan_out == pytest.approx(2, rel=0.1)
        assert float(weight.detach().abs().max()) <= 2 * math.sqrt(2.6 / fan_out) + 1e-6
    assert not network.classifier.bias.any()


def test_what_is_refused() -> None:
    network = shapeless("nasnet_a_mobile")
    with pytest.raises(ShapeError, match="2x5"):
        network.eval()(torch.empty(2, 3, 2, 5, device="meta"))
    with pytest.raises(ShapeError, match="auxiliary"):
        network.train()(torch.empty(1, 3, 64, 64, device="meta"))
    with pytest.raises(ShapeError, match="34 pixels"):
        network.features(torch.empty(1, 3, 34, 20, device="meta"))
    assert network.features(torch.empty(1, 3, 35, 20, device="meta"))[32].shape[-2:] == (2, 1)


def test_the_cells_of_figure_2() -> None:
    """F = 8, N = 2: NASNet's reducing cells stand between the stacks, PNASNet's are the first of theirs."""
    stem = [(2, True, 1), (4, True, 2)]
    between = [(8, False, 2), (8, False, 2), (16, True, 2), (16, False, 3), (16, False, 2), (32, True, 2)]
    assert figure_2(8, 2, starts_stacks=False, looks_past=True) == [*stem, *between, (32, False, 3), (32, False, 2)]
    within = [(8, False, 2), (8, False, 2), (16, True, 2), (16, False, 2), (32, True, 2), (32, False, 2)]
    assert figure_2(8, 2, starts_stacks=True, looks_past=False) == [*stem, *within]

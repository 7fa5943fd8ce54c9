"""What the paper on stochastic depth says of its blocks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.errors import RecipeError
from visus.layers.drop_path import SurvivalGate
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.stochastic_depth import StochasticBlock, survivals

CARD = find("stochastic_depth_resnet110")


def blocks_of(network: nn.Module) -> list[StochasticBlock]:
    return [block for block in network.modules() if isinstance(block, StochasticBlock)]


def test_survival_falls_linearly() -> None:
    p = [block.gate.survival for block in blocks_of(build(CARD))]
    assert len(p) == 54
    # Equation 4 with p_L = 0.5: p_1 = 1 - 1/108, p_27 = 3/4, p_54 = 1/2; section 3: expected depth (3L - 1) / 4.
    assert (p[0], p[26], p[53]) == pytest.approx((107 / 108, 0.75, 0.5))
    assert sum(p) == pytest.approx((3 * 54 - 1) / 4)
    assert set(survivals(5, 0.3, "uniform")) == {0.3}
    uniform = build(CARD, options={"survival": 0.8, "decay": "uniform"})
    assert {block.gate.survival for block in blocks_of(uniform)} == {0.8}
    with pytest.raises(RecipeError, match="survival"):
        build(CARD, options={"survival": 0.0})


def test_gates_draw_from_torchs_generator_as_often_as_they_should() -> None:
    gate = SurvivalGate(0.7).train()
    torch.manual_seed(3)
    draws = [gate() for _ in range(4000)]
    assert set(draws) == {0.0, 1.0}
    assert sum(draws) / 4000 == pytest.approx(0.7, abs=5 * (0.7 * 0.3 / 4000) ** 0.5)  # five standard errors
    torch.manual_seed(3)
    assert [gate() for _ in range(50)] == draws[:50]
    assert gate.eval()() == 0.7


@pytest.mark.parametrize("size", [(6, 6), (5, 3), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_test_step_is_the_expectation_of_training_steps(stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block = StochasticBlock(4, 4 * stride, stride, survival=0.6).eval()
    nn.init.constant_(block.bn2.bias, 2.0)  # F + x > 0, where ReLU is idle and the expectation is exact
    nn.init.constant_(block.bn2.weight, 0.1)
    x = torch.rand(2, 4, *size)
    with torch.no_grad():
        expected = block(x)
        block.gate.train()
        outcomes = {}
        while len(outcomes) < 2:
            state = torch.get_rng_state()
            b = block.gate()
            torch.set_rng_state(state)  # the block draws the same
            outcomes[b] = block(x)
    assert torch.equal(outcomes[0.0], block.shortcut(x))
    torch.testing.assert_close(expected, 0.6 * outcomes[1.0] + 0.4 * outcomes[0.0])


def test_what_is_left_out_is_not_computed() -> None:
    torch.manual_seed(0)
    network = build(CARD, options={"survival": 0.01}).train()
    last = blocks_of(network)[-1]
    before = last.bn1.running_mean.clone()
    network(torch.rand(2, 3, 16, 16)).sum().backward()
    left_out = [block for block in blocks_of(network) if block.conv1.weight.grad is None]
    assert last in left_out
    assert torch.equal(last.bn1.running_mean, before)
    assert all(p.grad is None for block in left_out for p in block.parameters())
    assert 10 < len(left_out) < 44  # 54 blocks, 27 expected
    assert network.conv1.weight.grad.any()


def test_the_size_changes_by_averages_and_zeros() -> None:
    block = StochasticBlock(3, 5, 2, survival=1.0)
    x = torch.rand(1, 3, 5, 4)
    kept = block.shortcut(x)
    assert kept.shape == (1, 5, 3, 2)
    torch.testing.assert_close(kept[:, :3, 0, 0], x[:, :, :2, :2].mean((2, 3)))
    torch.testing.assert_close(kept[:, :3, 2, 1], x[:, :, 4, 2:].mean(2))  # half a window at the border
    assert not kept[:, 3:].any()


def test_with_certain_survival_it_is_a_network_of_constant_depth() -> None:
    torch.manual_seed(0)
    network = build(CARD, options={"survival": 1.0}).train()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        first, second = network(images), network(images)
    assert torch.equal(first, second)
    torch.manual_seed(0)
    shorter = build(CARD, options={"survival": 0.5}).train()
    with torch.no_grad():
        assert not torch.equal(shorter(images), shorter(images))

"""What the PolyNet paper says of its modules, and what its released network adds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.polynet import B, Poly3, SharedConvolution, TwoWay


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.device("meta"):
        return build(find("polynet"))


def test_ten_twenty_ten(network: nn.Module) -> None:
    kinds = [type(layer) for layer in network.features if isinstance(layer, TwoWay | Poly3)]
    assert kinds == [TwoWay] * 10 + [Poly3, TwoWay] * 10 + [Poly3, TwoWay] * 5
    maps = network.eval().features(torch.empty(1, 3, 331, 331, device="meta"))
    assert {stride: tuple(value.shape[1:]) for stride, value in maps.items()} == {
        2: (64, 163, 163),
        4: (192, 79, 79),
        8: (384, 39, 39),
        16: (1152, 19, 19),
        32: (2048, 9, 9),
    }


def test_scales_are_those_of_the_released_network(network: nn.Module) -> None:
    # imgclsmob, polynet.py: two_way_scales and poly_scales, in the order of the modules.
    scales = [layer.scale for layer in network.features if isinstance(layer, TwoWay | Poly3)]
    assert scales[:3] == pytest.approx([1.0, 0.992308, 0.984615], abs=1e-6)
    assert scales[10:13] == pytest.approx([0.923077, 0.915385, 0.907692], abs=1e-6)
    assert scales[-2:] == pytest.approx([0.707692, 0.7], abs=1e-6)


def test_poly_3_is_the_sum_of_one_two_and_three_uses_of_shared_convolutions() -> None:
    torch.manual_seed(0)
    module = Poly3(1152, B, scale=0.5).eval()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.weight)

    def use(x: torch.Tensor, number: int) -> torch.Tensor:
        outputs = []
        for branch in module.branches:
            y = x
            for layer in branch.layers:
                y = layer.norms[number](layer.conv(y)).relu()
            outputs.append(y)
        return module.last[number](torch.cat(outputs, 1))

    x = torch.rand(1, 1152, 8, 8)
    with torch.no_grad():
        one = use(x, 0)
        two = use(one.relu(), 1)
        three = use(two.relu(), 2)
        torch.testing.assert_close(module(x), (x + 0.5 * (one + two + three)).relu())
    shared = [layer for layer in module.modules() if isinstance(layer, SharedConvolution)]
    assert [layer.conv.out_channels for layer in shared] == [128, 160, 192, 192]


def test_two_way_adds_two_functions_of_the_same_input() -> None:
    torch.manual_seed(0)
    module = TwoWay(1152, B, scale=0.25).eval()
    x = torch.rand(1, 1152, 7, 7)
    with torch.no_grad():
        first, second = (function(x) for function in module.functions)
        assert not torch.equal(first, second)
        torch.testing.assert_close(module(x), (x + 0.25 * (first + second)).relu())

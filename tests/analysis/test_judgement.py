"""Networks that are the same are found so however they are written; each planted difference is found and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.analysis.content_weights import ContentWeights, ValueTable
from visus.analysis.network_trace import trace
from visus.errors import ShapeError, UsageError
from visus.layers.locally_connected import LocallyConnected
from visus.layers.response_normalization import ResponseNormalization
from visus.testing import compare_networks

SIZE = (3, 20, 20)


class Small(nn.Module):
    """A network with one of each; its options plant differences."""

    def __init__(
        self,
        *,
        stride: int = 1,
        bias: bool = True,
        epsilon: float = 1e-5,
        activation: Callable[[], nn.Module] = nn.ReLU,
        pool: nn.Module | None = None,
        norm: nn.Module | None = None,
        dilation: int = 1,
        groups: int = 1,
        swapped: bool = False,
        last: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, stride=stride, bias=bias)
        self.bn = nn.BatchNorm2d(8, eps=epsilon)
        self.act = activation()
        self.pool = pool or nn.MaxPool2d(3, 2)
        self.norm = norm or nn.LocalResponseNorm(5)
        self.left = nn.Conv2d(8, 8, 3, padding=dilation, dilation=dilation, groups=groups)
        self.right = nn.Conv2d(8, 8, 3, padding=1)
        self.swapped = swapped
        self.fc = nn.Linear(16, 5)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool(self.act(self.bn(self.conv(x)))))
        twins = [self.left(x), self.right(x)]
        x = torch.cat(twins[::-1] if self.swapped else twins, 1)
        x = x.mean((2, 3))
        return self.fc(x) if self.last else x


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"stride": 2}, "different from the first layer on; in conv they have stride 2, we 1"),
        ({"bias": False}, "different from the first layer on; in conv they have no bias, we have one"),
        ({"epsilon": 1e-3}, "the same up to layer conv; in bn they have epsilon 0.001, we 1e-05"),
        ({"epsilon": 1.001e-5}, "the same up to layer conv; in bn they have epsilon 1.001e-05, we 1e-05"),
        ({"activation": nn.ReLU6}, "the same up to layer bn; in act they have ReLU6(), we ReLU()"),
        ({"pool": nn.MaxPool2d(3, 2, padding=1)}, "the same up to layer act; in pool they pad 1, we 0"),
        (
            {"pool": nn.MaxPool2d(3, 2, ceil_mode=True)},
            "the same up to layer act; in pool they have rounding up, we down",
        ),
        (
            {"pool": nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2))},
            "the same up to layer act; in pool they pad 0 before and 1 after, we 0",
        ),
        ({"pool": nn.AvgPool2d(3, 2)}, "the same up to layer act; in pool they have AvgPool2d(kernel_size=3, stride=2"),
        (
            {"norm": nn.LocalResponseNorm(3)},
            "up to layer pool; in norm they have LocalResponseNorm(3), we LocalResponse",
        ),
        ({"norm": nn.LocalResponseNorm(5, alpha=2e-5)}, "(alpha=2e-05), we LocalResponseNorm(alpha=0.0001)"),
        (
            {"norm": ResponseNormalization(k=1)},
            "in norm they have ResponseNormalization(5, k=1, alpha=0.0001, beta=0.75)",
        ),
        (
            {"dilation": 2},
            "the same up to layer norm; in left they have padding 2 and dilation 2, we padding 1 and dilation 1",
        ),
        ({"groups": 2}, "they have groups 2, we 1"),
        ({"swapped": True}, "in concatenation they take the same in another order, namely right, left, we left, right"),
        ({"last": False}, "the same up to layer mean; in fc we go on with Linear"),
    ],
)
def test_a_planted_difference_is_found_and_named(theirs: dict[str, Any], said: str) -> None:
    judgement = compare_networks(Small(), Small(**theirs), SIZE)
    assert not judgement.same
    assert said in str(judgement)


class Branches(nn.Module):
    """Two branches that begin alike, with or without factors, in one order or the other."""

    def __init__(self, factors: bool, swapped: bool) -> None:
        super().__init__()
        self.firsts = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8)) for _ in "ab"])
        self.last = nn.Conv2d(8, 8, 3, padding=1)
        self.swapped = swapped
        for _, norm in self.firsts if not factors else ():
            norm.weight = None

    def forward(self, x: Tensor) -> Tensor:
        short, long = [first(x).relu() for first in (reversed(self.firsts) if self.swapped else self.firsts)]
        return torch.cat([short, self.last(long)], 1)


def test_twins_are_paired_by_what_follows_where_their_layers_differ() -> None:
    judgement = compare_networks(Branches(True, False), Branches(False, True), SIZE)
    assert [str(each) for each in judgement.differences] == ["in firsts.0.1 they have no scale, we have one (2 times)"]
    assert judgement.largest is not None


class WrittenOtherwise(nn.Module):
    """The network :class:`Small` with other layers, other names and another order of what does not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(8, 3, 3, 3)), nn.Parameter(torch.zeros(8, 1, 1))])
        self.normalise = nn.Sequential(nn.BatchNorm2d(8, affine=False))
        self.scale, self.shift = nn.Parameter(torch.zeros(1, 8, 1, 1)), nn.Parameter(torch.zeros(8, 1, 1))
        self.twins = nn.ModuleList([nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)])
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), self.weights[0]) + self.weights[1]
        x = self.normalise(x) * self.scale + self.shift
        x = F.max_pool2d(x, 3, 2).clamp(min=0)  # the maximum and a ReLU may change places
        near = F.pad(x**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(-1)
        x = x * (1 + 1e-4 / 5 * near) ** -0.75
        x = torch.cat([twin(F.pad(x, (1, 1, 1, 1))) for twin in self.twins], 1)
        return {"logits": self.head(F.adaptive_avg_pool2d(x, 1))}  # [N, 5, 1, 1]


def test_the_same_network_written_otherwise_is_the_same() -> None:
    judgement = compare_networks(Small(), WrittenOtherwise(), SIZE)
    assert judgement.same, str(judgement)
    assert judgement.largest is not None
    assert judgement.largest < 1e-12
    assert str(judgement).startswith("the same network: largest difference ")


class Flattened(nn.Module):
    def __init__(self, head: nn.Module, *, pixels_first: bool = False) -> None:
        super().__init__()
        self.head = head
        self.pixels_first = pixels_first

    def forward(self, x: Tensor) -> Tensor:
        if self.pixels_first:
            x = x.permute(0, 2, 3, 1)
        logits: Tensor = self.head(x if isinstance(self.head, nn.Conv2d) else x.flatten(1))
        return logits


def test_a_linear_layer_is_a_convolution_over_the_whole_map_if_the_values_are_in_its_order() -> None:
    convolution = Flattened(nn.Conv2d(3, 5, 4))
    assert compare_networks(convolution, Flattened(nn.Linear(48, 5)), (3, 4, 4)).same
    judgement = compare_networks(convolution, Flattened(nn.Linear(48, 5), pixels_first=True), (3, 4, 4))
    assert "reordered axes" in str(judgement)


class Shared(nn.Module):
    """One head on two maps, the finer first or the coarser."""

    def __init__(self, *, coarse_first: bool = False) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse_first = coarse_first

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [x, F.avg_pool2d(x, 2)]
        return [self.head(map_) for map_ in (maps[::-1] if self.coarse_first else maps)]


def test_shared_weights_are_drawn_once() -> None:
    assert compare_networks(Shared(), Shared(coarse_first=True), SIZE).same
    assert not compare_networks(Shared(), nn.Conv2d(3, 4, 3, padding=1), SIZE).same


def test_other_layers_with_weights_are_drawn_too() -> None:
    def network() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), LocallyConnected(4, 2, 3, (18, 18)), nn.Flatten())

    ours = network()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    judgement = compare_networks(ours, network(), SIZE)
    assert judgement.same
    assert judgement.largest == 0
    assert ours.training
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    assert all(parameter.requires_grad for parameter in ours.parameters())


def test_parameters_that_do_not_learn_stay() -> None:
    def network(value: float) -> nn.Module:
        fixed = nn.Conv2d(3, 3, 1, bias=False).requires_grad_(False)
        fixed.weight.fill_(value)
        return nn.Sequential(fixed, nn.Conv2d(3, 2, 1))

    assert compare_networks(network(1), network(1), SIZE).same
    assert not compare_networks(network(1), network(2), SIZE).same


def test_values_stay_sane_in_a_deep_network() -> None:
    layers = [layer for _ in range(200) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())]
    (output,) = trace(nn.Sequential(*layers), torch.rand(1, 4, 5, 5), ContentWeights()).outputs.values()
    assert 0.01 < float(output.std()) < 100


def test_equal_values_have_one_number() -> None:
    table = ValueTable(1e-9)
    values = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    number = table.number(values)
    assert table.number(values * (1 + 1e-12)) == number
    assert table.number(values.reshape(6, 4)) == number
    assert table.number(values * (1 + 1e-7)) != number
    assert table.number(values.flip(0)) != number
    changed = values.clone()
    changed[1, 2, 3] += 1e-5
    assert table.number(changed) != number


def test_a_wrong_input_is_a_clear_error() -> None:
    with pytest.raises(ShapeError, match="theirs cannot take an input of 3x20x20"):
        compare_networks(Small(), nn.Conv2d(4, 2, 1), SIZE)

    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones_like(x)

    with pytest.raises(UsageError, match="gives no tensor that depends on the image"):
        compare_networks(Small(), Constant(), SIZE)


@pytest.mark.parametrize("error", [TypeError("odd"), KeyError("odd"), AttributeError("odd"), AssertionError("odd")])
def test_a_network_that_fails_is_told_and_stays_as_it_was(error: Exception) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            self.conv(x)
            raise error

    network = Failing()
    before = network.conv.weight.clone()
    with pytest.raises(ShapeError, match="cannot take an input"):
        compare_networks(network, Small(), SIZE)
    assert network.training
    assert torch.equal(network.conv.weight, before)

"""Which parameters get which rate and decay, and the update rules against PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.engine.optimizer import head_parameters, make_optimizer, momentum_at, scaled_lr
from visus.engine.recipe import Optimizer, Recipe
from visus.engine.rmsprop import TensorFlowRMSprop
from visus.errors import RecipeError


class Net(nn.Module):
    head = ("fc",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)
        self.fc6 = nn.Linear(2, 2)  # whose name only begins like the head's
        self.fixed = nn.Parameter(torch.zeros(2, 2), requires_grad=False)


def settings_of(network, optimizer):
    names = {id(p): name for name, p in network.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]
    }


def test_groups():
    network = Net()
    settings = Optimizer(lr=0.1, weight_decay=0.01, decay_norm_and_bias=False, backbone_lr=0.5)
    assert settings_of(network, make_optimizer(network, settings)) == {
        "conv.weight": (0.05, 0.01),
        "conv.bias": (0.05, 0.0),
        "norm.weight": (0.05, 0.0),
        "norm.bias": (0.05, 0.0),
        "fc.weight": (0.1, 0.01),
        "fc.bias": (0.1, 0.0),
        "fc6.weight": (0.05, 0.01),
        "fc6.bias": (0.05, 0.0),
    }


def test_one_group_where_all_are_alike():
    optimizer = make_optimizer(Net(), Optimizer(lr=0.1, weight_decay=0.01))
    assert len(optimizer.param_groups) == 1


def test_a_backbone_of_rate_zero_stays():
    network = Net()
    found = settings_of(network, make_optimizer(network, Optimizer(lr=0.1, backbone_lr=0)))
    assert {name for name, (lr, _) in found.items() if lr} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        (Optimizer(lr=0.1, weight_decay=0.01), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)),
        (
            Optimizer(lr=0.1, momentum=0.8, nesterov=True),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.8, nesterov=True),
        ),
        (Optimizer(lr=0.1, momentum=0, nesterov=True), lambda p: torch.optim.SGD(p, 0.1)),
        (Optimizer(name="adam", lr=0.1, eps=0.1), lambda p: torch.optim.Adam(p, 0.1, eps=0.1)),
        (
            Optimizer(name="adamw", lr=0.1, weight_decay=0.1, betas=(0.5, 0.9)),
            lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1, betas=(0.5, 0.9)),
        ),
        (
            Optimizer(name="rmsprop", lr=0.1, alpha=0.9, momentum=0.5),
            lambda p: torch.optim.RMSprop(p, 0.1, alpha=0.9, momentum=0.5),
        ),
        (
            Optimizer(name="adadelta", lr=1.0, alpha=0.95, eps=1e-6, weight_decay=0.01),
            lambda p: torch.optim.Adadelta(p, 1.0, rho=0.95, eps=1e-6, weight_decay=0.01),
        ),
    ],
)
def test_rules_are_pytorchs(settings, theirs):
    results = []
    for make in (lambda net: make_optimizer(net, settings), lambda net: theirs(net.parameters())):
        torch.manual_seed(0)
        network = nn.Linear(4, 3)
        optimizer = make(network)
        for i in range(3):
            optimizer.zero_grad()
            network(torch.full((2, 4), float(i))).square().sum().backward()
            optimizer.step()
        results.append(network.weight.detach())
    assert torch.equal(*results)


def test_tensorflows_rmsprop_by_hand():
    """Two steps on a gradient of 2 with decay 0.5, momentum 0.5, epsilon 1 and rate 0.1, as in
    tensorflow/core/kernels/training_ops.cc: the squares go 1 -> 2.5 -> 3.25."""
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = TensorFlowRMSprop([weight], lr=0.1, alpha=0.5, momentum=0.5, eps=1.0)
    first = 0.1 * 2 / (2.5 + 1) ** 0.5
    second = 0.5 * first + 0.1 * 2 / (3.25 + 1) ** 0.5
    for expected in (1 - first, 1 - first - second):
        weight.grad = torch.tensor([2.0])
        optimizer.step()
        assert weight.item() == pytest.approx(expected)


def test_its_rate_is_inside_the_momentum():
    """A velocity that was built up at a high rate goes on at it when the rate falls to 0."""
    weight = nn.Parameter(torch.tensor([0.0]))
    optimizer = TensorFlowRMSprop([weight], lr=1.0, alpha=1.0, momentum=0.5, eps=0.0)
    weight.grad = torch.tensor([1.0])
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert weight.item() == pytest.approx(-1.5)


def test_its_state_goes_on_after_loading():
    def trained(steps, weight, optimizer):
        for step in steps:
            weight.grad = torch.full_like(weight, float(step))
            optimizer.step()
        return weight

    def fresh(value):
        weight = nn.Parameter(value.clone())
        return weight, TensorFlowRMSprop([weight], lr=0.1, momentum=0.9, weight_decay=0.01)

    whole = trained(range(6), *fresh(torch.ones(3)))
    weight, optimizer = fresh(torch.ones(3))
    trained(range(3), weight, optimizer)
    other, going_on = fresh(weight.detach())
    going_on.load_state_dict(optimizer.state_dict())
    assert torch.equal(trained(range(3, 6), other, going_on), whole)


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4)
        self.grouped = nn.Conv2d(8, 4, 1, groups=2)
        self.grey = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.prelu = nn.PReLU(4)


def test_weights_without_decay():
    network = Mixed()
    settings = Optimizer(lr=0.1, weight_decay=0.01, no_decay=("prelu", "depthwise"))
    found = settings_of(network, make_optimizer(network, settings))
    assert {name for name, (_, decay) in found.items() if decay == 0} == {"depthwise.weight", "prelu.weight"}


def test_biases_at_a_rate_of_their_own():
    """Caffe's lr_mult: 2 for the biases of convolutions and linear layers."""
    network = Mixed()
    found = settings_of(network, make_optimizer(network, Optimizer(lr=0.1, bias_lr=2)))
    assert {name for name, (rate, _) in found.items() if rate == 0.2} == {
        "depthwise.bias",
        "grouped.bias",
        "grey.bias",
    }


def test_rates_by_name_multiply_and_the_longest_beginning_counts():
    """DSN's cifar-10.prototxt: blobs_lr 0.001 and 0.002 of the companions, 0.1 and 0.2 of the last layer."""
    network = Net()
    settings = Optimizer(lr=1.0, bias_lr=2, rates={"fc": 0.1, "fc6.": 0.001, "norm": 0})
    assert settings_of(network, make_optimizer(network, settings)) == {
        "conv.weight": (1.0, 0.0),
        "conv.bias": (2.0, 0.0),
        "norm.weight": (0.0, 0.0),
        "norm.bias": (0.0, 0.0),
        "fc.weight": (0.1, 0.0),
        "fc.bias": (0.2, 0.0),
        "fc6.weight": (0.001, 0.0),
        "fc6.bias": (0.002, 0.0),
    }


def test_rates_of_another_network_are_refused():
    with pytest.raises(RecipeError, match=r"optimizer\.rates names no layer of Net"):
        make_optimizer(Net(), Optimizer(rates={"companion": 0.001}))


def test_momentum_rises_epoch_by_epoch():
    """pylearn2's MomentumAdjustor: 0.5 in the first epoch, 0.7 from the 251st on."""
    settings = Optimizer(momentum=0.7, momentum_from=0.5, momentum_epochs=250)
    assert [momentum_at(settings, epoch) for epoch in (0, 125, 250, 400)] == pytest.approx([0.5, 0.6, 0.7, 0.7])
    assert momentum_at(Optimizer(momentum=0.8), 3) == 0.8


def test_rate_for_the_images_of_a_step():
    """Goyal et al. 2017: 0.1 at 256 images becomes 0.4 at 1024."""
    recipe = Recipe(optimizer=Optimizer(lr=0.1), reference_batch_size=256, batch_size=512, accumulate=2)
    assert scaled_lr(recipe) == pytest.approx(0.4)
    assert scaled_lr(Recipe(optimizer=Optimizer(lr=0.1), batch_size=512)) == 0.1


def test_on_a_backbone_all_else_is_the_head():
    class Composed(Net):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Linear(2, 2)
            self.decoder = nn.Linear(2, 2)

    names = head_parameters(Composed())
    assert {"decoder.weight", "fc.weight", "fc6.bias"} <= set(names)
    assert not any(name.startswith("backbone.") for name in names)


def test_head_parameters():
    assert head_parameters(Net()) == ["fc.weight", "fc.bias"]
    with pytest.raises(RecipeError, match="names no head"):
        head_parameters(nn.Linear(2, 2))
    with pytest.raises(RecipeError, match="names no head"):
        make_optimizer(nn.Linear(2, 2), Optimizer(backbone_lr=0.1))

"""AlexNet against its paper's sections and the tables that courses show of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from networks import shapeless
from visus.analysis.summary import summarize
from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.alexnet import AlexNet


@pytest.fixture(scope="module")
def network() -> AlexNet:
    torch.manual_seed(0)
    return build(find("alexnet"), classes=5).eval()  # type: ignore[return-value]


def test_initial_values_are_section_5s(network: AlexNet) -> None:
    # "zero-mean Gaussian with standard deviation 0.01"; "biases in the second, fourth, and fifth convolutional layers,
    # as well as in the fully-connected hidden layers, with the constant 1"; the remaining ones with 0.
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert list(layers) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for name, layer in layers.items():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03), name
        assert abs(layer.weight.mean().item()) < 5e-4, name
        expected = 1.0 if name in ("conv2", "conv4", "conv5", "fc6", "fc7") else 0.0
        assert layer.bias.eq(expected).all(), name  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "seen"), [("conv2", 48), ("conv3", 256), ("conv4", 192), ("conv5", 192)])
def test_each_half_sees_only_itself_but_in_conv3(network: AlexNet, name: str, seen: int) -> None:
    # Figure 2: "the GPUs communicate only at certain layers", of the convolutions at the third.
    layer: nn.Conv2d = getattr(network, name)
    x = torch.rand(1, layer.in_channels, 5, 5, requires_grad=True)
    layer(x)[:, : layer.out_channels // 2].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum((1, 2)) > 0
    assert reached[:seen].all()
    assert not reached[seen:].any()


def test_normalisation_comes_after_the_relu_and_before_the_pooling(network: AlexNet) -> None:
    images = torch.rand(1, 3, 67, 67) * 255
    with torch.no_grad():
        maps = network.features(images)
        first = network.conv1(images).clamp(min=0)
        assert torch.equal(maps[4], network.norm1(first))
        second = network.conv2(nn.functional.max_pool2d(maps[4], 3, 2)).clamp(min=0)
        torch.testing.assert_close(maps[8], network.norm2(second))


def test_maps_and_weights_are_those_of_the_tables() -> None:
    # Values a layer and weights without biases, worked from figure 2 (courses print 150K for the input, and 192 maps
    # where conv5 has 128 in each half).
    lines = {line.path: line for line in summarize(shapeless("alexnet"), (3, 227, 227)).lines}
    values = {name: torch.Size(line.output).numel() for name, line in lines.items()}
    expected = {"conv1": 290_400, "conv2": 186_624, "conv3": 64_896, "conv4": 64_896, "conv5": 43_264, "pool5": 9_216}
    assert {name: values[name] for name in expected} == expected
    weights = sum(p.numel() for n, p in shapeless("alexnet").named_parameters() if n.endswith("weight"))
    assert weights == 60_954_656


@pytest.mark.parametrize("name", ["alexnet", "alexnet@ungrouped"])
def test_sides_that_leave_6x6_for_the_dense_layers(name: str) -> None:
    network = shapeless(name)
    for size in ((227, 227), (258, 240)):
        assert network(torch.empty(1, 3, *size, device="meta")).shape == (1, 1000)
    for size, fit in (((226, 227), "227x227"), ((300, 259), "258x258"), ((227, 259), "227x258"), ((1, 1), "227x227")):
        with pytest.raises(ShapeError, match=fit):
            network(torch.empty(1, 3, *size, device="meta"))


def test_the_smallest_images_of_one_tower() -> None:
    network = shapeless("alexnet@torchvision")
    assert network(torch.empty(1, 3, 63, 70, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match="63x70"):
        network(torch.empty(1, 3, 62, 70, device="meta"))


def test_dropout_keeps_the_expectation_of_the_hidden_layers(network: AlexNet) -> None:
    # Section 4.2 halves the outputs at test time; here the kept ones are doubled in training.
    torch.manual_seed(0)
    x = torch.rand(1, 4096)
    network.train()
    dropped = torch.stack([network.drop6(x) for _ in range(400)])
    network.eval()
    assert dropped.eq(0).float().mean().item() == pytest.approx(0.5, abs=0.005)
    assert dropped.mean().item() == pytest.approx(x.mean().item(), rel=0.01)
    assert torch.equal(network.drop6(x), x)

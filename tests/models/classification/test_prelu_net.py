"""What the PReLU paper says of its networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.prelu_net import PReLUNet, stage


def small(activation: str) -> PReLUNet:
    torch.manual_seed(0)
    return PReLUNet(2, (16, 16, 16), classes=5, in_channels=3, activation=activation, dropout=0.5)


def test_coefficients_are_a_quarter_one_a_channel_or_one_a_layer() -> None:
    own = [m.weight for m in small("prelu").modules() if isinstance(m, nn.PReLU)]
    assert [len(w) for w in own] == [96, *[16] * 6, 4096, 4096]
    assert all((w == 0.25).all() for w in own)
    shared = [m.weight for m in small("shared_prelu").modules() if isinstance(m, nn.PReLU)]
    assert [len(w) for w in shared] == [1] * 9
    assert not [m for m in small("relu").modules() if isinstance(m, nn.PReLU)]


def test_prelu_is_the_identity_above_and_a_slope_below_zero() -> None:
    activation = small("prelu").fc2[1]
    x = torch.tensor([[-2.0, 3.0] * 2048])
    assert activation(x)[0, :2].tolist() == [-0.5, 3.0]


@pytest.mark.parametrize(("activation", "a"), [("prelu", 0.25), ("relu", 0.0)])
def test_weights_have_the_variance_of_equation_15(activation: str, a: float) -> None:
    network = small(activation)
    for layer in (network.conv4[2], network.fc1[0], network.fc2[0]):
        n = layer.weight[0].numel()
        assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / ((1 + a * a) * n)), rel=0.05)
        assert not layer.bias.any()


@pytest.mark.parametrize("activation", ["prelu", "relu"])
def test_thirty_layers_keep_the_size_of_the_signal(activation: str) -> None:
    # Section 2.2: with this start a 30-layer network converges; with Glorot's, made for linear units, it stalls, its
    # signal being (1 / 2)^30 of what came in.
    a = 0.0 if activation == "relu" else 0.25
    gain = {}
    for start, variance in (("he", 2 / (1 + a * a)), ("glorot", 1.0)):
        torch.manual_seed(0)
        layers = stage(30, 64, 64, activation)  # type: ignore[arg-type]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=math.sqrt(variance / (9 * 64)))
                nn.init.zeros_(layer.bias)
        x = torch.randn(1, 64, 80, 80)
        with torch.no_grad():
            inside = layers(x)[..., 30:-30, 30:-30]  # where no padding reaches
        gain[start] = float(inside.square().mean() / x.square().mean())
    assert 0.01 < gain["he"] < 100
    assert gain["glorot"] < 1e-5 * gain["he"]


def test_too_small_images_are_refused() -> None:
    with torch.device("meta"):
        network = build(find("prelu_net_a")).eval()
    assert network(torch.empty(1, 3, 15, 15, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match="15x20"):
        network(torch.empty(1, 3, 14, 20, device="meta"))

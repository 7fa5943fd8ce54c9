"""What the squeeze-and-excitation paper and its Caffe models say of the networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.senet import SEBottleneck

NAMES = ("se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d", "senet154")


def test_the_gate_is_equations_2_to_4() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcitation(32, reduction=16)
    u = torch.randn(2, 32, 5, 7)
    z = u.sum((2, 3)) / (5 * 7)  # eq. 2
    with torch.no_grad():
        hidden = (z @ layer.fc1.weight[:, :, 0, 0].T + layer.fc1.bias).clamp(min=0)  # eq. 3
        s = 1 / (1 + torch.exp(-(hidden @ layer.fc2.weight[:, :, 0, 0].T + layer.fc2.bias)))
        torch.testing.assert_close(layer(u), u * s[:, :, None, None])  # eq. 4
    assert hidden.shape == (2, 2)


@pytest.mark.parametrize("name", NAMES)
def test_every_block_has_a_gate_of_two_layers_a_sixteenth_wide(name: str) -> None:
    # r = 16: of C channels, C * C/16 weights down and as many up.
    with torch.device("meta"):
        network = build(find(name))
    gates = [module for module in network.modules() if isinstance(module, SqueezeExcitation)]
    depths = [len(stage) for stage in (network.layer1, network.layer2, network.layer3, network.layer4)]
    weights = sum(gate.fc1.weight.numel() + gate.fc2.weight.numel() for gate in gates)
    assert weights == 2 * sum(n * c * c for n, c in zip(depths, (256, 512, 1024, 2048), strict=True)) // 16
    assert len(gates) == sum(depths)


@pytest.mark.parametrize(("name", "strided"), [("se_resnet50", "conv1"), ("se_resnext50_32x4d", "conv2")])
def test_bottlenecks_stride_where_the_caffe_models_do(name: str, strided: str) -> None:
    with torch.device("meta"):
        network = build(find(name))
    blocks = [module for module in network.modules() if isinstance(module, SEBottleneck)]
    for convolution in ("conv1", "conv2", "conv3"):
        strides = [getattr(block, convolution).stride[0] for block in blocks]
        assert [place for place, stride in enumerate(strides) if stride == 2] == ([3, 7, 13] * (convolution == strided))


def test_the_gate_acts_before_the_addition() -> None:
    # Figure 3: the block's maps are scaled, the shortcut is not.
    torch.manual_seed(0)
    network = build(find("se_resnet50"), classes=2)
    block = network.layer1[1].eval()
    x = torch.rand(1, 256, 4, 4)
    with torch.no_grad():
        block.se_module.fc2.weight.zero_()
        block.se_module.fc2.bias.fill_(-40.0)  # a gate that is shut
        torch.testing.assert_close(block(x), x)


def test_senet_154_differs_from_a_resnext_152_as_its_model_says() -> None:
    with torch.device("meta"):
        network = build(find("senet154"))
    first, other = network.layer2[0], network.layer2[1]
    assert (first.conv1.out_channels, first.conv2.out_channels, first.conv2.groups) == (256, 512, 64)
    assert (first.downsample[0].kernel_size, first.downsample[0].padding) == ((3, 3), (1, 1))
    assert network.layer1[0].downsample[0].kernel_size == (1, 1)  # no stride there
    assert isinstance(other.downsample, nn.Identity)
    assert [m.kernel_size[0] for m in network.layer0 if isinstance(m, nn.Conv2d)] == [3, 3, 3]
    assert network.dropout.p == 0.2


def test_weights_begin_with_a_variance_of_two_over_fan_in() -> None:
    torch.manual_seed(0)
    network = build(find("se_resnext50_32x4d"), classes=2)
    weight = network.layer4[1].conv2.weight.detach()  # [1024, 32, 3, 3], 294,912 values: +-0.13 %
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.01)
    assert not network.layer1[0].se_module.fc1.bias.any()


def test_sizes_that_leave_too_little_are_refused() -> None:
    with torch.device("meta"):
        network = build(find("se_resnet50"), classes=2)
    with pytest.raises(ShapeError, match="3x5"):
        network.eval()(torch.empty(1, 3, 2, 5, device="meta"))
    network.eval()(torch.empty(1, 3, 3, 3, device="meta"))
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network.train()(torch.empty(1, 3, 34, 34, device="meta"))
    maps = network.features(torch.empty(1, 3, 35, 34, device="meta"))
    assert maps[32].shape == (1, 2048, 2, 1)
    network.train()(torch.empty(2, 3, 34, 34, device="meta"))

"""What the squeeze-and-excitation paper and its prototxt say of SE-BN-Inception."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.building import build
from visus.models.catalog import find


def test_the_blocks_widths_are_the_prototxts() -> None:
    with torch.device("meta"):
        network = build(find("se_bn_inception"))
    widths = {name: module[1].fc1.out_channels for name, module in network.inception.items()}
    assert widths == {  # num_output of inception_*_1x1_down in SE-BN-Inception.prototxt
        "3a": 16, "3b": 20, "3c": 36, "4a": 36, "4b": 36, "4c": 38, "4d": 38, "4e": 66, "5a": 64, "5b": 64
    }  # fmt: skip


def test_with_all_shares_at_one_it_is_caffes_bn_inception_without_biases() -> None:
    torch.manual_seed(0)
    ours = build(find("se_bn_inception"), classes=5).eval()
    plain = build(find("bn_inception@caffe"), classes=5).eval()
    for module in ours.modules():
        if isinstance(module, SqueezeExcitation):
            nn.init.zeros_(module.fc2.weight)
            nn.init.constant_(module.fc2.bias, 50.0)  # a sigmoid of 1
    own = ours.state_dict()
    state = {}
    for name, value in plain.state_dict().items():
        module, _, rest = name.removeprefix("inception.").partition(".")
        theirs = f"inception.{module}.0.{rest}" if name.startswith("inception.") else name
        state[name] = torch.zeros_like(value) if name.endswith("conv.bias") else own[theirs]
    plain.load_state_dict(state)
    images = torch.rand(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), plain(images), atol=1e-4, rtol=1e-4)


def test_weights_begin_with_a_variance_of_two_over_fan_in() -> None:
    torch.manual_seed(0)
    network = build(find("se_bn_inception"))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 4000:
            weight = layer.weight.detach()
            assert float(weight.var()) * weight[0].numel() == pytest.approx(2, rel=0.1)

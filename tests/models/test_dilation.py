"""Backbones that keep a stride of 16: which can, and that every weight sees the pixels that it saw."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.layers.same_padding import SameConv2d
from visus.models.building import build_backbone
from visus.models.dilation import keep_stride_16


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v1_025", "mobilenet_v1_025@tf"])
def test_every_second_cell_is_what_it_was(name: str) -> None:
    """Away from the border, where padding sees other zeros."""
    torch.manual_seed(0)
    backbone = build_backbone(name, 3).eval()
    image = torch.randn(1, 3, 416, 416)
    with torch.no_grad():
        before = backbone.features(image)
        assert keep_stride_16(backbone)
        after = backbone.features(image)
    assert after[32].shape[2:] == after[16].shape[2:] == (26, 26)
    assert torch.equal(after[16], before[16])
    shift = int(name.endswith("@tf"))  # SAME pads even sides below and right alone: its cells stand a pixel later
    cells = after[32][:, :, shift::2, shift::2]
    torch.testing.assert_close(cells[:, :, 5:-5, 5:-5], before[32][:, :, 5:-5, 5:-5], atol=1e-4, rtol=1e-3)


def test_the_state_and_the_mode_stay() -> None:
    backbone = build_backbone("resnet18", 1)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert keep_stride_16(backbone)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert not any(layer._forward_hooks for layer in backbone.modules())


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "resnet18@option_a", "vgg11"])
def test_a_stage_that_pools_stays_as_it_is(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name, 3)
        before = [repr(layer) for layer in backbone.modules()]
        assert not keep_stride_16(backbone)
    assert [repr(layer) for layer in backbone.modules()] == before


def test_tensorflows_padding_knows_holes() -> None:
    """Padded as little as keeps the size: 2 on every side of a 3x3 kernel with holes of 2."""
    layer = SameConv2d(1, 1, 3, bias=False)
    layer.dilation = (2, 2)
    x = torch.randn(1, 1, 7, 8)
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, padding=2, dilation=2))

"""What the EfficientNet paper and its released code say of the networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.squeeze_excitation import SqueezeExcitation
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.efficientnet import MBConv, round_channels


def blocks(network: nn.Module) -> list[MBConv]:
    return [m for m in network.modules() if isinstance(m, MBConv)]


def test_the_rows_of_table_1() -> None:
    with torch.device("meta"):
        network = build(find("efficientnet_b0"))
        x = torch.empty(1, 3, 224, 224)
        seen = []
        for stage in network.features:
            seen.append((x.shape[-1], len(stage) if isinstance(stage[0], MBConv) else 1))
            x = stage(x)
            seen[-1] += (x.shape[1],)
    # Resolution (of the stage's input), layers, channels of stages 1 to 9.
    assert seen == [
        (224, 1, 32),
        (112, 1, 16),
        (112, 2, 24),
        (56, 2, 40),
        (28, 3, 80),
        (14, 3, 112),
        (14, 4, 192),
        (7, 1, 320),
        (7, 1, 1280),
    ]


def test_channels_are_rounded_to_eights_and_lose_a_tenth_at_most() -> None:
    for channels in (c * w for c in (16, 24, 32, 40, 80, 112, 192, 320, 1280) for w in (1.0, 1.1, 1.2, 1.4, 1.6, 2.0)):
        rounded = round_channels(channels)
        assert rounded % 8 == 0
        assert rounded >= 0.9 * channels
        if abs(rounded - channels) > 4:  # not the nearest: that one lost more than a tenth
            assert rounded - 8 < 0.9 * channels
    assert round_channels(3) == 8


@pytest.mark.parametrize("edition", ["paper", "torchvision"])
def test_drop_connect_grows_linearly_and_only_where_there_is_a_way_around(edition: str) -> None:
    with torch.device("meta"):
        plain = build(find(f"efficientnet_b0@{edition}"))
        deep = build(find(f"efficientnet_b4@{edition}"), options={"drop_connect": 0.4})
    for network, last in ((plain, 0.2), (deep, 0.4)):
        chain = blocks(network)
        for number, block in enumerate(chain):
            expected = last * number / len(chain) if block.is_residual else 0.0
            assert block.drop.rate == pytest.approx(expected)
    assert sum(block.is_residual for block in blocks(plain)) == 9  # table 1: the layers of a stage but its first
    assert not any(block.is_residual for block in blocks(plain) if block.block[0][0].stride == (2, 2))


def test_the_mean_over_drawn_paths_is_the_whole_block() -> None:
    torch.manual_seed(0)
    block = blocks(build(find("efficientnet_b0"), options={"drop_connect": 0.9}))[-2].eval()
    x = torch.randn(1, 192, 3, 3)
    with torch.no_grad():
        whole = block(x)
        block.drop.train()
        mean = block(x.expand(1000, -1, -1, -1)).mean(0)
    rate = block.drop.rate
    scale = (whole - x).abs().max() * math.sqrt(rate / (1 - rate) / 1000)
    assert rate == pytest.approx(0.9 * 14 / 16)
    assert (mean - whole[0]).abs().max() < 4 * scale


def test_gates_are_drawn_from_the_means_of_all_channels() -> None:
    torch.manual_seed(0)
    gate = SqueezeExcitation(6, 3, nn.SiLU).double()
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    w1, b1, w2, b2 = (p.detach().squeeze(-1).squeeze(-1) if p.ndim == 4 else p.detach() for p in gate.parameters())
    expected = torch.empty_like(x)
    for n in range(2):
        z = w1 @ x[n].mean((1, 2)) + b1
        z = w2 @ (z * torch.sigmoid(z)) + b2
        for c in range(6):
            expected[n, c] = x[n, c] / (1 + math.exp(-float(z[c])))
    torch.testing.assert_close(gate(x), expected)


def test_a_block_squeezes_to_a_quarter_of_what_enters_it() -> None:
    with torch.device("meta"):
        network = build(find("efficientnet_b0"))
    for block in blocks(network):
        entering = block.block[0][0].in_channels
        squeezing = next(m for m in block.modules() if isinstance(m, SqueezeExcitation))
        assert squeezing.fc1.out_channels == entering // 4
        assert squeezing.fc1.in_channels == entering * (1 if block is blocks(network)[0] else 6)


def test_batchnorms_constants() -> None:
    for name, edition, expected in (
        ("b0", "paper", (0.001, 0.01)),  # section 5.2: "batch norm momentum 0.99"
        ("b7", "paper", (0.001, 0.01)),
        ("b4", "torchvision", (1e-5, 0.1)),
        ("b5", "torchvision", (0.001, 0.01)),
    ):
        with torch.device("meta"):
            network = build(find(f"efficientnet_{name}@{edition}"))
        assert {(m.eps, m.momentum) for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {expected}


def test_dropout_grows_from_a_fifth_to_a_half() -> None:
    rates = []
    for number in range(8):
        with torch.device("meta"):
            rates.append(build(find(f"efficientnet_b{number}")).classifier[0].p)
    assert rates == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


def test_weights_begin_as_the_released_code_says() -> None:
    torch.manual_seed(0)
    network = build(find("efficientnet_b0"))
    block = blocks(network)[-1].block
    for layer, fan_out in ((block[0][0], 1152), (block[1][0], 9), (block[3][0], 320)):
        assert float(layer.weight.detach().var()) * fan_out == pytest.approx(2, rel=0.05)
    dense = network.classifier[1].weight.detach()
    assert float(dense.abs().max()) == pytest.approx(1000**-0.5, rel=0.01)
    assert float(dense.std()) == pytest.approx((3 * 1000) ** -0.5, rel=0.01)


def test_the_editions_pad_alike_at_odd_sizes_alone() -> None:
    torch.manual_seed(0)
    ours = build(find("efficientnet_b0"), classes=5).eval()
    theirs = build(find("efficientnet_b0@torchvision"), classes=5).eval()
    theirs.load_state_dict(ours.state_dict())
    for layer in theirs.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.001

    def difference(side: int) -> float:
        images: Tensor = torch.rand(1, 3, side, side)
        with torch.no_grad():
            return float((ours(images) - theirs(images)).abs().max() / theirs(images).abs().max())

    assert difference(225) < 1e-4  # 225, 113, 57, 29, 15: the same zeros on both sides
    assert difference(224) > 1e-3


def test_a_single_pixel_a_channel_is_refused_in_training() -> None:
    network = build(find("efficientnet_b0"), classes=2).train()
    with pytest.raises(ShapeError, match="20x32"):
        network(torch.rand(1, 3, 20, 32))
    assert torch.isfinite(network(torch.rand(1, 3, 20, 33))).all()

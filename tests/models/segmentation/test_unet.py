"""U-Net against figure 1 of its paper, and the properties that valid convolutions give it."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from visus.errors import RecipeError, ShapeError
from visus.models.building import build
from visus.models.segmentation.catalog import CARDS
from visus.models.segmentation.unet import UNet, crop, unet, unet_padded

PAPER, PADDED, RELEASED = (card for card in CARDS if card.name == "unet")


def small(*, padded: bool = False, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return (unet_padded if padded else unet)(classes=3, in_channels=1, width=2, **options).eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# architectures.yaml, id unet: exact_params, exact_params_3_channel_input_2_classes, exact_params_1_class
@pytest.mark.parametrize(("channels", "classes", "exact"), [(1, 2, 31030658), (3, 2, 31031810), (1, 1, 31030593)])
def test_exact_parameters(channels: int, classes: int, exact: int) -> None:
    assert count(build(PAPER, classes=classes, in_channels=channels)) == exact


def test_the_cards_count_their_networks() -> None:
    for card in (PAPER, PADDED, RELEASED):
        assert count(build(card)) == card.parameters


def test_twenty_three_convolutional_layers() -> None:
    layers = [m for m in build(PAPER).modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23  # section 2, last sentence of the second paragraph


def test_sizes_of_figure_1() -> None:
    network = small()
    sizes: list[int] = []
    for convolutions in network.expanding:
        convolutions.register_forward_hook(lambda module, given, output: sizes.append(output.shape[-1]))
    with torch.no_grad():
        maps = network.features(torch.zeros(1, 1, 572, 572))
        output = network.from_features(maps, (572, 572))
    assert [map_.shape[-1] for map_ in maps.values()] == [568, 280, 136, 64, 28]
    assert {stride: map_.shape[1] for stride, map_ in maps.items()} == {1: 2, 2: 4, 4: 8, 8: 16, 16: 32}
    assert sizes == [52, 100, 196, 388]
    assert output.shape == (1, 3, 388, 388)
    cropped = [
        (map_ - 2 * (below - 0)) // 2 for map_, below in zip((64, 136, 280, 568), (28, 52, 100, 196), strict=True)
    ]
    assert cropped == [4, 16, 40, 88]
    assert dict(unet(classes=2, in_channels=1).channels) == {1: 64, 2: 128, 4: 256, 8: 512, 16: 1024}


def test_the_crop_is_centred() -> None:
    x = torch.arange(100.0).view(1, 1, 10, 10)
    torch.testing.assert_close(crop(x, torch.zeros(1, 1, 6, 2)), x[:, :, 2:8, 4:6])


@given(st.integers(1, 900), st.integers(1, 900), st.booleans())
def test_the_fitting_size_is_the_next_that_is_taken(height: int, width: int, padded: bool) -> None:
    network = _NETWORKS[padded]
    fitting = network.fitting_size((height, width))
    assert fitting[0] >= height
    assert fitting[1] >= width
    assert network.fitting_size(fitting) == fitting
    out = network.output_size(fitting)
    assert out == (fitting if padded else (fitting[0] - 184, fitting[1] - 184))
    if (height, width) != fitting:
        with pytest.raises(ShapeError, match=f"{fitting[0]}x{fitting[1]}"):
            network.output_size((height, width))


_NETWORKS = {padded: small(padded=padded) for padded in (True, False)}


def test_the_smallest_input_cannot_be_smaller() -> None:
    network = _NETWORKS[False]
    assert network.fitting_size((1, 1)) == (188, 188)
    assert network.output_size((188, 188)) == (4, 4)
    # 16 pixels less: one level's 3x3 convolutions would find 2x2 pixels, and nothing would come out.
    with pytest.raises(ShapeError):
        network.output_size((172, 172))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_stated_output_size_is_the_real_one_at_other_depths(depth: int) -> None:
    network = small(depth=depth)
    for wanted in ((1, 1), (60, 33)):
        size = network.fitting_size(wanted)
        with torch.no_grad():
            assert network(torch.zeros(1, 1, *size)).shape[2:] == network.output_size(size)


def test_odd_sizes_are_refused_with_the_next_that_fits() -> None:
    with pytest.raises(ShapeError) as caught:
        small()(torch.zeros(1, 1, 570, 572))
    assert "pad to 572x572" in caught.value.remedy
    assert "570x572" in caught.value.got
    with pytest.raises(ShapeError, match="pad to 256x304"):
        small(padded=True)(torch.zeros(1, 1, 250, 300))


def test_tiles_join_without_seams() -> None:
    """Figure 2: a pixel's answer depends only on the input around it, so tiles give what the whole image gives."""
    network = small()
    images = torch.rand(1, 1, 188 + 32, 188 + 16)
    with torch.no_grad():
        whole = network(images)  # [1, 3, 36, 20]
        tile = network(images[:, :, 16 : 16 + 188, 16 : 16 + 188])  # [1, 3, 4, 4]
    torch.testing.assert_close(whole[:, :, 16:20, 16:20], tile, atol=1e-6, rtol=1e-5)


def test_each_answer_looks_at_what_lies_around_its_own_place() -> None:
    network = small(dropout=0.0)
    images = torch.rand(1, 1, 220, 220, requires_grad=True)
    network(images)[0, 0, 17, 17].backward()
    rows = images.grad[0, 0].abs().sum(1).nonzero()[:, 0]
    # Output pixel 17 lies at input pixel 17 + 92; 188 pixels give the 4 outputs 16 ... 19, and are all that it sees.
    assert rows.min() >= 16
    assert rows.max() < 16 + 188
    assert rows.min() <= 109 <= rows.max()


def test_initial_weights_are_drawn_from_n_0_sqrt_2_over_n() -> None:
    torch.manual_seed(0)
    network = unet(classes=2, in_channels=1)
    assert isinstance(network, UNet)
    second = network.contracting[1][2].weight  # 3x3 over 128 channels
    assert second.std().item() == pytest.approx(sqrt(2 / (9 * 128)), rel=0.02)
    assert network.contracting[1][0].weight.std().item() == pytest.approx(sqrt(2 / (9 * 64)), rel=0.02)  # the paper's
    assert network.up[3].weight.std().item() == pytest.approx(sqrt(2 / 1024), rel=0.02)
    assert abs(second.mean().item()) < 1e-3
    assert not network.contracting[0][0].bias.any()


def test_convolutions_keep_the_variance_at_the_start() -> None:
    """What the initialisation is for; pooling, which takes the largest value, lets it rise from level to level."""
    torch.manual_seed(0)
    network = unet(classes=2, in_channels=16, width=64).eval()
    with torch.no_grad():
        maps = network.features(torch.randn(1, 16, 188, 188))
    assert maps[1].square().mean().item() == pytest.approx(1, rel=0.25)
    assert all(1 < map_.square().mean().item() < 3**level for level, map_ in enumerate(list(maps.values())[1:], 1))


def test_dropout_at_the_end_of_the_contracting_path() -> None:
    network = small(dropout=0.5).train()
    maps = network.features(torch.rand(1, 1, 252, 252))
    shares = {stride: (map_ == 0).float().mean().item() for stride, map_ in maps.items()}
    network.eval()
    without = {
        stride: (map_ == 0).float().mean().item()
        for stride, map_ in network.features(torch.rand(1, 1, 252, 252)).items()
    }
    for stride in (8, 16):
        assert shares[stride] > without[stride] + 0.1
    for stride in (1, 2, 4):
        assert shares[stride] == pytest.approx(without[stride], abs=0.1)


def test_padded_keeps_the_size() -> None:
    network = small(padded=True)
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 48, 80)).shape == (2, 3, 48, 80)


def test_options() -> None:
    assert count(build(PADDED, options={"norm": False})) == PAPER.parameters
    assert count(build(PAPER, options={"width": 32})) < PAPER.parameters / 3.9
    assert build(PADDED, options={"width": 4, "depth": 2}).channels == {1: 4, 2: 8, 4: 16}
    with pytest.raises(RecipeError, match="norm"):
        build(PAPER, options={"norm": True})
    for wrong in ({"width": 0}, {"depth": 0}, {"dropout": 1.0}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            build(PAPER, options=wrong)

"""What the DenseNet paper says of its networks, and how torchvision's files of them are read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from visus.errors import ShapeError, WeightsError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.densenet import DenseBlock, DenseNet, Transition
from visus.models.classification.densenet_weights import from_torchvision
from visus.models.weights import load_weights


def test_each_layer_sees_all_maps_before_it_and_adds_its_own() -> None:
    # Eq. 2: x_l = H_l([x_0, ..., x_l-1]); section 3: l-th layer has k_0 + k (l - 1) inputs; its 1x1 makes 4k maps.
    torch.manual_seed(0)
    block = DenseBlock(3, 10, 4).eval()
    x = torch.randn(2, 10, 5, 6)
    with torch.no_grad():
        maps = [x]
        for layer in block:
            joined = torch.cat(maps, 1)
            hidden = nn.functional.conv2d(layer.norm1(joined).relu(), layer.conv1.weight)
            maps.append(nn.functional.conv2d(layer.norm2(hidden).relu(), layer.conv2.weight, padding=1))
        torch.testing.assert_close(block(x), torch.cat(maps, 1))
    assert [layer.norm1.num_features for layer in block] == [10, 14, 18]
    assert {layer.conv1.out_channels for layer in block} == {16}


def test_a_transition_halves_maps_and_sides() -> None:
    transition = Transition(9).eval()
    assert transition(torch.rand(1, 9, 7, 6)).shape == (1, 4, 3, 3)  # floor of theta m, section 3


@pytest.mark.parametrize("name", ["densenet121", "densenet161", "densenet169", "densenet201"])
def test_the_name_is_the_number_of_weight_layers(name: str) -> None:
    # Two convolutions a dense layer, one a transition, the first one and the classifier; 264 is named one too low.
    with torch.device("meta"):
        network = build(find(name))
    layers = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules())
    assert layers == int(name.removeprefix("densenet"))


def test_convolutions_begin_as_in_the_released_code() -> None:
    # densenet.lua: N(0, 2 / (k k outputs)), "following ResNet"; no bias at the end.
    torch.manual_seed(0)
    network = DenseNet(32, (2, 2, 2, 2), classes=5, in_channels=3)
    weight = network.features.denseblock4[1].conv2.weight.detach()  # [32, 128, 3, 3], 36,864 values: +-0.4 %
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.02)
    assert not network.classifier.bias.any()


def test_sizes_that_leave_too_little_are_refused() -> None:
    with torch.device("meta"):
        network = build(find("densenet121"), classes=2)
    with pytest.raises(ShapeError, match="29x40"):
        network.eval()(torch.empty(1, 3, 28, 40, device="meta"))
    assert network.features(torch.empty(1, 3, 29, 29, device="meta"))[32].shape == (1, 1024, 1, 1)
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network.train()(torch.empty(1, 3, 60, 60, device="meta"))
    assert network.features(torch.empty(1, 3, 61, 60, device="meta"))[32].shape == (1, 1024, 2, 1)


def test_torchvisions_file_with_its_older_names_is_read(tmp_path: Path) -> None:
    # The published files say "denselayer1.norm.1.weight" and have no counts of batches; torchvision's loader renames.
    torch.manual_seed(0)
    card = find("densenet121@torchvision")
    network = build(card)
    state = {
        name.replace("norm1", "norm.1")
        .replace("norm2", "norm.2")
        .replace("conv1", "conv.1")
        .replace("conv2", "conv.2"): v
        for name, v in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "densenet121.pth")
    other = build(card)
    report = load_weights(other, card, tmp_path / "densenet121.pth")
    assert (report.loaded, report.left_random) == (len(state), ())
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert from_torchvision(network.state_dict()).keys() == network.state_dict().keys()  # newer names stay
    with pytest.raises(WeightsError, match="conv1"):
        from_torchvision({"conv1.weight": torch.zeros(1)})

"""Network in Network against its equations and its authors' definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.layers.mlpconv import MlpConv
from visus.models.building import build
from visus.models.catalog import find


def test_mlpconv_is_one_perceptron_at_every_place() -> None:
    # Lin et al., eq. 2: each layer's values at (i, j) come from those of the layer below at (i, j) alone.
    torch.manual_seed(0)
    layer = MlpConv(3, (6, 5, 4), 3, padding=1).double()
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    with torch.no_grad():
        found = layer(x)
        for i in range(5):
            for j in range(7):
                values = padded[:, :, i : i + 3, j : j + 3].flatten(1)
                for convolution in (layer.conv, layer.cccp1, layer.cccp2):
                    weight = convolution.weight.flatten(1)  # type: ignore[operator, union-attr]
                    values = (values @ weight.T + convolution.bias).clamp(min=0)  # type: ignore[operator]
                torch.testing.assert_close(found[:, :, i, j], values)


def test_a_class_is_scored_by_the_mean_of_its_rectified_map() -> None:
    # Section 3.2.
    network = build(find("nin_cifar"), classes=3).eval()
    with torch.no_grad():
        features = network.features(torch.rand(2, 3, 32, 32))
        maps = network.mlpconv3(network.pool2(features[2]))
        assert maps.shape == (2, 3, 8, 8)
        assert maps.min() >= 0
        torch.testing.assert_close(network.from_features(features, (32, 32)), maps.mean((2, 3)))


@pytest.mark.parametrize(("edition", "reduce"), [("paper", torch.amax), ("caffe", torch.mean)])
def test_the_second_pooling_rounds_up_over_what_there_is(edition: str, reduce: object) -> None:
    pool = build(find(f"nin_cifar@{edition}")).pool2
    x = torch.rand(1, 2, 16, 16)
    found = pool(x)
    assert found.shape == (1, 2, 8, 8)
    torch.testing.assert_close(found[0, :, 3, 2], reduce(x[0, :, 6:9, 4:7], (1, 2)))  # type: ignore[operator]
    torch.testing.assert_close(found[0, :, 7, 7], reduce(x[0, :, 14:, 14:], (1, 2)))  # type: ignore[operator]


def test_initial_values_are_those_of_the_definitions() -> None:
    # initW in NIN/cifar-10_def; the fillers of nin_imagenet's train_val.prototxt (conv1, conv3 and cccp8 of 0.01).
    torch.manual_seed(0)
    for name, small in (("nin_cifar", ()), ("nin", ("mlpconv1.conv", "mlpconv3.conv", "mlpconv4.cccp2"))):
        network = build(find(name))
        for path, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                deviation = 0.01 if path in small else 0.05
                assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05), path
                assert layer.bias is not None
                assert layer.bias.eq(1.0 if path in network.head else 0.0).all(), path


def test_no_class_is_dead_from_the_start() -> None:
    torch.manual_seed(0)
    for name, images in (("nin_cifar", torch.rand(4, 3, 32, 32)), ("nin", torch.rand(4, 3, 64, 64) * 255 - 120)):
        for _ in range(3):
            with torch.no_grad():
                assert build(find(name), classes=3).eval()(images).min() > 0


@pytest.mark.parametrize(("name", "smallest"), [("nin_cifar", 4), ("nin", 39)])
def test_the_smallest_images(name: str, smallest: int) -> None:
    with torch.device("meta"):
        network = build(find(name)).eval()
    assert network(torch.empty(1, 3, smallest, smallest, device="meta")).shape[0] == 1
    with pytest.raises(ShapeError, match=f"{smallest}x{smallest + 1}"):
        network(torch.empty(1, 3, smallest - 1, smallest + 1, device="meta"))
    network.features(torch.empty(1, 3, 23, 23, device="meta"))

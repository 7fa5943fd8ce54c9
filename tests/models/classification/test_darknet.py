"""Darknet-19 and -53: the maps that detectors stand on, and the slope of their ReLUs."""

import pytest
import torch

from visus.errors import ShapeError
from visus.layers.leaky_convolution import LeakyConvolution
from visus.models import catalog
from visus.models.building import build


@pytest.mark.parametrize("name", ["darknet19", "darknet53"])
def test_maps_of_416_pixels(name: str) -> None:
    """YOLO's input: 13x13 places of stride 32."""
    with torch.device("meta"):
        network = build(catalog.find(name)).eval()
    maps = network.features(torch.empty(1, 3, 416, 416, device="meta"))
    assert {stride: map_.shape[1:] for stride, map_ in maps.items() if stride >= 8} == {
        8: (256, 52, 52),
        16: (512, 26, 26),
        32: (1024, 13, 13),
    }


def test_a_tenth_passes_below_zero() -> None:
    layer = LeakyConvolution(1, 1, 1).eval()
    torch.nn.init.ones_(layer[0].weight)
    values = layer(torch.tensor([[[[2.0, -2.0]]]]))
    torch.testing.assert_close(values, torch.tensor([[[[2.0, -0.2]]]]), rtol=1e-4, atol=1e-5)


def test_too_small() -> None:
    with pytest.raises(ShapeError, match="Darknet-19"):
        build(catalog.find("darknet19"), classes=2)(torch.zeros(1, 3, 31, 40))

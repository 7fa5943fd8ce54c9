"""DeconvNet: sizes, first weights, and what it says when it cannot take an image."""

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.models.segmentation.deconvnet import deconvnet


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return deconvnet(classes=3, in_channels=3)


def test_first_weights(network: nn.Module) -> None:
    """Section 4.3: the deconvolution network's are zero-mean Gaussians, of 0.01 in the released files."""
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
            assert abs(float(layer.weight.detach().mean())) < 1e-3
        if isinstance(layer, nn.BatchNorm2d):
            assert float(layer.bias[0].detach()) == pytest.approx(0.001)


def test_sizes(network: nn.Module) -> None:
    assert network.fitting_size((1, 1)) == (224, 224)
    assert network.fitting_size((225, 480)) == (256, 480)
    with pytest.raises(ShapeError, match="five times") as refusal:
        network.output_size((230, 224))
    assert "256x224" in refusal.value.remedy
    with torch.device("meta"):
        wide = deconvnet(classes=3, in_channels=1).eval()
    assert wide(torch.empty(1, 1, 256, 320, device="meta")).shape == (1, 3, 256, 320)


def test_one_small_image_teaches_batchnorm_nothing() -> None:
    with torch.device("meta"):
        fresh = deconvnet(classes=3, in_channels=3).train()
    with pytest.raises(ShapeError, match="BatchNorm"):
        fresh(torch.empty(1, 3, 224, 224, device="meta"))
    assert fresh(torch.empty(1, 3, 256, 224, device="meta")).shape == (1, 3, 256, 224)

"""What the Xception paper says of its network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.xception import Block, SeparableConvolution


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.device("meta"):
        return build(find("xception"))


def test_36_convolutional_layers_in_14_modules_with_linear_shortcuts_around_all_but_the_first_and_last(
    network: nn.Module,
) -> None:
    # Section 3: "36 convolutional layers ... structured into 14 modules".
    separable = [m for m in network.modules() if isinstance(m, SeparableConvolution)]
    assert len(separable) + 2 == 36
    assert len([m for m in network.modules() if isinstance(m, Block)]) + 2 == 14


def test_nothing_stands_between_filtering_and_mixing(network: nn.Module) -> None:
    # Section 4.7, figure 10: no activation between them is best.
    for module in network.modules():
        if isinstance(module, SeparableConvolution):
            assert [type(child) for child in module.children()] == [nn.Conv2d, nn.Conv2d]
            assert module.conv1.groups == module.conv1.in_channels


def test_a_separable_convolution_is_a_factored_one() -> None:
    torch.manual_seed(0)
    separable = SeparableConvolution(3, 5).double()
    # w[o,c,i,j] = pointwise[o,c] * depthwise[c,i,j]
    kernel = torch.einsum("oc,cij->ocij", separable.pointwise.weight[:, :, 0, 0], separable.conv1.weight[:, 0])
    x = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(separable(x), nn.functional.conv2d(x, kernel, padding=1))


def test_too_small_images_are_refused(network: nn.Module) -> None:
    assert network.eval()(torch.empty(1, 3, 7, 7, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match="7x9"):
        network(torch.empty(1, 3, 6, 9, device="meta"))
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network.train()(torch.empty(1, 3, 38, 38, device="meta"))

"""What the Inception-v4 paper says of its networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.inception_v4 import SCALES, ResidualModule


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("inception_resnet_v1", (5, 10, 5)),  # figure 15
        ("inception_resnet_v2", (5, 10, 5)),
        ("inception_resnet_v2@timm", (10, 20, 10)),  # the released network
    ],
)
def test_residuals_are_scaled_down_and_their_numbers_are_the_figures(name: str, counts: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        network = build(find(name))
    modules = [module for module in network.modules() if isinstance(module, ResidualModule)]
    assert len(modules) == sum(counts)
    last_is_whole = name.endswith("@timm")
    expected = [scale for scale, count in zip(SCALES, counts, strict=True) for _ in range(count)]
    assert [m.scale for m in modules] == ([*expected[:-1], 1.0] if last_is_whole else expected)
    assert isinstance(modules[-1].relu, nn.Identity) == last_is_whole


def test_a_residual_module_adds_a_scaled_linear_map() -> None:
    torch.manual_seed(0)
    module = ResidualModule(8, (((4, 1),), ((4, 1), (6, (1, 7)))), scale=0.25).eval()
    x = torch.rand(2, 8, 9, 9)
    with torch.no_grad():
        branches = torch.cat([branch(x) for branch in module.branches], 1)
        weight = module.linear.weight[:, :, 0, 0]
        expected = x + 0.25 * (torch.einsum("oc,nchw->nohw", weight, branches) + module.linear.bias[:, None, None])
        torch.testing.assert_close(module(x), expected.relu())


def test_a_batchnorm_follows_every_convolution_but_the_linear_ones() -> None:
    with torch.device("meta"):
        network = build(find("inception_resnet_v1"))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    linear = [m.linear for m in network.modules() if isinstance(m, ResidualModule)]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(convolutions) - len(linear) == len(norms)
    assert all((c.bias is not None) == any(c is other for other in linear) for c in convolutions)


def test_too_small_images_are_refused() -> None:
    with torch.device("meta"):
        network = build(find("inception_v4")).eval()
    with pytest.raises(ShapeError, match="75x80"):
        network(torch.empty(1, 3, 74, 80, device="meta"))
    assert network(torch.empty(1, 3, 75, 75, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network.train()(torch.empty(1, 3, 106, 75, device="meta"))

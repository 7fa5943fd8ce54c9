"""What the BatchNorm paper and the released networks say of BN-Inception."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from networks import shapeless
from visus.errors import ShapeError
from visus.layers.same_padding import SameMaxPool2d
from visus.models.classification.bn_inception import SLIM_STYLE, BNInceptionModule, Reduction


def test_the_first_convolution_can_be_the_authors_separable_one() -> None:
    network = shapeless("bn_inception", options={"first": "separable"})
    depthwise, pointwise = network.conv1.conv
    assert (depthwise.groups, depthwise.out_channels) == (3, 3 * 8)  # "depth multiplier 8", the appendix's last line
    # GoogLeNet's table 1 counts 2.7K weights for this layer, which only the separable convolution has.
    assert depthwise.weight.numel() + pointwise.weight.numel() == 7 * 7 * 3 * 8 + 24 * 64 == 2712
    assert network.conv1(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 64, 112, 112)


def test_weights_begin_as_in_tensorflow_slim() -> None:
    torch.manual_seed(0)
    module = BNInceptionModule(576, (224, 64, 96, 96, 128, "avg", 128), SLIM_STYLE)
    expected = {"branch2.0": 0.09, "branch3.0": 0.09, "branch4.1": 0.1}  # nets/inception_v2.py
    for path, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            weight = layer.weight.detach()
            std = expected.get(path.removesuffix(".conv"))
            cut = 2 * (std or (1.3 * 2 / weight[0].numel()) ** 0.5)
            assert 0.9 * cut < float(weight.abs().max()) <= 1.0001 * cut
            if std is None:  # variance_scaling_initializer: 2 / fan-in
                assert float(weight.var()) * weight[0].numel() == pytest.approx(2, rel=0.05)
            else:  # a normal that is cut at two deviations keeps 0.774 of its variance
                assert float(weight.var()) == pytest.approx(0.774 * std**2, rel=0.05)


def test_average_pooling_counts_the_zeros_at_the_border_only_in_caffe() -> None:
    for name, corner in (("bn_inception", 1.0), ("bn_inception@caffe", 4 / 9)):
        poolings = [m for m in shapeless(name).modules() if isinstance(m, nn.AvgPool2d)]
        assert len(poolings) == 7
        assert all(p(torch.ones(1, 1, 5, 5))[0, 0, 0, 0] == pytest.approx(corner) for p in poolings)


def test_the_last_module_pools_by_the_maximum_and_the_others_by_the_mean() -> None:
    for name in ("bn_inception", "bn_inception@caffe"):
        modules = shapeless(name).inception
        kinds = {key: type(m.branch4[0]) for key, m in modules.items() if isinstance(m, BNInceptionModule)}
        assert {key for key, kind in kinds.items() if kind is nn.MaxPool2d} == {"5b"}  # figure 5
        assert {key for key, m in modules.items() if isinstance(m, Reduction)} == {"3c", "4e"}


def test_the_two_editions_epsilons_and_biases() -> None:
    for name, epsilon, has_bias in (("bn_inception", 1e-3, False), ("bn_inception@caffe", 1e-5, True)):
        layers = list(shapeless(name).modules())
        assert {layer.eps for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {epsilon}
        assert {layer.bias is not None for layer in layers if isinstance(layer, nn.Conv2d)} == {has_bias}


def windows(x: Tensor, side: int) -> Tensor:
    """The maxima by hand: of windows from 2i (even sides) or 2i - 1 (odd sides) on, as far as there are pixels."""
    starts = [2 * i - side % 2 for i in range((side + 1) // 2)]
    rows = [[x[..., max(a, 0) : a + 3, max(b, 0) : b + 3].amax((2, 3)) for b in starts] for a in starts]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize("side", [1, 2, 5, 6])
def test_the_strided_pooling_rounds_up(side: int) -> None:
    x = torch.randn(2, 3, side, side)
    torch.testing.assert_close(SameMaxPool2d(3, stride=2)(x), windows(x, side))


def test_images_of_which_nothing_is_left_are_refused() -> None:
    network = shapeless("bn_inception@caffe")
    assert network(torch.empty(1, 3, 7, 7, device="meta")).shape == (1, 1000)
    with pytest.raises(ShapeError, match="7x9"):
        network(torch.empty(1, 3, 6, 9, device="meta"))
    network.train()
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network(torch.empty(1, 3, 38, 38, device="meta"))
    assert network(torch.empty(1, 3, 39, 7, device="meta")).shape == (1, 1000)


def test_tensorflows_padding_leaves_something_of_every_image() -> None:
    network = shapeless("bn_inception")
    assert network(torch.empty(1, 3, 1, 1, device="meta")).shape == (1, 1000)
    for side in (32, 33, 63, 224):
        maps = network.features(torch.empty(1, 3, side, side, device="meta"))
        assert {stride: x.shape[-1] for stride, x in maps.items()} == {s: -(-side // s) for s in maps}
    network.train()
    with pytest.raises(ShapeError, match="more than one value a channel"):
        network(torch.empty(1, 3, 32, 32, device="meta"))
    assert network(torch.empty(1, 3, 33, 1, device="meta")).shape == (1, 1000)

"""What the ResNeXt paper says of its networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.resnext import Bottleneck32x4d, Bottleneck64x4d


@pytest.mark.parametrize("block", [Bottleneck32x4d, Bottleneck64x4d])
def test_a_block_is_the_sum_of_its_paths(block: type[Bottleneck32x4d]) -> None:
    # Figure 3: form (c), a grouped convolution, is equivalent to form (a), separate paths whose outputs are added. The
    # figure's block is that of 256 channels and paths of width 4.
    torch.manual_seed(0)
    layer = block(256, 64, 1).eval()
    x = torch.randn(2, 256, 5, 6)
    p, d = block.cardinality, 4
    scale_1, scale_2 = (norm.weight / (norm.running_var + norm.eps).sqrt() for norm in (layer.bn1, layer.bn2))
    with torch.no_grad():
        for norm in (layer.bn1, layer.bn2):
            norm.bias.normal_()
        total = torch.zeros(2, 256, 5, 6)
        for path in range(p):
            own = slice(path * d, (path + 1) * d)
            y = nn.functional.conv2d(x, layer.conv1.weight[own])
            y = (y * scale_1[own, None, None] + layer.bn1.bias[own, None, None]).relu()
            y = nn.functional.conv2d(y, layer.conv2.weight[own], padding=1)
            y = (y * scale_2[own, None, None] + layer.bn2.bias[own, None, None]).relu()
            total += nn.functional.conv2d(y, layer.conv3.weight[:, own])
        torch.testing.assert_close(layer(x), (layer.bn3(total) + x).relu(), atol=1e-4, rtol=1e-4)


def test_the_papers_edition_strides_in_the_3x3() -> None:
    with torch.device("meta"):
        network = build(find("resnext50_32x4d"))
    strides: dict[str, list[int]] = {"conv1": [], "conv2": [], "conv3": []}
    for module in network.modules():
        if isinstance(module, Bottleneck32x4d):
            for name, found in strides.items():
                convolution = getattr(module, name)
                found.append(convolution.stride[0])
    assert set(strides["conv1"]) == set(strides["conv3"]) == {1}
    assert [place for place, stride in enumerate(strides["conv2"]) if stride == 2] == [3, 7, 13]  # after 3, 4, 6 blocks


def test_convolutions_begin_as_in_the_released_code() -> None:
    # resnext.lua: N(0, 2 / (k k outputs)) whatever the number of groups; no bias at the end.
    torch.manual_seed(0)
    network = build(find("resnext50_32x4d"))
    weight: Tensor = network.layer4[1].conv2.weight  # [1024, 32, 3, 3]
    assert float(weight.detach().std()) == pytest.approx(
        math.sqrt(2 / (9 * 1024)), rel=0.01
    )  # 294,912 values: +-0.13 %
    assert not network.fc.bias.any()

"""ZFNet against figure 3 of its paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from networks import shapeless
from visus.errors import ShapeError
from visus.layers.response_normalization import ResponseNormalization
from visus.models.classification.zfnet import ZFNet


@pytest.mark.parametrize(("name", "last"), [("zfnet", 256), ("zfnet_wide", 512)])
def test_maps_are_those_of_figure_3(name: str, last: int) -> None:
    network = shapeless(name)
    maps = network.features(torch.empty(1, 3, 224, 224, device="meta"))
    expected = [(96, 110, 110), (96, 55, 55), (256, 26, 26), (last, 13, 13)]
    assert [tuple(m.shape[1:]) for m in maps.values()] == expected
    assert tuple(network.pool5(maps[16]).shape[1:]) == (last, 6, 6)


def test_rectified_pooled_then_normalised_across_maps() -> None:
    # Figure 3: "(i) passed through a rectified linear function, (ii) pooled, and (iii) contrast normalized".
    torch.manual_seed(0)
    stages = ZFNet((8, 8, 8), classes=2, in_channels=3, dropout=0.5).eval()
    images = torch.rand(1, 3, 60, 64) * 255
    with torch.no_grad():
        maps = stages.features(images)
        first = nn.functional.conv2d(images, stages.conv1.weight, stages.conv1.bias, stride=2, padding=1).clamp(min=0)
        torch.testing.assert_close(maps[2], first)
        height, width = first.shape[2:]
        # Windows that begin within the map, the last ones cut off by its border.
        rows, columns = range(0, height - 1, 2), range(0, width - 1, 2)
        pooled = torch.stack(
            [torch.stack([first[..., r : r + 3, c : c + 3].amax((2, 3)) for c in columns], -1) for r in rows], -2
        )
        torch.testing.assert_close(maps[4], ResponseNormalization()(pooled))


def test_initial_values_are_section_3s() -> None:
    torch.manual_seed(0)
    network = ZFNet((384, 384, 256), classes=5, in_channels=3, dropout=0.5)
    for layer in (network.conv1, network.conv4, network.fc7, network.fc8):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert not layer.bias.any()  # type: ignore[union-attr]


def test_sides_that_leave_6x6_for_the_dense_layers() -> None:
    network = shapeless("zfnet")
    for size in ((207, 224), (238, 238)):
        assert network(torch.empty(1, 3, *size, device="meta")).shape == (1, 1000)
    for size, fit in (((206, 224), "207x224"), ((239, 400), "238x238"), ((31, 31), "207x207")):
        with pytest.raises(ShapeError, match=fit):
            network(torch.empty(1, 3, *size, device="meta"))
    assert network.features(torch.empty(1, 3, 31, 31, device="meta"))[16].shape == (1, 256, 1, 1)
    with pytest.raises(ShapeError, match="31x31"):
        network.features(torch.empty(1, 3, 30, 31, device="meta"))

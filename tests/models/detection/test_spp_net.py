"""SPP-net: windows of the map, pyramids of regions, and the choice among scales."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from visus.errors import TaskMismatchError
from visus.layers.spatial_pyramid import SpatialPyramidPooling
from visus.models.building import build
from visus.models.catalog import find
from visus.models.detection.spp_net import LEVELS, SCALES, cell_windows, pyramid_of, spp_net
from visus.models.on_meta import build_on_meta


def small(**options: Any) -> Any:
    torch.manual_seed(0)
    return build(find("spp_net+mobilenet_v1_025"), classes=2, options={"width": 8, **options}).eval()


def test_the_pyramid_has_12800_values_and_fc6_as_many_weights_as_published() -> None:
    network = build_on_meta(find("spp_net"))
    assert network.sizes == (12_800, 4096)
    assert sum(p.numel() for p in network.neck.fc6.parameters()) == 52_432_896


def test_windows_hold_the_cells_whose_centres_lie_inside() -> None:
    """Appendix A: cell x' is centred at pixel S x'; from floor(x / S) + 1 to ceil(x / S) - 1."""
    boxes = torch.tensor([[0.0, 0, 224, 224], [20, 33, 100, 90], [16, 15, 34, 33], [17, 18, 30, 31], [200, 0, 224, 8]])
    windows = cell_windows(boxes, (14, 14), 16, 0.0)
    for (x1, y1, x2, y2), window in zip(boxes.tolist(), windows.tolist(), strict=True):
        for low, high, first, last in ((x1, x2, window[0], window[2]), (y1, y2, window[1], window[3])):
            inside = [cell for cell in range(14) if low < 16 * cell < high - 1]
            if inside:
                assert (first, last) == (inside[0], inside[-1])
            else:  # the nearest cell
                centre = (low + high - 1) / 2
                nearest = min(max(math.floor(centre / 16 + 0.5), 0), 13)
                assert (first, last) == (nearest, nearest)
    assert (cell_windows(boxes, (2, 3), 16, 0.0) <= torch.tensor([2, 1, 2, 1])).all()


def test_a_region_is_pooled_as_an_image_of_its_cells() -> None:
    map_ = torch.randn(2, 4, 13, 20, generator=torch.Generator().manual_seed(0))
    windows = [torch.tensor([[0.0, 0, 19, 12], [3, 2, 15, 11], [5, 5, 5, 5]]), torch.tensor([[7.0, 1, 8, 12]])]
    pooled = pyramid_of(map_, windows)
    whole = SpatialPyramidPooling(LEVELS)
    expected = [
        whole(map_[n : n + 1, :, int(y1) : int(y2) + 1, int(x1) : int(x2) + 1])
        for n, part in enumerate(windows)
        for x1, y1, x2, y2 in part.tolist()
    ]
    assert pooled.shape == (4, 50 * 4)
    torch.testing.assert_close(pooled, torch.cat(expected))


def test_bins_of_no_region_reach_beyond_it() -> None:
    """RoI pooling computes the bins' edges in float32: with 6, 3, 2 and 1 bins no rounding moves them by a cell."""
    rising = torch.arange(130.0).expand(1, 1, 130, 130)
    ends = torch.arange(128.0)
    zeros = torch.zeros(128)
    last = pyramid_of(rising, [torch.stack([zeros, zeros, ends, ends], 1)])
    first = pyramid_of(-rising, [torch.stack([zeros, zeros, ends, ends], 1)])
    start = 0
    for level in LEVELS:
        for column in range(level):
            length = ends.long() + 1
            high = -((-(column + 1) * length) // level) - 1
            torch.testing.assert_close(last[:, start + column], high.float())
            torch.testing.assert_close(-first[:, start + column], ((column * length) // level).float())
        start += level * level


def test_each_region_is_seen_at_the_scale_where_it_is_nearest_to_224_pixels() -> None:
    network = spp_net(classes=2, in_channels=3, width=4, scales=SCALES)
    assert list(network.scales.values()) == [1200, 864, 688, 576, 480]
    shorter = 600
    for side in (30.0, 100.0, 130.0, 170.0, 200.0, 270.0, 290.0, 500.0):
        chosen = int(network.scale_of(torch.tensor([[0, 0, side, side]]), shorter)[0])
        expected = min(SCALES, key=lambda scale: abs(scale - 224 * shorter / side))
        assert list(network.scales.values())[chosen] == expected


def test_several_scales_answer_as_each_alone() -> None:
    several, boxes = small(scales=(64, 128)), torch.tensor([[0.0, 0, 60, 90], [40, 30, 44, 36], [2, 3, 58, 80]])
    images = torch.randn(1, 3, 60, 90)
    with torch.no_grad():
        features = several.features(images)
        chosen = several.scale_of(boxes, 60).tolist()
        together = several.pyramids(features, [boxes], (60, 90))
        for region, number in enumerate(chosen):
            scale = list(several.scales.values())[number]
            map_ = list(features.values())[number]
            own = several._pooled(map_, [boxes[region : region + 1]], scale / 60)
            torch.testing.assert_close(together[region], own[0])
    assert list(several.channels) == list(features) == [16, 32]
    assert [tuple(map_.shape[2:]) for map_ in features.values()] == [(8, 12), (4, 6)]


def test_images_without_proposals_and_odd_sizes() -> None:
    for scales in ((), (48, 64)):
        network = small(scales=scales)
        with torch.no_grad():
            output = network(torch.randn(2, 3, 33, 47), [torch.zeros(0, 4), torch.tensor([[1.0, 2, 20, 30]])])
        assert output.counts == (0, 1)
        assert torch.isfinite(output.logits).all()


def test_a_backbone_without_that_map_is_refused() -> None:
    with pytest.raises(TaskMismatchError, match="lacks the maps"):
        build(find("spp_net+lenet5"), classes=2)

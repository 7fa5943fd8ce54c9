"""Receptive fields are where they are said to be: pixels are changed, one at a time, to see which values they move."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from visus.analysis.summary import summarize
from visus.layers.same_padding import SameConv2d
from visus.models import catalog
from visus.models.on_meta import build_on_meta

HEIGHT, WIDTH = 24, 20


def seen(
    network: nn.Module, row: int, column: int, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> tuple[list[int], list[int]]:
    """The rows and the columns of the pixels that move the value at this place of the first output map."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # nothing cancels
    pixels = torch.eye(size[0] * size[1], dtype=torch.float64).reshape(-1, 1, *size) + 1
    with torch.no_grad():
        network = network.double().eval()
        moved = network(pixels)[:, 0, row, column] - network(torch.ones(1, 1, *size).double())[:, 0, row, column]
    rows, columns = (moved.abs() > 1e-9).reshape(size).nonzero(as_tuple=True)  # more than rounding
    return rows.tolist(), columns.tolist()


def assert_field(network: nn.Module, size: tuple[int, int] = (HEIGHT, WIDTH), tolerance: int = 0) -> None:
    """The field of the first and the last value that see nothing but the image; at the borders nothing beyond it."""
    line = summarize(network, (1, *size)).lines[-1]
    assert line.receptive_field is not None
    assert line.jump is not None
    assert line.offset is not None
    fields = [  # by axis and place: the first pixel and the one behind the last
        [(offset + place * jump - side / 2, offset + place * jump + side / 2) for place in range(line.output[1 + axis])]
        for axis, (offset, jump, side) in enumerate(zip(line.offset, line.jump, line.receptive_field, strict=True))
    ]
    whole = [
        [
            place
            for place, (first, end) in enumerate(fields[axis])
            if first >= tolerance and end <= size[axis] - tolerance
        ]
        for axis in (0, 1)
    ]
    for end in (0, -1):
        places = [whole[axis][end] if whole[axis] else len(fields[axis]) // 2 for axis in (0, 1)]
        for axis, found in enumerate(seen(network, places[0], places[1], size)):
            first, behind = fields[axis][places[axis]]
            if whole[0] and whole[1]:
                assert (min(found), max(found) + 1) == pytest.approx((first, behind), abs=tolerance), (axis, line)
        for axis, found in enumerate(seen(network, end, end, size)):
            first, behind = fields[axis][end]
            assert all(first - tolerance <= pixel < behind + tolerance for pixel in found), (axis, line)


WINDOWS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["convolution", "maximum", "average"]),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.tuples(st.integers(1, 2), st.integers(1, 3)),
        "dilation": st.integers(1, 2),
        "padding": st.integers(0, 2),
    }
)


def layer(kind: str, kernel: tuple[int, int], stride: tuple[int, int], dilation: int, padding: int) -> nn.Module:
    few = tuple(min(padding, k // 2) for k in kernel)  # of a pooling, at most half a window
    if kind == "maximum":
        return nn.MaxPool2d(kernel, stride, few, dilation)
    if kind == "average":
        return nn.AvgPool2d(kernel, stride, few)
    return nn.Conv2d(1, 1, kernel, stride, padding, dilation)


@given(st.lists(WINDOWS, min_size=1, max_size=3))
@settings(max_examples=25)
def test_any_row_of_windows(windows: list[dict[str, Any]]) -> None:
    assert_field(nn.Sequential(*(layer(**window) for window in windows)))


class Crop(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 2:-1, 1::2]


class Joined(nn.Module):
    """Branches whose fields lie beside one another."""

    def __init__(self, *, sum_up: bool) -> None:
        super().__init__()
        self.far = nn.Conv2d(1, 1, 5, padding=2)
        self.low = nn.Conv2d(1, 1, (3, 1))
        self.sum_up = sum_up

    def forward(self, x: Tensor) -> Tensor:
        far, low = self.far(x)[:, :, 2:], self.low(x)
        return far + low if self.sum_up else torch.cat([far, low], 1).sum(1, keepdim=True)


class Shuffle(nn.Module):
    """Groups of channels change places, as in ShuffleNet."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(1, 1, 3), Crop(), nn.Conv2d(1, 1, 3)),
        nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), Joined(sum_up=True), nn.Conv2d(1, 1, 2)),
        nn.Sequential(Joined(sum_up=False), nn.AvgPool2d(2)),
        nn.Sequential(SameConv2d(1, 1, 3, stride=2), SameConv2d(1, 1, 4)),
        nn.Sequential(nn.ReflectionPad2d((2, 0, 1, 3)), nn.Conv2d(1, 1, 5)),
        nn.Sequential(nn.Conv2d(1, 4, 3), Shuffle(), nn.Conv2d(4, 1, 3)),
        nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d((11, 6)), nn.Conv2d(1, 1, 2)),
        nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.AvgPool2d(3, 2, ceil_mode=True)),
    ],
    ids=["crop", "sum", "concatenation", "same", "reflection", "shuffle", "adaptive", "ceil"],
)
def test_other_ways(network: nn.Module) -> None:
    if isinstance(network[0], nn.ReflectionPad2d):  # mirrored pixels speak for places that lie elsewhere: look inside
        line = summarize(network, (1, HEIGHT, WIDTH)).lines[-1]
        assert line.receptive_field == (5, 5)
        assert line.offset == (1.5, 0.5)
        assert seen(network, 8, 8)[0][0] == 7
        return
    assert_field(network)


@pytest.mark.parametrize(
    "up",
    [
        nn.ConvTranspose2d(1, 1, 2, stride=2),
        nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1),
        nn.ConvTranspose2d(1, 1, 3, stride=2),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(size=(21, 17), mode="bilinear", align_corners=True),
    ],
    ids=["2/2", "4/2", "3/2", "nearest", "bilinear", "corners"],
)
def test_upsampling_gives_the_mean_of_places(up: nn.Module) -> None:
    # Neighbours differ by half a step of the map before, which is 2 pixels here.
    assert_field(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), up, nn.Conv2d(1, 1, 3)), tolerance=2)


# The table of Araujo, Norris, Sim (google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md): size, stride and
# effective padding. The field of the first value begins at minus the padding.
SLIM_ALEXNET = nn.Sequential(  # alexnet_v2 of TF-Slim: conv1 without padding, pooling without padding, else SAME
    nn.Conv2d(3, 2, 11, stride=4),
    nn.MaxPool2d(3, 2),
    nn.Conv2d(2, 2, 5, padding=2),
    nn.MaxPool2d(3, 2),
    nn.Conv2d(2, 2, 3, padding=1),
    nn.Conv2d(2, 2, 3, padding=1),
    nn.Conv2d(2, 2, 3, padding=1),
    nn.MaxPool2d(3, 2),
)
ALEXNET_ROWS = {
    "0": (11, 4, 0),
    "1": (19, 8, 0),
    "2": (51, 8, 16),
    "4": (99, 16, 32),
    "5": (131, 16, 48),
    "6": (163, 16, 64),
    "7": (195, 32, 64),
}
VGG16_ROWS = {
    "features.0": (3, 1, 1),
    "features.4": (6, 2, 2),
    "features.5": (10, 2, 4),
    "features.9": (16, 4, 6),
    "features.10": (24, 4, 10),
    "features.12": (32, 4, 14),
    "features.16": (44, 8, 18),
    "features.17": (60, 8, 26),
    "features.19": (76, 8, 34),
    "features.23": (100, 16, 42),
    "features.24": (132, 16, 58),
    "features.26": (164, 16, 74),
    "pool5": (212, 32, 90),
}


@pytest.mark.parametrize(
    ("network", "rows"),
    [(SLIM_ALEXNET, ALEXNET_ROWS), (build_on_meta(catalog.find("vgg16")), VGG16_ROWS)],
    ids=["alexnet_v2", "vgg_16"],
)
def test_published_fields(network: nn.Module, rows: dict[str, tuple[int, int, int]]) -> None:
    lines = {line.path: line for line in summarize(network, (3, 224, 224)).lines}
    for path, (size, stride, padding) in rows.items():
        line = lines[path]
        assert (line.receptive_field, line.jump) == ((size, size), (stride, stride)), path
        assert line.offset == (size / 2 - padding, size / 2 - padding), path

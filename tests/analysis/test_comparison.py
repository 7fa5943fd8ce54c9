"""A comparison finds what was changed, and nothing else."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import visus
from visus.analysis import comparison
from visus.analysis.comparison import Comparison, compared
from visus.analysis.summary import summarize


def of(left: list[nn.Module], right: list[nn.Module]) -> Comparison:
    one, other = (summarize(nn.Sequential(*layers), (4, 16, 16)) for layers in (left, right))
    return compared(one, other)


def changes(result: Comparison) -> list[tuple[str, tuple[str, ...]]]:
    return [(pair.change, pair.differences) for pair in result.pairs]


def conv(out: int = 4, kernel: int = 3, **options: Any) -> nn.Module:
    return nn.Conv2d(4, out, kernel, padding=kernel // 2, **options)


def test_equal_networks_are_the_same() -> None:
    result = of([conv(), nn.ReLU(), nn.MaxPool2d(2)], [conv(), nn.ReLU(inplace=True), nn.MaxPool2d(2)])
    assert result.same
    assert changes(result) == [("same", ())] * 3
    assert "3 lines alike, 0 changed" in str(result)


def test_what_was_put_in_and_left_out() -> None:
    result = of([conv(), nn.ReLU(), conv()], [conv(), nn.BatchNorm2d(4), nn.ReLU(), conv(), nn.Dropout(0.5)])
    assert [pair.change for pair in result.pairs] == ["same", "right", "same", "same", "right"]
    back = of([conv(), nn.BatchNorm2d(4), nn.ReLU()], [conv(), nn.ReLU()])
    assert [pair.change for pair in back.pairs] == ["same", "left", "same"]
    assert back.in_short() == [(1, "BatchNorm2d only in Sequential")]


@pytest.mark.parametrize(
    ("left", "right", "differences"),
    [
        (conv(), conv(kernel=5), ("kernel 3 -> 5", "padding 1 -> 2", "parameters 148 -> 404")),
        (conv(), conv(stride=2), ("stride 1 -> 2",)),
        (conv(groups=2), conv(), ("groups 2 -> 1", "parameters 76 -> 148")),
        (conv(), conv(bias=False), ("parameters 148 -> 144", "a bias -> no bias")),
        (conv(dilation=2), conv(), ("dilation 2 -> 1",)),
        (nn.MaxPool2d(2), nn.AvgPool2d(2), ("MaxPool2d -> AvgPool2d",)),
        (nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 2, ceil_mode=True), ("ceil_mode False -> True",)),
        (nn.BatchNorm2d(4), nn.BatchNorm2d(4, eps=1e-3), ("eps 1e-05 -> 0.001",)),
        (nn.Dropout(0.4), nn.Dropout(0.2), ("p 0.4 -> 0.2",)),
        (nn.LocalResponseNorm(5), nn.LocalResponseNorm(3, k=2.0), ("value 1 5 -> 3", "k 1.0 -> 2.0")),
        (nn.ReLU(), nn.Tanh(), ("ReLU -> Tanh",)),
    ],
)
def test_what_was_changed(left: nn.Module, right: nn.Module, differences: tuple[str, ...]) -> None:
    assert changes(of([conv(), left], [conv(), right])) == [("same", ()), ("changed", differences)]


def test_widths_and_sizes_that_follow_are_no_change() -> None:
    left = [conv(out=8), nn.ReLU(), nn.MaxPool2d(2)]
    right = [conv(out=6, stride=2), nn.ReLU(), nn.MaxPool2d(2)]
    result = of(left, right)
    assert [pair.change for pair in result.pairs] == ["changed", "same", "same"]
    assert result.pairs[0].differences == ("stride 1 -> 2", "channels 8 -> 6", "parameters 296 -> 222")


LAYERS = st.lists(st.sampled_from(["conv", "wide", "relu", "norm", "pool"]), min_size=1, max_size=7)


def network(names: list[str]) -> list[nn.Module]:
    made: dict[str, Callable[[], nn.Module]] = {
        "conv": conv,
        "wide": lambda: conv(kernel=5),
        "relu": nn.ReLU,
        "norm": lambda: nn.BatchNorm2d(4),
        "pool": lambda: nn.MaxPool2d(3, 1, 1),
    }
    return [made[name]() for name in names]


@given(LAYERS, LAYERS)
def test_every_line_is_there_once_and_in_order(one: list[str], other: list[str]) -> None:
    result = of(network(one), network(other))
    assert [pair.left for pair in result.pairs if pair.left] == list(result.left.lines)
    assert [pair.right for pair in result.pairs if pair.right] == list(result.right.lines)
    for pair in result.pairs:
        assert (pair.change == "changed") == bool(pair.differences)
    # As many are the same as two rows can have in common, or else something was changed instead.
    kinds = [pair.change for pair in result.pairs]
    mirrored = [pair.change for pair in compared(result.right, result.left).pairs]
    swapped = {"left": "right", "right": "left"}
    assert sorted(swapped.get(kind, kind) for kind in mirrored) == sorted(kinds)
    assert result.same == (one == other)


def test_very_long_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LARGE", 20)
    left = network(["conv", "relu"] * 20)
    result = of(left, [*left[:20], nn.BatchNorm2d(4), *left[20:]])
    assert [pair.change for pair in result.pairs] == ["same"] * 20 + ["right"] + ["same"] * 20
    assert "... 18 lines are alike" in str(result)
    others = of(network(["conv"] * 6), network(["pool"] * 5))
    assert len(others.pairs) == 6


def test_resnet_strides_elsewhere_in_torchvisions_edition() -> None:
    # Table 1's footnote and torchvision's ResNet v1.5: the stride moves from the 1x1 to the 3x3 convolution of the
    # first bottleneck of the last three stages. The authors' prototxt does not pad the first pooling.
    result = visus.compare("resnet50", "resnet50@torchvision")
    changed = {pair.left.path: pair.differences for pair in result.pairs if pair.change != "same" and pair.left}
    expected = {"maxpool": ("padding 0 -> 1", "ceil_mode True -> False")}
    for stage in (2, 3, 4):
        expected |= {f"layer{stage}.0.conv1": ("stride 2 -> 1",), f"layer{stage}.0.conv2": ("stride 1 -> 2",)}
    assert changed == expected
    assert result.in_short()[:2] == [(3, "Conv2d: stride 2 -> 1"), (3, "Conv2d: stride 1 -> 2")]
    deeper = visus.compare("resnet50", "resnet101")
    assert {pair.change for pair in deeper.pairs} == {"same", "right"}
    assert sum(pair.change == "right" for pair in deeper.pairs) == 17 * 10  # blocks of conv4_x, lines of a bottleneck


def test_alexnets_editions(cli: Callable[..., Any], tmp_path: Path) -> None:
    told = cli("summary", "alexnet", "--compare", "alexnet@torchvision")
    assert told.code == 0
    for part in ("groups 2 -> 1, channels 256 -> 192", "ResponseNormalization only in alexnet@paper", "60,965,224"):
        assert part in told.out
    values = json.loads(cli("summary", "alexnet", "--compare", "alexnet@torchvision", "--json").out)
    assert values["totals"]["parameters"] == [60_965_224, 61_100_840]
    assert set(values) == {"left", "right", "same", "in_short", "totals", "pairs"}
    assert values == json.loads(json.dumps(visus.compare("alexnet", "alexnet@torchvision").to_dict()))
    rows = list(csv.DictReader(io.StringIO(cli("summary", "alexnet", "--compare", "alexnet@torchvision", "--csv").out)))
    assert [row["change"] for row in rows] == [pair["change"] for pair in values["pairs"]]
    assert rows[0]["left"] == "Conv2d 11x11/4 -> 96x55x55"
    for form in ("txt", "csv", "json"):
        assert cli("summary", "alexnet", "--compare", "zfnet", "--save", tmp_path / f"a.{form}").code == 0
        assert (tmp_path / f"a.{form}").read_text()
    for wrong in (["--explain"], ["--backbone", "vgg16"], ["--save", tmp_path / "a.svg"]):
        assert cli("summary", "alexnet", "--compare", "zfnet", *wrong).code == 2


def test_comparing_a_run_with_its_model(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    path = trained("classification").path  # lenet5@modern for three classes
    result = visus.compare(path, "lenet5@modern")
    assert [pair.differences for pair in result.pairs if pair.change != "same"][-1][0] == "channels 3 -> 10"
    assert cli("summary", path, "--compare", path).code == 0
    assert visus.compare(path, path).same

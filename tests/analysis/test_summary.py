"""The worked-out numbers equal the published ones, torch's own counter, and what really happens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from networks import shapeless
from visus.analysis.summary import summarize
from visus.analysis.tables import EXPLAINED
from visus.errors import ShapeError
from visus.layers.same_padding import SameConv2d
from visus.models import catalog
from visus.models.building import build
from visus.models.on_meta import build_on_meta
from visus.proof.published import fact

SMALL = ["lenet5", "lenet5@modern", "mnist_cnn", "mnist_cnn_25_50", "mnist_dense", "cats_dogs_cnn"]
PHOTOS = ["resnet18", "resnet50", "resnet50@torchvision", "mobilenet_v2", "mobilenet_v2@tf", "vgg16"]


@pytest.mark.parametrize("name", SMALL + PHOTOS)
def test_macs_equal_those_of_torchs_counter(name: str) -> None:
    card = catalog.find(name)
    network = shapeless(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *card.input, device="meta"))
    assert summarize(network, card.input).macs == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", [*SMALL, "vgg16"])
def test_lines_equal_the_published_layer_table(name: str) -> None:
    card = catalog.find(name)
    rows = fact(card.fact)["layers"]
    published = [(row["out"], row["params"]) for row in rows if "pool" not in row["kind"]]
    skipped = ("ReLU", "MaxPool2d", "AvgPool2d", "Dropout", "ScaledTanh", "Tanh", "mean")
    lines = [line for line in summarize(build_on_meta(card), card.input).lines if line.kind not in skipped]
    assert [line.parameters for line in lines] == [count for _, count in published]
    for line, (shape, _) in zip(lines, published, strict=True):
        assert torch.Size(line.output).numel() == torch.Size(shape).numel(), line.path


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_blocks_sum_to_the_published_table(name: str) -> None:
    card = catalog.find(name)
    published = [row["params"] for row in fact(card.fact)["layers"] if row["params"]]
    lines = summarize(build_on_meta(card), card.input).lines
    blocks: dict[str, int] = {}
    for line in lines:
        parts = line.path.split(".")
        block = (
            ".".join(parts[:2]) if parts[0].startswith(("layer", "features")) else parts[0][-1:].replace("1", "stem")
        )
        blocks[block] = blocks.get(block, 0) + line.parameters
    assert [count for count in blocks.values() if count] == published


@pytest.mark.parametrize("name", ["lenet5", "cats_dogs_cnn", "resnet50", "mobilenet_v2@tf", "googlenet", "unet", "ssd"])
def test_formulas_give_their_numbers(name: str) -> None:
    card = catalog.find(name)
    summary = summarize(build_on_meta(card), card.input)
    names = {"floor": math.floor, "ceil": math.ceil, "max": max, "min": min}
    seen = set()
    for line in summary.lines:
        for field, formula in line.formulas.items():
            values = [eval(axis, {"__builtins__": {}}, names) for axis in formula.split(" x ")]
            told = getattr(line, field)
            axes = list(told) if isinstance(told, tuple) else [told]
            values = values * len(axes) if len(values) == 1 else values  # both axes alike
            # a receptive field is a whole number of pixels, but behind a transposed convolution only in the mean
            tolerance = 0.5 if field == "receptive_field" else 1e-6
            assert values == pytest.approx(axes, abs=tolerance), (line.path, field, formula)
            seen.add(field)
        for field in ("parameters", "macs", "activation_bytes", "live_bytes", "kept_bytes"):
            assert (field in line.formulas) == bool(getattr(line, field)), (line.path, field)
        if line.kernel is not None and line.kind != "PartialConv2d":
            assert {"output", "receptive_field", "jump", "offset"} <= set(line.formulas), line.path
    assert seen == set(EXPLAINED)
    assert sum(line.parameters for line in summary.lines) == summary.parameters


def test_receptive_fields_of_vgg16_are_the_known_ones() -> None:
    # Dumoulin & Visin's arithmetic by hand: 3x3 adds 2 jumps, pooling adds 1 and doubles the jump.
    lines = {line.path: line for line in summarize(build_on_meta(catalog.find("vgg16")), (3, 224, 224)).lines}
    expected = {"features.0": 3, "features.2": 5, "features.7": 14, "features.14": 40, "features.28": 196, "pool5": 212}
    for path, side in expected.items():
        assert lines[path].receptive_field == (side, side)
    assert lines["classifier.0"].receptive_field == (404, 404)  # 212 + 6 * 32


def test_global_pooling_sees_all() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    assert [line.receptive_field for line in summarize(network, (1, 20, 12)).lines][1:] == [(20, 12)] * 3


def test_macs_of_transposed_and_grouped_convolutions() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(8, 4, 3, stride=2), SameConv2d(4, 8, 3, groups=4))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 8, 10, 10))
    summary = summarize(network, (8, 10, 10))
    assert summary.macs == counter.get_total_flops() // 2
    assert summary.lines[0].macs == 8 * 4 * 9 * 100


def test_what_is_frozen_is_marked_and_the_network_is_left_as_it_was() -> None:
    network = build(catalog.find("resnet18")).train()
    network.layer1.requires_grad_(False)
    network.bn1.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    summary = summarize(network, (3, 64, 64))
    lines = {line.path: line for line in summary.lines}
    assert lines["layer1.0.conv1"].frozen == "weights"
    assert lines["bn1"].frozen == "statistics"
    assert lines["layer2.0.conv1"].frozen == ""
    assert summary.frozen == sum(p.numel() for p in network.layer1.parameters())
    assert "frozen weights" in str(summary)
    assert network.training
    assert network.layer1.training
    assert not network.bn1.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_parameters_used_twice_or_never_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice = nn.Linear(5, 5)
            self.never = nn.Linear(5, 2)
            self.own = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.twice(self.twice(x)) * self.own.sum()  # type: ignore[no-any-return]

    network = Tied()
    summary = summarize(network, (1, 1, 5))
    assert summary.parameters == 30 + 12 + 3 == sum(line.parameters for line in summary.lines)
    assert summary.macs == 50


def test_values_are_plain_and_printed() -> None:
    import json

    card = catalog.find("mnist_cnn")
    summary = summarize(build(card), card.input)
    values = json.loads(json.dumps(summary.to_dict()))
    assert values["parameters"] == 93_322
    assert values["frozen"] == 0
    assert values["lines"][0]["kernel"] == [3, 3]
    text = str(summary)
    assert "93,322 parameters" in text
    assert "2,794,240 MACs" in text
    assert len({line.rstrip() for line in text.splitlines()}) > len(summary.lines)


@pytest.mark.parametrize("size", [(1, 224, 224), (3, 20, 20)])
def test_an_input_that_does_not_fit(size: tuple[int, int, int]) -> None:
    network = build_on_meta(catalog.find("vgg16@torchvision"))
    with pytest.raises(ShapeError):
        summarize(network, size)
    assert network.training

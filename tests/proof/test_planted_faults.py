"""One wrong number in a network, or in its facts, turns the proof red at the right place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from torch import Tensor, nn

from visus.models import catalog
from visus.models.on_meta import build_on_meta
from visus.proof.checking import prove_network
from visus.proof.published import fact
from visus.proof.verdict import FactOutcome, Proof

Change = Callable[[nn.Module], object]


def proof(name: str, change: Change = lambda _: None, entry: Mapping[str, Any] | None = None) -> Proof:
    """Of a network in which ``change`` plants a fault."""
    card = catalog.find(name)
    network = build_on_meta(card)
    change(network)
    return prove_network(lambda: network, entry or fact(card.fact), name)


def wrong(found: Proof) -> set[str]:
    return {verdict.what for verdict in found.of(FactOutcome.OURS_IS_WRONG)}


def put(path: str, module: nn.Module) -> Change:
    """Puts another module in the place of the one at ``path``."""
    around, _, name = path.rpartition(".")
    return lambda network: setattr(network.get_submodule(around), name, module)


def turn(path: str, **values: Any) -> Change:
    """Changes attributes of the module at ``path``."""
    return lambda network: vars(network.get_submodule(path)).update(values)


def both(*changes: Change) -> Change:
    return lambda network: [change(network) for change in changes]


class Doubled(nn.Module):
    """[N,C,H,W] -> [N,2C,H,W], without a weight."""

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, 2, 1, 1)


@pytest.mark.parametrize(
    "name", ["vgg11", "resnet18", "resnet50", "mobilenet_v2", "googlenet", "lenet5", "ssd", "unet"]
)
def test_without_a_fault_all_holds(name: str) -> None:
    found = proof(name)
    assert found.holds
    assert found.rows >= 7
    assert len(found.verdicts) > 4 * found.rows / 2


FAULTS: dict[str, tuple[str, Change, set[str]]] = {
    "a kernel": (
        "vgg11",
        put("features.3", nn.Conv2d(64, 128, 5, padding=2)),
        {"conv2_1.kernel", "conv2_1.pad", "conv2_1.params", "conv2_1.sees", "params", "macs"},
    ),
    "a width": (
        "vgg11",
        both(
            put("features.3", nn.Conv2d(64, 127, 3, padding=1)),
            put("features.6", nn.Conv2d(127, 256, 3, padding=1)),
        ),
        {"conv2_1.out", "conv2_1.params", "pool2.out", "conv3_1.params", "params", "macs"},
    ),
    "a missing bias": (
        "vgg11",
        put("features.3", nn.Conv2d(64, 128, 3, padding=1, bias=False)),
        {"conv2_1.params", "params"},
    ),
    "a dense layer's width": (
        "vgg11",
        put("classifier.6", nn.Linear(4096, 1001)),
        {"fc8.out", "fc8.params", "params", "macs"},
    ),
    "one layer too many": (
        "vgg11",
        put("features.4", nn.Conv2d(128, 128, 1)),  # in the place of a ReLU
        {"params", "macs", "depth"},
    ),
    "a padding": ("vgg11", put("pool5", nn.MaxPool2d(2, padding=1)), {"pool5.pad", "pool5.out", "fc6.out", "macs"}),
    "a stride": ("resnet18", turn("conv1", stride=(1, 1)), {"conv1.stride", "conv1.out", "macs"}),
    "a pooling's kernel": ("resnet18", turn("maxpool", kernel_size=2), {"pool1.kernel"}),
    "a pooling that rounds down": ("googlenet", turn("maxpool1", ceil_mode=False), {"pool1.out", "macs"}),
    "an up-convolution without bias": (
        "unet",
        put("up.0", nn.ConvTranspose2d(128, 64, 2, stride=2, bias=False)),
        {"up-conv 0.params", "params"},
    ),
    "no projection": (
        "resnet18",
        put("layer2.0.downsample", nn.Sequential(nn.AvgPool2d(2), Doubled())),
        {"conv3_1.params", "conv3_1.branches", "params", "macs", "running_statistics"},
    ),
    "the stride in another convolution": (
        "resnet50",
        both(turn("layer2.0.conv1", stride=(1, 1)), turn("layer2.0.conv2", stride=(2, 2))),
        {"conv3_1.branches", "conv3_4.sees", "macs"},
    ),
    "a depthwise convolution that is none": (
        "mobilenet_v2",
        put("features.3.conv.1.0", nn.Conv2d(144, 144, 3, padding=1, bias=False)),
        {"bottleneck3 t6.params", "bottleneck3 t6.branches", "params", "macs"},
    ),
    "connections": (
        "lenet5",
        put("f6", nn.Linear(120, 84, bias=False)),
        {"F6.params", "F6.connections", "params"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_shows_where_it_is(fault: str) -> None:
    name, change, expected = FAULTS[fault]
    found = proof(name, change)
    assert not found.holds
    shown = wrong(found)
    assert expected <= shown, shown
    planted = {what.rpartition(".")[0] for what in expected if "." in what}
    rows = [verdict.row for verdict in found.of(FactOutcome.OURS_IS_WRONG) if verdict.row]
    assert not planted or rows[0] in planted
    if not any(what.endswith((".out", ".sees")) for what in expected):  # else all that follows changes too
        assert set(rows) <= planted


def test_the_verdict_says_what_was_expected_and_what_came() -> None:
    found = proof("vgg11", put("features.3", nn.Conv2d(64, 128, 3, padding=1, bias=False)))
    verdict = next(v for v in found.verdicts if v.what == "conv2_1.params")
    assert (verdict.expected, verdict.got) == (73_856, 73_728)  # 64*9*128 + 128, and without the biases
    assert verdict.reason == "128 too few"
    assert "table" in verdict.source


def test_a_network_that_cannot_be_built_or_run_is_wrong_and_no_crash() -> None:
    def fail() -> nn.Module:
        raise RuntimeError("no such thing\nsecond line")

    entry = fact("vgg_A")
    found = prove_network(fail, entry, "vgg11")
    assert [v.reason for v in found.verdicts] == ["it does not run at 3x224x224: RuntimeError: no such thing"]
    found = proof("vgg11", put("features.3", nn.Conv2d(63, 128, 3, padding=1)))
    assert wrong(found) == {"run"}
    assert not found.holds

"""What is measured equals what was worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d
from visus.proof import branches
from visus.proof.measuring import Measurement, Window, measure


class Block(nn.Module):
    """Two branches, a pooling beside them, a gate, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(4, 8, 1)
        self.wide = nn.Conv2d(8, 6, (1, 3), stride=2, padding=(0, 1), groups=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.project = nn.Conv2d(4, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.gate = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide(self.narrow(x).relu()) + self.project(self.pool(x))
        y = self.norm(y)
        return y * self.gate(y.mean((2, 3))).sigmoid()[:, :, None, None]


class Whole(nn.Module):
    """A stem that pads on one side, the block twice, and heads, of which one is auxiliary."""

    auxiliary_heads = ("helper",)

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 4, 3, stride=2)
        self.block = Block()
        self.again = nn.Conv2d(6, 4, 1, bias=False)
        self.helper = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2))
        self.output = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Any:
        x = self.block(self.stem(x))
        x = self.block(self.again(x))
        return self.output(x.amax((2, 3)))


@pytest.fixture(scope="module")
def found() -> Measurement:
    return measure(Whole(), (3, 32, 32))


def test_totals(found: Measurement) -> None:
    block = (4 * 8 + 8) + (3 * 4 * 6 + 6) + (4 * 6 + 6) + 12 + (6 * 6 + 6)
    params = (27 * 4 + 4) + block + 6 * 4 + (6 * 2 + 2)
    assert found.params == params
    assert found.params_with_auxiliary == params + 12 + 6 * 2 + 2
    assert found.running_statistics == 12
    # The stem makes 16x16, the block 8x8, and again 4x4.
    once = 16 * 16 * 32 + 8 * 8 * (3 * 4 * 6 + 24) + 36
    twice = 8 * 8 * 32 + 4 * 4 * (3 * 4 * 6 + 24) + 36
    assert found.macs == 16 * 16 * 27 * 4 + once + 8 * 8 * 6 * 4 + twice + 12
    # stem; narrow, wide and gate in each block; again; output
    assert found.depth == 1 + 3 + 1 + 3 + 1


def test_calls(found: Measurement) -> None:
    assert [call.output for call in found.calls["block"]] == [(6, 8, 8), (6, 4, 4)]
    assert [call.output for call in found.calls["block.gate"]] == [(6,), (6,)]
    assert "helper" not in found.calls
    assert found.calls["stem"][0].sees == (3, 3)
    assert found.calls["block.pool"][0].sees == (7, 7)  # 3 + (3 - 1) * 2
    assert found.params_at(["block", "block.gate"]) == found.params_at(["block"])
    ended = {path: calls[0].ended for path, calls in found.calls.items()}
    assert ended["stem"] < ended["block.narrow"] < ended["block"] < ended["again"] < ended[""]


def windows(found: Measurement, path: str) -> list[Window]:
    return found.calls[path][0].windows


def test_windows_are_those_that_ran(found: Measurement) -> None:
    (stem,) = windows(found, "stem")
    assert (stem.kernel, stem.stride, stem.padding) == ((3, 3), (2, 2), (0, 1, 0, 1))  # TensorFlow's, one-sided
    assert (stem.area, stem.inputs, stem.outputs, stem.groups) == ((32, 32), 3, 4, 1)
    (wide,) = windows(found, "block.wide")
    assert (wide.kernel, wide.stride, wide.padding, wide.groups) == ((1, 3), (2, 2), (0, 0, 1, 1), 2)
    (pool,) = windows(found, "block.pool")
    assert (pool.kind, pool.kernel, pool.stride, pool.padding) == ("pooling", (3, 3), (2, 2), (1, 1, 1, 1))
    kinds = [window.kind for window in windows(found, "block")]
    assert kinds == ["convolution", "convolution", "pooling", "convolution", "pooling", "linear"]
    assert [window.whole for window in windows(found, "block")] == [False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("pooling", "kernel", "whole"),
    [
        (nn.AvgPool2d(4), (4, 4), False),
        (nn.AvgPool2d(8), (8, 8), True),
        (nn.AdaptiveAvgPool2d(1), (8, 8), True),
        (nn.AdaptiveMaxPool2d(2), (4, 4), False),
        (nn.AdaptiveAvgPool2d(3), None, False),  # windows of several sizes
    ],
)
def test_poolings(pooling: nn.Module, kernel: tuple[int, int] | None, whole: bool) -> None:
    found = measure(nn.Sequential(nn.Conv2d(1, 1, 1), pooling), (1, 8, 8))
    assert [(w.kernel, w.whole) for w in windows(found, "1")] == ([] if kernel is None else [(kernel, whole)])


def test_the_network_is_left_as_it_was() -> None:
    network = Whole().train()
    network.block.norm.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    measure(network, (3, 32, 32))
    assert network.training
    assert not network.block.norm.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


# --- branches

BLOCK = ["1x1 8 > 1x3 6 s2", "pool 3x3 s2 > 1x1 6", "1x1 6"]


def test_branches_of_the_block(found: Measurement) -> None:
    assert difference(found, BLOCK) == ""
    assert difference(found, ["1x1 8 > 1x3 6 g2 s2", *BLOCK[1:]]) == ""


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (["1x1 8 > 3x1 6 s2", *BLOCK[1:]], "missing: 3x1 6 s2; not in the table: 1x3 6 s2"),
        (["1x1 8 > 1x3 6", *BLOCK[1:]], "missing: 1x3 6; not in the table: 1x3 6 s2"),
        (["1x1 8 > 1x3 6 s2 p0", *BLOCK[1:]], "missing: 1x3 6 s2 p0; not in the table: 1x3 6 s2"),
        (["1x1 8 > 1x3 6 g3 s2", *BLOCK[1:]], "missing: 1x3 6 g3 s2; not in the table: 1x3 6 g2 s2"),
        (["1x1 8 > 1x3 6 depthwise s2", *BLOCK[1:]], "missing: 1x3 6 depthwise s2; not in the table: 1x3 6 s2"),
        (BLOCK[:2], "not in the table: 1x1 6"),
        (["1x3 6 s2 > 1x1 8", *BLOCK[1:]], "1x1 8 does not follow on 1x3 6 s2"),
        (["1x1 8", "pool 3x3 s2 > [ 1x1 6 | 1x3 6 s2 ]", "1x1 6"], "1x3 6 s2 does not follow on pool 3x3 s2"),
    ],
)
def test_other_branches_are_told_apart(found: Measurement, stated: Sequence[str], reason: str) -> None:
    assert difference(found, stated) == reason


def difference(found: Measurement, stated: Sequence[str]) -> str:
    block = branches.stated(stated)
    groups = any(" g" in step for step in block.steps)
    return branches.differences(block, branches.measured(windows(found, "block"), groups=groups))


def test_brackets_join_and_part_branches() -> None:
    block = branches.stated(["[ 1x1 1 | 1x1 2 > 3x3 3 ] > 1x1 4 linear", "1x1 5 > [ 1x3 6 | 3x1 7 ]"])
    assert dict(block.links) == {
        ("1x1 2", "3x3 3"): 1,
        ("1x1 1", "1x1 4"): 1,
        ("3x3 3", "1x1 4"): 1,
        ("1x1 5", "1x3 6"): 1,
        ("1x1 5", "3x1 7"): 1,
    }
    for wrong in ("[ 1x1 1 | 1x1 2", "1x1 1 ] > 1x1 2", "1x1 1 >", "1x1", "pool 3x3 64", "1x1 64 wide", "["):
        with pytest.raises(ValueError, match=r".+"):
            branches.stated([wrong])


def test_a_weight_that_is_used_again_is_one_step() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    found = measure(nn.Sequential(layer, nn.ReLU(), layer), (2, 8, 8))
    assert branches.measured(windows(found, ""), groups=False).steps == {"3x3 2": 1}
    assert found.macs == 2 * 64 * 9 * 4
    assert found.depth == 2

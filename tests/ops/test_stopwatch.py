"""The stopwatch, by a clock that the work itself moves on."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.ops import stopwatch
from visus.ops.stopwatch import Stopwatch, timed
from visus.ops.suppression import LabelledBoxes, suppress


class Clock:
    """Seconds that pass only when somebody works."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self, device: torch.device) -> float:
        return self.time


class Worker(nn.Module):
    def __init__(self, clock: Clock, *, fails: bool = False) -> None:
        super().__init__()
        self.clock, self.fails = clock, fails

    def forward(self, images: Tensor) -> Tensor:
        self.clock.time += 3
        if self.fails:
            raise ValueError("broken")
        return images


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stopwatch, "now", made)
    return made


def test_parts_add_up(clock: Clock) -> None:
    network = Worker(clock)
    with Stopwatch(network) as watch:
        for _ in range(2):
            with timed("answer"):
                network(torch.zeros(1))
                clock.time += 1
                with timed("inner"):
                    clock.time += 0.5
    assert watch.seconds == {"network": 6.0, "inner": 1.0, "answer": 9.0}


def test_nothing_is_measured_outside(clock: Clock) -> None:
    network = Worker(clock)
    watch = Stopwatch(network)
    with timed("answer"):
        network(torch.zeros(1))
    assert watch.seconds == {}
    with watch:
        pass
    with timed("answer"):
        network(torch.zeros(1))
    assert watch.seconds == {}
    assert not network._forward_hooks


def test_an_error_ends_it(clock: Clock) -> None:
    network = Worker(clock, fails=True)
    with pytest.raises(ValueError, match="broken"), Stopwatch(network):
        network(torch.zeros(1))
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


def test_the_networks_own_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the current one, and none for a network on the CPU of a machine that has one."""
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    for device in ("cpu", "meta"):
        with Stopwatch(nn.Linear(1, 1, device=device)), timed("answer"):
            pass
    assert waited == [torch.device("meta")] * 2


def test_suppression_is_a_part() -> None:
    boxes = np.asarray([[0.0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    with Stopwatch(nn.Identity()) as watch:
        found = suppress(
            LabelledBoxes(boxes, np.zeros(2, np.int64), np.asarray([0.9, 0.8], np.float32)), iou_threshold=0.5, keep=9
        )
    assert len(found.boxes) == 1
    assert watch.seconds["suppression"] > 0

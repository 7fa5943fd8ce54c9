"""The losses of a training: their means by hand, and each cause that a loss that is not finite may have."""

from __future__ import annotations

import pytest
import torch

from visus.engine.loss_monitor import LossMonitor
from visus.engine.recipe import Recipe
from visus.errors import DivergedError
from visus.structures import Batch, Placement

CPU = torch.device("cpu")
CUDA = torch.device("cuda")  # only its name counts: the losses of these tests are on the CPU
NAN = float("nan")


def batch_of(count: int) -> Batch:
    ids = [f"{number}.png" for number in range(count)]
    return Batch(torch.zeros(count, 1, 1, 1), None, [Placement.identity((1, 1))] * count, ids)


def record(monitor: LossMonitor, step: int, count: int = 2, prefix: str = "", **terms: float) -> None:
    values = {name: torch.tensor(value) for name, value in terms.items()}
    monitor.record(step, 10 * step, batch_of(count), values, prefix)


def test_means_weigh_each_batch_by_its_images():
    monitor = LossMonitor(CPU, Recipe())
    assert monitor.means() == {}
    record(monitor, 0, count=3, box=1.0, object=4.0)
    record(monitor, 1, count=1, box=5.0, object=0.0)
    assert monitor.means() == {"box": 2.0, "object": 3.0}
    assert monitor.current() == {"box": 5.0, "object": 0.0}
    assert monitor.images == 4


def test_an_epoch_that_goes_on_has_the_sums_from_before():
    monitor = LossMonitor(CPU, Recipe())
    record(monitor, 0, loss=1.0)
    monitor.restart({"loss": 12.0}, images=4)
    record(monitor, 1, count=2, loss=6.0)
    assert monitor.means() == {"loss": 4.0}
    monitor.restart()
    assert (monitor.sums, monitor.images, monitor.batch_index) == ({}, 0, -1)


def test_terms_carry_the_prefix_of_their_update():
    monitor = LossMonitor(CPU, Recipe())
    record(monitor, 0, prefix="critic.", real=1.0)
    record(monitor, 0, prefix="generator.", made=2.0)
    assert set(monitor.means()) == {"critic.real", "generator.made"}


def test_a_wrong_loss_names_its_term_step_and_images():
    monitor = LossMonitor(CPU, Recipe())
    record(monitor, 0, box=1.0, object=1.0)
    with pytest.raises(DivergedError, match="step 2: object = nan") as caught:
        record(monitor, 1, count=10, box=1.0, object=NAN)
    assert "a batch of 10: 0.png, 1.png" in str(caught.value)
    assert "7.png and 2 more" in str(caught.value)
    assert monitor.batch_index == 10
    assert monitor.means() == {"box": 1.0, "object": 1.0}  # without the wrong one


def test_finite_terms_whose_sum_overflows_are_wrong_too():
    monitor = LossMonitor(CPU, Recipe())
    large = torch.tensor(1.7e308, dtype=torch.float64)
    with pytest.raises(DivergedError, match="the sum of its terms overflows"):
        monitor.record(0, 0, batch_of(1), {"box": large, "object": large})


@pytest.mark.parametrize(
    ("changes", "before", "cause"),
    [
        ([], [], "the first loss is already not finite"),
        ([], [1.0, 4.0], "the learning rate is too high: the loss rose from 1 to 4"),
        (["precision=float16"], [1.0, 1.0], "65504, the largest number of float16"),
        ([], [1.0, 1.0], "too large a gradient"),
        (["clip_norm=1.0"], [1.0, 1.0], "the learning rate is too high, or these images are unusual"),
    ],
)
def test_the_likely_cause_depends_on_the_losses_before(changes, before, cause):
    monitor = LossMonitor(CPU, Recipe().with_changes(changes))
    for step, value in enumerate(before):
        record(monitor, step, loss=value)
    with pytest.raises(DivergedError) as caught:
        record(monitor, len(before), loss=NAN)
    assert cause in str(caught.value)


def test_one_of_several_processes_keeps_its_error_until_all_agree():
    monitor = LossMonitor(CPU, Recipe(), raises=False)
    record(monitor, 0, loss=NAN)
    record(monitor, 1, loss=1.0)
    assert isinstance(monitor.error, DivergedError)
    assert monitor.batch_index == 0
    assert monitor.means() == {}  # nothing counts after it


def test_an_accelerator_is_read_every_16_steps_and_the_wrong_step_is_still_named():
    monitor = LossMonitor(CUDA, Recipe())
    for step in range(15):
        record(monitor, step, loss=NAN if step == 4 else 1.0)
    assert monitor.current() == {}
    with pytest.raises(DivergedError, match="step 5: loss = nan"):
        record(monitor, 15, loss=1.0)
    assert monitor.batch_index == 40


def test_settling_reads_what_waits():
    monitor = LossMonitor(CUDA, Recipe())
    record(monitor, 0, loss=3.0)
    assert monitor.means() == {}
    monitor.settle()
    assert monitor.means() == {"loss": 3.0}
    monitor.settle()  # nothing waits
    assert monitor.images == 2

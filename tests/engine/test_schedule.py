"""Learning rates against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.engine.recipe import Schedule
from visus.engine.schedule import Plateau, rate


def rates(schedule, steps, *, steps_an_epoch=10, epochs=4):
    return [rate(schedule, step, steps_an_epoch=steps_an_epoch, epochs=epochs) for step in steps]


def test_constant():
    assert rates(Schedule(), [0, 5, 39]) == [1, 1, 1]


def test_warmup_rises_in_equal_steps_and_then_leaves_off():
    schedule = Schedule(warmup_epochs=0.5)
    assert rates(schedule, range(7)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])


def test_steps_fall_after_their_epochs():
    """ResNet, section 3.4: divided by 10 twice."""
    schedule = Schedule(name="steps", milestones=(1, 3), gamma=0.1)
    assert rates(schedule, [0, 9, 10, 29, 30, 39]) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_exponential_falls_by_gamma_an_epoch():
    assert rates(Schedule(name="exponential", gamma=0.25), [0, 5, 10, 20]) == pytest.approx([1, 0.5, 0.25, 0.0625])


def test_cosine_halfway_and_at_its_end():
    schedule = Schedule(name="cosine", final=0.2)
    assert rates(schedule, [0, 20]) == pytest.approx([1, 0.6])
    assert rates(schedule, [40]) == pytest.approx([0.2])
    assert rates(schedule, [10]) == pytest.approx([0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2])


def test_cosine_begins_where_the_warmup_ends():
    schedule = Schedule(name="cosine", warmup_epochs=2)
    assert rates(schedule, [0, 19, 20, 30]) == pytest.approx([0.05, 1, 1, 0.5])


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_like_pytorch_at_whole_epochs(gamma):
    parameter = torch.nn.Parameter(torch.zeros(1))
    for schedule, theirs in (
        (Schedule(name="exponential", gamma=gamma), torch.optim.lr_scheduler.ExponentialLR),
        (Schedule(name="steps", gamma=gamma, milestones=(2, 5)), torch.optim.lr_scheduler.MultiStepLR),
    ):
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        extra = {"milestones": [2, 5]} if schedule.name == "steps" else {}
        scheduler = theirs(optimizer, gamma=gamma, **extra)
        for epoch in range(8):
            ours = rate(schedule, epoch * 7, steps_an_epoch=7, epochs=8)
            assert ours == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()


@given(
    st.sampled_from(["constant", "cosine", "steps", "exponential"]),
    st.floats(0, 6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.data(),
)
def test_always_a_share_of_the_rate(name, warmup, steps_an_epoch, epochs, data):
    step = data.draw(st.integers(0, steps_an_epoch * epochs - 1))
    schedule = Schedule(name=name, warmup_epochs=warmup, milestones=(1, 2), gamma=0.3, final=0.1)
    assert 0 < rate(schedule, step, steps_an_epoch=steps_an_epoch, epochs=epochs) <= 1


def test_plateau_like_pytorch():
    scores = [0.1, 0.3, 0.3, 0.2, 0.3, 0.31, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.5, 0.1]
    schedule = Schedule(name="plateau", gamma=0.1, patience=2)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.1, patience=2, threshold=0)
    ours = Plateau()
    for score in scores:
        ours.update(score, schedule)
        theirs.step(score)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"])


def test_a_warmup_may_begin_above_zero_or_stay_there():
    """ResNet, section 4.2, 110 layers: 0.01 for 400 steps, then 0.1."""
    constant = Schedule(warmup_epochs=40, warmup="constant", warmup_from=0.1)
    assert rates(constant, [0, 399, 400], epochs=100) == pytest.approx([0.1, 0.1, 1])
    linear = Schedule(warmup_epochs=0.4, warmup_from=0.5)
    assert rates(linear, range(5)) == pytest.approx([0.625, 0.75, 0.875, 1, 1])


def test_a_staircase_falls_at_the_end_of_each_period():
    """Inception-v3, section 8: times 0.94 every two epochs."""
    schedule = Schedule(name="exponential", gamma=0.94, every=2, staircase=True)
    assert rates(schedule, [0, 19, 20, 39, 40], epochs=10) == pytest.approx([1, 1, 0.94, 0.94, 0.94**2])
    smooth = Schedule(name="exponential", gamma=0.94, every=2)
    assert rates(smooth, [10, 20], epochs=10) == pytest.approx([0.94**0.5, 0.94])


@pytest.mark.parametrize("every", [2.4, 8 / 6, 19.98])
def test_a_staircase_takes_each_step_once(every):
    schedule = Schedule(name="exponential", gamma=0.5, every=every, staircase=True)
    found = rates(schedule, range(2000), steps_an_epoch=20, epochs=100)
    exponents = [round(-math.log2(value)) for value in found]
    # Counted in whole numbers: how many periods of `every` epochs are over.
    assert exponents == [step * 3000 // round(every * 20 * 3000) for step in range(2000)]


def test_polynomials():
    """Darknet-19 falls with the fourth power, Caffe's quick GoogLeNet with the root."""
    assert rates(Schedule(name="polynomial", power=4), [0, 20, 40]) == pytest.approx([1, 0.5**4, 0])
    assert rates(Schedule(name="polynomial", power=0.5), [0, 30]) == pytest.approx([1, 0.5])
    assert rates(Schedule(name="polynomial", final=0.2, warmup_epochs=2), [20, 30, 40]) == pytest.approx([1, 0.6, 0.2])


def test_like_pytorchs_polynomial():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=40, power=4)
    for found in rates(Schedule(name="polynomial", power=4), range(40)):
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_a_plateau_falls_no_more_often_than_asked():
    """AlexNet, section 5: the rate was reduced three times."""
    schedule = Schedule(name="plateau", gamma=0.1, patience=0, most_drops=3)
    plateau = Plateau()
    fell = [plateau.update(score, schedule) for score in (1, 0, 0, 0, 0, 0)]
    assert fell == [False, True, True, True, False, False]
    assert plateau.factor == pytest.approx(1e-3)


def test_a_polynomial_warmup_is_darknets_burn_in():
    """network.c: rate * (batch_num / burn_in)^power, where batch_num counts the batch that makes the step."""
    schedule = Schedule(name="steps", milestones=(400,), warmup_epochs=100, warmup="polynomial")

    def darknet(batch_num, burn_in=1000, power=4):
        if batch_num < burn_in:
            return (batch_num / burn_in) ** power
        return 1.0 if batch_num < 4000 else 0.1

    steps = [0, 1, 199, 499, 998, 999, 1000, 3998]
    assert rates(schedule, steps) == pytest.approx([darknet(step + 1) for step in steps], rel=1e-12)
    assert rates(schedule.model_copy(update={"warmup_power": 1.0}), steps) == rates(
        schedule.model_copy(update={"warmup": "linear"}), steps
    )


def test_a_fall_may_end_before_the_training():
    """pylearn2's LinearDecayOverEpoch, saturate: the rate stays at its last value from then on."""
    schedule = Schedule(name="polynomial", power=1, final=0.01, fall_epochs=2)
    assert rates(schedule, [0, 10, 20, 39]) == pytest.approx([1, 0.505, 0.01, 0.01])

"""A training's state by itself: what a step changes, what a checkpoint brings back, when it is over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.engine.checkpoint import Checkpoints
from visus.engine.recipe import Recipe
from visus.engine.runtime import Runtime
from visus.engine.session import Session
from visus.engine.update import with_optimizers
from visus.errors import DivergedError, WeightsError
from visus.tasks.update import task_update


def open_session(tiny, recipe, *, store=None, network=None):
    network = network or tiny.make_network(recipe.seed)
    updates = with_optimizers([task_update(network, tiny.TinyTask())], network, recipe)
    return Session(network, updates, recipe, Runtime(), batches=4, store=store, classes=tiny.CLASSES)


def make_steps(tiny, session, count):
    """``count`` further steps, each on the batch that the position names."""
    session.begin_epoch()
    for batch in list(tiny.TinyLoader(24).batches(0, session.position.batch))[:count]:
        session.begin_step([tiny.ready(batch)])
        session.step([tiny.ready(batch)])
        session.end_step(1)


def state(session):
    return {name: value.clone() for name, value in session.network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def recipe():
    return Recipe(epochs=3, batch_size=6, ema=0.5, optimizer={"lr": 0.05}, schedule={"name": "cosine"})


def test_a_step_moves_weights_average_and_position(tiny, recipe):
    session = open_session(tiny, recipe)
    before, average = state(session), session.average.network.fc.weight.clone()
    make_steps(tiny, session, 2)
    assert (session.position.epoch, session.position.batch, session.position.step) == (0, 2, 2)
    assert not torch.equal(session.network.fc.weight, before["fc.weight"])
    assert not torch.equal(session.average.network.fc.weight, average)
    assert session.judged is session.average.network
    assert session.loss_monitor.images == 12


def test_a_checkpoint_brings_back_each_bit(tiny, recipe, tmp_path):
    session = open_session(tiny, recipe, store=Checkpoints(tmp_path))
    make_steps(tiny, session, 2)
    session.save()
    make_steps(tiny, session, 2)
    other = open_session(tiny, recipe, store=Checkpoints(tmp_path), network=tiny.make_network(5))
    assert other.resume()
    assert other.position.step == 2
    make_steps(tiny, other, 2)
    assert equal(state(session), state(other))
    assert equal(session.average.network.state_dict(), other.average.network.state_dict())
    assert session.loss_monitor.means() == other.loss_monitor.means()


def test_without_a_checkpoint_there_is_nothing_to_resume(tiny, recipe, tmp_path):
    assert not open_session(tiny, recipe).resume()
    assert not open_session(tiny, recipe, store=Checkpoints(tmp_path)).resume()


def test_a_checkpoint_of_another_network_is_refused(tiny, recipe, tmp_path):
    open_session(tiny, recipe, store=Checkpoints(tmp_path)).save()
    other = tiny.make_network()
    other.fc = nn.Linear(8 * 16, 4)
    with pytest.raises(WeightsError, match="another network or recipe"):
        open_session(tiny, recipe, store=Checkpoints(tmp_path), network=other).resume()


def test_weights_that_are_not_finite_are_never_saved(tiny, recipe, tmp_path):
    session = open_session(tiny, recipe, store=Checkpoints(tmp_path))
    session.save()
    with torch.no_grad():
        session.network.fc.bias[1] = float("inf")
    with pytest.raises(DivergedError, match=r"fc\.bias"):
        session.save()
    assert torch.isfinite(Checkpoints(tmp_path).load().tensors["model/fc.bias"]).all()


def test_a_recovery_goes_back_halves_the_rate_and_skips_the_step(tiny, recipe, tmp_path):
    session = open_session(tiny, recipe, store=Checkpoints(tmp_path))
    session.save()
    before = state(session)
    make_steps(tiny, session, 1)
    rate = session.steppers[0].rate
    for times in (1, 2, 3):
        session.loss_monitor.batch_index = 10 + times
        session.recover(DivergedError("not finite"))
        assert equal(state(session), before)
        assert session.position.halvings == times
        assert session.position.skipped[-1] == [0, 10 + times]
    session.begin_step([tiny.ready(next(tiny.TinyLoader().batches(0)))])
    assert session.steppers[0].rate == pytest.approx(rate / 8)
    with pytest.raises(DivergedError, match="not finite"):
        session.recover(DivergedError("not finite"))  # the fourth time


@pytest.mark.parametrize(
    ("epoch", "best", "is_over"), [(2, 0, False), (3, 0, True), (3, 1, False), (3, None, False), (9, 8, True)]
)
def test_it_is_over_after_all_epochs_or_after_waiting(tiny, epoch, best, is_over):
    """With a patience of 2, epochs 0, 1, 2 with the best at 0 make two in vain."""
    session = open_session(tiny, Recipe(epochs=9, batch_size=6, early_stopping=2))
    session.position.epoch, session.position.best_epoch = epoch, best
    assert session.is_over == is_over


@pytest.mark.parametrize(("keep", "expected"), [("best", 1.0), ("last", 2.0)])
def test_the_best_or_the_last_weights_are_kept(tiny, tmp_path, keep, expected):
    session = open_session(tiny, Recipe(batch_size=6, keep=keep), store=Checkpoints(tmp_path))
    nn.init.constant_(session.network.fc.bias, 1.0)
    session.position.best_epoch = 0
    session.save_best({"accuracy": 0.5})
    nn.init.constant_(session.network.fc.bias, 2.0)
    session.load_best()
    assert session.network.fc.bias.tolist() == [expected] * 3


def test_closing_leaves_eval_mode_and_gradients_of_all_that_learned(tiny):
    recipe = Recipe(batch_size=6, freeze="backbone")
    session = open_session(tiny, recipe)
    session.begin_epoch()
    assert not session.network.conv.weight.requires_grad
    assert session.network.fc.weight.requires_grad
    session.close()
    assert all(parameter.requires_grad for parameter in session.network.parameters())
    assert not any(module.training for module in session.network.modules())


def test_rising_momentum_and_norm_bounds_resume_to_the_last_bit(tiny, tmp_path):
    """Two epochs and a half at one go; and the same, stopped in the second epoch and restored by a new session."""
    recipe = Recipe(
        epochs=3,
        batch_size=6,
        optimizer={"lr": 0.05, "momentum_from": 0.1, "momentum_epochs": 2, "rates": {"fc": 0.5}},
        max_norms={"conv": 0.3, "fc": 0.2},
    )

    def train(session, epochs):
        for _ in range(epochs):
            make_steps(tiny, session, 4)
            session.position.epoch, session.position.batch = session.position.epoch + 1, 0

    whole = open_session(tiny, recipe)
    train(whole, 3)
    parts = open_session(tiny, recipe, store=Checkpoints(tmp_path))
    train(parts, 1)
    make_steps(tiny, parts, 2)
    parts.save()
    again = open_session(tiny, recipe, store=Checkpoints(tmp_path), network=tiny.make_network(5))
    assert again.resume()
    train(again, 2)
    assert equal(state(again), state(whole))
    (stepper,) = again.steppers
    assert {group["momentum"] for group in stepper.optimizer.param_groups} == {0.9}
    assert whole.network.conv.weight.flatten(1).norm(dim=1).max() <= 0.3 * (1 + 1e-6)
    assert whole.network.fc.weight.norm(dim=1).max() <= 0.2 * (1 + 1e-6)

"""What a training reports, line by line and column by column, with a session that stands still."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from visus.engine import training_reporter
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.engine.training_position import TrainingPosition
from visus.engine.training_reporter import TrainingReporter
from visus.errors import DivergedError

RECIPE = Recipe(epochs=5, batch_size=4, checkpoint_seconds=60)


class Told:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def begin(self, work: str, total: int, done: int = 0) -> None:
        self.calls.append(("begin", work, total, done))

    def advance(self, images: int, notes: Any = None) -> None:
        self.calls.append(("advance", images, notes()))

    def end(self) -> None:
        self.calls.append(("end",))

    def say(self, line: str) -> None:
        self.calls.append(line)


def session_at(epoch: int = 1, batch: int = 0, step: int = 7, means: Any = None, **position: Any) -> Any:
    monitor = SimpleNamespace(means=lambda: means or {"loss": 0.5}, current=lambda: {"loss": 0.25})
    reached = TrainingPosition(epoch=epoch, batch=batch, step=step, **position)
    steppers = [SimpleNamespace(rate=0.01)]
    return SimpleNamespace(position=reached, world=2, loss_monitor=monitor, steppers=steppers, recipe_changes=[])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The reporter's clock, which stands still until a test sets ``now``."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(training_reporter.time, "monotonic", lambda: clock.now)
    return clock


def test_progress_counts_the_images_of_all_processes():
    told = Told()
    with TrainingReporter(told, None, RECIPE) as reporter:
        reporter.begin_epoch(session_at(batch=3), batches=10)
        reporter.step(session_at(), images=2)
        reporter.end_epoch()
        reporter.end_epoch()  # nothing is left to end
    assert told.calls == [("begin", "epoch 2/5", 40, 12), ("advance", 4, {"loss": 0.25}), ("end",)]


def test_a_bar_ends_with_an_error_too():
    told = Told()
    with contextlib.suppress(ValueError), TrainingReporter(told, None, RECIPE) as reporter:
        reporter.begin_epoch(session_at(), batches=10)
        raise ValueError("broken")
    assert told.calls[-1] == ("end",)


def test_a_row_has_losses_scores_and_speed(clock):
    reporter = TrainingReporter(Told(), None, RECIPE)
    reporter.begin_epoch(session_at(), batches=10)
    reporter.step(session_at(), images=30)
    clock.now += 4.0
    session = session_at(means={"box": 1.0, "class": 0.5})
    assert reporter.row(session, {"mean_iou": 0.75, "classes": {"a": 1.0}}) == {
        "epoch": 2,
        "step": 7,
        "lr": 0.01,
        "loss": 1.5,
        "loss.box": 1.0,
        "loss.class": 0.5,
        "val.mean_iou": 0.75,
        "seconds": 4.0,
        "images_per_second": 15.0,  # 30 images in each of two processes
    }
    assert "loss.loss" not in reporter.row(session_at(), {})  # a single term is the loss itself


def test_a_checkpoint_is_due_after_its_time_and_only_where_it_can_be_kept(clock, tmp_path):
    without = TrainingReporter(Told(), None, RECIPE)
    reporter = TrainingReporter(Told(), RunFolder.create(tmp_path, "due", RECIPE), RECIPE)
    clock.now += 59.0
    assert not reporter.is_due()
    clock.now += 1.0
    assert reporter.is_due()
    assert not without.is_due()
    reporter.saved()
    assert not reporter.is_due()


def test_the_run_folder_gets_each_line_and_the_end(tmp_path):
    told, run = Told(), RunFolder.create(tmp_path, "told", RECIPE)
    row = {"epoch": 2, "step": 7, "lr": 0.01, "loss": 0.5, "seconds": 4.0, "images_per_second": 15.0}
    with contextlib.suppress(ValueError), TrainingReporter(told, run, RECIPE) as reporter:
        reporter.resumed(session_at(epoch=1, batch=2, history=[row]))
        reporter.epoch_done([row])
        reporter.recovered(session_at(step=3, halvings=2), DivergedError("the loss is not finite"))
        raise ValueError("broken")
    lines = [
        "goes on at epoch 2, batch 2, step 7",
        "epoch 2/5  lr 0.01  loss 0.5  (4 s, 15 images/s)",
        "the loss is not finite; back to step 3 with 1/4 of the learning rate",
    ]
    assert told.calls == lines
    log = (run.path / "log.txt").read_text()
    assert all(line in log for line in [*lines, "ended by ValueError: broken"])
    assert (run.path / "results.csv").read_text().splitlines()[0] == ",".join(row)


@pytest.mark.parametrize("has_folder", [True, False])
def test_an_interruption_says_how_to_go_on(tmp_path, has_folder):
    run = RunFolder.create(tmp_path, "stopped", RECIPE) if has_folder else None
    error = TrainingReporter(Told(), run, RECIPE).interrupted(session_at(), 15)
    assert "stopped at epoch 2, step 7" in error.problem
    assert error.exit_code == 128 + 15
    assert error.remedy == (
        f"go on with: visus train --resume {run.path}" if run is not None else "start the training again"
    )

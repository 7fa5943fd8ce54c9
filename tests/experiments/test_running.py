"""The runner: what is done is kept, settings are not mixed, and time is shared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from visus.engine.progress import Silent
from visus.engine.recipe import Optimizer, Recipe
from visus.engine.runtime import Runtime
from visus.errors import InterruptedRunError, UsageError, WeightsError
from visus.experiments import running
from visus.experiments.experiment import Configuration, Experiment
from visus.experiments.outcome import Outcome
from visus.experiments.running import CountingLoss, run_experiment, train_one
from visus.experiments.step_epochs import ExperimentData, Images
from visus.structures import Batch, Placement


def two_layers(*, classes: int, in_channels: int, width: int) -> nn.Module:
    """A network for these tests, named by text as experiments name theirs."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * 16, width), nn.ReLU(), nn.Linear(width, classes))


def data() -> ExperimentData:
    """Two classes: dark and bright."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = (labels[:, None, None, None] * 120 + random.integers(0, 100, (40, 1, 4, 4))).astype(np.uint8)
    return ExperimentData(Images(pixels[:30], labels[:30]), Images(pixels[30:], labels[30:]), ("a", "b"), "made")


HERE = f"{__name__}:two_layers"
EXPERIMENT = Experiment(
    name="tiny",
    title="t",
    paper="p",
    claim="c",
    setup="s",
    data="made",
    recipe=Recipe(epochs=4, batch_size=10, optimizer=Optimizer(lr=0.1), channels_last=False),
    steps=20,
    seeds=2,
    configurations=(Configuration("Narrow", HERE, {"width": 2}), Configuration("Wide, fast", HERE, {"width": 8})),
    measure="train_error",
    judge=lambda _: (),
)


def run(folder: Path, experiment: Experiment = EXPERIMENT, seeds: int = 2, **options: object) -> Outcome:
    (folder / "trainings").mkdir(parents=True, exist_ok=True)
    outcome, _ = run_experiment(experiment, data(), folder, seeds=range(seeds), progress=Silent(), **options)
    return outcome


def test_every_configuration_takes_equal_steps_with_every_seed(tmp_path: Path) -> None:
    outcome = run(tmp_path)
    assert {(c.configuration, c.seed) for c in outcome.curves} == {
        (name, seed) for name in ("Narrow", "Wide, fast") for seed in (0, 1)
    }
    for curve in outcome.curves:
        assert [row["step"] for row in curve.rows] == [5, 10, 15, 20]
        assert [row["images"] for row in curve.rows] == [50, 100, 150, 200]
    assert outcome.of("Wide, fast")[0].parameters == 17 * 8 + 9 * 2
    assert np.mean(outcome.values("Wide, fast", "test_error")) < 0.2  # two brightnesses are easily told apart


def test_the_same_seed_gives_the_same_curve(tmp_path: Path) -> None:
    def values(outcome: Outcome) -> list[list[float]]:
        return [[row["train_loss"] for row in curve.rows] for curve in outcome.curves]

    first, second = run(tmp_path / "a"), run(tmp_path / "b")
    assert values(first) == values(second)
    assert values(first)[0] != values(first)[2]


def test_the_error_of_training_is_counted_as_it_trains() -> None:
    network = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.eye(2))
    images = torch.tensor([[3.0, 1.0], [1.0, 3.0], [5.0, 0.0]])
    batch = Batch(images, torch.tensor([0, 0, 0]), [Placement.identity((1, 1))] * 3, ["a", "b", "c"])
    counting = CountingLoss(network)
    terms = counting(batch)
    expected = nn.functional.cross_entropy(images, torch.tensor([0, 0, 0]))
    assert terms["cross_entropy"].item() == pytest.approx(expected.item())
    assert (counting.images, counting.wrong, counting.steps) == (3, 1.0, 1)
    assert counting.loss == pytest.approx(3 * expected.item())
    network.eval()
    counting(batch)
    assert counting.images == 3  # the memory estimate and other looks do not count
    counting.restart()
    assert (counting.images, counting.wrong, counting.loss) == (0, 0.0, 0.0)


def test_a_stopped_run_goes_on_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")
    done = 0

    def train_three(*arguments: object, **options: object) -> object:
        nonlocal done
        if options.get("rows") is None:
            if done == 3:
                raise InterruptedRunError.by_signal(15, "stopped", remedy="go on")
            done += 1
        return train_one(*arguments, **options)

    folder = tmp_path / "stopped"
    monkeypatch.setattr(running, "train_one", train_three)
    with pytest.raises(InterruptedRunError):
        run(folder)
    assert len(list((folder / "trainings").iterdir())) == 3
    monkeypatch.setattr(running, "train_one", train_one)
    path = folder / "trainings" / "narrow-0.json"
    marked = json.loads(path.read_text()) | {"seconds": 123.0}
    path.write_text(json.dumps(marked))
    outcome = run(folder)
    assert outcome.of("Narrow")[0].seconds == 123.0, "what was done is taken as it is"
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in c.rows] for c in outcome.curves]
    assert rows == [[{k: v for k, v in row.items() if k != "seconds"} for row in c.rows] for c in whole.curves]


def test_seeds_can_be_added(tmp_path: Path) -> None:
    first = run(tmp_path, seeds=1)
    more = run(tmp_path, seeds=2)
    assert more.of("Narrow")[0] == first.of("Narrow")[0]
    assert len(more.curves) == 4


def test_another_setting_is_refused(tmp_path: Path) -> None:
    run(tmp_path, seeds=1)
    with pytest.raises(UsageError, match="another scale"):
        run(tmp_path, seeds=1, scale=2.0)
    (tmp_path / "setting.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        run(tmp_path, seeds=1)


def test_a_damaged_training_is_named(tmp_path: Path) -> None:
    run(tmp_path, seeds=1)
    (tmp_path / "trainings" / "narrow-0.json").write_text('{"rows": 1}')
    with pytest.raises(WeightsError, match=r"narrow-0\.json is damaged"):
        run(tmp_path, seeds=1)


def test_scale_multiplies_the_steps_in_whole_rows(tmp_path: Path) -> None:
    assert run(tmp_path, seeds=1, scale=1.3).curves[0].rows[-1]["step"] == 24  # 26 in 4 rows: 6 each


def test_all_take_fewer_steps_where_the_time_is_short(tmp_path: Path) -> None:
    long = replace(EXPERIMENT, steps=10**9)
    outcome = run(tmp_path, long, seeds=1, minutes=0.01)
    steps = {curve.rows[-1]["step"] for curve in outcome.curves}
    assert len(steps) == 1
    assert 4 <= steps.pop() < 10_000
    assert sum(curve.seconds for curve in outcome.curves) < 10


def test_a_training_that_diverges_is_a_result() -> None:
    wild = replace(EXPERIMENT, recipe=EXPERIMENT.recipe.with_changes({"optimizer.lr": 1e30}))
    curve = train_one(wild, wild.configurations[1], data(), seed=0, steps=20, runtime=Runtime())
    assert curve.diverged is not None
    assert 1 < curve.diverged <= 20
    assert curve.last("train_error") == 1.0

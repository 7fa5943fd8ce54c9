"""A run is pruned in steps: by Python and by command line, saved, loaded, resumed, and refused where it cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import visus
from visus.api.prune import Pruning
from visus.engine.model_file import read_info
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.errors import DataError, InterruptedRunError, RecipeError, UsageError
from visus.workflow import pruning, reporting
from visus.workflow.pruning_curve import read_curve


def weights(path: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(path)
    return {name.removesuffix(".weight"): value for name, value in tensors.items() if value.ndim > 1}


def share_of_zeros(path: Path) -> float:
    values = weights(path).values()
    return sum(int((value == 0).sum()) for value in values) / sum(value.numel() for value in values)


@pytest.fixture(scope="module")
def run(trained: Callable[[str], Any]) -> Path:
    """A tiny run of a LeNet-5."""
    return Path(trained("classification").path)


@pytest.fixture(scope="module")
def pruned(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Pruning:
    """Of the run, in two steps; only the last one writes its report, which takes longer than all else."""
    out, write = tmp_path_factory.mktemp("pruned"), reporting.write_run_report

    def of_the_last(folder: RunFolder, *content: Any) -> None:
        if folder.path.parent.name != "steps":
            write(folder, *content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("visus.workflow.reporting.write_run_report", of_the_last)
        return visus.prune(run, sparsity=0.75, layers={"c1": 0.2}, steps=2, epochs=1, out=out, device="cpu", quiet=True)


def test_the_result_is_a_run_with_the_zeros(pruned: Pruning, run: Path) -> None:
    path = pruned.run.path
    assert path.name == f"{run.name}-pruned"
    values = weights(path / "model.safetensors")
    info = read_info(path)
    assert set(info.sparsity) == set(values)
    for name, value in values.items():
        assert info.sparsity[name] == pytest.approx(float((value == 0).double().mean()))
    assert info.sparsity["c1"] == pytest.approx(0.2, abs=0.01)
    others = [value for name, value in values.items() if name != "c1"]
    zeros, count = sum(int((v == 0).sum()) for v in others), sum(v.numel() for v in others)
    assert zeros == round(0.75 * count)
    assert info.recipe["keep_zeros"] is True
    assert set(pruned.run.metrics) == {"val", "test"}
    assert pruned.run.load().predict(next(iter((run.parent).rglob("*.jpg")))) is not None
    assert visus.evaluate(path, device="cpu", quiet=True).metrics["accuracy"] == pruned.run.metrics["test"]["accuracy"]


def test_the_curve_has_the_unpruned_network_and_every_step(pruned: Pruning, run: Path) -> None:
    dense, first, last = pruned.points
    assert (dense.sparsity, dense.before) == (0, {})
    assert dense.scores["test"] == read_info(run).metrics["test"]["accuracy"]
    assert (
        dense.sparse_bytes == dense.dense_bytes == sum(v.nbytes for v in load_file(run / "model.safetensors").values())
    )
    assert 0 < first.sparsity < last.sparsity
    assert last.sparsity == pytest.approx(share_of_zeros(pruned.run.path / "model.safetensors"))
    assert first.sparsity == pytest.approx(share_of_zeros(pruned.run.path / "steps" / "1" / "model.safetensors"))
    assert last.left == round((1 - last.sparsity) * last.weights)
    assert last.sparse_bytes < first.sparse_bytes < dense.sparse_bytes
    assert last.scores == {split: scores["accuracy"] for split, scores in pruned.run.metrics.items()}
    assert set(last.before) == {"val"}
    assert pruned.score == "accuracy"
    assert f"{last.sparsity:.1%} zeros" in str(pruned)
    assert "How good it is at which size" in pruned.run.report.read_text()
    assert (pruned.run.path / "plots" / "pruning.png").is_file()
    assert "pruning" not in {path.stem for path in (run / "plots").iterdir()}


def test_the_fine_tuning_moves_what_is_left_and_nothing_else(pruned: Pruning) -> None:
    path = pruned.run.path
    start, end = weights(path / "pruned.safetensors"), weights(path / "model.safetensors")
    for name, value in start.items():
        assert torch.equal(value == 0, end[name] == 0)
        assert (value != end[name]).any()
    earlier = weights(path / "steps" / "1" / "model.safetensors")
    for name, value in earlier.items():
        assert not start[name][value == 0].any()
        kept = start[name] != 0
        assert torch.equal(start[name][kept], value[kept])


def test_the_recipe_is_shorter_and_lower_and_takes_changes(pruned: Pruning) -> None:
    recipe = Recipe(epochs=9, freeze="backbone", early_stopping=3).with_changes({"schedule.warmup_epochs": 1})
    own = pruning.fine_tuning(recipe, {"clip_norm": 1.0, "keep_zeros": False})
    assert (own.epochs, own.optimizer.lr, own.freeze, own.schedule.name) == (4, pytest.approx(0.001), "none", "cosine")
    assert (own.early_stopping, own.schedule.warmup_epochs, own.clip_norm, own.keep_zeros) == (None, 0, 1.0, True)
    assert pruning.fine_tuning(Recipe(epochs=1, freeze="batchnorm"), {}).freeze == "batchnorm"
    assert pruning.fine_tuning(Recipe(epochs=1), {}).epochs == 1
    config = visus.Recipe.from_dict(read_info(pruned.run.path).recipe)
    assert config.epochs == 1
    assert "Han et al. 2015" in config.source


def test_the_summary_tells_the_zeros(pruned: Pruning, run: Path, cli: Callable[..., Any]) -> None:
    last = pruned.points[-1]
    told = cli("summary", pruned.run.path)
    assert f"pruned: {last.weights - last.left:,} weights are zero" in told.out
    values = json.loads(cli("summary", pruned.run.path, "--json").out)
    assert (values["zeros"], values["sparse_bytes"]) == (last.weights - last.left, last.sparse_bytes)
    assert values["sparsity"] == dict(read_info(pruned.run.path).sparsity)
    assert visus.summary(pruned.run.load(device="cpu").network, input=(3, 32, 32)).zeros == values["zeros"]
    assert "pruned" not in cli("summary", run).out
    assert visus.summary(run).sparse_bytes == visus.summary(run).weight_bytes


def test_a_stopped_pruning_goes_on(
    pruned: Pruning, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_reports: None, cli: Any
) -> None:
    done = pruning.carry_on

    def stopped(folder: Any, prepared: Any, *, quiet: bool) -> None:
        if folder.path.parent.name != "steps":
            raise InterruptedRunError.by_signal(2, "stopped at epoch 1", remedy="visus train --resume")
        done(folder, prepared, quiet=quiet)

    monkeypatch.setattr(pruning, "carry_on", stopped)
    options = ("--sparsity", 0.75, "--layer", "c1=0.2", "--steps", 2, "--epochs", 1, "--name", "again")
    told = cli("prune", run, *options, "--out", tmp_path, "--device", "cpu")
    assert told.code == 130
    assert f"visus prune --resume {tmp_path / 'again'}" in told.err
    assert cli("prune", "--resume", tmp_path / "again", "--steps", 3).code == 2
    monkeypatch.setattr(pruning, "carry_on", done)
    told = cli("prune", "--resume", tmp_path / "again", "--json")
    assert told.code == 0, told.err
    assert "step 1 of 2: finished before" in told.err
    answer = json.loads(told.out)
    assert answer["points"][-1]["sparsity"] == pruned.points[-1].sparsity
    again, before = (weights(path / "model.safetensors") for path in (tmp_path / "again", pruned.run.path))
    for name, value in before.items():
        assert torch.equal(value, again[name])
    told = cli("prune", "--resume", tmp_path / "again")
    assert "step 2 of 2: finished before" in told.err


def test_one_step_of_a_pruned_run_goes_further(pruned: Pruning, tmp_path: Path, without_reports: None) -> None:
    further = visus.prune(
        pruned.run, sparsity=0.9, steps=1, changes={"epochs": 1}, out=tmp_path, threshold="magnitude", quiet=True
    )
    assert share_of_zeros(further.run.path / "model.safetensors") == pytest.approx(0.9, abs=1e-3)
    assert not (further.run.path / "steps").exists()
    curve = read_curve(further.run.path)
    assert curve is not None
    assert curve.finished
    assert [point.sparsity for point in curve.points] == [pruned.points[-1].sparsity, further.points[-1].sparsity]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--sparsity", 1.5), "no such share"),
        (("--sparsity", "much"), "Invalid value for '--sparsity'"),
        ((), "nothing is to be pruned"),
        (("--sparsity", 0.5, "--layer", "conv9=0.5"), "names no layer"),
        (("--layer", "c1"), "LAYER=SHARE"),
        (("--layer", "c1=x"), "LAYER=SHARE"),
        (("--layer", "c1=2"), "no such share"),
        (("--sparsity", 0.5, "--steps", 0), "no such number of steps"),
        (("--sparsity", 0.5, "--threshold", "layer"), "deviation or share or magnitude"),
        (("--sparsity", 0.5, "--set", "learning_rate=1"), "a recipe has no field"),
        (("--sparsity", 0.5, "--resume", "x"), "one run is to be named"),
        (("--sparsity", 0.5, "--device", "tpu"), "no device"),
    ],
)
def test_wrong_options_leave_nothing(
    run: Path, tmp_path: Path, options: tuple[Any, ...], match: str, cli: Callable[..., Any]
) -> None:
    told = cli("prune", run, *options, "--out", tmp_path, "--quiet")
    assert told.code == 2
    assert match in told.err.replace("\n", " ") or match in told.err
    assert "Traceback" not in told.err
    assert not list(tmp_path.iterdir())


def test_what_is_no_run_cannot_be_pruned(run: Path, photos: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    for wrong in (run / "model.safetensors", photos, tmp_path / "nowhere"):
        told = cli("prune", wrong, "--sparsity", 0.5)
        assert told.code == 2
        assert "is not a run" in told.err
    with pytest.raises(UsageError, match="is no pruning"):
        visus.resume_pruning(run)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "pruning.yaml").write_text("run: 5\nsparsity: much\n")
    with pytest.raises(RecipeError, match="is damaged"):
        visus.resume_pruning(tmp_path / "damaged")
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(run / "config.yaml", half)
    assert cli("prune", half, "--sparsity", 0.5).code == 5  # without a model
    (tmp_path / "pruning.json").write_text('{"score": "accuracy", "points": [{"sparsity": "much"}]}')
    with pytest.raises(DataError, match=r"points.0"):
        read_curve(tmp_path)

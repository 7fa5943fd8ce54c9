"""A training in phases, from its first run to its last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import visus
from visus.errors import RecipeError
from visus.recipes import phases
from visus.recipes.phases import PhaseCard
from visus.workflow import decisions
from visus.workflow.phases import Artefact, Context

SHORT = {"size": [64, 64], "fit": "stretch", "epochs": 1, "optimizer.lr": 1e-6, "batch_size": 4}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


@pytest.fixture(scope="module")
def runs(masks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    visus.train(
        masks,
        task="segmentation",
        model="fcn16s",
        backbone="mobilenet_v1_025",
        weights="none",
        recipe="fcn-voc-staged",
        changes=SHORT,
        out=out,
        name="fcn",
        quiet=True,
    )
    return out


def test_each_phase_is_a_run_and_the_last_bears_the_name(runs: Path) -> None:
    assert sorted(path.name for path in runs.iterdir() if not path.is_symlink()) == ["fcn", "fcn-fcn32s"]
    for name, model in (("fcn-fcn32s", "fcn32s+"), ("fcn", "fcn16s+")):
        config = yaml.safe_load((runs / name / "config.yaml").read_text())
        assert config["model"].startswith(model)
        assert config["recipe"]["epochs"] == 1
        assert (runs / name / "report.html").is_file()


def test_a_phase_begins_where_the_one_before_ended(runs: Path) -> None:
    """With rates of 1e-6 and sums over 4,096 pixels the trunk hardly moves in one epoch; another start would differ."""
    coarse, fine = weights(runs / "fcn-fcn32s"), weights(runs / "fcn")
    shared = [name for name in coarse if name.startswith("backbone.") and coarse[name].ndim == 4]
    assert shared
    for name in shared:
        assert (coarse[name] - fine[name]).abs().mean() < 0.05 * coarse[name].abs().mean()
    config = yaml.safe_load((runs / "fcn" / "config.yaml").read_text())
    assert config["weights"] == str((runs / "fcn-fcn32s" / "model.safetensors").resolve())


@pytest.mark.usefixtures("without_reports")
def test_a_finished_phase_is_resumed_with_the_next_one(runs: Path, tmp_path: Path) -> None:
    """What was killed between two phases goes on with the second."""
    shutil.copytree(runs / "fcn-fcn32s", tmp_path / "fcn-fcn32s")
    config = tmp_path / "fcn-fcn32s" / "config.yaml"
    config.write_text(config.read_text().replace(f"out: {runs}", f"out: {tmp_path}"))
    done = visus.resume(tmp_path / "fcn-fcn32s", quiet=True)
    assert done.path == tmp_path / "fcn"
    assert done.metrics["val"]["mean_iou"] is not None


def test_phases_that_have_finished_are_not_run_again(runs: Path) -> None:
    """Whichever of them is gone on with, the same folders come out, untouched."""
    manifest = json.loads((runs / "fcn" / "artefact.json").read_text())
    assert (manifest["name"], manifest["kind"], manifest["finished"]) == ("fcn16s", "run", True)
    assert set(manifest["made_from"]) == {"fcn32s"}
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()}
    for name in ("fcn-fcn32s", "fcn"):
        assert visus.resume(runs / name, quiet=True).path == runs / "fcn"
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file()} == before


def test_resumed_from_another_folder_the_finished_phases_are_found(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``out`` is a relative path by default ("runs")."""
    for name in ("fcn-fcn32s", "fcn"):
        shutil.copytree(runs / name, tmp_path / "runs" / name)
        config = tmp_path / "runs" / name / "config.yaml"
        text = config.read_text().replace(f"out: {runs}", "out: runs")
        config.write_text(text.replace(str(runs), f"{tmp_path}/runs"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("fcn-fcn32s", "fcn"):
        assert visus.resume(tmp_path / "runs" / name, quiet=True).path == tmp_path / "runs" / "fcn"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.usefixtures("without_reports")
def test_a_damaged_model_of_a_phase_is_made_again(runs: Path, tmp_path: Path) -> None:
    for name in ("fcn-fcn32s", "fcn"):
        shutil.copytree(runs / name, tmp_path / name)
        config = tmp_path / name / "config.yaml"
        config.write_text(config.read_text().replace(str(runs), str(tmp_path)))
    model = tmp_path / "fcn-fcn32s" / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-4])
    assert visus.resume(tmp_path / "fcn-fcn32s", quiet=True).path == tmp_path / "fcn"
    assert model.read_bytes() == whole
    assert not (tmp_path / "fcn.before").exists()


def count_values(context: Context) -> Artefact:
    """A phase that trains nothing: it counts the values of the network before it."""
    state = load_file(context.artefacts["network"].path("model.safetensors"))
    (context.folder / "count.txt").write_text(str(sum(value.numel() for value in state.values())))
    return Artefact.of("count", "count", context.folder, ["count.txt"])


@pytest.mark.usefixtures("without_reports")
def test_a_training_may_end_with_a_phase_that_is_no_training(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {"counted": (PhaseCard("network", "fcn32s-voc"), PhaseCard("count", function=f"{__name__}:count_values"))}
    for module in (phases, decisions):
        monkeypatch.setattr(module, "PHASES", table)
    model, out = "fcn32s+mobilenet_v1_025", tmp_path / "runs"
    done = visus.train(
        masks, model=model, weights="none", recipe="counted", changes=SHORT, out=out, name="fcn", quiet=True
    )
    assert sorted(path.name for path in done.path.iterdir()) == ["artefact.json", "count.txt"]
    network = visus.create(model, classes=len(visus.open_data(masks).classes["segmentation"]))
    assert int((done.path / "count.txt").read_text()) == sum(v.numel() for v in network.state_dict().values())
    assert done.metrics == {}
    assert done.describe() == f"run:     {done.path}"  # neither a report nor a model to predict with


def test_a_model_that_the_phases_do_not_lead_to(masks: Path) -> None:
    with pytest.raises(RecipeError, match="do not end with unet"):
        visus.train(masks, task="segmentation", model="unet", recipe="fcn-voc-staged", quiet=True)


def test_the_next_phase_opens_the_data_in_the_same_way(make_nuclei: Callable[[Path], Path], tmp_path: Path) -> None:
    """A border class in the first phase and none in the second would be two different tasks."""
    from visus.workflow.phases import Artefact
    from visus.workflow.plan import prepare
    from visus.workflow.request import Request
    from visus.workflow.training_phases import request_of

    plan = prepare(
        Request(
            data=make_nuclei(tmp_path / "nuclei"),
            task="segmentation",
            model="fcn16s",
            backbone="mobilenet_v1_025",
            weights="none",
            recipe="fcn-voc-staged",
            task_options={"touching": "border"},
        )
    ).plan
    assert plan.phase is not None
    assert plan.phase.next is not None
    earlier = {"fcn32s": Artefact("fcn32s", "run", tmp_path, {"model.safetensors": ""})}
    following = request_of(plan, plan.phase.next, earlier)
    assert following.weights == str(tmp_path / "model.safetensors")
    assert (following.task_options, following.task) == ({"touching": "border"}, "segmentation")

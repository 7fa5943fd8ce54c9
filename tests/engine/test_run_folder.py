"""A run's folder: never overwritten, complete, and readable again."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.errors import DiskError, RecipeError, UsageError

RECIPE = Recipe(epochs=7, model_options={"width": 32})


def test_each_run_gets_its_own_folder(tmp_path):
    runs = [RunFolder.create(tmp_path / "runs", "digits-lenet5", RECIPE) for _ in range(3)]
    assert [run.path.name for run in runs] == ["digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"]
    latest = tmp_path / "runs" / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == runs[2].path.resolve()


def test_what_it_holds_from_the_start(tmp_path):
    setup = {"data": "photos/", "model": "resnet18"}
    run = RunFolder.create(tmp_path, "a", RECIPE, setup=setup, command=["visus", "train", "my photos/"])
    assert (run.path / "command.txt").read_text() == "visus train 'my photos/'\n"
    assert json.loads((run.path / "env.json").read_text())["packages"]["torch"]
    assert (run.path / "plots").is_dir()
    assert (run.path / "samples").is_dir()
    again = RunFolder.open(run.path)
    assert again.recipe() == RECIPE
    assert again.setup() == setup


def test_a_name_that_no_file_system_refuses(tmp_path):
    assert RunFolder.create(tmp_path, "my photos/2024: ünïcode", RECIPE).path.name == "my-photos-2024-ünïcode"


def test_what_is_no_run_cannot_be_opened(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match="is not a run") as caught:
            RunFolder.open(path)
        assert caught.value.exit_code == 2


def test_a_damaged_config_is_an_error(tmp_path):
    run = RunFolder.create(tmp_path, "a", RECIPE)
    (run.path / "config.yaml").write_text("recipe: [1, 2")
    with pytest.raises(RecipeError):
        run.recipe()
    (run.path / "config.yaml").write_text("- 1")
    with pytest.raises(RecipeError, match="damaged"):
        run.recipe()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError) as caught:
        RunFolder.create(tmp_path / "file", "a", RECIPE)
    assert caught.value.exit_code == 74


def test_results_and_metrics_come_back(tmp_path):
    run = RunFolder.create(tmp_path, "a", RECIPE)
    assert run.read_results() == []
    assert run.read_metrics() == {}
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "val.accuracy": 0.9}]
    run.write_results(rows)
    assert run.read_results() == rows
    run.write_metrics("val", {"accuracy": 0.9})
    run.write_metrics("test", {"accuracy": 0.8})
    assert run.read_metrics() == {"val": {"accuracy": 0.9}, "test": {"accuracy": 0.8}}


def test_the_log_grows(tmp_path):
    run = RunFolder.create(tmp_path, "a", RECIPE)
    run.log("one")
    run.close()
    run.log("two")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["one", "two"]


def test_two_trainings_cannot_share_a_run(tmp_path):
    run = RunFolder.create(tmp_path, "a", RECIPE)
    other = (
        "import sys; from pathlib import Path; from visus.engine.run_folder import RunFolder\n"
        f"RunFolder.open(Path({str(run.path)!r})).lock()"
    )
    assert run.lock()
    assert not run.lock()
    refused = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
    assert "UsageError: another process is training" in refused.stderr
    run.close()
    assert subprocess.run([sys.executable, "-c", other], check=False).returncode == 0


def test_a_stray_temporary_file_is_removed(tmp_path):
    run = RunFolder.create(tmp_path, "a", RECIPE)
    stray = run.path / ".last.ckpt.new.tmp"
    stray.write_bytes(b"half")
    run.lock()
    assert not stray.exists()


def test_it_needs_no_torch():
    rooms = "visus.engine.run_folder, visus.engine.launch, visus.engine.progress, visus.engine.model_file"
    code = f"import sys, {rooms}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

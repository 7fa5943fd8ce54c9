"""``visus.reproduce``: an experiment from data to its folder, and again from what is kept."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import visus
from visus.errors import UsageError
from visus.experiments.detectors import COMPARISONS
from visus.experiments.table import EXPERIMENTS


def test_an_experiment_leaves_tables_and_figures(photos: Path, tmp_path: Path) -> None:
    options = {"data": photos, "scale": 0.02, "seeds": 1, "device": "cpu", "out": tmp_path, "quiet": True}
    result = visus.reproduce("activations", **options)
    folder = tmp_path / "reproduce-activations"
    assert result.path == folder
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == {
        "env.json",
        "figure.png",
        "figure.svg",
        "results.json",
        "setting.json",
        "table.csv",
        "table.md",
        "trainings",
    }
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert len(rows) == 10 * 20  # networks, rows
    assert {row["seed"] for row in rows} == {"0"}
    assert [float(row["images"]) for row in rows[:2]] == [24, 48]  # a batch is no larger than the data
    values = json.loads((folder / "results.json").read_text())
    assert values["setting"]["images"] == [24, 9]  # train and val; test
    assert values["setting"]["steps"] == 20
    assert [network["seeds"] for network in values["networks"]] == [1] * 10
    assert values["environment"]["threads"] >= 1
    page = (folder / "table.md").read_text()
    assert page == result.describe()
    assert values["environment"]["processor"] in page
    assert all(check["claim"] in page for check in values["checks"])
    # Again: nothing is trained, everything is told.
    before = {path: path.read_bytes() for path in (folder / "trainings").iterdir()}
    again = visus.reproduce("activations", **options)
    assert again.outcome == result.outcome
    assert {path: path.read_bytes() for path in (folder / "trainings").iterdir()} == before


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="no experiment") as caught:
        visus.reproduce("perpetual-motion")
    assert "degradation" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"minutes": -1}, {"seeds": 0}], ids=str)
def test_nothing_cannot_be_run(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="scale, minutes or seeds are out of range"):
        visus.reproduce("degradation", **wrong)


def test_the_command_line_lists_and_refuses(cli: Callable[..., Any]) -> None:
    listed = json.loads(cli("reproduce", "--json").out)["experiments"]
    assert [experiment["name"] for experiment in listed] == [*EXPERIMENTS, *COMPARISONS]
    assert all(experiment["claim"] in cli("reproduce").out for experiment in listed)
    told = cli("reproduce", "perpetual-motion")
    assert told.code == 2
    assert "there is no experiment perpetual-motion" in told.err


@pytest.mark.slow
def test_a_killed_run_goes_on(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "visus", "reproduce", "activations", "--data", str(photos)]
    command += ["--scale", "0.1", "--seeds", "1", "--device", "cpu", "--out", str(tmp_path)]
    trainings = tmp_path / "reproduce-activations" / "trainings"
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240
        while not list(trainings.glob("*.json")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 143, told
    assert "the same command again keeps what is done" in told
    done = {path: path.read_bytes() for path in trainings.glob("*.json")}
    assert 1 <= len(done) < 10
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    assert len(list(trainings.glob("*.json"))) == 10
    assert {path: path.read_bytes() for path in done} == done

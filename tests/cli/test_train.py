"""What ``visus train`` promises beside training: rehearsals, repetition, names, weights, signals, going on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import visus
from visus.engine.run_folder import RunFolder
from visus.engine.tensor_file import read_tensors

QUICK = ("--model", "lenet5@modern", "--weights", "none", "--device", "cpu", "--epochs", "1", "--batch-size", "6")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def equal(one: Path, other: Path) -> bool:
    a, b = weights_of(one), weights_of(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- looking before training


def test_a_dry_run_leaves_nothing(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    told = cli("train", photos, *QUICK, "--dry-run", "--json", "--out", tmp_path / "runs")
    assert told.code == 0, told.err
    values = json.loads(told.out)
    assert set(values) == {"dry_run", "metrics", "files"}
    assert {"model.safetensors", "report.html", "last.ckpt", "metrics.json"} <= set(values["files"])
    assert not (tmp_path / "runs").exists()


def test_the_recipe_can_be_seen(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    choices = (*QUICK, "--set", "optimizer.lr=0.25", "--out", tmp_path / "runs", "--show-recipe")
    told = cli("train", photos, *choices)
    assert told.code == 0, told.err
    assert told.out.startswith("source: visus default for small images")
    lines = {line.split()[0]: line for line in told.out.splitlines() if line.strip()}
    assert {name for name, *_ in visus.Recipe().fields()} - {"source", "sources", "missing"} <= set(lines)
    assert "0.25" in lines["optimizer.lr"]
    values = json.loads(cli("train", photos, *choices, "--json").out)
    assert values["recipe"]["optimizer"]["lr"] == 0.25
    assert values["recipe"]["epochs"] == 1
    fields = {row["field"]: row for row in values["fields"]}
    assert fields["optimizer.lr"]["from"] == "changed here"
    assert fields["augmentation.rotation"]["from"] == "recipe"
    assert fields["augmentation.elastic"]["from"] == "default"
    assert not (tmp_path / "runs").exists()


def test_a_published_recipe_says_where_each_line_is_printed(photos: Path, cli: Callable[..., Any]) -> None:
    choices = ("--model", "resnet20", "--weights", "none", "--recipe", "alexnet-imagenet", "--set", "optimizer.lr=0.1")
    told = cli("train", photos, *choices, "--show-recipe")
    assert told.code == 0, told.err
    head = told.out.splitlines()[:3]
    assert head[0].startswith("source: Krizhevsky, Sutskever, Hinton 2012")
    assert head[1:] == [
        "keeps: last (a number of passes is printed: the last weights)",
        "missing: answers by the mean of ten crops",
    ]
    lines = {line.split()[0]: line for line in told.out.splitlines() if line.strip()}
    assert "  section 5  " in lines["optimizer.momentum"]
    assert "  changed here  " in lines["optimizer.lr"]


def test_what_is_chosen_is_said(
    photos: Path, boxes: Path, masks: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    for data, model in ((photos, "mnist_cnn"), (boxes, "yolov3 on mobilenet_v2"), (masks, "unet@padded")):
        from visus.workflow.plan import prepare
        from visus.workflow.request import Request

        said = "\n".join(prepare(Request(data=data, weights="none")).messages)
        assert f"model chosen: {model} (another with --model)" in said
    said = "\n".join(prepare(Request(data=photos)).messages)
    assert "no published weights exist for mnist_cnn@paper" in said
    said = "\n".join(prepare(Request(data=photos, model="resnet18")).messages)
    assert "model: resnet18@torchvision, weights: default" in said


# --- the same again


@pytest.mark.usefixtures("without_reports")
def test_training_again_gives_the_same_weights(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    first = cli("train", photos, *QUICK, "--seed", 7, "--out", out)
    assert first.code == 0, first.err
    run = out / "photos-lenet5"
    again = cli("train", "--config", run / "config.yaml", "--name", "again")
    assert again.code == 0, again.err
    assert equal(run, out / "again")
    assert (out / "latest").resolve() == out / "again"
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (run, out / "again")]
    assert metrics[0] == metrics[1]
    # The same through Python, from the data; and another seed gives other weights.
    python = visus.train(
        photos, model="lenet5@modern", weights="none", device="cpu", epochs=1, batch_size=6, seed=7, out=out, quiet=True
    )
    assert python.path == out / "photos-lenet5-2"
    assert equal(run, python.path)
    assert python.metrics == metrics[0]
    other = cli("train", "--config", run / "config.yaml", "--seed", 8)
    assert other.code == 0, other.err
    assert (out / "latest").resolve() == out / "photos-lenet5-3"
    assert not equal(run, out / "latest")


@pytest.mark.usefixtures("without_reports")
def test_a_relative_folder_is_found_from_elsewhere(
    photos: Path, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    assert cli("train", photos.name, *QUICK, "--out", tmp_path / "runs").code == 0
    monkeypatch.chdir(tmp_path)
    told = cli("evaluate", "runs/latest", "--device", "cpu", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["images"] == 9


@pytest.mark.usefixtures("without_reports")
def test_an_image_that_was_left_out_is_left_out_again(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    data = shutil.copytree(photos, tmp_path / "photos")
    broken = data / "test" / "red" / "red-1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    run = cli("train", data, *QUICK, "--out", tmp_path / "runs", "--json")
    assert run.code == 0, run.err
    assert "repaired: " in run.err
    told = cli("evaluate", tmp_path / "runs" / "latest", "--device", "cpu", "--json")
    assert told.code == 0, told.err
    values = json.loads(told.out)
    assert values["images"] == 8
    assert values["metrics"] == json.loads(run.out)["metrics"]["test"]


# --- weights


class Offline:
    """What the standard library does without a network."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        from urllib.error import URLError

        raise URLError("Name or service not known")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr("urllib.request.urlopen", Offline())
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("model", ["resnet18", "mobilenet_v2@tf"])
def test_offline_and_uncached(model: str, photos: Path, offline: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    card = visus.list_models("resnet18@torchvision" if model == "resnet18" else model)[0]
    told = cli("train", photos, "--model", model, "--out", tmp_path / "runs", "--device", "cpu")
    assert told.code == 5
    file = card.weights[0]
    for word in (file.name, file.sha256, str(offline / "weights" / file.name), "--weights none"):
        assert word in told.err
    assert "Traceback" not in told.err
    assert list((tmp_path / "runs").iterdir()) == []  # no folder, and no "latest" that points nowhere


@pytest.mark.usefixtures("without_reports")
def test_weights_from_a_file(
    photos: Path, trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path
) -> None:
    file = trained("classification").path / "model.safetensors"
    choices = ("--model", "lenet5@modern", "--device", "cpu", "--epochs", 1, "--out", tmp_path / "runs")
    told = cli("train", photos, *choices, "--weights", file, "--set", "optimizer.lr=1e-12")
    assert told.code == 0, told.err
    assert "10 tensors kept from model.safetensors" in told.err
    before, after = load_file(file), weights_of(tmp_path / "runs" / "latest")
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    for name, content in (("text.pth", b"hello"), ("cut.safetensors", file.read_bytes()[:300])):
        (tmp_path / name).write_bytes(content)
        told = cli("train", photos, *choices, "--weights", tmp_path / name, "--name", "bad")
        assert told.code == 5, told.err
        assert name in told.err
    told = cli("train", photos, "--model", "mnist_cnn", "--weights", file, "--out", tmp_path / "runs", "--name", "bad")
    assert told.code == 5, told.err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest", "photos-lenet5"]
    assert (tmp_path / "runs" / "latest").resolve().name == "photos-lenet5"


# --- signals and going on


def train_in_a_process(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    arguments = ["train", str(data), *QUICK[:-4], "--epochs", "100000", "--batch-size", "6", "--out", str(out), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "visus", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.usefixtures("without_reports")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_a_signal_ends_a_training_cleanly(
    number: signal.Signals, photos: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    process = train_in_a_process(photos, tmp_path / "runs")
    run = tmp_path / "runs" / "photos-lenet5"
    wait_for(lambda: (run / "results.csv").exists(), process)
    twice = cli("train", "--resume", run)
    assert twice.code == 2
    assert "another process is training" in twice.err
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 128 + number
    assert "the checkpoint is complete" in err
    assert f"visus train --resume {run}" in err
    assert "Traceback" not in err
    assert (run / "last.ckpt").exists()
    assert not (run / "model.safetensors").exists()
    unfinished = cli("predict", run, photos / "test")
    assert unfinished.code == 5
    assert "visus train --resume" in unfinished.err
    if number == signal.SIGTERM:
        return
    # Going on: one more epoch than are done, then the end.
    done = len(RunFolder.open(run).read_results())
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("epochs: 100000", f"epochs: {done + 1}"))
    told = cli("train", "--resume", run, "--json")
    assert told.code == 0, told.err
    assert "goes on at epoch" in told.err
    assert json.loads(told.out)["run"] == str(run)
    assert len(RunFolder.open(run).read_results()) == done + 1
    assert (run / "model.safetensors").exists()


@pytest.mark.parametrize("stage", ["build", "judge"])
def test_a_signal_before_and_after_the_steps(
    stage: str, photos: Path, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    place = {"build": "visus.models.building.build", "judge": "visus.workflow.reporting.write_run_report"}[stage]
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(place, stop)
        told = cli("train", photos, *QUICK, "--out", tmp_path / "runs")
    assert signal.getsignal(signal.SIGTERM) is before
    assert told.code == 143
    assert "Traceback" not in told.err
    run = tmp_path / "runs" / "photos-lenet5"
    if stage == "build":
        assert list((tmp_path / "runs").iterdir()) == []
        assert "start it again" in told.err
        return
    assert f"visus train --resume {run}" in told.err
    assert cli("train", "--resume", run).code == 0
    assert (run / "report.html").exists()


def names(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("without_reports")
def test_a_run_never_overwrites(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    (out / "mine").mkdir(parents=True)
    (out / "mine" / "letter.txt").write_text("keep me")
    told = cli("train", photos, *QUICK, "--name", "mine", "--out", out, "--quiet")
    assert told.code == 0, told.err
    assert names(out) == ["latest", "mine", "mine-2"]
    assert names(out / "mine") == ["letter.txt"]
    assert (out / "latest").resolve().name == "mine-2"
    assert "images/s" not in told.err
    # Nothing that failed later moves "latest" or leaves a name behind.
    assert cli("train", photos, *QUICK, "--out", out, "--set", "model_options.colour=3").code == 2
    assert names(out) == ["latest", "mine", "mine-2"]
    assert (out / "latest").resolve().name == "mine-2"
    assert read_tensors(out / "latest" / "last.ckpt")

"""Whatever is wrong ends in one clear message, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

import visus
from visus.engine import memory
from visus.engine.memory import exhaustion_explained
from visus.engine.model_file import save_model
from visus.engine.tensor_file import read_tensors
from visus.errors import MemoryExhaustedError, RecipeError

QUICK = ("--model", "lenet5@modern", "--weights", "none", "--device", "cpu", "--epochs", "1")


def require_message(told: Any, code: int, *words: str) -> None:
    """One message of problem, expected, got (and no traceback), with the words in it."""
    assert told.code == code, told.err
    assert told.err.count("error: ") == 1
    assert "Traceback" not in told.err
    assert "  expected: " in told.err
    assert "  got: " in told.err
    for word in words:
        assert word in told.err, told.err


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


# --- before torch is loaded: a fresh interpreter runs all of these, and says where torch came in

WITHOUT_TORCH = r"""
import contextlib, io, json, sys
from visus.cli.main import main

def run(arguments):
    err = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        return [end.code, err.getvalue(), "torch" in sys.modules or "torchvision" in sys.modules]

print(json.dumps([run(arguments) for arguments in json.load(sys.stdin)]))
"""


def _near_photos(root: Path, photos: Path) -> None:
    (root / "empty").mkdir()
    shutil.copytree(photos, root / "photos")
    shutil.copytree(photos, root / "one")
    for split in ("train", "val", "test"):
        for name in ("blue", "green"):
            shutil.rmtree(root / "one" / split / name)
    shutil.copytree(photos, root / "lacks")
    shutil.rmtree(root / "lacks" / "train" / "red")
    both = root / "both"
    (both / "images").mkdir(parents=True)
    (both / "labels").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (32, 24), (90, 90, 90)).save(both / "images" / f"{name}.jpg")
        (both / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 24, "width": 32}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "x"}],
    }
    (both / "coco.json").write_text(json.dumps(content))
    (root / "odd.yaml").write_text("names: [a, b]\n")


def _near_model(root: Path, run: Path) -> None:
    data = (run / "model.safetensors").read_bytes()
    flipped = bytearray(data)
    flipped[-7] ^= 1
    for name, content in {
        "truncated": data[:-100],
        "stub": data[:5],
        "nothing": b"",
        "flipped": bytes(flipped),
        "text": b"this is no model at all, only a letter",
    }.items():
        (root / f"{name}.safetensors").write_bytes(content)
    save_file({"a": np.zeros(3, np.float32)}, root / "foreign.safetensors")


def test_bad_input_is_told_before_torch_is_loaded(
    photos: Path, boxes: Path, trained: Callable[[str], Any], tmp_path: Path
) -> None:
    run = trained("classification").path
    _near_photos(tmp_path, photos)
    _near_model(tmp_path, run)
    train = ["train", "photos", "--model", "lenet5@modern", "--weights", "none"]
    cases: list[tuple[list[str], int, tuple[str, ...]]] = [
        (["train", "photo"], 4, ("no file or folder photo", "did you mean photos?")),
        (["train", "empty"], 4, ("empty is empty", "images and their labels")),
        (["train", "one"], 4, ("one class only", "red")),
        (["train", "both"], 4, ("more than one way", "coco", "yolo", "--format")),
        (["train", "both", "--format", "voc"], 4, ("cannot be read as voc",)),
        (["train", "both", "--format", "vocal"], 2, ("no format named vocal", "class-folders")),
        (["train", "lacks"], 4, ("val: red", "test: red", "visus data check lacks")),
        (["train", "photos", "--model", "ssd"], 2, ("a model for classification", "ssd, a model for detection")),
        (["train", str(boxes), "--model", "lenet5"], 2, ("a model for detection", "lenet5")),
        (["train", "photos", "--task", "detection"], 2, ("do not allow detection", "classification")),
        ([*train, "--set", "epoch=3"], 2, ("no field epoch", "epochs")),
        ([*train, "--set", "optimizer.rate=3"], 2, ("no field optimizer.rate",)),
        ([*train, "--set", "epochs=many"], 2, ("epochs", "a whole number", "'many'")),
        ([*train, "--set", "epochs=2.5"], 2, ("epochs", "2.5")),
        ([*train, "--set", "epochs"], 2, ("field=value", "--set optimizer.lr=0.001")),
        ([*train, "--set", "optimizer=sgd"], 2, ("optimizer.name=adamw",)),
        ([*train, "--set", "size=7"], 2, ("[224, 224]",)),
        ([*train, "--set", "optimizer.lr=-1"], 2, ("greater than 0", "-1")),
        ([*train, "--set", "augmentation.mirror=2"], 2, ("augmentation.mirror", "less than or equal to 1")),
        ([*train, "--set", "optimizer.name=adagrad"], 2, ("'sgd', 'adam'", "adagrad")),
        ([*train, "--recipe", "grandmother"], 2, ("no such recipe", "unet-isbi")),
        ([*train, "--recipe", "odd.yaml"], 2, ("no field names",)),
        ([*train, "--device", "abacus"], 2, ("no device abacus", "visus doctor")),
        ([*train, "--weights", "nowhere.pth"], 5, ("nowhere.pth", "--weights none")),
        (["train", "photos", "--model", "resnet19"], 2, ("no model named resnet19", "resnet18")),
        (["train", "photos", "--model", "resnet18@keras"], 2, ("resnet18@paper or resnet18@torchvision",)),
        (["train", "photos", "--model", "resnet18", "--backbone", "vgg16"], 2, ("takes no backbone",)),
        (["train", str(boxes), "--model", "ssd", "--backbone", "unet"], 2, ("cannot be a backbone",)),
        (["train"], 2, ("DATA, --resume RUN or --config FILE",)),
        (["train", "photos", "--resume", "runs/latest"], 2, ("DATA and --resume",)),
        (["train", "--resume", "nowhere"], 2, ("nowhere is not a run", "nothing there")),
        (["train", "--resume", "photos"], 2, ("photos is not a run", "a folder without one")),
        (["train", "--resume", str(run), "--epochs", "9"], 2, ("--resume already contains other choices", "--epochs")),
        (["train", "--config", "nowhere.yaml"], 2, ("nowhere.yaml", "no such file")),
        (["train", "--config", "odd.yaml"], 2, ("not the configuration of a training",)),
        (
            ["train", "--config", f"{run}/config.yaml", "--model", "ssd"],
            2,
            ("--config already contains other choices", "--model"),
        ),
        (["predict", "nowhere.safetensors", "photos"], 5, ("nowhere.safetensors",)),
        (["predict", "photos", "photos"], 5, ("no model in photos",)),
        (["predict", f"{run}/last.ckpt", "photos"], 5, ("a checkpoint of a training",)),
        (["predict", "truncated.safetensors", "photos"], 5, ("corrupt or cut short", "SHA-256")),
        (["predict", "flipped.safetensors", "photos"], 5, ("corrupt or cut short", "SHA-256")),
        (["predict", "stub.safetensors", "photos"], 5, ("not written by visus",)),
        (["predict", "nothing.safetensors", "photos"], 5, ("an empty file",)),
        (["predict", "text.safetensors", "photos"], 5, ("bytes of another kind",)),
        (["predict", str(run), "nowhere.png"], 4, ("no file or folder nowhere.png",)),
        (["predict", str(run), "empty"], 4, ("holds no image",)),
        (["evaluate", "flipped.safetensors", "--data", "photos"], 5, ("corrupt",)),
        (["evaluate", "nowhere", "--data", "photos"], 5, ("nowhere",)),
        (["evaluate", str(run), "--data", str(boxes)], 2, ("the model's task", "classification", "detection")),
        (["evaluate", str(run), "--data", "lacks"], 4, ("cannot be judged", "train does not have", "test: red")),
        (["evaluate", str(run), "--split", "holiday"], 4, ("train or val or test", "holiday")),
        (["explain", "flipped.safetensors", "photos"], 5, ("corrupt",)),
        (["data", "check", "nowhere"], 4, ("no file or folder nowhere",)),
        (["data", "show", "photos", "--split", "holiday"], 4, ("holiday",)),
    ]
    usage: list[tuple[list[str], int, tuple[str, ...]]] = [
        (["train", "photos", "--nonsense"], 2, ("No such option", "--nonsense")),
        (["train", "photos", "--epochs", "0"], 2, ("--epochs", "greater than or equal to 1")),
        (["train", "photos", "--seed", "red"], 2, ("--seed", "a valid integer")),
        (["nonsense"], 2, ("nonsense",)),
        (["models", "--nonsense"], 2, ("--nonsense",)),
        (["predict", "runs/latest"], 2, ("images",)),
    ]
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        input=json.dumps([arguments for arguments, *_ in [*cases, *usage]]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "VISUS_DEBUG": ""},
        check=True,
        timeout=240,
    )
    answers = json.loads(done.stdout)
    wrong = []
    for (arguments, code, words), (got, message, torch_is_loaded) in zip([*cases, *usage], answers, strict=True):
        whole = (arguments, code, words) in usage or ("  expected: " in message and "  got: " in message)
        if got != code or torch_is_loaded or not whole or not all(word in message for word in words):
            wrong.append(f"{' '.join(arguments)}: {got} {'(torch) ' if torch_is_loaded else ''}{message}")
        if message.count("error: ") > 1 or "Traceback" in message:
            wrong.append(f"{' '.join(arguments)}: more than one message: {message}")
    assert not wrong, "\n".join(wrong)
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written anywhere


# --- found once torch is there: still before anything is left behind


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--set", "model_options.colour=3"), ("no option colour",)),
        (("--set", "loss.dice=1"), ("classification has no loss.dice", "left at 0.0")),
        (("--device", "cuda:77"), ("no device cuda:77",)),
    ],
)
def test_unfit_choices(
    more: tuple[str, ...], words: tuple[str, ...], photos: Path, runs: Path, cli: Callable[..., Any]
) -> None:
    require_message(cli("train", photos, *QUICK, *more, "--out", runs), 2, *words)
    assert list(runs.iterdir()) == []


def test_label_smoothing_is_not_for_detection(boxes: Path, runs: Path) -> None:
    with pytest.raises(RecipeError, match=r"detection has no loss\.label_smoothing"):
        visus.train(
            boxes,
            model="ssd",
            backbone="resnet18",
            weights="none",
            device="cpu",
            changes={"loss.label_smoothing": 0.1},
            out=runs,
            quiet=True,
        )
    assert list(runs.iterdir()) == []


@pytest.mark.usefixtures("without_reports")
def test_memory_is_estimated_before_the_first_step(
    photos: Path, runs: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room for the workspace that every training has, and 1.35 MB more of what a training may plan with.
    free = round((memory._WORKSPACE + 1_350_000) / memory._SHARE)
    monkeypatch.setattr("visus.engine.session.free_memory", lambda: free)
    told = cli("train", photos, *QUICK, "--batch-size", 18, "--out", runs)
    require_message(told, 6, "a batch of 18 images", "--set batch_size=")
    assert list(runs.iterdir()) == []
    fits = int(told.err.partition("--set batch_size=")[2].split()[0])
    assert 1 <= fits < 18
    # What it says is true: that batch goes through, with the same memory.
    assert cli("train", photos, *QUICK, "--batch-size", fits, "--out", runs).code == 0
    monkeypatch.setattr("visus.engine.session.free_memory", lambda: 1000)
    require_message(cli("train", photos, *QUICK, "--out", runs, "--name", "b"), 6, "not even one image fits")
    assert not (runs / "b").exists()


def test_memory_that_ran_out_on_a_device() -> None:
    with (
        pytest.raises(MemoryExhaustedError, match="--set batch_size=16 fits") as caught,
        exhaustion_explained(visus.Recipe(batch_size=32)),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert caught.value.exit_code == 6


def test_a_diverging_training(photos: Path, runs: Path, cli: Callable[..., Any]) -> None:
    told = cli(
        "train",
        photos,
        *("--model", "mnist_cnn", "--weights", "none", "--device", "cpu", "--epochs", 8, "--batch-size", 6),
        *("--set", "optimizer.name=sgd", "--set", "optimizer.lr=1e30", "--set", "schedule.warmup_epochs=0"),
        *("--out", runs),
    )
    require_message(told, 3, "not finite", "at step", ".png", "--set optimizer.lr=", "is intact")
    run = runs / "photos-mnist_cnn"
    assert (run / "last.ckpt").exists()
    assert not (run / "model.safetensors").exists()
    assert "not finite" in (run / "log.txt").read_text()
    tensors, _ = read_tensors(run / "last.ckpt")
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point())


# --- the disk

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from visus.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_full_disk_in_earnest(photos: Path, runs: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "train", str(photos), *QUICK, "--out", str(runs)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 74, done.stderr
    assert "free space on the disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(runs.iterdir()) == []


def test_a_full_disk(photos: Path, runs: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Smaller than the first checkpoint, larger than what stands in the folder before it.
    usage = shutil.disk_usage(photos)
    monkeypatch.setattr("visus.engine.disk.shutil.disk_usage", lambda _: usage._replace(free=1_200_000))
    told = cli("train", photos, *QUICK, "--out", runs)
    require_message(told, 74, "is full", "MB free", "choose another folder")
    assert list(runs.iterdir()) == []


def test_a_folder_that_cannot_be_written(
    photos: Path, trained: Callable[[str], Any], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    require_message(cli("train", photos, *QUICK, "--out", file), 74, str(file))
    run = trained("classification").path
    require_message(cli("predict", run, photos / "test", "--save", file, "--device", "cpu"), 74, str(file))
    require_message(cli("explain", run, photos / "test", "--save", file, "--device", "cpu"), 74, str(file))
    require_message(cli("evaluate", run, "--report", file / "page.html", "--device", "cpu"), 74, str(file))
    require_message(cli("data", "check", photos, "--report", file / "page.html"), 74, str(file))
    assert file.read_text() == "not a folder"


# --- model files that are whole but not ours


def test_a_model_file_of_a_stranger(
    trained: Callable[[str], Any], photos: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    model = visus.load(trained("classification").path, device="cpu")
    file = tmp_path / "other.safetensors"
    save_model(file, model.network, replace(model.info, model="resnet18@paper"))
    require_message(cli("predict", file, photos / "test", "--device", "cpu"), 5, "does not fit the network")


# --- nothing to find is normal


def test_no_object_in_an_image_a_batch_a_split(
    make_boxes: Callable[..., Path],
    tmp_path: Path,
    cli: Callable[..., Any],
) -> None:
    data = make_boxes(tmp_path / "boxes", {"train": (0, 0, 0, 0, 1, 2), "val": (1, 2), "test": (0, 0, 0)})
    told = cli(
        *("train", data, "--model", "ssd", "--backbone", "mobilenet_v1_025", "--weights", "none", "--device", "cpu"),
        *("--epochs", 1, "--batch-size", 2, "--set", "size=[64,64]", "--set", "model_options.size=64"),
        *("--out", tmp_path / "runs", "--json"),
    )
    assert told.code == 0, told.err
    metrics = json.loads(told.out)["metrics"]
    assert metrics["test"]["map50"] is None
    assert metrics["val"]["map50"] >= 0
    again = cli("evaluate", tmp_path / "runs" / "latest", "--split", "test", "--device", "cpu", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["metrics"] == metrics["test"]
    assert (tmp_path / "runs" / "latest" / "report.html").exists()
    assert "nothing to find" in cli("evaluate", tmp_path / "runs" / "latest", "--split", "test", "--device", "cpu").out


def test_a_split_to_choose_by_must_hold_an_object(
    make_boxes: Callable[..., Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    data = make_boxes(tmp_path / "boxes", {"train": (0, 1, 2), "val": (0, 0), "test": (1, 2)})
    told = cli("train", data, "--model", "ssd", "--backbone", "mobilenet_v1_025", "--weights", "none", "--show-recipe")
    assert told.code == 4
    assert "there is nothing to find in val: its 2 images hold no objects" in told.err

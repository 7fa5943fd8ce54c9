"""Every verb answers for every task, and the same through the command line and through Python."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus

TASKS = ("classification", "detection", "segmentation")
PRIMARY = {"classification": "accuracy", "detection": "map50", "segmentation": "mean_iou"}
EXAMPLES = {
    "classification": "test/red/red-0.png",
    "detection": "images/test/test-0.png",
    "segmentation": "images/cell-00.png",
}

each_task = pytest.mark.parametrize("task", TASKS)


def answer(told: Any, code: int = 0) -> Any:
    """The JSON document of a command line that ended with ``code``."""
    assert told.code == code, told.err
    return json.loads(told.out)


# --- train


@each_task
def test_a_training_leaves_the_whole_run_folder(task: str, trained: Callable[[str], Any]) -> None:
    run = trained(task)
    there = {path.name for path in run.path.iterdir()}
    assert there >= {
        "model.safetensors",
        "model.json",
        "config.yaml",
        "command.txt",
        "env.json",
        "data_report.html",
        "results.csv",
        "last.ckpt",
        "best.ckpt",
        "metrics.json",
        "plots",
        "samples",
        "report.html",
        "log.txt",
    }
    assert any((run.path / "plots").iterdir())
    assert any((run.path / "samples").iterdir())
    assert not [name for name in there if name.endswith(".tmp")]
    told = json.loads(run.told.out)
    assert set(told) == {"run", "model", "report", "metrics"}
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert set(metrics) == {"val", "test"}
    assert told["metrics"] == metrics
    assert 0 <= metrics["test"][PRIMARY[task]] <= 1
    assert "visus train" in (run.path / "command.txt").read_text()


@each_task
def test_a_training_says_what_it_understood(task: str, trained: Callable[[str], Any]) -> None:
    said = trained(task).told.err
    expected = {
        "classification": "classification: 3 classes in class-folders layout, 18 train / 6 val / 9 test",
        "detection": "detection: 2 classes in yolo layout, 8 train / 3 val / 3 test",
        "segmentation": "segmentation: 2 classes in masks layout, 8 train / 2 val / 2 test (val, test split off here)",
    }
    assert expected[task] in said
    assert "weights: none" in said
    assert "recipe: " in said


# --- evaluate


@each_task
def test_evaluations_agree(task: str, trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path) -> None:
    run = trained(task)
    written = json.loads((run.path / "metrics.json").read_text())
    default = answer(cli("evaluate", run.path, "--json", "--device", "cpu"))
    assert set(default) == {"data", "split", "images", "metrics", "speed", "device", "notes"}
    parts = {"network", "decoding"} | ({"suppression"} if task == "detection" else set())
    assert set(default["speed"]) == parts
    assert all(rate > 0 for rate in default["speed"].values())
    assert default["device"] == "cpu"
    assert default["split"] == "test"
    assert default["metrics"] == written["test"]
    val = answer(cli("evaluate", run.path, "--split", "val", "--json", "--device", "cpu"))
    assert (val["split"], val["metrics"]) == ("val", written["val"])
    opened = visus.Run.open(run.path)
    python = opened.evaluate("test", device="cpu", quiet=True)
    assert json.loads(json.dumps(python.to_dict())) | {"speed": None} == default | {"speed": None}
    # The model file alone, elsewhere, with the data named.
    alone = shutil.copy(run.path / "model.safetensors", tmp_path / "moved.safetensors")
    other = answer(cli("evaluate", alone, "--data", run.data, "--json", "--device", "cpu"))
    assert other | {"speed": None} == default | {"speed": None}
    lost = cli("evaluate", alone)
    assert lost.code == 2
    assert "--data" in lost.err


def test_an_evaluation_prints_scores_and_classes(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    told = cli("evaluate", trained("classification").path, "--split", "train", "--device", "cpu")
    assert told.code == 0
    assert "train of photos, 18 images" in told.out
    assert "images a second on cpu: network " in told.out
    assert "accuracy" in told.out
    assert all(name in told.out for name in ("red", "green", "blue"))
    odd = cli("evaluate", trained("classification").path, "--split", "holiday")
    assert odd.code == 4
    assert "holiday" in odd.err
    assert "train or val or test" in odd.err


def test_an_evaluation_report_is_one_file(
    trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path
) -> None:
    page = tmp_path / "deep" / "er" / "page.html"
    told = cli("evaluate", trained("classification").path, "--report", page, "--quiet", "--device", "cpu")
    assert told.code == 0, told.err
    assert "<html" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


# --- predict


@each_task
def test_predictions_are_saved(
    task: str, trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path
) -> None:
    run = trained(task)
    new = tmp_path / "new"
    new.mkdir()
    for number in range(3):
        shutil.copy(run.data / EXAMPLES[task], new / f"picture-{number}.png")
    (new / "broken.png").write_bytes((new / "picture-0.png").read_bytes()[:100])
    out = tmp_path / "out"
    score = ("--score", 0.05) if task == "detection" else ()
    told = cli("predict", run.path, new, "--save", out, *score, "--json", "--device", "cpu")
    given = answer(told, code=4)
    assert given == json.loads((out / "predictions.json").read_text())
    rows = given["predictions"]
    assert [Path(row["image"]).name for row in rows] == ["broken.png", *(f"picture-{n}.png" for n in range(3))]
    assert "broken.png" in rows[0]["error"]
    assert set(rows[0]) == {"image", "error"}
    assert "1 image" in told.err
    table = list(csv.DictReader(io.StringIO((out / "predictions.csv").read_text())))
    assert table[0]["error"]
    assert {row["image"] for row in table} >= {row["image"] for row in rows if row.get("objects", True)}
    for row in rows[1:]:
        with Image.open(row["picture"]) as picture:
            assert min(picture.size) >= 32
        if task == "classification":
            assert {"label", "index", "score", "scores"} < set(row)
            assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-4)
            assert row["score"] == max(row["scores"].values())
        elif task == "detection":
            assert row["size"] == [64, 64]
            for found in row["objects"]:
                assert found["score"] >= 0.05
                x1, y1, x2, y2 = found["box"]
                assert 0 <= x1 < x2 <= 64
                assert 0 <= y1 < y2 <= 64
        else:
            classes = np.asarray(Image.open(out / f"{Path(row['image']).stem}.classes.png"))
            assert classes.shape == tuple(row["size"]) == (32, 32)
            assert set(np.unique(classes)) <= {0, 1}
            assert row["fractions"]["foreground"] == pytest.approx((classes == 1).mean(), abs=1e-6)


@each_task
def test_a_model_file_alone_predicts_the_same(task: str, trained: Callable[[str], Any], tmp_path: Path) -> None:
    run = trained(task)
    image = run.data / EXAMPLES[task]
    alone = shutil.copy(run.path / "model.safetensors", tmp_path / "other-name.safetensors")
    ours, theirs = (visus.load(path, device="cpu").predict(image) for path in (run.path, alone))
    if task == "segmentation":
        assert (ours.map == theirs.map).all()
    else:
        assert (ours.scores == theirs.scores).all()
    if task == "detection":
        assert (ours.boxes == theirs.boxes).all()
    ours.draw().save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size[0] >= 32
    # An array in memory and the file are the same picture.
    pixels = np.asarray(Image.open(image).convert("RGB"))
    assert visus.load(alone, device="cpu").predict(pixels).to_dict() == ours.to_dict()
    listed = visus.predict(run.path, [image, pixels], device="cpu")
    assert [type(value) for value in listed] == [type(ours)] * 2
    for value in listed:  # in one batch: the last bits may differ
        if task == "segmentation":
            assert (value.map == ours.map).mean() > 0.99
        else:
            assert value.scores == pytest.approx(ours.scores, abs=1e-3)


def test_a_line_an_image(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    run = trained("classification")
    told = cli("predict", run.path, run.data / "test" / "red", run.data / EXAMPLES["classification"], "--device", "cpu")
    assert told.code == 0
    lines = told.out.splitlines()
    assert len(lines) == 3  # the file that comes twice is answered once
    assert all(" red " in line and line.endswith("%") for line in lines)


# --- explain


@each_task
def test_explanations(task: str, trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path) -> None:
    run = trained(task)
    out = tmp_path / "why"
    told = cli("explain", run.path, run.data / EXAMPLES[task], "--save", out, "--json", "--device", "cpu")
    rows = answer(told)["explanations"]
    assert [set(row) for row in rows] == [{"image", "label", "file"}]
    with Image.open(rows[0]["file"]) as picture:
        assert min(picture.size) >= 32
    heatmap = visus.explain(run.path, run.data / EXAMPLES[task], device="cpu")
    assert heatmap.label == rows[0]["label"]
    assert heatmap.values.shape == ((64, 64) if task == "detection" else (32, 32))
    assert 0 <= heatmap.values.min() <= heatmap.values.max() <= 1
    heatmap.draw().save(tmp_path / "why.png")


def test_explaining_another_class(trained: Callable[[str], Any], cli: Callable[..., Any], tmp_path: Path) -> None:
    run = trained("classification")
    image = run.data / EXAMPLES["classification"]
    told = cli("explain", run.path, image, "--label", "blue", "--save", tmp_path, "--json", "--device", "cpu")
    assert "blue" in answer(told)["explanations"][0]["label"]
    wrong = cli("explain", run.path, image, "--label", "mauve", "--save", tmp_path / "none", "--device", "cpu")
    assert wrong.code == 2
    assert "blue or green or red" in wrong.err
    assert not (tmp_path / "none").exists()


# --- models, summary


def test_models(cli: Callable[..., Any]) -> None:
    everything = answer(cli("models", "--json"))
    assert [f"{card['name']}@{card['edition']}" for card in everything] == [c.full_name for c in visus.list_models()]
    fields = ["name", "edition", "fact", "task", "year", "params", "macs", "input", "proof", "conventions"]
    assert list(everything[0]) == fields
    found = answer(cli("models", "resnet18@", "--json"))
    assert {"paper", "torchvision"} <= {card["edition"] for card in found}
    assert {card["name"] for card in answer(cli("models", "RESNET1?", "--json"))} == {"resnet18"}
    assert {card["edition"] for card in answer(cli("models", "*@torchvision", "--json"))} == {"torchvision"}
    assert {card["task"] for card in answer(cli("models", "--task", "detection", "--json"))} == {"detection"}
    assert answer(cli("models", "no such name", "--json")) == []
    table = cli("models", "resnet50")
    lines = [line.split() for line in table.out.splitlines()]
    assert ["resnet50", "torchvision", "classification", "2016", "25,557,032"] in [line[:5] for line in lines]
    assert "models, " in table.err
    assert cli("models", "--task", "cooking").code == 2


def test_cite(cli: Callable[..., Any]) -> None:
    told = cli("cite", "resnet18", "resnet50", "lenet5")
    assert told.out == f"{visus.cite('resnet18')}\n\n{visus.cite('lenet5')}\n"
    assert cli("cite", "resnet5").code == 2


def test_summaries(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    told = answer(cli("summary", "lenet5", "--json"))
    assert told["parameters"] == 60_000  # LeCun et al. 1998, section II.B
    assert told == json.loads(json.dumps(visus.summary("lenet5").to_dict()))
    for task in TASKS:
        own = cli("summary", trained(task).path)
        assert own.code == 0, own.err
        assert "parameters" in own.out
    more = answer(cli("summary", "resnet18", "--classes", 7, "--size", 64, "--json"))
    assert more["parameters"] == 11_689_512 - 993 * 513
    assert cli("summary", "ssd", "--backbone", "resnet18", "--size", 64, "--classes", 2).code == 0
    unknown = cli("summary", "resnet19")
    assert unknown.code == 2
    assert "resnet18" in unknown.err


# --- data


def test_data_check(photos: Path, boxes: Path, masks: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    for folder, task in ((photos, "classification"), (boxes, "detection"), (masks, "segmentation")):
        told = answer(cli("data", "check", folder, "--json", "--report", tmp_path / f"{task}.html"))
        assert set(told) == {
            "name",
            "format",
            "tasks",
            "classes",
            "splits",
            "made_splits",
            "account",
            "findings",
            "can_train",
        }
        assert told["tasks"][0] == task
        assert told["can_train"] is True
        assert "<html" in (tmp_path / f"{task}.html").read_text()
        assert told == json.loads(json.dumps(visus.check_data(folder).to_dict()))
    assert "ready to train" in cli("data", "check", photos).out


def test_data_check_stops(photos: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    copy = shutil.copytree(photos, tmp_path / "leaky")
    shutil.copy(copy / "train" / "red" / "red-0.png", copy / "test" / "red" / "again.png")
    told = cli("data", "check", copy)
    assert told.code == 4
    assert "STOPS A TRAINING" in told.out
    assert "again.png" in told.out
    stopped = cli("train", copy, "--model", "lenet5@modern", "--out", tmp_path / "runs", "--weights", "none")
    assert stopped.code == 4
    assert "again.png" in stopped.err
    assert not (tmp_path / "runs").exists()


def test_data_check_says_what_is_missing_where_training_refuses(
    photos: Path, cli: Callable[..., Any], tmp_path: Path
) -> None:
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    for path in (photos / "train" / "red").iterdir():
        shutil.copy(path, unlabelled)
    captioned = shutil.copytree(unlabelled, tmp_path / "captioned")
    names = sorted(path.name for path in unlabelled.iterdir())
    (captioned / "captions.csv").write_text("image,caption\n" + "".join(f"{name},all red\n" for name in names))
    for folder, missing in ((unlabelled, "no labels"), (captioned, "captions")):
        told = cli("data", "check", folder)
        assert told.code == 4
        assert f"[STOPS A TRAINING] the {len(names)} images have {missing}" in told.out
        assert "ready to train" not in told.out
        assert answer(cli("data", "check", folder, "--json"), code=4)["can_train"] is False
        assert cli("train", folder, "--out", tmp_path / "runs").code != 0
    assert not (tmp_path / "runs").exists()


def test_data_show(photos: Path, boxes: Path, masks: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    for folder in (photos, boxes, masks):
        file = tmp_path / f"{folder.name}.png"
        told = cli("data", "show", folder, "--save", file, "--split", "test", "--count", 2)
        assert told.code == 0, told.err
        assert Image.open(file).size[0] > 64
    odd = cli("data", "show", photos, "--save", tmp_path / "grid.holiday")
    assert odd.code == 2
    assert ".png or .jpg" in odd.err
    assert not (tmp_path / "grid.holiday").exists()


def test_data_list(cli: Callable[..., Any]) -> None:
    rows = answer(cli("data", "list", "--json"))["data_sets"]
    assert {"name", "task", "here", "what"} == set(rows[0])
    assert {"digits", "mnist"} <= {row["name"] for row in rows}


# --- doctor


def test_doctor(cli: Callable[..., Any]) -> None:
    told = cli("doctor", "--json")
    values = json.loads(told.out)
    assert set(values) == {
        "versions",
        "devices",
        "bfloat16",
        "freed_memory",
        "cores",
        "free_memory_bytes",
        "free_disk_bytes",
        "self_test",
        "problems",
        "healthy",
    }
    assert told.code == (0 if values["healthy"] else 1)
    assert "the saved file gives the same answers" in values["self_test"]
    assert {"python", "torch", "visus"} <= set(values["versions"])
    assert "cpu" in values["devices"]
    assert "by itself" in values["bfloat16"]["cpu"]
    assert values["freed_memory"]

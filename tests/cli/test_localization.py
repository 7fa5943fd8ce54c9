"""A class and one box by the command line: train, evaluate, predict, explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def run(cli, boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("localized")
    told = cli(
        *("train", boxes, "--task", "localization", "--model", "localizer", "--backbone", "mobilenet_v1_025"),
        *("--weights", "none", "--epochs", 1, "--set", "size=[64,64]", "--set", "batch_size=4"),
        *("--set", "model_options.width=16", "--set", "model_options.loss=squared"),
        *("--device", "cpu", "--out", out, "--json"),
    )
    assert told.code == 0, told.err
    assert "5 images have several objects; of each only the largest counts" in told.err
    return (out / "latest").resolve()


def test_scores_and_report(cli, run: Path) -> None:
    told = cli("evaluate", run, "--json", "--device", "cpu", "--quiet")
    assert told.code == 0, told.err
    scores = json.loads(told.out)["metrics"]
    assert scores["counts"] == {"images": 3, "objects": 2, "empty": 1, "ignored": 0}
    assert 0 <= scores["mean_iou"] <= 1
    assert scores["localization_error"] == 1 - scores["localization_accuracy"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "what is wrong" in page
    assert "right class and IoU 0.5 or more" in page


def test_answers_have_at_most_one_guess_a_class(cli, run: Path, boxes: Path, tmp_path: Path) -> None:
    image = boxes / "images" / "test" / "test-0.png"
    told = cli("predict", run, image, "--score", 0, "--json", "--device", "cpu", "--save", tmp_path)
    assert told.code == 0, told.err
    objects = json.loads(told.out)["predictions"][0]["objects"]
    assert sorted(entry["label"] for entry in objects) == ["sea", "sun"]
    assert objects[0]["score"] >= objects[1]["score"]
    assert all(0 <= value <= 64 for entry in objects for value in entry["box"])
    assert cli("explain", run, image, "--device", "cpu", "--save", tmp_path).code == 0


def test_sliding(cli, run: Path, boxes: Path, trained, tmp_path: Path) -> None:
    told = cli("evaluate", run, "--slide", "--smallest", 48, "--json", "--device", "cpu", "--quiet")
    assert told.code == 0, told.err
    assert json.loads(told.out)["metrics"]["counts"]["images"] == 3
    image = boxes / "images" / "test" / "test-0.png"
    told = cli("predict", run, image, "--slide", "--score", 0, "--device", "cpu", "--save", tmp_path)
    assert told.code == 0, told.err
    assert {path.name for path in tmp_path.iterdir()} >= {"test-0.png", "test-0.scores.png"}
    told = cli("evaluate", trained("classification").path, "--slide", "--device", "cpu", "--quiet")
    assert told.code == 2
    assert "only a localizer can be evaluated with --slide" in told.err
    for verb in (("evaluate", run), ("predict", run, image)):
        told = cli(*verb, "--smallest", 48, "--device", "cpu")
        assert told.code == 2
        assert "--smallest needs --slide" in told.err


def test_a_detector_does_not_localise_and_the_reverse(cli, boxes: Path) -> None:
    told = cli("train", boxes, "--task", "localization", "--model", "ssd")
    assert told.code == 2
    assert "a model for localization" in told.err
    told = cli("train", boxes, "--model", "localizer")
    assert told.code == 2
    assert "a model for detection" in told.err

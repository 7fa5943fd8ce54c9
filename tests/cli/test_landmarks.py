"""Landmarks by the command line: check, train, evaluate, predict, explain on made-up images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a red and a green square; their middles are the points."""
    root = tmp_path_factory.mktemp("dots")
    rng = np.random.default_rng(0)
    rows = ["path,left_dot_x,left_dot_y,right_dot_x,right_dot_y,split"]
    for n in range(20):
        pixels = rng.integers(0, 60, (64, 64, 3)).astype(np.uint8)
        places = rng.integers(8, 56, (2, 2))
        for channel, (x, y) in enumerate(places):
            pixels[y - 4 : y + 4, x - 4 : x + 4, channel] = 255
        Image.fromarray(pixels).save(root / f"{n}.png")
        seen = f"{places[1][0]},{places[1][1]}" if n % 5 else ","
        split = "train" if n < 12 else "val" if n < 16 else "test"
        rows.append(f"{n}.png,{places[0][0]},{places[0][1]},{seen},{split}")
    (root / "points.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def run(cli, dots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    told = cli(
        *("train", dots, "--backbone", "mobilenet_v1_025", "--model", "landmarks", "--weights", "none", "--epochs", 2),
        *("--set", "size=[64,64]", "--set", "batch_size=4", "--set", "augmentation.mirror=0.5"),
        *("--set", "model_options.width=16", "--device", "cpu", "--out", out, "--json"),
    )
    assert told.code == 0, told.err
    return (out / "latest").resolve()


def test_the_data_are_understood(cli, dots: Path) -> None:
    told = cli("data", "check", dots)
    assert told.code == 0, told.err
    assert "landmarks: 2 points in csv-landmarks layout, 12 train / 4 val / 4 test" in told.out


def test_scores_and_report(cli, run: Path) -> None:
    told = cli("evaluate", run, "--json", "--device", "cpu", "--quiet")
    assert told.code == 0, told.err
    scores = json.loads(told.out)["metrics"]
    assert scores["counts"] == {"images": 4, "points": 8}
    assert 0 <= scores["pck"] <= 1
    assert 0 < scores["normalized_error"] < 1
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "PCK@0.1" in page
    assert "left_dot" in page


def test_answers(cli, run: Path, dots: Path, tmp_path: Path) -> None:
    told = cli("predict", run, dots / "17.png", "--json", "--device", "cpu", "--save", tmp_path)
    assert told.code == 0, told.err
    (answer,) = json.loads(told.out)["predictions"]
    assert answer["size"] == [64, 64]
    assert {point["name"] for point in answer["points"]} <= {"left_dot", "right_dot"}
    assert (tmp_path / "17.png").is_file()
    assert (tmp_path / "predictions.csv").read_text().startswith("image")
    assert cli("explain", run, dots / "17.png", "--device", "cpu", "--save", tmp_path).code == 0
    assert cli("explain", run, dots / "17.png", "--label", "left_dot", "--device", "cpu", "--save", tmp_path).code == 0

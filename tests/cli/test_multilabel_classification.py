"""Multi-label classification from the command line: from a table of tags to answers and heat maps."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.metrics.multilabel_classification import best_threshold

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise with a bright patch of each colour that an image is tagged with."""
    root = tmp_path_factory.mktemp("tags")
    random, rows = np.random.default_rng(0), ["image,split,tags"]
    for number in range(32):
        pixels = random.integers(0, 90, (32, 32, 3), dtype=np.uint8)
        tags = [name for bit, name in enumerate(CLASSES) if number % 8 >> bit & 1]
        for name in tags:
            channel = ("red", "green", "blue").index(name)
            y, x = 16 * (channel % 2), 16 * (channel // 2)
            pixels[y : y + 14, x : x + 14, channel] = 250
        Image.fromarray(pixels).save(root / f"{number}.png")
        rows.append(f"{number}.png,{('train', 'train', 'val', 'test')[number // 8]},{';'.join(tags)}")
    (root / "tags.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {"epochs": 12, "batch_size": 8, "ema": 0, "loss.class_weights": "balanced", "augmentation.rotation": 0}
    out = tmp_path_factory.mktemp("runs")
    visus.train(data, model="lenet5@modern", changes=changes, device="cpu", out=out, name="run", quiet=True)
    return out / "run"


def test_thresholds_are_chosen_on_validation_and_kept(run: Path, data: Path) -> None:
    card = json.loads((run / "model.json").read_text())
    model = visus.load(run, device="cpu")
    dataset = visus.open_data(data)
    assert dataset.classes == {"multilabel_classification": CLASSES}
    samples = dataset.split("val")
    scores = np.asarray([model.predict(sample.image).scores for sample in samples], np.float64)
    true = np.asarray([sample.target("multilabel_classification").present for sample in samples])
    chosen = [best_threshold(scores[:, k], true[:, k], 0.5) for k in range(3)]
    assert card["answer_settings"]["thresholds"] == pytest.approx(dict(zip(CLASSES, chosen, strict=True)), abs=1e-4)
    value = model.predict(samples[0].image)
    assert value.thresholds.tolist() == pytest.approx(chosen, abs=1e-4)
    assert value.present.tolist() == (value.scores >= value.thresholds).tolist()


def test_it_learnt_and_says_so(run: Path, cli: Callable[..., Any]) -> None:
    told = cli("evaluate", run, "--json", "--device", "cpu")
    scores = json.loads(told.out)["metrics"]
    assert scores["mean_average_precision"] > 0.9
    assert scores["cooccurrence"] == [[4, 2, 2], [2, 4, 2], [2, 2, 4]]
    printed = cli("evaluate", run, "--device", "cpu").out
    assert "mean average precision" in printed
    assert "threshold" in printed
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Classes that occur together" in page
    assert "what speaks for" in page
    assert "Classes that occur together" in (run / "data_report.html").read_text(encoding="utf-8")
    assert {"precision_recall.png", "cooccurrence.png"} <= {path.name for path in (run / "plots").iterdir()}


def test_predictions_and_heat_maps(run: Path, data: Path, cli: Callable[..., Any], tmp_path: Path) -> None:
    images = [data / f"{number}.png" for number in (24, 31)]  # no colour, and all three
    told = cli("predict", run, *images, "--save", tmp_path / "out", "--device", "cpu")
    assert told.code == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert set(rows[0]) == {"image", "labels", "blue score", "green score", "red score"}
    answers = visus.predict(run, images, device="cpu")
    assert [row["labels"] for row in rows] == [";".join(value.names) for value in answers]
    assert told.out.splitlines()[0].endswith(answers[0].words())
    why = json.loads(cli("explain", run, *images, "--save", tmp_path / "why", "--json", "--device", "cpu").out)
    explained = [entry for entry in why["explanations"] if entry["image"] == str(images[1])]
    assert [entry["label"] for entry in explained] == list(answers[1].names)
    assert len({entry["file"] for entry in explained}) == len(answers[1].names)
    heatmap = visus.load(run, device="cpu").explain(images[1])
    assert np.array_equal(heatmap.values, np.max([part.values for part in heatmap.parts], axis=0))
    one = cli("explain", run, images[0], "--label", "red", "--save", tmp_path / "red", "--json", "--device", "cpu")
    assert [entry["label"] for entry in json.loads(one.out)["explanations"]] == ["red"]

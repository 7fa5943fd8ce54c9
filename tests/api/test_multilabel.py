"""A training on masks that overlap, from the folder to the files of an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import visus
from visus.api.predict import predict_files
from visus.errors import TaskMismatchError

SMALL = {"model_options": {"width": 4, "depth": 2}, "optimizer.lr": 0.01, "batch_size": 4}


def write(folder: Path) -> Path:
    """Discs are red, squares are blue, and where they meet pixels are both."""
    random = np.random.default_rng(2)
    rows, columns = np.mgrid[:48, :64]
    for number in range(12):
        y, x, top, left = random.integers(12, 36), random.integers(12, 52), *random.integers(2, 24, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 121
        square = np.zeros((48, 64), bool)
        square[top : top + 22, left : left + 30] = True
        pixels = random.integers(0, 40, (48, 64, 3)).astype(np.uint8)
        pixels[..., 0] += disc * np.uint8(200)
        pixels[..., 2] += square * np.uint8(200)
        for kind, values in (("images", pixels), ("masks/disc", disc), ("masks/square", square)):
            path = folder / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return folder


def test_trains_judges_predicts_and_explains(tmp_path: Path) -> None:
    data = write(tmp_path / "shapes")
    run = visus.train(data, out=tmp_path / "runs", weights="none", epochs=30, changes=SMALL, device="cpu", quiet=True)
    scores = visus.evaluate(run.path, quiet=True).metrics
    assert scores["mean_iou"] > 0.9
    assert set(scores["per_class"]) == {"disc", "square"}
    model = visus.load(run.path, device="cpu")
    assert model.info.task == "multilabel_segmentation"
    file = data / "images" / "0.png"
    found = model.predict(file)
    truth = np.stack([np.asarray(Image.open(data / "masks" / name / "0.png")) for name in ("disc", "square")])
    assert (found.masks == truth).mean() > 0.95
    assert (found.masks.sum(axis=0) == 2).any()  # some pixels are both
    (answer,) = predict_files(model, [file], save=tmp_path / "out")
    assert answer.to_dict()["fractions"] == found.fractions()
    for name, mask in zip(found.classes, found.masks, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / f"0.{name}.png")) > 0, mask)
    header = (tmp_path / "out" / "predictions.csv").read_text().splitlines()[0]
    assert header.startswith("image,disc,square")
    heatmap = model.explain(file, label="disc")
    assert heatmap.label == "disc"
    assert heatmap.values.max() > 0
    for name in ("report.html", "data_report.html"):
        assert "square" in (run.path / name).read_text(encoding="utf-8")


def test_a_model_of_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskMismatchError, match="does not fit the task"):
        visus.train(write(tmp_path / "shapes"), model="resnet18", out=tmp_path / "runs", quiet=True)
    assert visus.list_models(task="multilabel_segmentation") == visus.list_models(task="segmentation")

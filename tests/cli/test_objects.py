"""From instance maps to counted objects through the command line: the choice travels, scores and files agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import visus
from visus.data.reading.opening import open_data

TINY = "--model unet@padded --epochs 6 --batch-size 4 --set model_options.width=4 --set model_options.depth=2"


@pytest.fixture(scope="module")
def nuclei(
    make_nuclei: Callable[[Path], Path], cli: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Data and the run of a tiny training with a border class."""
    root = tmp_path_factory.mktemp("objects")
    data = make_nuclei(root / "nuclei")
    options = [*TINY.split(), "--set", "optimizer.lr=0.01", "--weights", "none", "--device", "cpu", "--quiet"]
    told = cli("train", data, "--task", "segmentation", "--touching", "border", *options, "--out", root / "runs")
    assert told.code == 0, told.err
    assert "touching objects: border" in told.err
    return data, (root / "runs" / "latest").resolve()


def test_the_choice_is_in_the_run_and_in_the_model(nuclei: tuple[Path, Path], cli: Callable[..., Any]) -> None:
    _, run = nuclei
    assert yaml.safe_load((run / "config.yaml").read_text())["task_options"] == {"touching": "border"}
    card = json.loads((run / "model.json").read_text())
    assert (card["task_options"], card["classes"]) == ({"touching": "border"}, ["background", "object", "border"])
    written = json.loads((run / "metrics.json").read_text())
    told = cli("evaluate", run, "--json", "--device", "cpu", "--quiet")
    assert json.loads(told.out)["metrics"] == written["test"]
    assert written["test"]["objects"]["counts"]["objects"] > 5
    assert "Counted objects" in (run / "report.html").read_text()
    assert "difference" in (run / "report.html").read_text()


def test_a_run_before_the_choice_reads_as_it_did(nuclei: tuple[Path, Path]) -> None:
    from visus.engine.model_card import ModelInfo
    from visus.workflow.plan import Plan

    _, run = nuclei
    values = yaml.safe_load((run / "config.yaml").read_text())
    del values["task_options"]
    assert Plan.from_dict(values).task_options == {}
    card = json.loads((run / "model.json").read_text())
    del card["task_options"], card["format"]
    assert ModelInfo.from_dict(card).task_options == {}
    # Before task options there was one field: of nothing chosen, and of a choice.
    for touching, options in (("", {}), ("gap", {"touching": "gap"})):
        assert Plan.from_dict({**values, "touching": touching}).task_options == options
        assert ModelInfo.from_dict({**card, "touching": touching}).task_options == options


def test_evaluate_with_options(nuclei: tuple[Path, Path], masks: Path, cli: Callable[..., Any]) -> None:
    data, run = nuclei
    told = cli("evaluate", run, "--objects", "--device", "cpu", "--quiet")
    assert "objects: " in told.out
    assert "mean precision (IoU 0.50:0.95)" in told.out
    none = json.loads(cli("evaluate", run, "--min-area", 5000, "--json", "--device", "cpu", "--quiet").out)
    assert none["metrics"]["objects"]["counts"]["found"] == 0
    assert none["metrics"]["objects"]["mean_precision"] == 0
    # The same images named as other data are read in the model's way.
    other = json.loads(cli("evaluate", run, "--data", data, "--json", "--device", "cpu", "--quiet").out)
    assert other["metrics"]["objects"]["counts"]["objects"] > 5
    odd = cli("evaluate", run, "--data", masks, "--device", "cpu", "--quiet")
    assert odd.code == 4
    assert "background, object, border" in odd.err


def test_predict_objects(nuclei: tuple[Path, Path], cli: Callable[..., Any], tmp_path: Path) -> None:
    data, run = nuclei
    out = tmp_path / "out"
    images = sorted((data / "images").iterdir())[:3]
    told = cli("predict", run, *images, "--objects", "--min-area", 3, "--save", out, "--json", "--device", "cpu")
    assert told.code == 0, told.err
    given = json.loads(told.out)["predictions"]
    model = visus.load(run, device="cpu")
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    document = json.loads((out / "coco.json").read_text())
    assert [image["file_name"] for image in document["images"]] == [str(image) for image in images]
    assert document["categories"] == [{"id": 1, "name": "object"}]
    for number, (image, entry) in enumerate(zip(images, given, strict=True)):
        found = model.predict(image).objects(min_area=3, grow=1.5)
        assert len(found) == len(entry["objects"]) > 0
        areas = [one["area"] for one in entry["objects"]]
        assert areas == found.masks.areas().tolist()
        assert [int(row["area"]) for row in rows if row["image"] == str(image)] == areas
        assert [a["area"] for a in document["annotations"] if a["image_id"] == number + 1] == areas
        numbers = np.asarray(Image.open(out / f"{image.stem}.objects.png"))
        assert np.bincount(numbers.ravel(), minlength=len(areas) + 1)[1:].tolist() == areas
        assert (out / f"{image.stem}.classes.png").is_file()


def test_predict_maps(nuclei: tuple[Path, Path], cli: Callable[..., Any], tmp_path: Path) -> None:
    data, run = nuclei
    out = tmp_path / "images"  # so that maps beside them make a data set
    told = cli("predict", run, data / "images", "--save", out, "--device", "cpu")
    assert told.code == 0, told.err
    model = visus.load(run, device="cpu")
    document = json.loads((out / "coco.json").read_text())
    assert [entry["name"] for entry in document["categories"]] == ["object", "border"]
    rows = {row["image"]: row for row in csv.DictReader((out / "predictions.csv").open())}
    for image in (data / "images").iterdir():
        value = model.predict(image)
        stored = Image.open(out / f"{image.stem}.classes.png")
        np.testing.assert_array_equal(np.asarray(stored), value.map)
        np.testing.assert_array_equal(
            np.asarray(stored.convert("RGB")), np.asarray(Image.open(out / f"{image.stem}.colours.png"))
        )
        row = rows[str(image)]
        assert int(row["object pixels"]) == value.areas()["object"] == (value.map == 1).sum()
        assert float(row["object"]) == pytest.approx((value.map == 1).mean())
        number = next(i["id"] for i in document["images"] if i["file_name"] == str(image))
        area = sum(a["area"] for a in document["annotations"] if a["image_id"] == number and a["category_id"] == 1)
        assert area == (value.map == 1).sum()


def test_saved_class_maps_are_masks_that_visus_reads(
    nuclei: tuple[Path, Path], cli: Callable[..., Any], tmp_path: Path
) -> None:
    data, run = nuclei
    cli("predict", run, data / "images", "--save", tmp_path / "out", "--device", "cpu")
    for name, ending in (("images", ""), ("masks", ".classes")):
        (tmp_path / "again" / name).mkdir(parents=True)
        for image in (data / "images").iterdir():
            source = image if name == "images" else tmp_path / "out" / f"{image.stem}{ending}.png"
            (tmp_path / "again" / name / image.name).write_bytes(source.read_bytes())
    again = open_data(tmp_path / "again")
    assert again.format == "masks"
    model = visus.load(run, device="cpu")
    sample = again.split("train")[0]
    np.testing.assert_array_equal(sample.target("segmentation").map, model.predict(sample.image.path).map)


def test_objects_of_another_task_are_refused(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    run = trained("detection")
    for words in (("evaluate", run.path), ("predict", run.path, run.data / "images" / "test")):
        told = cli(*words, "--objects", "--device", "cpu")
        assert told.code == 2
        assert "a model for segmentation" in told.err
    refused = cli("train", run.data, "--touching", "gap", "--dry-run")
    assert refused.code == 2
    assert "--task segmentation" in refused.err

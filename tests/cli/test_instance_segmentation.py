"""Instance segmentation from the command line, with a network that an installed package brings."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import toy_instances
import visus

TASK = "instance_segmentation"


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_instances.install(tmp_path_factory.mktemp("site") / "toys")))
        yield


@pytest.fixture(scope="module")
def nuclei(make_nuclei: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs of instance maps, of which four images are kept apart for test."""
    whole = make_nuclei(tmp_path_factory.mktemp("data") / "nuclei")
    root = whole.parent / "split"
    for number in range(12):
        split = ("train", "val", "test")[number // 4]
        for kind in ("images", "labels"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / kind / f"{number}.png", root / split / kind)
    return root


@pytest.fixture(scope="module")
def run(nuclei: Path, tmp_path_factory: pytest.TempPathFactory) -> visus.Run:
    """A training long enough to find most discs."""
    changes = {"epochs": 24, "optimizer.lr": 0.01, "keep": "last", "evaluate_every": 24, "batch_size": 8}
    return visus.train(
        nuclei, task=TASK, model="toy_instances", weights="none", device="cpu", changes=changes, quiet=True,
        out=tmp_path_factory.mktemp("runs"),
    )  # fmt: skip


def test_the_default_task_of_such_data_stays(nuclei: Path) -> None:
    assert visus.open_data(nuclei).choose_task() == "detection"
    assert TASK not in visus.open_data(nuclei).tasks


def test_it_learns_and_its_scores_are_those_of_masks(run: visus.Run) -> None:
    scores = json.loads((run.path / "metrics.json").read_text())["test"]
    assert scores["mask_map50"] > 0.3
    assert scores["map50"] > 0.3
    assert scores["relative_count_error"] < 0.4
    assert 0.5 < scores["boundary_iou"] <= 1
    assert scores["objects"]["counts"]["objects"] == 34
    settings = visus.load(run.path, device="cpu").info.answer_settings
    assert settings == {"counted_from": scores["objects"]["least_score"]}
    header = (run.path / "results.csv").read_text().splitlines()[0]
    assert "mask_map50" in header


def test_the_report_shows_boundaries(run: visus.Run) -> None:
    page = (run.path / "report.html").read_text()
    assert page.count("<figcaption>what is wrong<") >= 4
    assert "mAP of masks at IoU 0.5" in page
    assert "number of objects off by" in page
    assert "Counted objects" in page


def test_answers_are_told_drawn_and_saved(
    run: visus.Run, nuclei: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    told = cli("predict", run.path, nuclei / "test" / "images", "--save", out, "--device", "cpu")
    assert told.code == 0, told.err
    assert " object" in told.out
    answers = json.loads((out / "predictions.json").read_text())["predictions"]
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    outlines = json.loads((out / "coco.json").read_text())
    least = visus.load(run.path, device="cpu").shown_score
    assert len(rows) == len(outlines["annotations"]) == sum(len(answer["objects"]) for answer in answers) > 10
    assert all(float(row["score"]) >= least and int(row["area"]) >= 0 for row in rows)
    for image, answer in zip(outlines["images"], answers, strict=True):
        stem = Path(image["file_name"]).stem
        numbers = np.asarray(Image.open(out / f"{stem}.objects.png"))
        assert Image.open(out / f"{stem}.png").width >= 64
        value = visus.predict(run.path, image["file_name"], device="cpu").above(least)
        assert value.words() == f"{len(answer['objects'])} object"
        union = value.masks.full().any(axis=0)
        np.testing.assert_array_equal(numbers > 0, union)
        _same_pixels(outlines, image["id"], value.masks.full())


def _same_pixels(outlines: dict[str, Any], image: int, masks: np.ndarray) -> None:
    """The polygons and run lengths of an image give back its masks."""
    from pycocotools import mask as coco_masks

    found = [item for item in outlines["annotations"] if item["image_id"] == image]
    for item, mask in zip(found, masks, strict=True):
        assert item["area"] == mask.sum()
        shape = item["segmentation"]
        if isinstance(shape, list) and shape:
            shape = coco_masks.merge(coco_masks.frPyObjects(shape, 64, 64))
        if mask.any():
            np.testing.assert_array_equal(coco_masks.decode(shape).astype(bool), mask)


def test_evaluate_and_count(run: visus.Run, nuclei: Path, cli: Callable[..., Any]) -> None:
    told = cli("evaluate", run.path, "--device", "cpu")
    assert told.code == 0, told.err
    assert "mAP of masks at IoU 0.5" in told.out
    assert "found, 34 in the truth" in told.out
    told = cli("evaluate", run.path, "--objects", "--min-area", "10000", "--device", "cpu", "--json")
    assert told.code == 0, told.err
    objects = json.loads(told.out)["metrics"]["objects"]
    assert objects["counts"]["found"] == 0
    told = cli("predict", run.path, nuclei / "test" / "images" / "8.png", "--objects", "--grow", "2", "--device", "cpu")
    assert told.code == 2
    assert "do not grow" in told.err


def test_an_answer_is_explained(run: visus.Run, nuclei: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    told = cli("explain", run.path, nuclei / "test" / "images" / "8.png", "--save", tmp_path / "why", "--device", "cpu")
    assert told.code == 0, told.err
    assert list((tmp_path / "why").glob("*.png"))


def test_a_training_without_masks_is_refused(boxes: Path, cli: Callable[..., Any]) -> None:
    told = cli("train", boxes, "--task", TASK, "--model", "toy_instances", "--device", "cpu")
    assert told.code == 2
    assert "none of the 16 objects has an outline" in told.err


def test_targets_are_shown(nuclei: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    told = cli("data", "show", nuclei, "--task", TASK, "--count", "4", "--save", tmp_path / "grid.png")
    assert told.code == 0, told.err
    assert Image.open(tmp_path / "grid.png").width > 300

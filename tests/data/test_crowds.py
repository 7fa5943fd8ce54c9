"""Objects that are marked as crowds or difficult: always counted, a stop where they are most, and taken on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.errors import UsageError

COUNT = 20
SQUARE = [10, 10, 30, 10, 30, 25, 10, 25]


def coco(root: Path, crowds: int, tools_write: Any = 1) -> Path:
    """20 images with a cat each; the first ones are crowds."""
    images, objects = [], []
    for i in range(COUNT):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)).save(root / f"{i:02}.png")
        images.append({"id": i, "file_name": f"{i:02}.png", "width": 64, "height": 48})
        mark = tools_write if i < crowds else 0
        objects.append({"image_id": i, "category_id": 1, "bbox": [10, 10, 20, 15], "segmentation": [SQUARE],
                        "iscrowd": mark})  # fmt: skip
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cat"}]}
    (root / "ann.json").write_text(json.dumps(content))
    return root


def voc(root: Path, difficult: int) -> Path:
    for i in range(COUNT):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)).save(root / f"{i:02}.png")
        (root / f"{i:02}.xml").write_text(
            f"<annotation><object><name>cat</name><difficult>{int(i < difficult)}</difficult><bndbox><xmin>11</xmin>"
            "<ymin>11</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object></annotation>"
        )
    return root


def ignored(dataset: Dataset) -> int:
    targets = [sample.target("detection") for part in dataset.splits.values() for sample in part]
    return sum(int(target.ignored.sum()) for target in targets if target.ignored is not None)


def told(dataset: Dataset) -> tuple[str, int, str]:
    found = next(finding for finding in dataset.findings if finding.kind == "ignored-objects")
    return found.severity, found.count, found.message


@pytest.mark.parametrize("write", [coco, voc])
def test_crowds_are_counted_and_a_stop_where_they_are_most(write: Any, tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, 2))
    severity, count, message = told(dataset)
    assert (severity, count, ignored(dataset)) == ("note", 2, 2)
    assert message.startswith("2 of 20 objects are marked as ")
    severity, count, message = told(open_data(write(tmp_path, 11)))
    assert (severity, count) == ("stop", 11)
    assert "--crowds objects" in message
    dataset = open_data(write(tmp_path, 11), task="detection", task_options={"crowds": "objects"})
    assert told(dataset)[:2] == ("note", 11)
    assert (ignored(dataset), dict(dataset.task_options)) == (0, {"crowds": "objects"})


@pytest.mark.parametrize("mark", [1, True, "1"])
def test_crowds_as_objects_are_drawn_in_maps(mark: Any, tmp_path: Path) -> None:
    coco(tmp_path, COUNT, mark)
    values = {}
    for how in ("ignore", "objects"):
        dataset = open_data(tmp_path, task="segmentation", task_options={"crowds": how, "touching": "gap"})
        values[how] = np.unique(dataset.split("train")[0].target("segmentation").map).tolist()
    assert values == {"ignore": [0, 255], "objects": [0, 1]}
    dataset = open_data(tmp_path, task="localization", task_options={"crowds": "objects"})
    assert dataset.split("train")[0].target("localization").ignored.tolist() == [False]


def test_wrong_ways_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown way"):
        open_data(coco(tmp_path, 1), task_options={"crowds": "all"})
    with pytest.raises(UsageError, match="marked as crowd"):
        open_data(coco(tmp_path, 0), task_options={"crowds": "objects"})
    assert "ignored-objects" not in {finding.kind for finding in open_data(tmp_path).findings}

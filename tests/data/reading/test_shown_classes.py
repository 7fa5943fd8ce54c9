"""Targets of multi-label classification that boxes and masks imply."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import open_data
from visus.data.reading.shown_classes import of_masks
from visus.errors import TaskMismatchError
from visus.structures import MultiLabelMap

TASK = "multilabel_classification"


def coco(root: Path) -> Path:
    """Three images: two classes, only a crowd of one class, nothing."""
    for number in range(3):
        Image.new("RGB", (32, 32), (number * 80, 0, 0)).save(root / f"{number}.png")
    boxes = [(0, 1, 0), (0, 2, 0), (0, 2, 0), (1, 2, 1)]  # image, class, crowd
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 32} for n in range(3)],
        "categories": [{"id": 1, "name": "sea"}, {"id": 2, "name": "boat"}],
        "annotations": [
            {"id": i + 1, "image_id": image, "category_id": c, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": crowd}
            for i, (image, c, crowd) in enumerate(boxes)
        ],
    }
    (root / "labels.json").write_text(json.dumps(document))
    return root


def codes(root: Path) -> dict[str, list[int]]:
    dataset = open_data(root, task=TASK)
    return {s.id: s.target(TASK).codes.tolist() for samples in dataset.splits.values() for s in samples}


def test_boxes_say_which_classes_an_image_shows(tmp_path: Path) -> None:
    """A class that only a crowd has is not known."""
    assert codes(coco(tmp_path)) == {"0.png": [1, 1], "1.png": [0, 255], "2.png": [0, 0]}


def test_it_is_never_the_task_unasked(tmp_path: Path) -> None:
    assert open_data(coco(tmp_path)).tasks == ("detection",)
    assert open_data(tmp_path, task=TASK).tasks == ("detection", TASK)


def test_masks_say_it_without_their_background(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "classes.txt").write_text("background\nroad\ntree\n")
    for number, values in enumerate([(0, 1), (0, 2), (0, 0), (1, 2)]):
        Image.new("RGB", (8, 8), (number * 60, 0, 0)).save(tmp_path / "images" / f"{number}.png")
        mask = np.zeros((8, 8), np.uint8)
        mask[:4], mask[4:] = values
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    assert open_data(tmp_path, task=TASK).classes[TASK] == ("road", "tree")
    assert sorted(codes(tmp_path).values()) == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_ignored_pixels_leave_a_class_unknown() -> None:
    masks, ignored = np.zeros((3, 4, 4), bool), np.zeros((3, 4, 4), bool)
    masks[0, 0, 0] = ignored[0, 1, 1] = ignored[2, 2, 2] = True
    assert of_masks(MultiLabelMap(("a", "b", "c"), masks, ignored=ignored)).codes.tolist() == [1, 0, 255]


def test_one_class_an_image_implies_no_several(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    with pytest.raises(TaskMismatchError):
        open_data(tmp_path, task=TASK)

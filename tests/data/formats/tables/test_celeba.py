"""CelebA's text files: points, boxes and attributes of the images that a list divides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import open_data
from visus.errors import DataError

POINTS = """3
lefteye_x lefteye_y righteye_x righteye_y
000001.png   9  9  20 11
000002.png  10  8  21  9
000003.png  11  7  22  9
"""
BOXES = """3
image_id x_1 y_1 width height
000001.png    5   6  20  14
000002.png    1   2  10  20
000003.png    1   2  10  20
"""
ATTRIBUTES = """3
Bald Smiling
000001.png -1  1
000002.png  1  1
000003.png -1 -1
"""


def write(root: Path, name: str, text: str) -> Path:
    (root / "img_celeba").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / "img_celeba" / f"00000{seed + 1}.png")
    (root / name).write_text(text)
    (root / "list_eval_partition.txt").write_text("000001.png 0\n000002.png 1\n000003.png 2\n")
    return root


def test_points(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, "list_landmarks_celeba.txt", POINTS))
    assert dataset.classes == {"landmarks": ("lefteye", "righteye")}
    (sample,) = dataset.split("val")
    assert (sample.id, sample.target("landmarks").points.tolist()) == ("img_celeba/000002.png", [[10, 8], [21, 9]])


def test_boxes(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, "list_bbox_celeba.txt", BOXES))
    assert dataset.split("train")[0].target("detection").boxes.tolist() == [[5, 6, 25, 20]]
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 1, "val": 1, "test": 1}


def test_attributes_are_several_labels(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, "list_attr_celeba.txt", ATTRIBUTES))
    assert dataset.classes == {"multilabel_classification": ("Bald", "Smiling")}


def test_a_row_that_was_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 3 of an image: it does not have as many values"):
        open_data(write(tmp_path, "list_bbox_celeba.txt", BOXES[:-4]))

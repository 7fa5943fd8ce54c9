"""Points from CSV files and from COCO's keypoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import choose_format, open_data
from visus.errors import DataError


def images(root: Path, count: int, size: tuple[int, int] = (40, 30)) -> None:
    (root / "images").mkdir(parents=True)
    for n in range(count):
        Image.new("RGB", size, (10 * n, 50, 90)).save(root / "images" / f"{n}.png")


def test_csv_with_names(tmp_path: Path) -> None:
    images(tmp_path, 3)
    (tmp_path / "points.csv").write_text(
        "path,left_eye_x,left_eye_y,right_eye_x,right_eye_y,split\n"
        "images/0.png,1.5,2,30,4,train\nimages/1.png,,,12,13,train\nimages/2.png,-1,-1,nan,nan,val\n"
        "images/9.png,1,1,2,2,train\n"
    )
    dataset = open_data(tmp_path)
    assert dataset.format == "csv-landmarks"
    assert dataset.classes == {"landmarks": ("left_eye", "right_eye")}
    first, second = (sample.target("landmarks") for sample in dataset.split("train"))
    assert first.points.tolist() == [[1.5, 2], [30, 4]]
    assert first.flip_pairs == ((0, 1),)
    assert first.size == (30, 40)
    assert second.visible.tolist() == [False, True]
    assert not dataset.split("val")[0].target("landmarks").visible.any()
    assert [finding.kind for finding in dataset.findings] == ["missing-image"]


def test_csv_with_numbers(tmp_path: Path) -> None:
    images(tmp_path, 2)
    (tmp_path / "points.csv").write_text("file,x1,y1,x2,y2\n0.png,1,2,3,4\n1.png,5,6,7,8\n")
    dataset = open_data(tmp_path)
    assert dataset.classes == {"landmarks": ("1", "2")}
    found = {s.id: s.target("landmarks").points.tolist() for part in dataset.splits.values() for s in part}
    assert found == {"images/0.png": [[1, 2], [3, 4]], "images/1.png": [[5, 6], [7, 8]]}


def test_with_a_class_the_numbers_are_no_points(tmp_path: Path) -> None:
    images(tmp_path, 1)
    (tmp_path / "boxes.csv").write_text("file,x1,y1,x2,y2,label\n0.png,1,2,3,4,cat\n")
    assert choose_format(tmp_path)[1].name != "csv-landmarks"


def test_a_coordinate_that_is_no_number(tmp_path: Path) -> None:
    images(tmp_path, 1)
    (tmp_path / "points.csv").write_text("file,nose_x,nose_y\n0.png,1,here\n")
    with pytest.raises(DataError, match="row 2: a coordinate of nose is not a number"):
        open_data(tmp_path)


def coco(root: Path, annotations: list[dict]) -> Path:
    images(root, 3)
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 30, "width": 40} for n in range(3)],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_eye", "right_eye"]}],
        "annotations": [{"id": n, "category_id": 1, "iscrowd": 0, **item} for n, item in enumerate(annotations)],
    }
    (root / "person_keypoints.json").write_text(json.dumps(content))
    return root


def test_coco_keypoints_of_the_largest_object(tmp_path: Path) -> None:
    small = {"image_id": 0, "bbox": [0, 0, 5, 5], "keypoints": [1, 1, 2, 2, 2, 2, 3, 3, 2]}
    large = {"image_id": 0, "bbox": [5, 5, 20, 20], "keypoints": [6, 7, 2, 8, 9, 1, 0, 0, 0]}
    unseen = {"image_id": 1, "bbox": [5, 5, 20, 20], "keypoints": [0] * 9}
    dataset = open_data(coco(tmp_path, [small, large, unseen]), task="landmarks")
    (sample,) = [s for part in dataset.splits.values() for s in part]
    target = sample.target("landmarks")
    np.testing.assert_array_equal(target.points, [[6, 7], [8, 9], [0, 0]])
    assert target.visible.tolist() == [True, True, False]
    assert target.flip_pairs == ((1, 2),)
    assert [finding.kind for finding in dataset.findings] == ["no-target"]
    assert open_data(tmp_path).choose_task() == "detection"


def test_coco_keypoints_of_another_length(tmp_path: Path) -> None:
    folder = coco(tmp_path, [{"image_id": 0, "bbox": [0, 0, 5, 5], "keypoints": [1, 1, 2]}])
    with pytest.raises(DataError, match="does not have the keypoints that its category names"):
        open_data(folder)

"""Targets of instance segmentation: masks as their files have them; objects without an outline are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.inspection.checks import check
from visus.data.reading.instances import BARE, as_instances
from visus.data.reading.opening import open_data
from visus.errors import TaskMismatchError
from visus.structures import Detections, Masks

TASK = "instance_segmentation"
SIDE = 40
SQUARE = [5, 5, 20, 5, 20, 15, 5, 15]
RUNS = {"size": [SIDE, SIDE], "counts": [25 * SIDE + 10, 8, SIDE - 8, 8, SIDE * SIDE - 26 * SIDE - 18]}
"""Two columns from x = 25 on, of the rows 10 to 17."""


def entry(**changes: Any) -> dict[str, Any]:
    return {"bbox": [5, 5, 15, 10], "category_id": 1, "iscrowd": 0, "area": 150, "segmentation": [SQUARE], **changes}


def coco(root: Path, *objects: dict[str, Any], images: int = 4) -> Path:
    """Images that all show the same objects."""
    root.mkdir()
    annotations = []
    for number in range(images):
        noise = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)
        Image.fromarray(noise).save(root / f"{number}.png")
        annotations += [{**item, "image_id": number, "id": len(objects) * number + i} for i, item in enumerate(objects)]
    files = [{"id": n, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n in range(images)]
    names = [{"id": 1, "name": "cell"}, {"id": 2, "name": "dust"}]
    content = {"images": files, "annotations": annotations, "categories": names}
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def first(data: Path) -> Detections:
    dataset = open_data(data, task=TASK)
    value: Detections = dataset.split("train")[0].target(TASK)
    assert value.masks is not None
    return value


def test_polygons_and_run_lengths_of_coco(tmp_path: Path) -> None:
    crowd = entry(iscrowd=1, category_id=2, bbox=[25, 10, 2, 8], segmentation=RUNS)
    value = first(coco(tmp_path / "coco", entry(), crowd))
    assert value.masks is not None
    assert value.masks.extents().tolist() == [[5, 5, 20, 15], [25, 10, 27, 18]]
    assert value.masks.areas().tolist() == [150, 16]
    assert value.ignored is not None
    assert value.ignored.tolist() == [False, True]
    assert open_data(tmp_path / "coco").tasks[0] == "detection"  # the default task stays what it is


def test_the_numbers_of_a_label_map(make_nuclei: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = make_nuclei(tmp_path / "nuclei")
    dataset = open_data(folder, task=TASK)
    assert dataset.classes[TASK] == ("object",)
    for sample in dataset.split("train"):
        numbers = np.asarray(Image.open(folder / "labels" / Path(sample.id).name))
        value = sample.target(TASK)
        np.testing.assert_array_equal(value.masks.full(), [numbers == n for n in np.unique(numbers)[1:]])
        assert value.ignored is None
        assert value.boxes.tolist() == value.masks.extents().tolist()


def test_outlines_of_yolo_in_fractions(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "labels" / split).mkdir(parents=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), len(split) * 20, np.uint8)).save(tmp_path / "images" / split / "a.png")
        corners = " ".join(str(value / SIDE) for value in SQUARE)
        (tmp_path / "labels" / split / "a.txt").write_text(f"0 {corners}\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [cell]\n")
    value = first(tmp_path)
    assert value.masks is not None
    assert value.masks.extents().tolist() == [[5, 5, 20, 15]]


def test_polygons_of_labelme(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(np.full((SIDE, SIDE, 3), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
        points = np.asarray(SQUARE).reshape(-1, 2).tolist()
        shape = {"label": "cell", "points": points, "shape_type": "polygon", "group_id": None, "flags": {}}
        content = {"version": "5.4", "flags": {}, "shapes": [shape], "imagePath": f"{number}.png", "imageData": None}
        (tmp_path / f"{number}.json").write_text(json.dumps({**content, "imageHeight": SIDE, "imageWidth": SIDE}))
    value = first(tmp_path)
    assert value.masks is not None
    assert value.masks.extents().tolist() == [[5, 5, 20, 15]]


class TestWithoutAnOutline:
    def test_objects_are_named_and_stop_a_training(self, tmp_path: Path, cli: Callable[..., Any]) -> None:
        bare = entry(category_id=2, bbox=[22, 22, 9, 9])
        del bare["segmentation"]
        data = coco(tmp_path / "coco", entry(), bare)
        dataset = open_data(data, task=TASK)
        (finding,) = [item for item in dataset.findings if item.kind == BARE]
        assert (finding.severity, finding.count, finding.acceptable) == ("stop", 4, True)
        assert finding.examples[0] == "0.png: object 2 (dust)"
        assert "4 of 8 objects have no outline" in finding.message
        told = cli("data", "check", data, "--task", TASK)
        assert told.code == 4
        assert "4 of 8 objects have no outline" in told.out
        assert f"--accept {BARE}" in told.out
        told = cli("train", data, "--task", TASK, "--model", "yolov3_tiny", "--device", "cpu")
        assert told.code != 0

        # Whoever accepts them trains with them ignored: neither as objects, nor as background.
        value = dataset.split("train")[0].target(TASK)
        assert value.ignored.tolist() == [False, True]
        assert value.masks.extents()[1].tolist() == [22, 22, 31, 31]
        assert dataset.split("train")[0].target(TASK, masks=False).ignored.tolist() == [False, True]
        assert dataset.split("train")[0].target("detection").ignored is None or not any(
            dataset.split("train")[0].target("detection").ignored
        )

    def test_a_crowd_needs_none(self, tmp_path: Path) -> None:
        crowd = entry(iscrowd=1, bbox=[22, 22, 9, 9], segmentation=[])
        dataset = open_data(coco(tmp_path / "coco", entry(), crowd), task=TASK)
        assert not [item for item in dataset.findings if item.kind == BARE]
        assert dataset.split("train")[0].target(TASK).ignored.tolist() == [False, True]
        (finding,) = [item for item in dataset.findings if item.kind == "marked-without-outline"]
        assert (finding.severity, finding.count) == ("note", 4)
        counted = open_data(tmp_path / "coco", task=TASK, task_options={"crowds": "objects"})
        assert counted.split("train")[0].target("detection").ignored.tolist() == [False, False]
        assert counted.split("train")[0].target(TASK).ignored.tolist() == [False, True]

    def test_boxes_alone_do_not_offer_the_task(self, boxes: Path, photos: Path) -> None:
        with pytest.raises(TaskMismatchError, match=r"none of the .* objects has an outline"):
            open_data(boxes, task=TASK)
        with pytest.raises(TaskMismatchError, match="do not allow instance_segmentation"):
            open_data(photos, task=TASK)


class TestMasksThatDoNotFit:
    def test_a_mask_outside_its_box_has_the_box_of_the_mask(self, tmp_path: Path) -> None:
        value = first(coco(tmp_path / "coco", entry(bbox=[22, 22, 9, 9])))
        assert value.boxes.tolist() == [[5, 5, 20, 15]]

    def test_a_box_that_is_a_little_larger_stays(self, tmp_path: Path) -> None:
        value = first(coco(tmp_path / "coco", entry(bbox=[4, 4.5, 17, 11])))
        assert value.boxes.tolist() == [[4, 4.5, 21, 15.5]]

    def test_an_outline_without_a_pixel_is_ignored(self) -> None:
        masks = Masks.from_full(np.stack([np.zeros((9, 9), bool), np.eye(9, dtype=bool)]))
        value = as_instances(
            Detections(
                ("a",), np.asarray([[1, 1, 3, 3], [0, 0, 9, 9]], np.float32), np.zeros(2, np.int64), (9, 9), masks=masks
            )
        )
        assert value.ignored is not None
        assert value.ignored.tolist() == [True, False]

    def test_a_run_length_code_of_another_size_is_one_message(self, tmp_path: Path) -> None:
        other = {"size": [SIDE, SIDE + 1], "counts": [SIDE * (SIDE + 1)]}
        data = coco(tmp_path / "coco", entry(), entry(segmentation=other))
        dataset = open_data(data, task=TASK)
        (finding,) = [item for item in check(dataset, TASK) if item.kind == "unreadable-target"]
        assert (finding.severity, finding.count) == ("stop", 4)
        assert "[40, 41]" in finding.message


def test_they_are_written_as_coco_and_read_again(
    make_nuclei: Callable[[Path], Path], tmp_path: Path, cli: Callable[..., Any]
) -> None:
    source, written = make_nuclei(tmp_path / "nuclei"), tmp_path / "coco"
    told = cli("data", "convert", source, "--task", TASK, "--to", "coco", "--save", written)
    assert told.code == 0, told.err
    before = {Path(sample.id).name: sample for sample in open_data(source, task=TASK).split("train")}
    after = {Path(sample.id).name: sample for part in open_data(written, task=TASK).splits.values() for sample in part}
    for name, sample in before.items():
        masks = sample.target(TASK).masks.full()
        np.testing.assert_array_equal(after[name].target(TASK).masks.full(), masks)


def test_other_data_are_judged_in_the_classes_of_a_model(tmp_path: Path) -> None:
    from visus.workflow.class_matching import match_classes

    dataset = open_data(coco(tmp_path / "coco", entry(), entry(category_id=2)), task=TASK)
    names = ("dust", "stone", "cell")
    (sample, *_) = match_classes(dataset.split("train"), TASK, dataset.classes, names, "coco")
    value = sample.target(TASK)
    assert (value.classes, value.labels.tolist()) == (names, [2, 0])
    assert value.masks.areas().tolist() == [150, 150]

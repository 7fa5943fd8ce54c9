"""VOC, COCO and YOLO give the boxes that were written; what is repaired is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.objects.outlined_objects import draw_outline
from visus.data.formats.texts.safe_xml import parse_xml
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.structures import Detections, Sample


def picture(path: Path, size: tuple[int, int] = (60, 100)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (90, 90, 90)).save(path)
    return path


def kinds(dataset: Dataset) -> dict[str, tuple[str, int]]:
    return {finding.kind: (finding.severity, finding.count) for finding in dataset.findings}


def every(dataset: Dataset) -> dict[str, Sample]:
    return {Path(sample.id).stem: sample for samples in dataset.splits.values() for sample in samples}


def detections(sample: Sample) -> Detections:
    target = sample.target("detection")
    assert isinstance(target, Detections)
    return target


# --- VOC


def voc_xml(objects: list[tuple[str, tuple[float, ...], int]], size: tuple[int, int] | None = (60, 100)) -> str:
    parts = ["<annotation>"]
    if size:
        parts.append(f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>")
    for name, (x1, y1, x2, y2), difficult in objects:
        parts.append(
            f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        )
    return "".join([*parts, "</annotation>"])


def write_voc(root: Path, files: dict[str, list[tuple[str, tuple[float, ...], int]]], **lists: list[str]) -> None:
    for name, objects in files.items():
        picture(root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations").mkdir(exist_ok=True)
        (root / "Annotations" / f"{name}.xml").write_text(voc_xml(objects))
    for split, names in lists.items():
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")


def test_voc_boxes_count_from_one(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": [("dog", (1, 1, 100, 60), 0), ("cat", (11, 21, 30, 40), 1)], "b": []})
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes["detection"]) == ("voc", ("cat", "dog"))
    found = detections(every(dataset)["a"])
    assert found.boxes.tolist() == [[0, 0, 100, 60], [10, 20, 30, 40]]
    assert found.labels.tolist() == [1, 0]
    assert found.ignored is not None
    assert found.ignored.tolist() == [False, True]
    assert found.size == (60, 100)
    assert len(detections(every(dataset)["b"])) == 0
    assert kinds(dataset) == {"ignored-objects": ("stop", 1)}  # the only cat is difficult


def test_voc_lists_and_their_classes(tmp_path: Path) -> None:
    one = ("dog", (1, 1, 10, 10), 0)
    other = ("cat", (1, 1, 10, 10), 0)
    write_voc(
        tmp_path,
        {"a": [one], "b": [other], "c": [other, one], "d": [one]},
        train=["a", "d"],
        val=["b", "gone"],
        test=["c"],
        dog_train=["a 1"],
    )
    dataset = open_data(tmp_path)
    assert {s: [x.id for x in found] for s, found in dataset.splits.items()} == {
        "train": ["JPEGImages/a.jpg", "JPEGImages/d.jpg"],
        "val": ["JPEGImages/b.jpg"],
        "test": ["JPEGImages/c.jpg"],
    }
    assert dataset.classes["detection"] == ("dog",)
    assert len(detections(every(dataset)["c"])) == 1
    assert kinds(dataset)["unknown-class"] == ("stop", 2)
    assert kinds(dataset)["missing-image"] == ("repair", 1)  # one always may be


def test_voc_trainval_serves_as_train(tmp_path: Path) -> None:
    one = ("dog", (1, 1, 10, 10), 0)
    write_voc(tmp_path, {name: [one] for name in "abcdefgh"}, trainval=list("abcdefg"), test=["h"], val=["a"])
    dataset = open_data(tmp_path)
    assert {s: len(found) for s, found in dataset.splits.items()} == {"train": 6, "val": 1, "test": 1}
    assert dataset.made_splits == ("val",)


def test_voc_repairs_swapped_corners_from_one(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": [("x", (30, 40, 11, 21), 0), ("x", (5, 5, 4, 9), 0), ("x", (90, 1, 140, 20), 0)]})
    dataset = open_data(tmp_path)
    found = detections(every(dataset)["a"])
    assert found.boxes.tolist() == [[10, 20, 30, 40], [3, 4, 5, 9], [89, 0, 100, 20]]
    assert kinds(dataset) == {
        "box-swapped": ("repair", 2),
        "box-outside": ("repair", 1),
        "box-mostly-outside": ("repair", 1),
    }


def test_voc_layouts(tmp_path: Path) -> None:
    text = voc_xml([("x", (1, 1, 10, 10), 0)], size=None)
    for folder, xml in (("beside", ""), ("two/images", "two/annots"), ("parts/train", "parts/train")):
        picture(tmp_path / folder / "a.png")
        (tmp_path / (xml or folder)).mkdir(exist_ok=True, parents=True)
        (tmp_path / (xml or folder) / "a.xml").write_text(text)
    for folder in ("beside", "two", "parts"):
        dataset = open_data(tmp_path / folder)
        assert dataset.format == "voc"
        assert detections(dataset.split("train")[0]).size == (60, 100)


def test_voc_broken_files_stop_and_are_all_named(tmp_path: Path) -> None:
    write_voc(tmp_path, {name: [("x", (1, 1, 10, 10), 0)] for name in "abcde"})
    folder = tmp_path / "Annotations"
    (folder / "a.xml").write_text("<annotation><object>")
    (folder / "b.xml").write_text(voc_xml([("x", (1, 1, 10, 10), 0)]).replace("<xmin>1", "<xmin>one"))
    (folder / "c.xml").write_text("<annotation><object><name>x</name></object></annotation>")
    (folder / "d.xml").unlink()
    dataset = open_data(tmp_path)
    assert kinds(dataset) == {
        "unreadable-annotation": ("repair", 1),
        "unlabelled-image": ("repair", 1),
        "box-not-a-number": ("repair", 1),
        "object-without-box": ("repair", 1),
        "lost-together": ("stop", 2),
    }
    assert sorted(s.id for samples in dataset.splits.values() for s in samples) == [
        f"JPEGImages/{name}.jpg" for name in "bce"
    ]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
        '<!DOCTYPE lolz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_entities_are_refused(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text, encoding=encoding)
    with pytest.raises(DataError, match="document type or entities"):
        parse_xml(path)


def test_voc_masks_ignore_the_border(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": [("dog", (1, 1, 10, 10), 0)], "b": [("cat", (1, 1, 10, 10), 0)]}, train=["a", "b"])
    (tmp_path / "SegmentationClass").mkdir()
    ids = np.zeros((60, 100), np.uint8)
    ids[:10, :10] = 12  # dog
    ids[10, :10] = 255
    mask = Image.fromarray(ids, "P")
    mask.putpalette([int(v) for v in np.random.default_rng(0).integers(0, 256, 768)])
    mask.save(tmp_path / "SegmentationClass" / "a.png")
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("detection", "segmentation")
    assert dataset.classes["segmentation"][:2] == ("background", "aeroplane")
    assert len(dataset.classes["segmentation"]) == 21
    only = open_data(tmp_path, task="segmentation")
    assert [s.id for s in only.split("train")] == ["JPEGImages/a.jpg"]
    target = only.split("train")[0].target("segmentation")
    np.testing.assert_array_equal(target.map, ids)
    assert target.classes[12] == "dog"


# --- COCO


def coco(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [
            {"id": 10, "file_name": "a.jpg", "height": 60, "width": 100},
            {"id": 20, "file_name": "b.jpg", "height": 60, "width": 100},
        ],
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 20, 30, 15.5], "iscrowd": 0},
            {"id": 2, "image_id": 10, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        ],
    }
    return content | changes


def write_coco(root: Path, content: dict[str, Any], name: str = "annotations.json") -> Path:
    for image in content["images"]:
        picture(root / "images" / image["file_name"])
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content))
    return root / name


def test_coco_boxes_gaps_and_crowds(tmp_path: Path) -> None:
    path = write_coco(tmp_path, coco())
    for source in (tmp_path, path):
        dataset = open_data(source)
        assert (dataset.format, dataset.tasks) == ("coco", ("detection",))
        assert dataset.classes["detection"] == ("cat", "dog")
        found = detections(every(dataset)["a"])
        assert found.boxes.tolist() == [[10, 20, 40, 35.5], [0, 0, 5, 5]]
        assert found.labels.tolist() == [1, 0]
        assert found.ignored is not None
        assert found.ignored.tolist() == [False, True]
        assert found.masks is None
        assert len(detections(every(dataset)["b"])) == 0
        # The only cat is a crowd: nothing could be learnt of it.
        assert kinds(dataset) == {"class-id-gap": ("note", 3), "ignored-objects": ("stop", 1)}


def test_coco_splits_in_their_usual_places(tmp_path: Path) -> None:
    official, exported = tmp_path / "official", tmp_path / "exported"
    for split in ("train2017", "val2017"):
        for name in ("a.jpg", "b.jpg"):
            picture(official / split / name)
        (official / "annotations").mkdir(exist_ok=True)
        (official / "annotations" / f"instances_{split}.json").write_text(json.dumps(coco()))
        (official / "annotations" / f"captions_{split}.json").write_text(
            json.dumps({"images": [{"file_name": "a.jpg"}]})
        )
    for split in ("train", "valid", "test"):
        for name in ("a.jpg", "b.jpg"):
            picture(exported / split / name)
        (exported / split / "_annotations.coco.json").write_text(json.dumps(coco()))
    assert [s.id for s in open_data(official).split("val")] == ["val2017/a.jpg", "val2017/b.jpg"]
    assert [s.id for s in open_data(exported).split("test")] == ["test/a.jpg", "test/b.jpg"]
    assert tuple(open_data(exported).splits) == ("train", "val", "test")


def test_coco_class_that_train_lacks(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a.jpg", "b.jpg"):
            picture(tmp_path / split / name)
    (tmp_path / "train.json").write_text(
        json.dumps(coco(categories=[{"id": 7, "name": "dog"}, {"id": 3, "name": "x"}]))
    )
    (tmp_path / "val.json").write_text(json.dumps(coco()))
    dataset = open_data(tmp_path)
    assert dataset.classes["detection"] == ("x", "dog")
    assert [detections(s).labels.tolist() for s in dataset.split("val")] == [[1], []]
    assert kinds(dataset)["unknown-class"] == ("stop", 1)
    unknown = next(finding for finding in dataset.findings if finding.kind == "unknown-class")
    assert unknown.examples == ("val: cat",)


def runs_of(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, starting with zeros: written out apart from the code under test."""
    runs, value = [0], False
    for bit in mask.T.ravel():
        if bool(bit) != value:
            runs.append(0)
            value = bool(bit)
        runs[-1] += 1
    return runs


def test_coco_outlines_equal_pycocotools(tmp_path: Path) -> None:
    from pycocotools import mask as oracle

    rng = np.random.default_rng(5)
    drawn = rng.random((60, 100)) < 0.3
    compressed = oracle.encode(np.asfortranarray(drawn.astype(np.uint8)))
    polygon = [12.3, 5.7, 80.2, 10.1, 60.6, 50.9, 20.0, 44.4]
    second = [1.0, 1.0, 9.0, 1.0, 9.0, 9.0]
    shapes: list[Any] = [
        [polygon, second],
        {"size": [60, 100], "counts": runs_of(drawn)},
        {"size": [60, 100], "counts": compressed["counts"].decode()},
    ]
    annotations = [
        {"id": i, "image_id": 10, "category_id": 7, "bbox": [0, 0, 100, 60], "segmentation": shape, "iscrowd": 0}
        for i, shape in enumerate(shapes)
    ]
    write_coco(tmp_path, coco(annotations=annotations))
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("detection", "segmentation", "multilabel_segmentation")
    masks = detections(every(dataset)["a"]).masks
    assert masks is not None
    expected = oracle.decode(oracle.merge(oracle.frPyObjects([polygon, second], 60, 100)))
    np.testing.assert_array_equal(masks[0], expected)
    np.testing.assert_array_equal(masks[1], drawn)
    np.testing.assert_array_equal(masks[2], drawn)


def test_coco_map_draws_small_on_large_and_ignores_crowds(tmp_path: Path) -> None:
    def square(x: int, y: int, side: int) -> list[list[int]]:
        return [[x, y, x + side, y, x + side, y + side, x, y + side]]

    items = [
        {"image_id": 10, "category_id": 3, "bbox": [10, 10, 4, 4], "segmentation": square(10, 10, 4)},
        {"image_id": 10, "category_id": 7, "bbox": [5, 5, 20, 20], "segmentation": square(5, 5, 20)},
        {"image_id": 10, "category_id": 7, "bbox": [50, 5, 20, 20], "segmentation": square(50, 5, 20), "iscrowd": 1},
    ]
    write_coco(tmp_path, coco(annotations=items))
    dataset = open_data(tmp_path, task="segmentation")
    assert dataset.classes["segmentation"] == ("background", "cat", "dog")
    drawn = every(dataset)["a"].target("segmentation").map
    assert (drawn[12, 12], drawn[20, 20], drawn[15, 60], drawn[40, 40]) == (1, 2, 255, 0)
    assert (drawn == 1).sum() == 16


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [60, 100], "counts": [5, 5]},
        {"size": [60, 100], "counts": "0" * 40},
        {"size": [60, 100], "counts": "~~~"},
        {"size": [60, 100], "counts": [-6000, 12000]},
        {"size": [61, 100], "counts": [6100]},
    ],
)
def test_damaged_run_lengths_are_refused_before_the_c_code(outline: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="run-length code"):
        draw_outline(outline, (60, 100))


def test_far_corners_cost_nothing() -> None:
    polygon = (np.asarray([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]], np.float64),)
    assert draw_outline(polygon, (60, 100)).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": [{"id": 1}]},
        {"images": [{"id": 1, "file_name": 7}]},
        {"annotations": [{"image_id": 10}]},
        {"annotations": [{"image_id": 10, "category_id": "x"}]},
        {"categories": 3},
    ],
)
def test_coco_of_another_layout_is_named(changes: dict[str, Any], tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(coco(**changes)))
    with pytest.raises(DataError, match=r"x\.json is not laid out as COCO"):
        open_data(tmp_path, format="coco")


def test_coco_truncated_and_without_images(tmp_path: Path) -> None:
    path = write_coco(tmp_path, coco())
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="cannot be read as JSON"):
        open_data(tmp_path)
    write_coco(tmp_path, coco())
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"no image that .* names exists"):
        open_data(tmp_path)


def test_objects_that_are_called_background_are_told(tmp_path: Path) -> None:
    item = {"id": 1, "image_id": 10, "category_id": 7, "bbox": [10, 10, 20, 20]}
    outline = {"segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]}
    categories = [{"id": 7, "name": "Background"}]
    write_coco(tmp_path, coco(annotations=[item | outline], categories=categories))
    assert kinds(open_data(tmp_path))["background-class"] == ("note", 1)
    write_coco(tmp_path, coco(annotations=[item], categories=categories))  # only boxes: there are no maps
    assert "background-class" not in kinds(open_data(tmp_path))


def test_coco_odd_boxes_and_ids(tmp_path: Path) -> None:
    items = [
        {"image_id": 10, "category_id": 7, "bbox": [10, 10, -5, 5]},
        {"image_id": 10, "category_id": 7, "bbox": [10, 10, 0, 5]},
        {"image_id": 10, "category_id": 7, "bbox": [float("nan"), 10, 5, 5]},
        {"image_id": 10, "category_id": 7},
        {"image_id": 99, "category_id": 7, "bbox": [1, 1, 5, 5]},
    ]
    write_coco(tmp_path, coco(annotations=items))
    dataset = open_data(tmp_path)
    assert detections(every(dataset)["a"]).boxes.tolist() == [[5, 10, 10, 15]]
    assert kinds(dataset) == {
        "class-id-gap": ("note", 3),
        "box-not-a-number": ("repair", 1),
        "object-without-box": ("repair", 1),
        "box-swapped": ("repair", 1),
        "box-degenerate": ("repair", 1),
        "annotation-without-image": ("repair", 1),
        "lost-together": ("stop", 4),
    }


# --- YOLO


def write_yolo(root: Path, lines: dict[str, str], split: str = "") -> None:
    for name, text in lines.items():
        picture(root / "images" / split / f"{name}.jpg")
        (root / "labels" / split).mkdir(parents=True, exist_ok=True)
        if text != "absent":
            (root / "labels" / split / f"{name}.txt").write_text(text)


def test_yolo_without_yaml(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "1 0.5 0.5 0.2 0.5\n0 0.1 0.1 0.2 0.2\n", "b": "", "c": "absent"})
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes["detection"]) == ("yolo", ("class_0", "class_1"))
    found = detections(every(dataset)["a"])
    np.testing.assert_allclose(found.boxes, [[40, 15, 60, 45], [0, 0, 20, 12]], atol=1e-4)
    assert found.labels.tolist() == [1, 0]
    assert found.size == (60, 100)
    assert all(len(detections(every(dataset)[name])) == 0 for name in "bc")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert open_data(tmp_path).classes["detection"] == ("cat", "dog")


@pytest.mark.parametrize(
    "text",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n",
        "train: images/train\nval: images/val\nnames: {0: cat, 1: dog}\nnc: 2\n",
        "path: /nowhere/on/earth\ntrain: ../images/train\nval: ../images/val\nnames:\n  0: cat\n  1: dog\n",
        "train: train.txt\nval: images/val\nnames: [cat, dog]\n",
    ],
)
def test_yolo_yaml(text: str, tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "1 0.5 0.5 0.2 0.5"}, "train")
    write_yolo(tmp_path, {"b": "0 0.5 0.5 0.2 0.5"}, "val")
    (tmp_path / "train.txt").write_text("./images/train/a.jpg\n")
    (tmp_path / "data.yaml").write_text(text)
    for source in (tmp_path, tmp_path / "data.yaml"):
        dataset = open_data(source)
        assert dataset.classes["detection"] == ("cat", "dog")
        assert [s.id for s in dataset.split("train")] == ["images/train/a.jpg"]
        assert [s.id for s in dataset.split("val")] == ["images/val/b.jpg"]
        assert detections(dataset.split("train")[0]).labels.tolist() == [1]


def test_yolo_split_folders_outside(tmp_path: Path) -> None:
    write_yolo(tmp_path / "train", {"a": "0 0.5 0.5 0.2 0.5"})
    write_yolo(tmp_path / "valid", {"b": "0 0.5 0.5 0.2 0.5"})
    dataset = open_data(tmp_path)
    assert dataset.format == "yolo"
    assert [s.id for s in dataset.split("val")] == ["valid/images/b.jpg"]


def test_yolo_outlines(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "0 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n"})
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("detection", "segmentation")
    found = detections(every(dataset)["a"])
    np.testing.assert_allclose(found.boxes, [[10, 6, 50, 30]], atol=1e-4)
    assert found.masks is not None
    assert found.masks[0][6:30, 10:50].all()
    assert found.masks.full().sum() == 24 * 40
    assert every(dataset)["a"].target("segmentation").map.sum() == 24 * 40


def test_yolo_bad_lines_and_classes_stop(tmp_path: Path) -> None:
    write_yolo(
        tmp_path, {"a": "0 0.5 0.5 0.2 0.5\nx 1 2 3 4\n0 0.5 0.5\nnan 0 0 1 1\n4 0.5 0.5 0.1 0.1\n0 0.9 0.5 0.6 0.2"}
    )
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    dataset = open_data(tmp_path)
    assert kinds(dataset) == {
        "unreadable-annotation": ("stop", 3),
        "unknown-class": ("stop", 1),
        "box-outside": ("repair", 1),
    }
    assert len(detections(every(dataset)["a"])) == 2


def test_yolo_yaml_faults_are_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": "0 0.5 0.5 0.2 0.5"})
    yaml = tmp_path / "data.yaml"
    yaml.write_text("train: nowhere\nnames: [cat]\n")
    with pytest.raises(DataError, match="training images are missing"):
        open_data(tmp_path)
    yaml.write_text("train: images\nnames: [cat, cat]\n")
    with pytest.raises(DataError, match="name each class once"):
        open_data(tmp_path)
    yaml.write_text("train: images\nnames: !!python/object/apply:os.system ['true']\n")
    assert open_data(tmp_path).classes["detection"] == ("true",)  # text, and nothing that runs

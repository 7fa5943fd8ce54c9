"""What each writer puts into its files, against values worked out by hand from the formats' own descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.objects.outlined_objects import DetectionSource, Objects
from visus.data.pixels.images import ArrayImage
from visus.data.reading.opening import open_data
from visus.data.writing.class_files import declared_names, write_class_file
from visus.data.writing.converting import prepare
from visus.data.writing.shapes import is_compound, joined_polygon
from visus.structures import Detections, LabelSet, Landmarks, MultiLabelMap, Sample, SegmentationMap
from visus.structures.outlines import Piece
from visus.structures.values.landmarks import flip_pairs

NAMES = ("yes", "no", "1", 'say "hi"')


def data(**targets: Any) -> Dataset:
    """One image of 20 x 40 pixels (height x width) with these labels."""
    sample = Sample("train/a b.png", ArrayImage(np.zeros((20, 40, 3), np.uint8)), targets)
    return Dataset(
        "made", "memory", None, {task: value.classes for task, value in targets.items()}, {"train": [sample]}
    )


def objects(masks: Any = None) -> Detections:
    boxes = np.asarray([[4, 2, 12, 6], [0, 0, 2.5, 20]], np.float32)
    ignored = np.asarray([False, True])
    return Detections(NAMES, boxes, np.asarray([1, 0]), (20, 40), masks=masks, ignored=ignored)


def write(dataset: Dataset, to: str, folder: Path, task: str | None = None) -> list[str]:
    """The kinds of what is told to be lost."""
    conversion = prepare(dataset, to, task=task)
    conversion.write(folder)
    return [change.kind for change in conversion.changes]


def test_yolo_boxes_and_names_that_yaml_takes_for_other_things(tmp_path: Path) -> None:
    assert write(data(detection=objects()), "yolo", tmp_path / "out") == ["ignored", "rounding"]
    # centre (4 + 12) / 2 / 40 and (2 + 6) / 2 / 20, sides 8 / 40 and 4 / 20
    line = (tmp_path / "out/labels/train/a b.txt").read_text()
    assert line == "1 0.200000 0.200000 0.200000 0.200000\n"
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    assert content == {"train": "images/train", "names": {0: "yes", 1: "no", 2: "1", 3: 'say "hi"'}}


def test_polygons_of_a_file_stay_as_they_are_and_boxes_among_them_become_rectangles(tmp_path: Path) -> None:
    image = ArrayImage(np.zeros((20, 40, 3), np.uint8))
    triangle = np.asarray([[4, 2], [12.5, 2], [4, 8]], np.float64)
    known = Objects(
        image=image,
        classes=("a", "b"),
        boxes=np.asarray([[4, 2, 14, 8], [20, 10, 30, 20]], np.float32),
        labels=np.asarray([0, 1]),
        outlines=((triangle,), None),
        size=(20, 40),
    )
    sample = Sample("a.png", image, {"detection": DetectionSource(known)})
    dataset = Dataset("made", "coco", None, {"detection": ("a", "b")}, {"train": [sample]})
    assert write(dataset, "yolo", tmp_path / "yolo") == ["rectangles", "other-boxes", "rounding"]
    assert (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines() == [
        "0 0.100000 0.100000 0.312500 0.100000 0.100000 0.400000",  # x / 40 and y / 20 of the corners
        "1 0.500000 0.500000 0.750000 0.500000 0.750000 1.000000 0.500000 1.000000",
    ]
    assert write(dataset, "coco", tmp_path / "coco") == []
    content = yaml.safe_load((tmp_path / "coco/annotations/instances_train.json").read_text())
    first, second = content["annotations"]
    assert first["segmentation"] == [[4, 2, 12.5, 2, 4, 8]]
    assert first["bbox"] == [4, 2, 10, 6]  # as the file said, though the outline ends before
    assert "segmentation" not in second


def test_yolo_poses(tmp_path: Path) -> None:
    points = Landmarks(
        ("left eye", "right eye", "nose"),
        np.asarray([[5, 3], [0, 0], [10, 5]], np.float32),
        np.asarray([True, False, True]),
        (20, 40),
        flip_pairs=flip_pairs(("left eye", "right eye", "nose")),
    )
    told = write(data(detection=objects(), landmarks=points), "yolo", tmp_path / "out")
    assert told == ["ignored", "rounding"]
    line = (tmp_path / "out/labels/train/a b.txt").read_text()
    # 5 / 40, 3 / 20, seen; not there; 10 / 40, 5 / 20, seen
    assert line == (
        "1 0.200000 0.200000 0.200000 0.200000 0.125000 0.150000 2 0.000000 0.000000 0 0.250000 0.250000 2\n"
    )
    content = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    assert (content["kpt_shape"], content["flip_idx"]) == ([3, 3], [1, 0, 2])
    assert content["kpt_names"][1] == ["left eye", "right eye", "nose"]


def test_points_without_boxes_get_boxes_that_are_told(tmp_path: Path) -> None:
    points = Landmarks(("a", "b"), np.asarray([[5, 3], [9, 3]], np.float32), np.ones(2, bool), (20, 40))
    assert write(data(landmarks=points), "coco", tmp_path / "out") == ["boxes-of-points"]
    content = yaml.safe_load((tmp_path / "out/annotations/instances_train.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "object", "keypoints": ["a", "b"], "skeleton": []}]
    (entry,) = content["annotations"]
    assert entry["bbox"] == [5, 2.5, 4, 1]  # a box has an area: a pixel around points on one line
    assert (entry["keypoints"], entry["num_keypoints"]) == ([5, 3, 2, 9, 3, 2], 2)


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path: Path) -> None:
    assert write(data(detection=objects()), "voc", tmp_path / "out") == [
        "unused-classes",
        "class-order",
        "fractions",
    ]
    root = ElementTree.fromstring((tmp_path / "out/Annotations/a_b.xml").read_bytes())
    assert (root.findtext("filename"), root.findtext("size/width"), root.findtext("size/height")) == (
        "a_b.png",
        "40",
        "20",
    )
    found = [
        [item.findtext("name"), item.findtext("difficult"), *(part.text for part in item.iterfind("bndbox/*"))]
        for item in root.iterfind("object")
    ]
    assert found == [["no", "0", "5", "3", "12", "6"], ["yes", "1", "1", "1", "2.5", "20"]]
    assert root.find("object/truncated") is None  # nobody looked
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text() == "a_b\n"  # a list has a name a word


def test_voc_masks_of_objects(tmp_path: Path) -> None:
    masks = np.zeros((2, 20, 40), bool)
    masks[0, 2:6, 4:12] = True
    masks[1, :, :2] = True
    told = write(data(detection=objects(masks)), "voc", tmp_path / "out")
    assert "outlines" in told
    numbers = np.asarray(Image.open(tmp_path / "out/SegmentationObject/a_b.png"))
    np.testing.assert_array_equal(numbers, masks[0] * 1 + masks[1] * 2)
    ids = np.asarray(Image.open(tmp_path / "out/SegmentationClass/a_b.png"))
    np.testing.assert_array_equal(ids, masks[0] * 2 + masks[1] * 255)  # "no" is class 1, behind it 0 for background


def test_masks_hold_ids_and_255(tmp_path: Path) -> None:
    ids = np.zeros((20, 40), np.uint8)
    ids[2:5, 3:9] = 2
    ids[0] = 255
    value = SegmentationMap(("background", "a, b", "void"), ids)
    assert write(data(segmentation=value), "masks", tmp_path / "out") == ["class-names"]
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out/masks/train/a b.png")), ids)
    assert (tmp_path / "out/classes.txt").read_text() == "background\na, b\nvoid_\n"  # "void" would mean: ignored


def test_class_masks_are_black_and_white(tmp_path: Path) -> None:
    masks = np.zeros((2, 20, 40), bool)
    masks[0, :3], masks[1, 2:5] = True, True
    ignored = np.zeros_like(masks)
    ignored[:, 10] = True
    value = MultiLabelMap(("train", "cell"), masks, ignored=ignored)
    told = write(data(multilabel_segmentation=value), "masks", tmp_path / "out")
    assert told == ["class-names", "class-order"]  # a folder called train would be a split
    folder = tmp_path / "out/masks/train"
    for name, expected in (("train_", masks[0]), ("cell", masks[1]), ("ignore", ignored[0])):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / name / "a b.png")), expected * np.uint8(255))


@pytest.mark.parametrize(
    ("names", "file"),
    [
        (("sky", "Straße", "a, b"), "classes.txt"),
        (("1 cat", "2 dog"), "classes.csv"),  # lines of numbers and names
        (("#a", "b"), "classes.csv"),  # a comment
        (("a:1,2,3", "b:4,5,6"), "classes.csv"),  # colours
    ],
)
def test_class_files_are_read_as_they_were_meant(tmp_path: Path, names: tuple[str, ...], file: str) -> None:
    write_class_file(tmp_path, names)
    assert [path.name for path in tmp_path.iterdir()] == [file]
    found = find_class_list(Listing(tmp_path))
    assert found is not None
    assert found.names == names


def test_names_that_no_class_file_can_hold_are_changed() -> None:
    assert declared_names(("a\tb", "a b", " ", "Ignore")) == ("a b", "a b_", "_", "Ignore_")


def crossings(polygon: NDArray[Any], size: tuple[int, int]) -> NDArray[np.int64]:
    """[H,W]: how many edges of a polygon lie to the right of the centre of each pixel; odd means inside."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    counts = np.zeros(size, np.int64)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            spans = (min(y1, y2) <= rows) & (rows < max(y1, y2))
            counts += spans & (x1 + (rows - y1) / (y2 - y1) * (x2 - x1) > columns)
    return counts


def test_one_polygon_fills_the_pixels_of_parts_and_holes() -> None:
    mask = np.zeros((30, 30), bool)
    mask[2:12, 2:12], mask[5:9, 5:9], mask[20:26, 15:28] = True, False, True
    piece = Piece(0, (0, 0), mask, None)
    assert is_compound(piece, (30, 30))
    np.testing.assert_array_equal(crossings(joined_polygon(piece, (30, 30)), (30, 30)) % 2 == 1, mask)


def test_joined_polygons_keep_their_corners() -> None:
    square = np.asarray([[10, 10], [30.5, 10], [30.5, 25], [10, 25]], np.float64)
    triangle = np.asarray([[40, 30], [50, 30.25], [50, 40]], np.float64)
    joined = joined_polygon((square, triangle), (48, 64))
    assert joined.tolist() == [  # from the corner of the square that is nearest to the triangle, there and back
        [10, 10], [30.5, 10], [30.5, 25], [40, 30], [50, 30.25], [50, 40], [40, 30], [30.5, 25], [10, 25],
    ]  # fmt: skip


def test_polygons_that_overlap_are_joined_around_their_pixels() -> None:
    first = np.asarray([[2, 2], [12, 2], [12, 12], [2, 12]], np.float64)
    united = np.zeros((30, 30), bool)
    united[2:12, 2:12] = united[6:16, 6:16] = True
    np.testing.assert_array_equal(crossings(joined_polygon((first, first + 4), (30, 30)), (30, 30)) % 2 == 1, united)


@pytest.mark.parametrize(
    ("names", "renamed"),
    [
        (("sea", "boat", "label"), {"label"}),
        (("sea", "boat", "Target"), {"Target"}),
        (("sea", "x", "y"), {"x", "y"}),
        (("w", "h", "x", "y"), {"w", "h", "x", "y"}),
        (("xmin", "ymin", "xmax", "ymax", "sea"), {"xmin", "ymin", "xmax", "ymax"}),
        (("nose_x", "nose_y", "sea"), {"nose_x", "nose_y"}),
        (("is_valid", "sea", "partition"), {"is_valid", "partition"}),
        (("unlabeled", "caption", "+"), {"unlabeled", "caption", "+"}),
        (("path", "split", "image", "train", "test", "x"), set()),
    ],
)
def test_classes_called_like_other_columns(tmp_path: Path, names: tuple[str, ...], renamed: set[str]) -> None:
    samples = [
        Sample(f"{i}.png", ArrayImage(np.full((8, 8, 3), i, np.uint8)),
               {"multilabel_classification": LabelSet.of_ids(names, [i % len(names), (i + 1) % len(names)])})
        for i in range(12)
    ]  # fmt: skip
    splits = {"train": samples[:8], "val": samples[8:]}
    made = Dataset("made", "memory", None, {"multilabel_classification": names}, splits)
    assert write(made, "csv", tmp_path / "out") == (["class-names"] if renamed else [])
    read = open_data(tmp_path / "out")
    assert read.tasks == ("multilabel_classification",)
    titles = tuple(f"class {name} shown" if name in renamed else name for name in names)
    assert read.classes["multilabel_classification"] == titles
    first = read.splits["train"][0].target("multilabel_classification")
    assert first.present.tolist() == [True, True] + [False] * (len(names) - 2)


def test_two_diagonal_pixels_are_two_parts() -> None:
    mask = np.eye(2, dtype=bool)
    assert is_compound(Piece(0, (3, 3), mask, None), (9, 9))
    assert not is_compound(Piece(0, (3, 3), np.ones((2, 2), bool), None), (9, 9))

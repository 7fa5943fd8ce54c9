"""COCO as tools write it: ids, boxes, outlines, categories and sizes that differ from the published layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset, Finding
from visus.data.formats.coco.coco_columns import key_of
from visus.data.formats.objects.coco_outlines import extent_of, outline_of
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError, TaskMismatchError

BOX = [10, 10, 20, 15]
POLYGON = [10, 10, 30, 10, 30, 25, 10, 25]


def write(
    root: Path,
    annotation: Callable[[int], dict[str, Any]] = lambda _: {},
    image: Callable[[int], dict[str, Any]] = lambda _: {},
    count: int = 10,
    **fields: Any,
) -> Path:
    """``count`` images of 64 x 48 (width x height) with an object each; a value of None takes a field out."""
    images, objects = [], []
    for i in range(count):
        path = root / "images" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)).save(path)
        own = {"id": i + 1, "file_name": path.name, "width": 64, "height": 48, **image(i)}
        images.append({key: value for key, value in own.items() if value is not None})
        own = {"id": i + 1, "image_id": i + 1, "category_id": 1 + i % 2, "bbox": BOX, "iscrowd": 0, **annotation(i)}
        objects.append({key: value for key, value in own.items() if value is not None})
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": objects, "categories": categories} | fields
    (root / "ann.json").write_text(json.dumps(content))
    return root


def boxes(dataset: Dataset, task: str = "detection") -> list[list[float]]:
    """The boxes of all images, in the order of the file."""
    samples = sorted((s for part in dataset.splits.values() for s in part), key=lambda s: int(Path(s.id).stem))
    return [box for sample in samples for box in sample.target(task).boxes.tolist()]


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(item for item in dataset.findings if item.kind == kind)


def stops(dataset: Dataset) -> set[str]:
    return {item.kind for item in check(dataset) if item.severity == "stop"}


# --- ids


@pytest.mark.parametrize("write_id", [str, float, lambda n: f" {n}.0 ", lambda n: str(n) if n % 2 else n])
def test_ids_are_equal_however_they_are_written(write_id: Callable[[int], Any], tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"image_id": write_id(i + 1), "category_id": str(1 + i % 2)}))
    assert boxes(dataset) == [[10, 10, 30, 25]] * 10
    assert stops(dataset) == set()


@pytest.mark.parametrize(("value", "key"), [(3, 3), ("3", 3), (3.0, 3), ("3.0", 3), ("a7", "a7"), (0.5, "0.5")])
def test_keys(value: Any, key: Any) -> None:
    assert key_of(value) == key


def test_texts_that_differ_as_texts_are_not_mixed_up(tmp_path: Path) -> None:
    """ "03" and "3" are one number, but two names: where they are names of two images, they stay two."""
    dataset = open_data(write(tmp_path, lambda i: {"image_id": ("3", "03")[i]}, lambda i: {"id": ("3", "03")[i]}, 2))
    assert boxes(dataset) == [[10, 10, 30, 25]] * 2


def test_half_of_the_annotations_lost_stops(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"image_id": i + 1 if i % 2 else f"x{i}"}))
    lost = finding(dataset, "annotation-without-image")
    assert (lost.severity, lost.count) == ("stop", 5)
    assert dataset.ledger.to_dict()["objects"] == {"found": 10, "used": 5, "left": {"annotation-without-image": 5}}


def test_images_without_or_with_equal_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="KeyError: 'id'"):
        open_data(write(tmp_path, image=lambda _: {"id": None}))
    assert "duplicate-id" in stops(open_data(write(tmp_path, image=lambda i: {"id": max(1, i)})))


# --- boxes


def runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, starting with zeros."""
    counts, value = [0], False
    for bit in mask.T.ravel().tolist():
        if bit != value:
            counts.append(0)
            value = bit
        counts[-1] += 1
    return counts


def drawn() -> np.ndarray:
    mask = np.zeros((48, 64), bool)
    mask[12:20, 7:40] = True
    mask[30:33, 20] = True
    return mask


def compressed() -> dict[str, Any]:
    from pycocotools import mask as oracle

    code = oracle.encode(np.asfortranarray(drawn().astype(np.uint8)))
    return {"size": [48, 64], "counts": code["counts"].decode()}


@pytest.mark.parametrize("absent", [None, [], "", [0, 0, 0, 0]])
@pytest.mark.parametrize(
    ("outline", "box"),
    [
        ([POLYGON], [10, 10, 30, 25]),
        ([POLYGON, [40, 5, 50, 5, 50, 9]], [10, 5, 50, 25]),
        (POLYGON, [10, 10, 30, 25]),
        ([[10, 10], [30, 10], [30, 25], [10, 25]], [10, 10, 30, 25]),
        (json.dumps([POLYGON]), [10, 10, 30, 25]),
        ({"size": [48, 64], "counts": runs(drawn())}, [7, 12, 40, 33]),
        (compressed(), [7, 12, 40, 33]),
        ([compressed()], [7, 12, 40, 33]),
    ],
)
def test_an_object_without_box_has_the_extent_of_its_outline(
    absent: Any, outline: Any, box: list[float], tmp_path: Path
) -> None:
    dataset = open_data(write(tmp_path, lambda _: {"bbox": absent, "segmentation": outline}, count=3))
    assert boxes(dataset) == [box] * 3
    assert "segmentation" in dataset.tasks
    assert finding(dataset, "box-of-outline").count == 3
    assert stops(dataset) == set()


def test_the_extent_of_runs_that_wrap_around_columns() -> None:
    mask = np.zeros((4, 5), bool)
    mask[3, 1] = mask[0, 2] = True  # one run: the foot of column 1 and the head of column 2
    assert extent_of({"size": [4, 5], "counts": runs(mask)}).tolist() == [1, 0, 3, 4]
    assert np.isnan(extent_of({"size": [4, 5], "counts": [20]})).all()
    assert np.isnan(extent_of({"size": [4, 5], "counts": "~~"})).all()


@pytest.mark.parametrize(
    "value", [[], None, [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], ["a"], [None], "x", 7, {"size": [2, 2]}]
)
def test_what_is_no_outline(value: Any) -> None:
    assert outline_of(value) is None


def test_boxes_as_text(tmp_path: Path) -> None:
    dataset = open_data(
        write(tmp_path, lambda i: {"bbox": ("[10, 10, 20, 15]", ["10", "10", "20", "15.0"], "10 10 20 15")[i % 3]})
    )
    assert boxes(dataset) == [[10, 10, 30, 25]] * 10


def test_boxes_in_fractions_are_recognised_as_a_whole(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: {"bbox": [0.15, 0.2, 0.3, 0.3]}))
    np.testing.assert_allclose(boxes(dataset), [[9.6, 9.6, 28.8, 24]] * 10, rtol=1e-6)
    assert finding(dataset, "boxes-in-fractions").severity == "note"
    mixed = open_data(write(tmp_path, lambda i: {"bbox": [0.15, 0.2, 0.3, 0.3] if i % 2 else BOX}))
    assert (finding(mixed, "box-in-fractions").severity, finding(mixed, "box-in-fractions").count) == ("stop", 5)


def test_corners_written_as_width_and_height(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"bbox": [20 + i, 20, 50 + i, 40]}))
    assert "x1, y1, x2, y2" in finding(dataset, "box-of-corners").message
    assert "box-of-corners" in stops(dataset)


def test_objects_without_anything_drawn(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"bbox": BOX if i < 5 else None}))
    assert (finding(dataset, "object-without-box").severity, finding(dataset, "object-without-box").count) == (
        "stop",
        5,
    )


# --- outlines of some


def test_few_objects_without_outline_are_ignored_in_maps(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"segmentation": [] if i == 3 else [POLYGON]}), task="segmentation")
    sample = next(s for part in dataset.splits.values() for s in part if Path(s.id).stem == "3")
    drawn_map = sample.target("segmentation").map
    assert (drawn_map[10:25, 10:30] == 255).all()
    assert (drawn_map == 255).sum() == 15 * 20
    assert finding(dataset, "object-without-outline").severity == "repair"


def test_many_objects_without_outline_withhold_segmentation_and_say_why(tmp_path: Path) -> None:
    write(tmp_path, lambda i: {"segmentation": [] if i in (3, 7, 8) else [POLYGON]})
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("detection",)
    assert dataset.ledger.to_dict()["objects"] == {"found": 10, "used": 10, "left": {}}
    with pytest.raises(TaskMismatchError, match=r"3 objects have no outline .*the first is in images/3\.png"):
        open_data(tmp_path, task="segmentation")


# --- categories


@pytest.mark.parametrize(
    ("root", "kept"),
    [
        ({"id": 0, "name": "cat", "supercategory": "none"}, ("cat", "dog")),  # the project has the name of a class
        ({"id": 0, "name": "pets", "supercategory": "none"}, ("cat", "dog")),
        ({"id": 0, "name": "bird", "supercategory": "none"}, ("bird", "cat", "dog")),  # a class that nobody has drawn
    ],
)
def test_the_category_of_a_roboflow_project_is_no_class(
    root: dict[str, Any], kept: tuple[str, ...], tmp_path: Path
) -> None:
    others = [{"id": 1, "name": "cat", "supercategory": "pets"}, {"id": 2, "name": "dog", "supercategory": "pets"}]
    assert open_data(write(tmp_path, categories=[root, *others])).classes["detection"] == kept


def test_two_used_categories_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names the category 'cat' twice") as refused:
        open_data(write(tmp_path, categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]))
    assert refused.value.remedy


def test_names_that_differ_in_capitals_are_told(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "Cat"}]))
    assert finding(dataset, "classes-alike").examples == ("cat and Cat",)


def test_a_category_that_is_not_listed_stops(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"category_id": 9 if i == 4 else 1}))
    assert (finding(dataset, "unknown-class").severity, finding(dataset, "unknown-class").count) == ("stop", 1)


# --- other COCO files


def test_annotations_without_boxes_are_classes_of_images(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: {"bbox": None}))
    assert dataset.tasks == ("classification",)
    labels = {Path(s.id).stem: s.target("classification").index for part in dataset.splits.values() for s in part}
    assert labels == {str(i): i % 2 for i in range(10)}
    more = [{"image_id": 1 + i // 2, "category_id": 1 + i % 2} for i in range(7)]  # three images of both, one cat
    dataset = open_data(write(tmp_path, annotations=more))
    assert dataset.tasks == ("multilabel_classification",)
    sets = {Path(s.id).stem: s.target("multilabel_classification").present.tolist() for part in dataset.splits.values()
            for s in part}  # fmt: skip
    assert [sets[str(i)] for i in range(5)] == [[True, True]] * 3 + [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"image_id": 1, "caption": "a cat"}, "captions"),
        ({"image_id": 1, "caption": "a cat", "category_id": 0}, "captions"),  # Datumaro 1.13
        ({"image_id": 1, "file_name": "0.png", "segments_info": []}, "panoptic"),
    ],
)
def test_files_of_other_tasks_are_named(item: dict[str, Any], words: str, tmp_path: Path) -> None:
    write(tmp_path, annotations=[item])
    with pytest.raises(DataError, match=words):
        open_data(tmp_path)


def test_results_of_a_model_are_no_data_set(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "ann.json").write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": BOX, "score": 0.5}]))
    with pytest.raises(DataError, match="cannot be read as JSON") as refused:
        open_data(tmp_path)
    assert "results" in (refused.value.got or "")


@pytest.mark.parametrize(
    "name",
    [
        "images\\{}.png",
        "../../label-studio/data/media/upload/4/{}.png",
        "/data/upload/1/{}.png",
        "C:\\a\\images\\{}.png",
    ],
)
def test_paths_of_other_machines(name: str, tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, image=lambda i: {"file_name": name.format(i)}, count=3))
    assert boxes(dataset) == [[10, 10, 30, 25]] * 3
    assert finding(dataset, "found-by-name").count == 3


def test_key_points_without_boxes_are_landmarks_and_not_classes_of_images(tmp_path: Path) -> None:
    points = [12, 11, 2, 30, 25, 1, 0, 0, 0]
    categories = [{"id": k, "name": name, "keypoints": ["l", "r", "m"]} for k, name in ((1, "cat"), (2, "dog"))]
    dataset = open_data(
        write(tmp_path, lambda _: {"bbox": None, "keypoints": points}, categories=categories), task="landmarks"
    )
    assert set(dataset.tasks) == {"landmarks", "detection"}
    first = next(s for part in dataset.splits.values() for s in part if s.id.endswith("0.png"))
    target = first.target("landmarks")
    assert target.points[:2].tolist() == [[12, 11], [30, 25]]
    assert target.visible.tolist() == [True, True, False]
    assert boxes(open_data(tmp_path, task="detection")) == [[12, 11, 30, 25]] * 10
    assert finding(dataset, "box-of-points").count == 10


@pytest.mark.parametrize(
    "own",
    [{"box": BOX}, {"points": [[10, 10], [30, 25]]}, {"x1": 10, "y1": 10}, {"polygon": "10,10 30,10 30,25"},
     {"segmentation": "10 10 30 10 30 25 of a tool"}, {"bbox_xyxy": {"x1": 10}}],
)  # fmt: skip
def test_shapes_under_other_keys_are_refused(tmp_path: Path, own: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=f"shapes under {next(iter(own))}"):
        open_data(write(tmp_path, lambda _: {"bbox": None, **own}))


def test_other_fields_leave_the_classes_of_whole_images(tmp_path: Path) -> None:
    own = {"bbox": None, "segmentation": [], "area": 300, "num_keypoints": 0, "region": "north", "tags": ["a"]}
    assert open_data(write(tmp_path, lambda _: own)).tasks == ("classification",)


@pytest.mark.parametrize(
    ("box", "bad", "severity"),
    [
        ([5, 5, 10, 7.5], 10, "stop"),  # of an image of half the size
        ([30, 25, 20, 15], 10, "stop"),
        ([30, 25, 20, 15], 1, "note"),
        ([10, 10, 20, 8], 10, ""),  # half of the outline's extent, which is 20 x 15: an IoU of 8 / 15
        ([10, 10, 20, 7], 10, "stop"),  # 7 / 15
    ],
)
def test_boxes_far_from_their_outlines(tmp_path: Path, box: list[float], bad: int, severity: str) -> None:
    dataset = open_data(write(tmp_path, lambda i: {"segmentation": [POLYGON], "bbox": box if i < bad else BOX}))
    found = [item for item in dataset.findings if item.kind == "box-and-outline-differ"]
    assert [(item.severity, item.count) for item in found] == ([(severity, bad)] if severity else [])


def test_tiny_boxes_may_be_rounded(tmp_path: Path) -> None:
    own = {"segmentation": [[10.4, 10.4, 11.2, 10.4, 11.2, 11.2]], "bbox": [10, 10, 2, 2]}
    dataset = open_data(write(tmp_path, lambda _: own))
    assert "box-and-outline-differ" not in {item.kind for item in dataset.findings}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_files_in_other_forms_of_unicode(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path) / "ann.json"
    path.write_bytes(path.read_text().encode(encoding))
    assert boxes(open_data(tmp_path)) == [[10, 10, 30, 25]] * 10


def test_images_of_another_suffix_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of another suffix: 0\.jpg: images/0\.png"):
        open_data(write(tmp_path, image=lambda i: {"file_name": f"{i}.jpg"}))

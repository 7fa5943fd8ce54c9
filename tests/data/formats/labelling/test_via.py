"""VIA: its page cannot be run by a program, so the files are written by hand in the layout that it exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tool_exports import draw, kinds, objects, samples
from visus.data.reading.opening import open_data

RECT = {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 30}
SHAPES = {
    "rect": (RECT, [10, 5, 30, 35]),
    "circle": ({"name": "circle", "cx": 30, "cy": 20, "r": 8}, [22, 12, 38, 28]),
    "ellipse": ({"name": "ellipse", "cx": 30, "cy": 20, "rx": 10, "ry": 4, "theta": 1.5707963}, [26, 10, 34, 30]),
    "polygon": ({"name": "polygon", "all_points_x": [5, 25, 25], "all_points_y": [6, 6, 16]}, [5, 6, 25, 16]),
}


def entry(name: str, *shapes: dict[str, Any], attributes: Any = None, of_file: Any = None) -> dict[str, Any]:
    attributes = {"class": "cat"} if attributes is None else attributes
    regions = [{"shape_attributes": shape, "region_attributes": attributes} for shape in shapes]
    return {"filename": name, "size": 100, "regions": regions, "file_attributes": of_file or {}}


def write(root: Path, *entries: dict[str, Any], name: str = "via_region_data.json", **project: Any) -> Path:
    content: Any = {f"{item['filename']}100": item for item in entries}
    if project:
        content = {"_via_settings": {}, "_via_img_metadata": content, **project}
    draw(root, [item["filename"] for item in entries])
    (root / name).write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes(tmp_path: Path, kind: str) -> None:
    shape, box = SHAPES[kind]
    assert objects(write(tmp_path, entry("0.jpg", shape))) == {"0.jpg": [["cat", *box]]}
    tasks = open_data(tmp_path).tasks
    assert ("segmentation" in tasks) == (kind != "rect")


def test_version_1_numbers_its_regions(tmp_path: Path) -> None:
    item = entry("0.jpg", RECT, RECT | {"x": 12})
    item["regions"] = {str(number): region for number, region in enumerate(item["regions"])}
    assert objects(write(tmp_path, item)) == {"0.jpg": [["cat", 10, 5, 30, 35], ["cat", 12, 5, 32, 35]]}


def test_a_project_names_its_options(tmp_path: Path) -> None:
    attributes = {"region": {"class": {"type": "dropdown", "options": {"1": "cat", "2": ""}}}}
    write(
        tmp_path,
        entry("0.jpg", RECT, attributes={"class": "1"}),
        entry("1.jpg", RECT, attributes={"class": "2"}),
        name="via_project.json",
        _via_attributes=attributes,
    )
    assert objects(tmp_path) == {"0.jpg": [["cat", 10, 5, 30, 35]], "1.jpg": [["2", 10, 5, 30, 35]]}


def test_a_table(tmp_path: Path) -> None:
    draw(tmp_path, ["0.jpg", "1.jpg"])
    with (tmp_path / "via_export_csv.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["#filename", "file_size", "file_attributes", "region_count", "region_id",
                         "region_shape_attributes", "region_attributes"])  # fmt: skip
        writer.writerow(["0.jpg", 9, "{}", 2, 0, json.dumps(RECT), '{"class": "cat"}'])
        writer.writerow(["0.jpg", 9, "{}", 2, 1, json.dumps(SHAPES["circle"][0]), '{"class": "dog"}'])
        writer.writerow(["1.jpg", 9, "{}", 0, 0, "{}", "{}"])
    assert objects(tmp_path) == {"0.jpg": [["cat", 10, 5, 30, 35], ["dog", 22, 12, 38, 28]], "1.jpg": []}
    write(tmp_path, entry("0.jpg", RECT, SHAPES["circle"][0]), entry("1.jpg"))  # the same regions, but all are cats
    assert kinds(open_data(tmp_path))["conflicting-labels"] == "stop"


def test_the_same_labels_twice_are_taken_once(tmp_path: Path) -> None:
    write(tmp_path, entry("0.jpg", RECT))
    write(tmp_path, entry("0.jpg", RECT), name="copy.json")
    assert objects(tmp_path) == {"0.jpg": [["cat", 10, 5, 30, 35]]}
    assert kinds(open_data(tmp_path))["labelled-alike"] == "note"


@pytest.mark.parametrize(
    ("attributes", "classes"),
    [
        ([{"class": "cat", "occluded": "no"}, {"class": "dog", "occluded": "no"}], ("cat", "dog")),
        ([{"tree": "oak", "leaf": "green"}, {"tree": "fir", "leaf": "green"}], ("fir", "oak")),
        ([{"fruit": {"apple": True, "pear": False}}, {"fruit": {"pear": True}}], ("apple", "pear")),
        ([{"name": "a", "note": ""}, {"name": "b", "note": "blurred"}], ("a", "b")),
        ([{}, {}], ("object",)),
    ],
)
def test_the_attribute_that_is_the_class(tmp_path: Path, attributes: list[Any], classes: tuple[str, ...]) -> None:
    entries = [entry(f"{number}.jpg", RECT, attributes=attributes[number % 2]) for number in range(8)]
    dataset = open_data(write(tmp_path, *entries))
    assert dataset.classes["detection"] == classes
    assert ("attribute-not-used" in kinds(dataset)) == (len(set().union(*attributes)) > 1)
    assert ("class-not-named" in kinds(dataset)) == (classes == ("object",))


def test_a_number_for_each_region_is_no_class(tmp_path: Path) -> None:
    entries = [entry(f"{k}.jpg", RECT, attributes={"id": str(k), "kind": "ab"[k % 2]}) for k in range(12)]
    assert open_data(write(tmp_path, *entries)).classes["detection"] == ("a", "b")


def test_points_and_lines(tmp_path: Path) -> None:
    item = entry("0.jpg")
    for name, x in (("nose", 5), ("tail", 50)):
        shape = {"name": "point", "cx": x, "cy": 7}
        item["regions"].append({"shape_attributes": shape, "region_attributes": {"name": name}})
    dataset = open_data(write(tmp_path, item))
    assert samples(dataset)["0.jpg"].target("landmarks").points.tolist() == [[5, 7], [50, 7]]
    line = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]}
    write(tmp_path, entry("0.jpg", RECT, line, {"name": "blob"}, {"name": "rect", "x": "?"}))
    assert kinds(open_data(tmp_path))["shape-without-area"] == "repair"
    assert open_data(tmp_path).ledger.left["objects"] == {"shape-without-area": 1, "unreadable-object": 2}


def test_attributes_of_files_are_tags(tmp_path: Path) -> None:
    brought = {"caption": "", "public_domain": "no", "image_url": ""}
    entries = [entry(f"{k}.jpg", of_file=brought | {"weather": "sun" if k < 2 else "rain"}) for k in range(4)]
    dataset = open_data(write(tmp_path, *entries))
    assert dataset.classes == {"classification": ("rain", "sun")}
    assert samples(dataset)["0.jpg"].target("classification").index == 1


def test_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(draw(tmp_path / split, []), entry("0.jpg", RECT))
        (tmp_path / split).mkdir(exist_ok=True)
    dataset = open_data(tmp_path)
    assert (dataset.format, set(dataset.splits)) == ("via", {"train", "val"})


def test_one_file_for_the_folders_of_all_splits(tmp_path: Path) -> None:
    write(tmp_path, entry("train/0.jpg", RECT), entry("val/0.jpg", RECT))
    dataset = open_data(tmp_path)
    assert {split: [sample.id for sample in part] for split, part in dataset.splits.items()} == {
        "train": ["train/0.jpg"], "val": ["val/0.jpg"],
    }  # fmt: skip

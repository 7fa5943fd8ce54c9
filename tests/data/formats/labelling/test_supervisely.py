"""Supervisely: a project that its own library, version 6.74.51, wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tool_exports import draw, kinds, lay_out, objects, samples
from visus.data.reading.opening import open_data
from visus.errors import DataError

NAMES = ["ds0/img/a.png", "ds0/img/b.png"]


def test_a_project_of_the_library(tmp_path: Path) -> None:
    dataset = open_data(lay_out("supervisely", tmp_path, NAMES))
    assert (dataset.format, dataset.classes["detection"]) == ("supervisely", ("cat", "dog", "pen"))
    # The library's rectangle from column 10 to 39 and row 8 to 27 covers both; so do its polygons.
    assert objects(tmp_path) == {
        "ds0/img/a.png": [["cat", 10, 8, 40, 28], ["dog", 10, 20, 19, 26], ["pen", 5, 5, 25, 15]],
        "ds0/img/b.png": [],
    }
    target = samples(dataset)["ds0/img/a.png"]
    _, bitmap, polygon = target.target("detection").masks
    assert (bitmap.sum(), bitmap[20, 10], bitmap[20:26, 12:19].all()) == (43, True, True)
    assert polygon.sum() == 20 * 10 - 4 * 4  # its hole goes from 8 to 11
    assert not polygon[8:12, 8:12].any()
    assert target.target("classification").classes == ("sun",)
    assert kinds(dataset)["shape-without-area"] == "stop"  # the only object of the class "wire"


def write(root: Path, name: str, *figures: dict[str, Any], tags: Any = ()) -> None:
    draw(root, [f"ds0/img/{name}.png"])
    content = {"size": {"height": 48, "width": 64}, "tags": list(tags), "objects": list(figures)}
    (root / "ds0" / "ann").mkdir(exist_ok=True)
    (root / "ds0" / "ann" / f"{name}.png.json").write_text(json.dumps(content))


def figure(kind: str, exterior: Any, label: str = "cat") -> dict[str, Any]:
    points = {"exterior": exterior, "interior": []}
    return {"classTitle": label, "geometryType": kind, "points": points}


def test_a_project_without_its_images(tmp_path: Path) -> None:
    lay_out("supervisely", tmp_path, [])
    with pytest.raises(DataError) as error:
        open_data(tmp_path)
    assert "2 annotated images are missing (ds0/ann/a.png.json)" in error.value.got


def test_tags_named_like_splits_are_splits(tmp_path: Path) -> None:
    for name, tag in (("a", "train"), ("b", "val"), ("c", "train")):
        write(tmp_path, name, figure("rectangle", [[1, 2], [10, 12]]), tags=[{"name": tag}])
    dataset = open_data(tmp_path)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 2, "val": 1}
    assert dataset.tasks == ("detection",)


def test_tags_without_values_are_classes(tmp_path: Path) -> None:
    for name, tag in (("a", "sharp"), ("b", "blurred"), ("c", "sharp")):
        write(tmp_path, name, tags=[{"name": tag, "value": None}])
    found = samples(open_data(tmp_path))
    assert [found[f"ds0/img/{name}.png"].target("classification").index for name in "abc"] == [1, 0, 1]


def test_fractions_of_pixels_stay(tmp_path: Path) -> None:
    write(tmp_path, "a", figure("rectangle", [[1.5, 2], [10, 12.25]]), figure("polygon", [[5.5, 5], [9, 5], [9, 9]]))
    assert objects(tmp_path) == {"ds0/img/a.png": [["cat", 1.5, 2, 10, 12.25], ["cat", 5.5, 5, 9, 9]]}


def test_points_and_skeletons(tmp_path: Path) -> None:
    nodes = {"n1": {"loc": [3, 4]}, "n2": {"loc": [9, 8], "disabled": True}}
    write(tmp_path, "a", {"classTitle": "dog", "geometryType": "graph", "nodes": nodes})
    config = {"nodes": {"n1": {"label": "nose"}, "n2": {"label": "tail"}}}
    meta = {"classes": [{"title": "dog", "shape": "graph", "geometry_config": config}]}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    target = samples(open_data(tmp_path))["ds0/img/a.png"].target("landmarks")
    assert target.classes == ("nose", "tail")
    assert target.points[0].tolist() == [3, 4]
    assert target.visible.tolist() == [True, False]


def test_what_cannot_be_understood_is_counted(tmp_path: Path) -> None:
    no_png = {"origin": [0, 0], "data": "eJwDAAAAAAE="}
    bitmap = {"classTitle": "cat", "geometryType": "bitmap", "bitmap": no_png}
    bad = [figure("polygon", [[1, 2]]), figure("cuboid", [[1, 2]]), {"classTitle": "cat"}, bitmap]
    write(tmp_path, "a", figure("rectangle", [[1, 2], [10, 12]]), *bad)
    dataset = open_data(tmp_path)
    assert dataset.ledger.left["objects"] == {"unreadable-object": 4}
    assert kinds(dataset)["unreadable-object"] == "stop"

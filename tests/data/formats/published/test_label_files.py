"""KITTI and DOTA as datumaro 1.13.12 writes them, Create ML as labelImg 1.8.6 does, 300-W's points by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tool_exports import draw, kinds, lay_out, objects, samples
from visus.data.formats.published.pts import names_of_68
from visus.data.reading.opening import open_data
from visus.structures.values.landmarks import flip_pairs


def test_kitti(tmp_path: Path) -> None:
    lay_out("kitti", tmp_path, ["training/image_2/000000.png", "training/image_2/000001.png"])
    draw(tmp_path, ["training/image_3/000000.png"], (20, 20))  # of the other camera
    assert objects(tmp_path) == {
        "training/image_2/000000.png": [["Car", 10, 8, 40, 28], ["Pedestrian", 40, 10, 60, 18]],
        "training/image_2/000001.png": [],
    }
    assert kinds(open_data(tmp_path))["region-of-no-matter"] == "note"


def test_kitti_counts_what_it_loses(tmp_path: Path) -> None:
    lay_out("kitti", tmp_path, [f"training/image_2/00000{number}.png" for number in (0, 1, 5)])
    labels = tmp_path / "training" / "label_2"
    text = (labels / "000000.txt").read_text()
    (labels / "000000.txt").write_text(f"{text}\nCar 1 2\nCar a b c d e f g h i j k l m n\n")
    (labels / "000009.txt").write_text(text)
    dataset = open_data(tmp_path)
    assert dataset.ledger.left["objects"] == {"unreadable-object": 2}
    assert dataset.ledger.left["image files"] == {"missing-image": 1, "unlabelled-image": 1}


def test_dota(tmp_path: Path) -> None:
    lay_out("dota", tmp_path, ["train/images/a.png"])
    labels = tmp_path / "train" / "labelTxt" / "a.txt"
    labels.write_text("imagesource:GoogleEarth\ngsd:0.146\n" + labels.read_text() + "\n1 1 9 1 9 9 1 9 plane 1\n")
    assert objects(tmp_path) == {
        "train/images/a.png": [["plane", 26, 10, 34, 30], ["small-vehicle", 35, 25, 45, 35], ["plane", 1, 1, 9, 9]]
    }
    target = samples(open_data(tmp_path))["train/images/a.png"].target("detection")
    assert target.ignored.tolist() == [False, False, True]
    assert kinds(open_data(tmp_path))["turned-box"] == "note"


@pytest.mark.parametrize("file", ["annotations.json", "_annotations.createml.json", "labels.json"])
def test_create_ml(tmp_path: Path, file: str) -> None:
    lay_out("create_ml", tmp_path, ["a.png", "b.png"])
    (tmp_path / "annotations.json").rename(tmp_path / file)
    assert objects(tmp_path) == {
        "a.png": [["cat", 10, 8, 40, 28], ["dog", 5, 5, 25, 16]],
        "b.png": [["cat", 10, 8, 40, 28]],
    }
    assert open_data(tmp_path).format == "create-ml"


def points_file(count: int, x: float = 11, y: float = 21) -> str:
    rows = "\n".join(f"{x + k:.3f} {y:.3f}" for k in range(count))
    return f"version: 1\nn_points:  {count}\n{{\n{rows}\n}}\n"


def test_points_count_from_1(tmp_path: Path) -> None:
    draw(tmp_path, ["01_Indoor/a.png", "01_Indoor/b.png"])
    for name in "ab":
        (tmp_path / "01_Indoor" / f"{name}.pts").write_text(points_file(3))
    dataset = open_data(tmp_path)
    assert dataset.classes == {"landmarks": ("1", "2", "3")}
    target = samples(dataset)["01_Indoor/a.png"].target("landmarks")
    assert target.points.tolist() == [[10, 20], [11, 20], [12, 20]]


def test_the_68_points_have_names_that_mirror() -> None:
    names = names_of_68()
    assert len(set(names)) == 68
    pairs = {frozenset(pair) for pair in flip_pairs(names)}
    # The corners of the eyes and of the mouth, the ends of the jaw and of the brows; the middle stays.
    for pair in ((36, 45), (39, 42), (48, 54), (0, 16), (17, 26), (21, 22), (59, 55), (60, 64), (67, 65), (31, 35)):
        assert frozenset(pair) in pairs
    assert {8, 27, 30, 33, 51, 57, 62, 66} == set(range(68)) - set().union(*pairs) - {28, 29}


def test_files_of_other_numbers_of_points_are_lost(tmp_path: Path) -> None:
    draw(tmp_path, ["a.png", "b.png", "c.png"])
    for name, text in (("a", points_file(5)), ("b", points_file(4)), ("c", "nothing")):
        (tmp_path / f"{name}.pts").write_text(text)
    assert kinds(open_data(tmp_path))["unreadable-annotation"] == "stop"

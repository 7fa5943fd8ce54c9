"""YOLO lines as tools write them: poses, scores, tracks, pixels, wrong classes; and what the YAML file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset, Finding
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError, TaskMismatchError
from visus.structures import Landmarks

YAML = "names: [cat, dog]\ntrain: images/train\nval: images/val\n"
BOX = "0.5 0.5 0.3 0.4"  # in an image of 64 x 48: [22.4, 14.4, 41.6, 33.6]


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)).save(path)


def write(root: Path, line: Callable[[int], str | None], yaml: str = YAML, count: int = 10) -> Path:
    """Images of 64 x 48 (width x height), three of ten for val, and the text of their label files; None: no file."""
    for i in range(count):
        split = "train" if i < 7 else "val"
        picture(root / "images" / split / f"{i}.png", i)
        folder = root / "labels" / split
        folder.mkdir(parents=True, exist_ok=True)
        text = line(i)
        if text is not None:
            (folder / f"{i}.txt").write_text(text + "\n")
    if yaml:
        (root / "data.yaml").write_text(yaml)
    return root


def boxes(dataset: Dataset) -> list[list[list[float]]]:
    samples = sorted((s for part in dataset.splits.values() for s in part), key=lambda s: int(Path(s.id).stem))
    return [[[round(v, 3) for v in box] for box in s.target("detection").boxes.tolist()] for s in samples]


def landmarks(dataset: Dataset) -> Landmarks:
    value = dataset.split("train")[0].target("landmarks")
    assert isinstance(value, Landmarks)
    return value


def finding(dataset: Dataset, kind: str) -> Finding:
    return next(item for item in dataset.findings if item.kind == kind)


def stops(dataset: Dataset) -> set[str]:
    return {item.kind for item in check(dataset) if item.severity == "stop"}


# --- numbers that are no fractions


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 32 24 20 16", "per cent"),
        ("0 50 50 30 40", "per cent"),
        ("0 320 240 200 160", "pixels"),
        ("0 2 3 4 5 6 7", ""),
    ],
)
def test_pixels_and_per_cent_stop_with_the_cause(line: str, words: str, tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: line))
    lost = finding(dataset, "numbers-not-fractions")
    assert (lost.severity, lost.count) == ("stop", 10)
    assert words in lost.message
    assert dataset.ledger.to_dict()["objects"]["used"] == 0


def test_half_of_the_lines_in_pixels_stop(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: f"0 {BOX}" if i % 2 else "0 32 24 20 16"))
    assert finding(dataset, "numbers-not-fractions").severity == "stop"


def test_corners_instead_of_centre_and_size(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: f"0 0.4 0.{3 + i % 4} 0.8 0.9"))
    assert "box-of-corners" in stops(dataset)
    assert "box-of-corners" not in stops(open_data(write(tmp_path, lambda _: f"0 {BOX}")))


def test_the_class_minus_one_is_explained(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: f"{i % 2 - 1} {BOX}"))
    assert finding(dataset, "negative-class").severity == "stop"
    assert "convert_coco" in finding(dataset, "negative-class").message


def test_lines_that_are_none_are_counted(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: f"0 {BOX}\n# a remark\n\n" + ("0 0,5 0,5 0,3 0,4" if i == 0 else "")))
    lost = finding(dataset, "unreadable-annotation")
    assert (lost.severity, lost.examples) == ("repair", ("labels/train/0.txt:4",))
    assert dataset.ledger.to_dict()["lines"] == {"found": 11, "used": 10, "left": {"unreadable-annotation": 1}}
    assert boxes(dataset) == [[[22.4, 14.4, 41.6, 33.6]]] * 10


# --- poses


@pytest.mark.parametrize("points", [1, 2, 3, 4])
@pytest.mark.parametrize("numbers", [2, 3])
def test_kpt_shape_gives_boxes_and_landmarks(points: int, numbers: int, tmp_path: Path) -> None:
    tail = " ".join(f"0.{45 + k} 0.5" + " 2" * (numbers == 3) for k in range(points))
    dataset = open_data(write(tmp_path, lambda i: f"{i % 2} {BOX} {tail}", f"{YAML}kpt_shape: [{points}, {numbers}]\n"))
    assert dataset.tasks == ("detection", "landmarks")
    assert boxes(dataset) == [[[22.4, 14.4, 41.6, 33.6]]] * 10
    value = landmarks(dataset)
    assert value.classes == tuple(f"point_{k}" for k in range(1, points + 1))
    np.testing.assert_allclose(value.points, [[0.45 * 64 + 0.64 * k, 24] for k in range(points)], rtol=1e-5)
    assert value.visible.all()
    assert stops(dataset) == set()


def test_names_pairs_and_visibility_of_points(tmp_path: Path) -> None:
    yaml = f"{YAML}kpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\nkpt_names:\n  0: [left, right, nose]\n"
    dataset = open_data(write(tmp_path, lambda _: f"0 {BOX} 0.4 0.5 2 0 0 0 0.5 0.6 1", yaml))
    value = landmarks(dataset)
    assert (value.classes, value.flip_pairs, value.visible.tolist()) == (
        ("left", "right", "nose"), ((0, 1),), [True, False, True],
    )  # fmt: skip
    dataset = open_data(write(tmp_path, lambda _: f"0 {BOX} 0.4 0.5 0 0 0.5 0.6", f"{YAML}kpt_shape: [3, 2]\n"))
    assert landmarks(dataset).visible.tolist() == [True, False, True]


def test_the_points_of_the_largest_pose_count(tmp_path: Path) -> None:
    lines = f"0 0.2 0.2 0.1 0.1 0.2 0.2 2\n0 {BOX} 0.5 0.5 2\n0 0.7 0.7 0.2 0.2 0.7 0.7 2\n1 0.5 0.5 0.9 0.9"
    dataset = open_data(write(tmp_path, lambda _: lines, f"{YAML}kpt_shape: [1, 3]\n"))
    assert landmarks(dataset).points.tolist() == [[32, 24]]
    assert [len(part) for part in boxes(dataset)] == [4] * 10


def test_poses_without_kpt_shape_are_told_by_their_visibility(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: f"0 {BOX} 0.45 0.52 2 0.5 0.4 1", yaml=""))
    assert dataset.tasks == ("detection", "landmarks")
    assert boxes(dataset) == [[[22.4, 14.4, 41.6, 33.6]]] * 10
    assert "kpt_shape: [2, 3]" in finding(dataset, "pose-guessed").message


def test_small_outlines_are_no_poses(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: "0 0.4 0.4 0.5 0.4 0.5 0.5 0.4 0.5"))
    assert "segmentation" in dataset.tasks
    assert boxes(dataset) == [[[25.6, 19.2, 32, 24]]] * 10
    assert finding(dataset, "pose-or-outline").severity == "note"


def test_lines_that_do_not_fit_kpt_shape(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda _: f"0 {BOX} 0.4 0.5 2 0.5 0.5", f"{YAML}kpt_shape: [2, 3]\n"))
    assert finding(dataset, "unreadable-annotation").severity == "stop"
    with pytest.raises(DataError, match="kpt_shape is not understood"):
        open_data(write(tmp_path, lambda _: "", f"{YAML}kpt_shape: 17\n"))


# --- one number more


@pytest.mark.parametrize("tail", ["", " 0.4 0.6 0.7 0.7"])
@pytest.mark.parametrize(
    ("number", "kind"), [("0.{i}7", "scored-labels"), ("1{i}", "track-numbers"), ("1.0", "scored-labels")]
)
def test_scores_and_tracks_are_told(number: str, kind: str, tail: str, tmp_path: Path) -> None:
    plain = open_data(write(tmp_path, lambda _: f"0 {BOX}{tail}"))
    dataset = open_data(write(tmp_path, lambda i: f"0 {BOX}{tail} {number.format(i=i)}"))
    assert boxes(dataset) == boxes(plain)
    assert (finding(dataset, kind).severity, finding(dataset, kind).count) == ("note", 10)
    assert dataset.tasks == plain.tasks


def test_a_sixth_number_that_is_neither_stops(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path, lambda i: f"0 {BOX} {i + 0.5}"))
    assert finding(dataset, "unreadable-annotation").severity == "stop"


def test_boxes_among_outlines_withhold_segmentation_and_say_why(tmp_path: Path) -> None:
    outline = "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9"
    write(tmp_path, lambda i: outline if i % 3 else f"0 {BOX}")
    with pytest.raises(TaskMismatchError, match=r"4 objects have no outline .*images/train/0\.png"):
        open_data(tmp_path, task="segmentation")


# --- the YAML file


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[no, yes]", ("no", "yes")),
        ("[on, off]", ("on", "off")),
        ("{0: null, 1: ~}", ("null", "~")),
        ("[1, 2.0]", ("1", "2.0")),
        ("{0: cat, 2: dog}", ("cat", "class_1", "dog")),
        ("{cat: 0, dog: 1}", ("cat", "dog")),
        ("cat, dog", ("cat", "dog")),
        ("\"['cat', 'dog']\"", ("cat", "dog")),
        ("classes.names", ("cow", "hen")),
    ],
)
def test_names_are_taken_as_they_are_written(names: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "classes.names").write_text("cow\nhen\n")
    dataset = open_data(
        write(tmp_path, lambda i: f"{i % 2} {BOX}", f"names: {names}\ntrain: images/train\nval: images/val\n")
    )
    assert dataset.classes["detection"] == expected


@pytest.mark.parametrize(
    "names", ["[]", "{-1: cat}", "{0: cat, 0.5: dog}", "[[cat], dog]", "{0: cat, 99999999999: dog}"]
)
def test_wrong_names_are_refused(names: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name each class once"):
        open_data(write(tmp_path, lambda _: "", f"names: {names}\ntrain: images/train\n"))


def test_nc_that_is_not_the_number_of_names_is_told(tmp_path: Path) -> None:
    assert finding(open_data(write(tmp_path, lambda _: f"0 {BOX}", f"{YAML}nc: 3\n")), "class-count").severity == "note"


def test_huge_class_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class number is too large"):
        open_data(write(tmp_path, lambda _: f"1e15 {BOX}", yaml=""))

"""LabelMe: files that labelme 6.3.1 wrote itself (its function write_label_file), and what people do with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tool_exports import EXPORTS, draw, kinds, lay_out, objects, samples
from visus.data.reading.opening import open_data
from visus.errors import DataError

BOX = {"label": "cat", "shape_type": "rectangle", "points": [[10, 5], [30, 25]], "flags": {}, "group_id": None}


def write(path: Path, shapes: list[dict[str, Any]], image: str = "", **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image or f"{path.stem}.jpg"}
    path.write_text(json.dumps(content | {"imageData": None, "imageHeight": 48, "imageWidth": 64} | more))


def only(root: Path, *stems: str) -> Path:
    """A data set of these files of the tool alone."""
    for stem in stems:
        target = root / f"{stem}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text((EXPORTS / "labelme" / f"{stem}.json").read_text())
    return draw(root, [f"{stem}.jpg" for stem in stems])


def test_rectangles_of_any_corners_and_orientation(tmp_path: Path) -> None:
    assert objects(only(tmp_path, "boxes")) == {"boxes.jpg": [["cat", 10, 8, 40.5, 30], ["dog", 20, 10, 40, 30]]}


def test_outlines_are_masks_too(tmp_path: Path) -> None:
    dataset = open_data(only(tmp_path, "outlines"))
    assert dataset.tasks == ("detection", "segmentation", "multilabel_segmentation")
    target = samples(dataset)["outlines.jpg"].target("detection")
    # Two polygons of a group are one object; the circle has the radius 5; the mask's corners are its first and last
    # pixels, and 35 + 1 + 1 of its pixels are set.
    assert target.boxes.tolist() == [[5, 5, 50, 30], [27, 25, 37, 35], [10, 20, 19, 27]]
    assert [target.classes[label] for label in target.labels] == ["cat", "dog", "dog"]
    parts, circle, brush = target.masks
    assert (parts.sum(), parts[5:15, 5:25].all(), parts[20:30, 40:50].all()) == (300, True, True)
    assert abs(circle.sum() - 78.5) < 4
    assert (brush.sum(), brush[20, 13], brush[26, 10], brush[21:26, 12:19].all()) == (37, True, True, True)
    assert dataset.ledger.found["objects"] == 3


def test_lines_and_clouds_of_points_have_no_area(tmp_path: Path) -> None:
    dataset = open_data(only(tmp_path, "lines", "boxes"))
    finding = next(item for item in dataset.findings if item.kind == "shape-without-area")
    assert (finding.severity, finding.count) == ("stop", 3)
    assert finding.examples == ("lines.json: wire (a line)", "lines.json: cell (a cloud of points)")


def test_points_of_different_names_are_landmarks(tmp_path: Path) -> None:
    dataset = open_data(only(tmp_path, "face"))
    assert dataset.classes == {"landmarks": ("left_eye", "right_eye", "nose")}
    target = samples(dataset)["face.jpg"].target("landmarks")
    assert target.points.tolist() == [[20.5, 12.25], [40, 12], [30, 22]]
    assert target.flip_pairs == ((0, 1),)


def test_points_of_one_name_are_not(tmp_path: Path) -> None:
    points = [{"label": "cell", "shape_type": "point", "points": [[k, k]]} for k in range(5)]
    for number in range(3):
        write(draw(tmp_path, [f"{number}.jpg"]) / f"{number}.json", points)
    with pytest.raises(DataError) as error:
        open_data(tmp_path)
    assert "15 points have a name that others of the same image or object have" in error.value.got


def test_flags_are_tags_of_images(tmp_path: Path) -> None:
    for number in range(4):
        write(
            draw(tmp_path, [f"{number}.jpg"]) / f"{number}.json",
            [],
            flags={"sharp": number < 2, "blurred": number >= 2},
        )
    dataset = open_data(tmp_path, task="classification")
    labels = {name: sample.target("classification").index for name, sample in samples(dataset).items()}
    assert dataset.classes["classification"] == ("sharp", "blurred")
    assert labels == {"0.jpg": 0, "1.jpg": 0, "2.jpg": 1, "3.jpg": 1}


def test_several_flags_are_several_classes(tmp_path: Path) -> None:
    for number, flags in enumerate(({"a": True, "b": True}, {"a": False, "b": True}, {"a": False, "b": False})):
        write(draw(tmp_path, [f"{number}.jpg"]) / f"{number}.json", [], flags=flags)
    found = samples(open_data(tmp_path, task="multilabel_classification"))
    present = {name: sample.target("multilabel_classification").present.tolist() for name, sample in found.items()}
    assert present == {"0.jpg": [True, True], "1.jpg": [False, True], "2.jpg": [False, False]}


@pytest.mark.parametrize("stated", ["0.jpg", "..\\photos\\0.jpg", "C:\\Users\\someone\\photos\\0.jpg", "/data/x/0.jpg"])
def test_an_image_of_another_machine_is_found(tmp_path: Path, stated: str) -> None:
    write(draw(tmp_path, ["photos/0.jpg"]) / "labels/0.json", [BOX], stated)
    assert objects(tmp_path) == {"photos/0.jpg": [["cat", 10, 5, 30, 25]]}


def test_each_folder_has_its_own_images_of_the_same_names(tmp_path: Path) -> None:
    for left, day in enumerate(("day1", "day2")):
        shape = BOX | {"points": [[left, 0], [20, 20]]}
        write(draw(tmp_path, [f"{day}/0.jpg"]) / day / "0.json", [shape])
    assert objects(tmp_path) == {"day1/0.jpg": [["cat", 0, 0, 20, 20]], "day2/0.jpg": [["cat", 1, 0, 20, 20]]}


def test_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write(draw(tmp_path, [f"{split}/0.jpg"]) / split / "0.json", [BOX])
    dataset = open_data(tmp_path)
    assert {split: [sample.id for sample in part] for split, part in dataset.splits.items()} == {
        "train": ["train/0.jpg"], "val": ["valid/0.jpg"],
    }  # fmt: skip


@pytest.mark.parametrize(("folder", "severity"), [("val", "stop"), ("test", "note")])
def test_a_split_without_labels(tmp_path: Path, folder: str, severity: str) -> None:
    write(draw(tmp_path, ["train/0.jpg", "train/1.jpg", f"{folder}/2.jpg"]) / "train/0.json", [BOX])
    found = kinds(open_data(tmp_path))
    assert found["unlabelled-image" if severity == "stop" else "unused-image"] == severity


def test_two_files_for_one_image_are_a_contradiction(tmp_path: Path) -> None:
    draw(tmp_path, ["0.jpg", "1.jpg"])
    write(tmp_path / "0.json", [BOX], "0.jpg")
    write(tmp_path / "1.json", [BOX], "0.jpg")
    assert kinds(open_data(tmp_path))["conflicting-labels"] == "stop"


def test_what_is_lost_is_counted(tmp_path: Path) -> None:
    draw(tmp_path, [f"{number}.jpg" for number in range(4)])
    for number in range(3):
        write(tmp_path / f"{number}.json", [BOX])
    write(
        tmp_path / "2.json", [BOX, {"label": "cat", "shape_type": "polygon", "points": [[1, 1]]}, BOX | {"points": "x"}]
    )
    write(tmp_path / "gone.json", [BOX])
    (tmp_path / "3.json").write_text('{"shapes": [')
    dataset = open_data(tmp_path)
    assert kinds(dataset)["unreadable-annotation"] == "repair"  # one always may be
    assert kinds(dataset)["missing-image"] == "repair"
    assert kinds(dataset)["unreadable-object"] == "stop"  # 2 of 5
    assert dataset.ledger.found == {"image files": 5, "label files": 5, "objects": 5}


@pytest.mark.parametrize(
    ("size", "box", "finding"),
    [
        ((96, 128), [5, 2.5, 15, 12.5], ("images-scaled", "note")),  # the image was made half as large afterwards
        ((20, 25), [10, 5, 30, 25], ("stated-size-wrong", "note")),  # the box fits the image only
        ((96, 64), [10, 5, 30, 25], ("size-differs", "stop")),
    ],
)
def test_labels_of_another_size(
    tmp_path: Path, size: tuple[int, int], box: list[float], finding: tuple[str, str]
) -> None:
    write(draw(tmp_path, ["0.jpg"]) / "0.json", [BOX], imageHeight=size[0], imageWidth=size[1])
    assert objects(tmp_path) == {"0.jpg": [["cat", *box]]}
    assert finding in kinds(open_data(tmp_path)).items()


def test_a_mask_cannot_be_scaled(tmp_path: Path) -> None:
    only(tmp_path, "outlines")
    draw(tmp_path, ["outlines.jpg"], (96, 128))
    assert kinds(open_data(tmp_path))["size-differs"] == "stop"


def test_copies_in_the_files_are_pointed_to(tmp_path: Path) -> None:
    write(tmp_path / "0.json", [BOX], imageData="aGVsbG8=")
    with pytest.raises(DataError) as error:
        open_data(tmp_path)
    assert "imageData" in error.value.remedy


def test_a_list_of_labels_gives_the_order(tmp_path: Path) -> None:
    lay_out("labelme", tmp_path, ["boxes.jpg", "outlines.jpg", "lines.jpg", "face.jpg", "flags.jpg"])
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nwire\ndog\ncell\ncat\n")
    assert open_data(tmp_path).classes["detection"] == ("wire", "dog", "cell", "cat")


@pytest.mark.parametrize("stated", ["{}.jpg", "..\\x\\{}.jpg", "../x/{}.jpg"])
def test_an_image_path_of_another_image_is_a_stop(tmp_path: Path, stated: str) -> None:
    root = tmp_path / "x"
    for i in range(4):
        write(root / f"{i}.json", [BOX], stated.format((i + 1) % 4))
    found = [item for item in open_data(draw(root, [f"{i}.jpg" for i in range(4)])).findings if item.severity == "stop"]
    assert [(item.kind, item.count, item.examples[0]) for item in found] == [
        ("image-name-differs", 4, "0.json: 1.jpg and 0.jpg")
    ]


def test_an_image_path_is_right_where_no_image_is_called_like_the_json_file(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"labels_{i}.json", [BOX], f"{i}.jpg")
    dataset = open_data(draw(tmp_path, [f"{i}.jpg" for i in range(4)]))
    assert not [item for item in dataset.findings if item.kind == "image-name-differs"]

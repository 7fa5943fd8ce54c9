"""Proposals of a file find their images, and what does not fit is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.pixels.images import ArrayImage
from visus.data.proposals.attaching import attach, with_proposals
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.structures import Proposals, Sample

PIXELS = ArrayImage(np.zeros((20, 30, 3), np.uint8))


def samples(*names: str) -> list[Sample]:
    return [Sample(name, PIXELS) for name in names]


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["image,x1,y1,x2,y2", *rows]))
    return path


def widths(attached: list[Sample]) -> list[list[float]]:
    found = []
    for sample in attached:
        assert isinstance(sample.proposals, Proposals)
        assert sample.proposals.size == (20, 30)
        found.append((sample.proposals.boxes[:, 2] - sample.proposals.boxes[:, 0]).tolist())
    return found


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (("a.jpg", "b.jpg"), ("a.jpg", "b.jpg")),
        (("images/a.jpg", "images/b.jpg"), ("a.jpg", "b.jpg")),
        (("images/a.jpg", "images/b.jpg"), ("a", "b")),
        (("a.jpg", "b.jpg"), (r"C:\pictures\a.jpg", "/home/ann/b.png")),
        (("train/a.jpg", "val/a.jpg"), ("x/train/a.jpg", "x/val/a")),
        (("v1.2.jpg", "v1.3.jpg"), ("v1.2", "v1.3")),
        (("000000000139.jpg", "000000000285.jpg"), ("139", "285")),
    ],
)
def test_an_image_is_known_by_the_end_of_its_name(tmp_path: Path, names, written) -> None:
    path = table(tmp_path / "a.csv", f"{written[1]},0,0,7,5", f"{written[0]},0,0,3,5", f"{written[1]},0,0,2,9")
    attached, findings = attach(samples(*names), [path])
    assert widths(attached) == [[3], [7, 2]]
    assert findings == []


def test_a_name_that_may_mean_several_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jpg may mean several images"):
        attach(samples("train/a.jpg", "val/a.jpg"), [table(tmp_path / "a.csv", "a.jpg,0,0,1,1")])


def test_an_image_without_proposals_has_none_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "a.jpg,0,0,3,5", "b.jpg,,,,", "other.jpg,1,1,2,2")
    attached, findings = attach(samples("a.jpg", "b.jpg"), [path])
    assert widths(attached) == [[3], []]
    assert [(found.kind, found.severity, found.count) for found in findings] == [
        ("proposals-of-other-images", "note", 1)
    ]
    with pytest.raises(DataError, match="1 image of 3 is not in") as raised:
        attach(samples("a.jpg", "b.jpg", "c.jpg"), [path])
    assert "c.jpg" in raised.value.got


def test_several_files_have_the_images_of_several_splits(tmp_path: Path) -> None:
    paths = [table(tmp_path / "a.csv", "a,0,0,3,5"), table(tmp_path / "b.csv", "b,0,0,4,5")]
    assert widths(attach(samples("a.jpg", "b.jpg"), paths)[0]) == [[3], [4]]
    with pytest.raises(DataError, match=r"a\.jpg has proposals twice"):
        attach(samples("a.jpg", "b.jpg"), [*paths, paths[0]])


def many(path: Path, *rows: str) -> Path:
    return table(path, *(f"a.jpg,0,0,{number % 20 + 5},10" for number in range(100)), *rows)


def test_a_few_faulty_boxes_are_repaired_and_told(tmp_path: Path) -> None:
    rows = ["a.jpg,nan,0,5,5", "a.jpg,9,8,3,2", "a.jpg,20,10,33,18", "a.jpg,4,4,4,9", "a.jpg,28,0,40,5"]
    attached, findings = attach(samples("a.jpg"), [many(tmp_path / "a.csv", *rows)])
    assert widths(attached)[0][100:] == [6, 10, 2]
    assert {found.kind: found.count for found in findings} == {
        "proposal-not-a-number": 1,
        "proposal-swapped": 1,
        "proposal-outside": 2,
        "proposal-mostly-outside": 1,
        "proposal-degenerate": 1,
    }
    assert all(found.severity == "repair" and found.examples == ("a.jpg",) for found in findings)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.jpg,40,0,50,5"] * 9, "are no boxes in their images"),
        (["a.jpg,0,nan,5,5"] * 9, "are no boxes in their images"),
        (["a.jpg,25,0,90,5"] * 9, "lie mostly outside"),
        (["a.jpg,9,8,3,2"] * 150, "ends before their starts"),
    ],
)
def test_many_faulty_boxes_are_an_error(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        attach(samples("a.jpg"), [many(tmp_path / "a.csv", *rows)])


def test_the_size_that_a_file_says_must_be_that_of_the_image(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [{"image": "a.jpg", "size": [30, 20], "boxes": []}]}))
    with pytest.raises(DataError, match="of another size"):
        attach(samples("a.jpg"), [path])
    path.write_text(json.dumps({"images": [{"image": "a.jpg", "size": [20, 30], "boxes": []}]}))
    assert widths(attach(samples("a.jpg"), [path])[0]) == [[]]


def coco_data(folder: Path, ids: tuple[int, ...]) -> Path:
    for name in ("x.png", "y.png", "z.png"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / name)
    images = [{"id": i, "file_name": name} for i, name in zip(ids, ("x.png", "y.png", "z.png"), strict=True)]
    annotations = [{"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 5, 5]} for i in ids]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "data.json").write_text(json.dumps(content))
    return folder


def test_ids_are_those_of_coco_where_the_data_are_coco(tmp_path: Path) -> None:
    dataset = open_data(coco_data(tmp_path, (30, 20, 10)))
    path = tmp_path.parent / f"{tmp_path.name}.json"
    entries = [{"image_id": i, "bbox": [0, 0, i, 5]} for i in (10, 20, 30)]
    path.write_text(json.dumps(entries))
    attached = with_proposals(dataset, [path])
    found = {sample.id: sample for split in attached.splits.values() for sample in split}
    assert widths([found["x.png"], found["y.png"], found["z.png"]]) == [[30], [20], [10]]
    assert {name: len(split) for name, split in attached.splits.items()} == {
        name: len(split) for name, split in dataset.splits.items()
    }
    path.write_text(json.dumps(entries[:2]))
    with pytest.raises(DataError, match=r"x\.png"):
        with_proposals(dataset, [path])

"""Files of proposals that other programs wrote: MATLAB, pickle, CSV and JSON, each with its own order and origin."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from visus.data.proposals.given import GivenProposals
from visus.data.proposals.reading import read_proposals
from visus.errors import DataError

BOXES = {"000005": [[0, 0, 10, 20], [3, 4, 9, 12]], "000007": []}
"""xyxy from 0, ends behind the last pixel: what each file below says in its own way."""


def cells(*values: Any) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def matlab(path: Path, **changes: Any) -> Path:
    # MATLAB counts from 1, the last pixel included, rows first: [0,10) x [0,20) is 1, 1, 20, 10.
    boxes = cells(np.asarray([[1, 1, 20, 10], [5, 4, 12, 9]], np.float64), np.zeros((0, 4)))
    content = {"boxes": boxes, "images": cells("000005", "000007").T} | changes
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def detectron2(path: Path, **changes: Any) -> Path:
    boxes = [np.asarray([[3, 4, 9, 12], [0, 0, 10, 20]], np.float32), np.zeros((0, 4), np.float32)]
    scores = [np.asarray([-1.5, 2.5], np.float32), np.zeros(0, np.float32)]
    content = {"ids": ["000005", "000007"], "boxes": boxes, "objectness_logits": scores, "bbox_mode": 0} | changes
    path.write_bytes(pickle.dumps({name: value for name, value in content.items() if value is not None}))
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def as_detectron2(folder: Path) -> Path:
    return detectron2(folder / "a.pkl")


def with_sizes(folder: Path) -> Path:
    boxes = [np.asarray([[3, 4, 6, 8], [0, 0, 10, 20]], np.float64), np.zeros((0, 4))]
    return detectron2(folder / "a.pkl", boxes=boxes, bbox_mode=1)


def of_detectron(folder: Path, ids: str = "ids") -> Path:
    boxes = [np.asarray([[3, 4, 8, 11], [0, 0, 9, 19]], np.float32), np.zeros((0, 4), np.float32)]
    scores = [np.asarray([-1.5, 2.5], np.float32), np.zeros(0, np.float32)]
    changes = {"ids": None, ids: ["000005", "000007"], "scores": scores, "boxes": boxes, "cfg": "text of the settings"}
    return detectron2(folder / "a.pkl", objectness_logits=None, bbox_mode=None, **changes)


def csv(folder: Path) -> Path:
    rows = "image,x1,y1,x2,y2,score\n000005,3,4,9,12,0.25\n000007,,,,,\n000005,0,0,10,20,0.75\n"
    return text(folder / "a.csv", rows)


def csv_in_another_order(folder: Path) -> Path:
    rows = "Score;ymin;xmin;ymax;xmax;file_name\n\n0.25;4;3;12;9;000005\n;;;;;000007\n0.75;0;0;20;10;000005\n"
    return text(folder / "table", rows)


def results(folder: Path) -> Path:
    entries = [
        {"file_name": "000005", "bbox": [3, 4, 6, 8], "score": 0.25, "category_id": 1},
        {"file_name": "000005", "bbox": [0, 0, 10, 20], "score": 0.75},
    ]
    return text(folder / "a.json", json.dumps(entries))


def coco(folder: Path) -> Path:
    content = {
        "images": [{"id": 3, "file_name": "000005"}, {"id": 9, "file_name": "000007"}],
        "annotations": [{"image_id": 3, "bbox": [0, 0, 10, 20]}, {"image_id": 3, "bbox": [3, 4, 6, 8]}],
    }
    return text(folder / "a.json", json.dumps(content))


def own(folder: Path) -> Path:
    images = [
        {"image": "000005", "size": [30, 40], "boxes": [[3, 4, 9, 12], [0, 0, 10, 20]], "scores": [1, 2]},
        {"image": "000007", "size": [30, 40], "boxes": []},
    ]
    return text(folder / "a.json", json.dumps({"images": images}))


WAYS = {
    "matlab": lambda folder: matlab(folder / "a.mat"),
    "matlab without its suffix": lambda folder: matlab(folder / "a.mat").rename(folder / "a.dat"),
    "detectron2": as_detectron2,
    "detectron2 with sizes": with_sizes,
    "detectron": of_detectron,
    "detectron with indexes": lambda folder: of_detectron(folder, "indexes"),
    "csv": csv,
    "csv in another order": csv_in_another_order,
    "results": results,
    "coco": coco,
    "own": own,
}


@pytest.mark.parametrize("way", WAYS)
def test_each_kind_of_file_says_the_same(tmp_path: Path, way: str) -> None:
    found = {given.name: given for given in read_proposals(WAYS[way](tmp_path))}
    assert set(found) == set(BOXES) - ({"000007"} if way == "results" else set())
    for name, given in found.items():
        np.testing.assert_array_equal(given.boxes, np.reshape(BOXES[str(name)], (-1, 4)))
        assert given.boxes.dtype == np.float32
        if given.scores is not None:
            assert (np.diff(given.scores) <= 0).all()
    assert (found["000005"].scores is None) == (way in ("matlab", "matlab without its suffix", "coco"))


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    path = detectron2(tmp_path / "a.pkl", ids=[np.int64(139), 7])
    assert [given.name for given in read_proposals(path)] == [139, 7]
    entries = [{"image_id": 139, "bbox": [0, 0, 1, 1]}]
    assert [given.name for given in read_proposals(text(tmp_path / "a.json", json.dumps(entries)))] == [139]


def test_a_score_that_is_no_number_comes_last() -> None:
    boxes = [[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]]
    given = GivenProposals.of("a", boxes, [np.nan, 0.5, 0.7], Path("a"))
    assert given.boxes[:, 2].tolist() == [3, 2, 1]


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/nonexistent/never",)


FAULTY: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda f: text(f / "a.csv", ""), "is empty"),
    "missing": (lambda f: f / "none.csv", "no file"),
    "folder": (lambda f: f, "a folder"),
    "matlab: cut": (lambda f: text(f / "a.mat", "MATLAB 5.0 MAT-file, but no more"), "no MATLAB file"),
    "matlab: damaged": (lambda f: _cut(matlab(f / "a.mat"), 400), "cannot be read"),
    "matlab: 7.3": (lambda f: _bytes(f / "a.mat", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\0" * 400), "7.3"),
    "matlab: no boxes": (lambda f: matlab(f / "a.mat", boxes=None), "has no proposals"),
    "matlab: a matrix": (lambda f: matlab(f / "a.mat", boxes=np.ones((3, 4))), r"boxes \[3, 4\]"),
    "matlab: no names": (lambda f: matlab(f / "a.mat", images=None), "does not name"),
    "matlab: a name less": (lambda f: matlab(f / "a.mat", images=cells("000005")), "does not name"),
    "matlab: numbers as names": (lambda f: matlab(f / "a.mat", images=cells(5.0, 7.0)), "no text"),
    "matlab: five columns": (lambda f: matlab(f / "a.mat", boxes=cells(np.ones((2, 5)), 1)), "no boxes"),
    "pickle: code": (lambda f: _bytes(f / "a.pkl", pickle.dumps({"ids": Harmful()})), "could run code"),
    "pickle: a list": (lambda f: _bytes(f / "a.pkl", pickle.dumps([np.ones((2, 4))])), "holds no proposals"),
    "pickle: no boxes": (lambda f: detectron2(f / "a.pkl", boxes=None), "boxes: none"),
    "pickle: an image less": (lambda f: detectron2(f / "a.pkl", boxes=[np.ones((1, 4))]), "boxes: 1"),
    "pickle: scores less": (lambda f: detectron2(f / "a.pkl", objectness_logits=[np.ones(2)]), "other images"),
    "pickle: a score less": (
        lambda f: detectron2(f / "a.pkl", objectness_logits=[np.ones(1), np.zeros(0)]),
        "another number of scores",
    ),
    "pickle: shares": (lambda f: detectron2(f / "a.pkl", bbox_mode=3), "XYWH_REL"),
    "pickle: rotated": (lambda f: detectron2(f / "a.pkl", bbox_mode=4), "XYWHA_ABS"),
    "pickle: odd mode": (lambda f: detectron2(f / "a.pkl", bbox_mode=[1]), "another kind"),
    "pickle: odd ids": (lambda f: detectron2(f / "a.pkl", ids=[[1], [2]]), "neither a number nor text"),
    "csv: no columns": (lambda f: text(f / "a.csv", "a,b,c\n1,2,3\n"), "no table of proposals"),
    "csv: text": (lambda f: text(f / "a.csv", "image,x1,y1,x2,y2\na.jpg,1,2,3,4\na.jpg,1,2,x,4\n"), "line 3"),
    "csv: half a box": (lambda f: text(f / "a.csv", "image,x1,y1,x2,y2\na.jpg,1,2,,\n"), "line 2"),
    "csv: a cell less": (lambda f: text(f / "a.csv", "image,x1,y1,x2,y2\na.jpg,1,2\n"), "line 2"),
    "json: cut": (lambda f: text(f / "a.json", '[{"image_id": 1, "bb'), "as JSON"),
    "json: other": (lambda f: text(f / "a.json", '{"predictions": []}'), "holds no proposals"),
    "json: no box": (lambda f: text(f / "a.json", '[{"image_id": 1, "bbox": [0, 0, 5]}]'), "entry 0"),
    "json: no name": (lambda f: text(f / "a.json", '[{"bbox": [0, 0, 5, 5]}]'), "entry 0"),
    "json: odd name": (lambda f: text(f / "a.json", '[{"image_id": [1], "bbox": [0, 0, 5, 5]}]'), "entry 0"),
    "json: text": (lambda f: text(f / "a.json", '["x"]'), "entry 0"),
    "json: no such image": (
        lambda f: text(f / "a.json", '{"images": [], "annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}'),
        "entry 0",
    ),
    "json: an odd size": (
        lambda f: text(f / "a.json", '{"images": [{"image": "a", "boxes": [], "size": "x"}]}'),
        "entry 0",
    ),
}


def _cut(path: Path, length: int) -> Path:
    return _bytes(path, path.read_bytes()[:length])


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("fault", FAULTY)
def test_each_fault_is_one_clear_error(tmp_path: Path, fault: str) -> None:
    make, message = FAULTY[fault]
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as raised:
        read_proposals(path)
    assert len(str(raised.value)) < 1200

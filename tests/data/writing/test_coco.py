"""Answers written as COCO are read again as they were, by visus and by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from visus.data.reading.opening import open_data
from visus.data.writing.coco import CocoWriter
from visus.structures import Detections, SegmentationMap

NAMES = ("background", "ring", "dot")


def answer(number: int) -> SegmentationMap:
    """A ring (with a hole), two dots that meet at a corner, and an ignored strip."""
    rows, columns = np.mgrid[:40, :50]
    ids = np.zeros((40, 50), np.uint8)
    distance = np.hypot(rows - 15, columns - 15 - number)
    ids[(distance < 11) & (distance > 5)] = 1
    ids[30:34, 30:34] = ids[34:37, 34:39] = 2
    ids[39] = 255
    scores = np.linspace(0.5, 1, ids.size, dtype=np.float32).reshape(ids.shape)
    return SegmentationMap(NAMES, ids, scores)


def test_maps_survive(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    (tmp_path / "images").mkdir()
    writer = CocoWriter(NAMES)
    for number in range(4):
        Image.new("RGB", (50, 40), (number, 9, 9)).save(tmp_path / "images" / f"{number}.png")
        writer.add(f"{number}.png", answer(number).size, answer(number).outlined())
    document = writer.document()
    assert [entry["name"] for entry in document["categories"]] == ["ring", "dot"]
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(tmp_path / "annotations.json")
    for number in range(4):
        united = np.zeros((40, 50), np.uint8)
        for entry in theirs.loadAnns(theirs.getAnnIds(number + 1)):
            mask = theirs.annToMask(entry)
            assert mask.sum() == entry["area"]
            rows, columns = np.nonzero(mask)
            x, y, width, height = entry["bbox"]
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert (x, y, x + width, y + height) == box
            assert 0.5 <= entry["score"] <= 1
            united[mask > 0] = entry["category_id"]
        np.testing.assert_array_equal(united, np.where(answer(number).map == 255, 0, answer(number).map))
    assert sum(isinstance(entry["segmentation"], dict) for entry in document["annotations"]) == 4  # the rings
    ours = open_data(tmp_path, task="segmentation")
    samples = sorted((s for part in ours.splits.values() for s in part), key=lambda s: s.id)
    assert ours.classes["segmentation"] == NAMES
    for number, sample in enumerate(samples):
        map_ = sample.target("segmentation").map
        np.testing.assert_array_equal(map_, np.where(answer(number).map == 255, 0, answer(number).map))


def test_objects_survive() -> None:
    found = answer(0).objects(connectivity=8)
    writer = CocoWriter(found.classes)
    writer.add("a.png", found.size, found.outlined())
    entries = writer.document()["annotations"]
    assert [entry["area"] for entry in entries] == found.masks.full().sum(axis=(1, 2)).tolist()
    assert [entry["category_id"] for entry in entries] == [1, 2]
    empty = CocoWriter(("a",))
    none = Detections.empty(("a",), (3, 3))
    assert none.outlined() is None  # boxes alone have no outlines
    empty.add("b.png", none.size, ())
    assert empty.document()["annotations"] == []
    assert len(empty.document()["images"]) == 1

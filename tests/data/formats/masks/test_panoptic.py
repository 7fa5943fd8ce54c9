"""COCO's panoptic labels give maps of all categories, and objects of those that are things."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import open_data
from visus.errors import DataError


def write(root: Path, splits: tuple[str, ...] = ("train2017", "val2017"), **changes: object) -> Path:
    """Two images a split: sky above (1000 = 232 + 3 * 256), ground below (70000 = 112 + 17 * 256 + 65536), a cat."""
    categories = [
        {"id": 17, "name": "cat", "isthing": 1},
        {"id": 200, "name": "sky", "isthing": 0},
        {"id": 193, "name": "ground", "isthing": 0},
    ]
    (root / "annotations").mkdir(parents=True)
    for split in splits:
        entries, labels = [], []
        for k in range(2):
            seed = 10 * splits.index(split) + k
            picture = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
            colours = np.zeros((20, 30, 3), np.uint8)
            colours[:10], colours[10:] = (232, 3, 0), (112, 17, 1)
            colours[4:12, 5 : 9 + k] = (5, 0, 0)
            colours[19, 29] = 0  # no segment
            for path, pixels in ((f"{split}/{k}.jpg", picture), (f"annotations/panoptic_{split}/{k}.png", colours)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / path)
            segments = [
                {"id": 1000, "category_id": 200, "bbox": [0, 0, 30, 10], "iscrowd": 0},
                {"id": 70000, "category_id": 193, "bbox": [0, 10, 30, 10], "iscrowd": 0},
                {"id": 5, "category_id": 17, "bbox": [5, 4, 4 + k, 8], "iscrowd": k},
            ]
            entries.append({"id": k, "file_name": f"{k}.jpg", "width": 30, "height": 20})
            labels.append({"image_id": k, "file_name": f"{k}.png", "segments_info": segments, **changes})
        content = {"images": entries, "annotations": labels, "categories": categories}
        (root / f"annotations/panoptic_{split}.json").write_text(json.dumps(content))
    return root


def test_maps_and_objects(tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path))
    assert (dataset.format, dataset.tasks) == ("coco-panoptic", ("segmentation", "detection"))
    assert dataset.classes == {"segmentation": ("cat", "ground", "sky"), "detection": ("cat",)}
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 2, "val": 2}
    sample = next(s for s in dataset.splits["val"] if s.id.endswith("1.jpg"))
    ids = sample.target("segmentation").map
    assert [ids[0, 0], ids[18, 0], ids[5, 6], ids[19, 29]] == [2, 1, 0, 255]
    objects = sample.target("detection")
    assert objects.boxes.tolist() == [[5, 4, 10, 12]]
    assert objects.masks.areas().tolist() == [40]
    assert objects.ignored.tolist() == [True]


def test_what_is_not_laid_out_so_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not laid out as COCO's panoptic labels"):
        open_data(write(tmp_path, segments_info=7))

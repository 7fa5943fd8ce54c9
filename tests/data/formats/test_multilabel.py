"""Masks by class, and objects of several classes on the same pixels; they move exactly as their image does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import displace, flip, mirror, rot90, warp
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.inspection.checks import check
from visus.data.pixels.images import ArrayImage
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.structures import IGNORE, MultiLabelMap, Preprocessing, Sample, SegmentationMap

TASK = "multilabel_segmentation"
SIZE = (20, 30)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def mask(seed: int, yes: int = 255) -> np.ndarray:
    return ((np.random.default_rng(seed).random(SIZE) < 0.4) * yes).astype(np.uint8)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


LAYOUTS = {
    "no splits": ("images/{name}", "masks/{label}/{name}"),
    "splits outside": ("{split}/images/{name}", "{split}/masks/{label}/{name}"),
    "splits inside": ("images/{split}/{name}", "masks/{split}/{label}/{name}"),
    "splits in each class": ("images/{split}/{name}", "masks/{label}/{split}/{name}"),
}


def write(folder: Path, layout: str = "no splits", yes: int = 255) -> Path:
    for n in range(8):
        split = "train" if n < 5 else "val"
        for kind, label, values in (
            (0, "", image(n)), (1, "cell", mask(n, yes)), (1, "nucleus", mask(100 + n, yes)),
        ):  # fmt: skip
            save(folder / LAYOUTS[layout][kind].format(split=split, label=label, name=f"{n}.png"), values)
    return folder


@pytest.mark.parametrize("yes", [1, 255])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_masks_by_class(layout: str, yes: int, tmp_path: Path) -> None:
    data = open_data(write(tmp_path / "cells", layout, yes))
    assert data.format == "class-masks"
    assert data.tasks == (TASK,)
    assert data.classes[TASK] == ("cell", "nucleus")
    if layout != "no splits":
        assert {split: len(part) for split, part in data.splits.items()} == {"train": 5, "val": 3}
    samples = [sample for part in data.splits.values() for sample in part]
    assert len(samples) == 8
    for sample in samples:
        n = int(Path(sample.id).stem)
        found = sample.target(TASK)
        np.testing.assert_array_equal(found.masks, [mask(n) > 0, mask(100 + n) > 0])
        assert found.ignored is None
    assert not [finding for finding in check(data) if finding.severity != "note"]


def test_missing_and_void_masks(tmp_path: Path) -> None:
    folder = write(tmp_path / "cells")
    (folder / "masks" / "nucleus" / "3.png").unlink()
    (folder / "masks" / "nucleus" / "4.png").unlink()
    (folder / "masks" / "cell" / "4.png").unlink()
    save(folder / "masks" / "ignore" / "2.png", mask(200))
    save(folder / "masks" / "cell" / "9.png", mask(9))
    data = open_data(folder)
    kinds = {finding.kind: finding for finding in data.findings}
    assert data.classes[TASK] == ("cell", "nucleus")
    assert kinds["class-without-mask"].examples == ("images/3.png",)
    assert kinds["unlabelled-image"].examples == ("images/4.png",)
    assert kinds["label-without-image"].examples == ("masks/cell/9.png",)
    found = {Path(s.id).stem: s.target(TASK) for part in data.splits.values() for s in part}
    assert "4" not in found
    assert not found["3"].masks[1].any()
    np.testing.assert_array_equal(found["2"].ignored, [mask(200) > 0] * 2)


def test_masks_that_are_not_binary_or_of_another_size_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "cells")
    grey = mask(0)
    grey[0, 0] = 128
    save(folder / "masks" / "cell" / "0.png", grey)
    data = open_data(folder)
    sample = next(s for part in data.splits.values() for s in part if s.id == "images/0.png")
    with pytest.raises(DataError, match="not a mask of one class"):
        sample.target(TASK)
    assert {f.kind: f.severity for f in check(data)}["unreadable-target"] == "repair"
    save(folder / "masks" / "cell" / "0.png", mask(0)[:-1])
    assert {f.kind for f in check(open_data(folder))} & {"unreadable-target", "size-differs"}


def test_maps_of_all_classes_stay_maps(tmp_path: Path) -> None:
    for n in range(4):
        save(tmp_path / "a" / "images" / f"{n}.png", image(n))
        save(tmp_path / "a" / "masks" / f"{n}.png", mask(n, 1))
    assert open_data(tmp_path / "a").format == "masks"


def write_coco(folder: Path) -> Path:
    """A wheel on a car, a crowd of wheels, and a second image without objects."""
    (folder / "images").mkdir(parents=True)
    for n in (1, 2):
        save(folder / "images" / f"{n}.png", image(n))
    square = [[2, 2, 12, 2, 12, 12, 2, 12]]
    within = [[4, 4, 8, 4, 8, 8, 4, 8]]
    crowd = {"size": [20, 30], "counts": [20 * 20, 20 * 5, 20 * 5]}  # columns 20 to 24
    objects = [(7, square, 0), (8, within, 0), (8, crowd, 1)]
    shared = {"image_id": 1, "bbox": [2, 2, 10, 10], "area": 1}
    annotations = [
        {"id": i, "category_id": category, "segmentation": outline, "iscrowd": many, **shared}
        for i, (category, outline, many) in enumerate(objects)
    ]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 20, "width": 30} for n in (1, 2)],
        "categories": [{"id": 7, "name": "car"}, {"id": 8, "name": "wheel"}],
        "annotations": annotations,
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def test_objects_of_two_classes_share_pixels(tmp_path: Path) -> None:
    data = open_data(write_coco(tmp_path / "cars"), task=TASK)
    assert data.classes[TASK] == ("car", "wheel")
    found = {Path(s.id).stem: s.target(TASK) for part in data.splits.values() for s in part}
    car, wheel = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    car[2:12, 2:12] = True
    wheel[4:8, 4:8] = True
    np.testing.assert_array_equal(found["1"].masks, [car, wheel])
    crowd = np.zeros(SIZE, bool)
    crowd[:, 20:25] = True
    np.testing.assert_array_equal(found["1"].ignored, [np.zeros(SIZE, bool), crowd])
    assert not found["2"].masks.any()


FIELD = np.random.default_rng(5).normal(0, 2, (*SIZE, 2)).astype(np.float32)
MATRIX = np.asarray([[0.9, 0.2, 3], [-0.1, 1.1, -4]])
MOVES = {
    "cut and shrunk": lambda frame: Cut.of(SIZE, (3.0, -4.0, 24.0, 26.0), (17, 21)).apply(frame),
    "mirrored": mirror,
    "flipped": flip,
    "turned": lambda frame: rot90(frame, 1),
    "warped": lambda frame: warp(frame, MATRIX, "constant"),
    "warped with a mirrored border": lambda frame: warp(frame, MATRIX, "mirror"),
    "bent": lambda frame: displace(frame, FIELD, "constant"),
}


@pytest.mark.parametrize("name", MOVES)
def test_each_class_moves_as_a_map_of_its_own(name: str) -> None:
    """What a class map does with two classes is tested elsewhere against the image; here each mask must do the same."""
    bears = np.stack([mask(0) > 0, mask(1) > 0])
    ignored = np.stack([mask(2) > 0, np.zeros(SIZE, bool)])
    value = MultiLabelMap(("a", "b"), bears & ~ignored, ignored=ignored)
    moved = MOVES[name](Frame(image(0), value)).target
    for k in range(2):
        alone = MOVES[name](Frame(image(0), SegmentationMap(("no", "yes"), value.codes[k]))).target.map
        np.testing.assert_array_equal(moved.codes[k], alone)
    assert moved.size == alone.shape
    assert name in ("mirrored", "flipped", "turned") or IGNORE in moved.codes[1] or "border" in name


def test_every_augmentation_moves_masks_with_the_image() -> None:
    """A picture of the masks themselves: after any change, bright is where a mask is, but for the rim."""
    bears = np.zeros((3, 60, 90), bool)
    bears[0, 10:30, 10:50] = bears[1, 20:50, 30:80] = bears[2, 5:20, 60:85] = True
    pixels = np.moveaxis(bears, 0, -1).astype(np.uint8) * 250
    sample = Sample("a", ArrayImage(pixels), {TASK: MultiLabelMap(("a", "b", "c"), bears)})
    augmentation = Augmentation(
        random_crop=True, scale_range=(0.8, 1.3), mirror=0.5, flip=0.5, quarter_turns=True, rotation=20, shear=5,
        elastic=2, border="mirror",
    )  # fmt: skip
    prepare = Preparer(TASK, Preprocessing(size=(48, 48)), augmentation, 0)
    for index in range(10):
        found = prepare(sample, index, 0)
        bright = found.image > 125
        wrong = bright != found.target.masks
        assert wrong.mean() < 0.05
        inner = np.abs(found.image.astype(int) - 125) > 124  # pure black or white: no rim
        assert (wrong & inner).mean() < 0.002

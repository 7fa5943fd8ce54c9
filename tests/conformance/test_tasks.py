"""Every task through the battery of ``visus.testing``, on a dozen tiny images and its cheapest network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import toy_instances
from visus.structures.task_cards import TASKS
from visus.testing import TASK_CHECKS, TaskCase
from visus.testing.tasks import resumes_to_the_same_bits

COUNTS = {"train": 8, "val": 4}
"""Images of each split."""


def pictures(folder: Path, count: int, seed: int) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Noise with a bright square: the file's name, and the square as x1, y1, x2, y2."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        pixels = random.integers(0, 80, (32, 32, 3)).astype(np.uint8)
        x, y = random.integers(2, 12, 2).tolist()
        side = 12 + number % 5
        pixels[y : y + side, x : x + side, number % 2] = 250
        Image.fromarray(pixels).save(folder / f"{number}.png")
        yield f"{number}.png", (x, y, x + side, y + side)


def class_folders(root: Path) -> Path:
    for split, count in COUNTS.items():
        for name, _ in pictures(root / split / "all", count, len(split)):
            folder = root / split / ("red", "green")[int(name[0]) % 2]
            folder.mkdir(exist_ok=True)
            (root / split / "all" / name).rename(folder / name)
        (root / split / "all").rmdir()
    return root


def boxes(root: Path) -> Path:
    for split, count in COUNTS.items():
        for name, (x1, y1, x2, y2) in pictures(root / "images" / split, count, len(split)):
            label = root / "labels" / split / f"{Path(name).stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            numbers = ((x1 + x2) / 64, (y1 + y2) / 64, (x2 - x1) / 32, (y2 - y1) / 32)
            label.write_text(f"{int(name[0]) % 2} " + " ".join(map(str, numbers)) + "\n")
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [red, green]\n")
    return root


def points(root: Path) -> Path:
    rows = ["image,split,corner_x,corner_y,end_x,end_y"]
    for split, count in COUNTS.items():
        for name, (x1, y1, x2, y2) in pictures(root / split, count, len(split)):
            rows.append(f"{split}/{name},{split},{x1},{y1},{x2},{y2}")
    (root / "points.csv").write_text("\n".join(rows) + "\n")
    return root


def outlines(root: Path) -> Path:
    """The squares as YOLO's outlines: the file's class, then corners as shares of the image."""
    for split, count in COUNTS.items():
        for name, (x1, y1, x2, y2) in pictures(root / "images" / split, count, len(split)):
            label = root / "labels" / split / f"{Path(name).stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            corners = [value / 32 for value in (x1, y1, x2, y1, x2, y2, (x1 + x2) / 2, y2, x1, y2)]
            label.write_text(f"{int(name[0]) % 2} " + " ".join(map(str, corners)) + "\n")
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames: [red, green]\n")
    return root


def masks(root: Path) -> Path:
    for split, count in COUNTS.items():
        (root / split / "masks").mkdir(parents=True)
        for name, (x1, y1, x2, y2) in pictures(root / split / "images", count, len(split)):
            mask = np.zeros((32, 32), np.uint8)
            mask[y1:y2, x1:x2] = 1 + int(name[0]) % 2
            Image.fromarray(mask).save(root / split / "masks" / name)
    (root / "classes.txt").write_text("background\nred\ngreen\n")
    return root


def class_masks(root: Path) -> Path:
    for split, count in COUNTS.items():
        for name, (x1, y1, x2, y2) in pictures(root / split / "images", count, len(split)):
            for label, shrunk in (("square", 0), ("middle", 3)):
                folder = root / split / "masks" / label
                folder.mkdir(parents=True, exist_ok=True)
                mask = np.zeros((32, 32), np.uint8)
                mask[y1 + shrunk : y2 - shrunk, x1 + shrunk : x2 - shrunk] = 255
                Image.fromarray(mask).save(folder / name)
    return root


SHORT = {"batch_size": 4, "size": [32, 32], "fit": "stretch"}
NARROW_UNET = {**SHORT, "model_options.width": 4, "model_options.depth": 2}
CASES = {
    "classification": (class_folders, "lenet5@modern", None, {"batch_size": 4}),
    "multilabel_classification": (boxes, "lenet5@modern", None, {"batch_size": 4}),
    "localization": (boxes, "localizer", "resnet20", {**SHORT, "model_options.width": 8}),
    "landmarks": (points, "landmarks", "resnet20", {**SHORT, "model_options.width": 8}),
    "detection": (boxes, "yolov3_tiny", None, {**SHORT, "size": [64, 64]}),
    "instance_segmentation": (outlines, "toy_instances", None, {**SHORT, "size": [64, 64]}),
    "segmentation": (masks, "unet@padded", None, NARROW_UNET),
    "multilabel_segmentation": (class_masks, "unet@padded", None, NARROW_UNET),
}


def test_every_task_is_here() -> None:
    assert set(CASES) == {card.name for card in TASKS}


@pytest.fixture(scope="module", autouse=True)
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Networks of other packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toy_instances.install(tmp_path_factory.mktemp("site") / "toys")))
        yield


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TaskCase:
    write, model, backbone, changes = CASES[request.param]
    return TaskCase(request.param, write, model, tmp_path_factory.mktemp(request.param) / "case", backbone, changes)


@pytest.mark.parametrize("check", TASK_CHECKS, ids=lambda check: check.__name__)
def test_task(case: TaskCase, check: Callable[[TaskCase], None], request: pytest.FixtureRequest) -> None:
    if check is resumes_to_the_same_bits:  # the reports of a training are asked for by another check
        request.getfixturevalue("without_reports")
    check(case)

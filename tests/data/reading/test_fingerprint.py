"""A fingerprint follows what is learnt from, and nothing else."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.data.reading.fingerprint import fingerprint
from visus.data.reading.opening import open_data
from visus.structures import Detections, Label, Sample

CLASSES = ("cat", "dog")


def labelled(images: list[np.ndarray], labels: list[int]) -> Dataset:
    samples = [
        Sample(f"{i}", ArrayImage(image), {"classification": Label(CLASSES, label)})
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return Dataset("made", "arrays", None, {"classification": CLASSES}, {"train": samples[:3], "val": samples[3:]})


def boxed(box: tuple[float, float, float, float], ignored: bool = False) -> Dataset:
    target = Detections(
        CLASSES, np.asarray([box], np.float32), np.asarray([1], np.int64), (8, 8), ignored=np.asarray([ignored])
    )
    sample = Sample("0", ArrayImage(np.zeros((8, 8), np.uint8)), {"detection": target})
    return Dataset("made", "arrays", None, {"detection": CLASSES}, {"train": [sample]})


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (5, 6, 7), np.uint8))


def test_is_sha256_and_repeats(pictures: list[np.ndarray]) -> None:
    first = fingerprint(labelled(pictures, [0, 1, 0, 1, 0]))
    assert len(first) == 64
    assert int(first, 16) >= 0
    assert first == fingerprint(labelled([image.copy() for image in pictures], [0, 1, 0, 1, 0]))


def test_every_part_counts(pictures: list[np.ndarray]) -> None:
    labels = [0, 1, 0, 1, 0]
    dataset = labelled(pictures, labels)
    train, val = dataset.split("train"), dataset.split("val")
    painted = [image.copy() for image in pictures]
    painted[4][0, 0] ^= 1
    renamed = [replace(train[0], id="other"), *train[1:]]
    variants = [
        dataset,
        labelled(pictures, [0, 1, 0, 1, 1]),
        labelled(painted, labels),
        replace(dataset, classes={"classification": ("dog", "cat")}),
        dataset.with_splits({"train": renamed, "val": val}),
        dataset.with_splits({"train": train, "test": val}),
        dataset.with_splits({"train": [*train, val[0]], "val": val[1:]}),
        dataset.with_splits({"train": train[::-1], "val": val}),
        labelled([image.T for image in pictures], labels),  # the same bytes in another form
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)


def test_boxes_count_and_names_do_not() -> None:
    first = boxed((1, 2, 5, 6))
    assert fingerprint(first) == fingerprint(replace(first, name="other", root=Path("/elsewhere")))
    assert len({fingerprint(d) for d in (first, boxed((1, 2, 5, 7)), boxed((1, 2, 5, 6), ignored=True))}) == 3


def test_encoded_images_count_by_their_bytes() -> None:
    def of(data: bytes) -> str:
        sample = Sample("0", BytesImage(data, "x"), {})
        return fingerprint(Dataset("made", "bytes", None, {}, {"predict": [sample]}))

    assert of(b"abc") == of(b"abc") != of(b"abd")


def write(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


def test_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    here = write(tmp_path / "here")
    there = shutil.copytree(here, tmp_path / "deeper" / "there")
    before = fingerprint(open_data(here))
    assert before == fingerprint(open_data(there))
    (there / "cat" / "0.png").rename(there / "dog" / "9.png")
    assert before != fingerprint(open_data(there))


def test_an_absent_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    dataset = Dataset("made", "files", tmp_path, {}, {"predict": [Sample("a", FileImage(path), {})]})
    absent = fingerprint(dataset)
    Image.new("L", (4, 4)).save(path)
    assert absent != fingerprint(dataset)


def test_masks_count_by_their_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "images" / f"{number}.png")
        mask = rng.integers(0, 3, (16, 16)).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    before = fingerprint(open_data(tmp_path))
    assert before == fingerprint(open_data(tmp_path))
    mask[:8] = 0  # compresses to another size
    Image.fromarray(mask).save(tmp_path / "masks" / "3.png")
    assert before != fingerprint(open_data(tmp_path))


@pytest.mark.parametrize(
    "name", ["bccd/bccd_voc.tar", "nuclei/nuclei_160.tar", "camvid/camvid_trainval.tar", "kangaroo/kangaroo_voc.tar"]
)
def test_shared_sets_repeat(name: str, unpacked: Callable[[str], Path]) -> None:
    folder = unpacked(name)
    assert fingerprint(open_data(folder)) == fingerprint(open_data(folder))


def test_mnist_takes_seconds(shared_data: Callable[[str], Path]) -> None:
    dataset = open_data(shared_data("mnist"))
    start = time.process_time()
    fingerprint(dataset)
    assert time.process_time() - start < 5  # 0.5 s on an idle core

"""Test data whose classes lack some, come in another order or have other ids are judged in the model's classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import visus
from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.errors import DataError, ShapeError
from visus.structures import LabelSet, Landmarks, MultiLabelMap
from visus.workflow.class_matching import match_classes, over_classes_with_examples

MODEL = ("ant", "bee", "cat")
"""The classes of a model."""

HELD = ("cat", "ant", "cat", "ant")
"""What is in each image of the test data."""


def pictures(folder: Path, count: int = 4) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{k}.png" for k in range(count)]
    for seed, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(path)
    return paths


def coco(root: Path, names: Sequence[str]) -> Path:
    """Category ids are 7, 14, 21 ... in the order of the names."""
    pictures(root / "images")
    ids = {name: 7 * (k + 1) for k, name in enumerate(names)}
    images = [{"id": k, "file_name": f"{k}.png", "width": 32, "height": 24} for k in range(4)]
    objects = [
        {"id": k + 1, "image_id": k, "category_id": ids[name], "bbox": [4, 4, 9, 9], "area": 81, "iscrowd": 0}
        for k, name in enumerate(HELD)
    ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    text = json.dumps({"images": images, "annotations": objects, "categories": categories})
    (root / "annotations.json").write_text(text)
    return root


def voc(root: Path, names: Sequence[str]) -> Path:
    pictures(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for k, name in enumerate(HELD):
        box = "<bndbox><xmin>4</xmin><ymin>4</ymin><xmax>13</xmax><ymax>13</ymax></bndbox>"
        text = f"<annotation><filename>{k}.png</filename><object><name>{name}</name>{box}</object></annotation>"
        (root / "Annotations" / f"{k}.xml").write_text(text)
    return root


def yolo(root: Path, names: Sequence[str]) -> Path:
    pictures(root / "images" / "test")
    (root / "labels" / "test").mkdir(parents=True)
    for k, name in enumerate(HELD):
        (root / "labels" / "test" / f"{k}.txt").write_text(f"{names.index(name)} 0.5 0.5 0.4 0.4\n")
    (root / "data.yaml").write_text(f"names: [{', '.join(names)}]\ntrain: images/test\n")
    return root


def folders(root: Path, names: Sequence[str]) -> Path:
    for path, name in zip(pictures(root / "all"), HELD, strict=True):
        (root / name).mkdir(exist_ok=True)
        path.rename(root / name / path.name)
    (root / "all").rmdir()
    return root


def table(root: Path, names: Sequence[str]) -> Path:
    pictures(root)
    (root / "labels.csv").write_text("file,label\n" + "".join(f"{k}.png,{name}\n" for k, name in enumerate(HELD)))
    return root


def mask_files(root: Path, names: Sequence[str]) -> Path:
    """The left half of each mask is the first class, the right half the image's."""
    pictures(root / "images")
    (root / "masks").mkdir()
    listed = ("background", *names)
    for k, name in enumerate(HELD):
        ids = np.zeros((24, 32), np.uint8)
        ids[:, 16:] = listed.index(name)
        Image.fromarray(ids).save(root / "masks" / f"{k}.png")
    (root / "classes.txt").write_text("\n".join(listed))
    return root


def samples(dataset: Dataset) -> list[Any]:
    return sorted((s for part in dataset.splits.values() for s in part), key=lambda sample: sample.id.split("/")[-1])


@pytest.mark.parametrize("names", [("cat", "ant"), ("cat", "bee", "ant"), ("dog", "cat", "ant")], ids=" ".join)
@pytest.mark.parametrize(
    ("write", "task"),
    [
        (coco, "detection"),
        (voc, "detection"),
        (yolo, "detection"),
        (yolo, "localization"),
        (folders, "classification"),
        (table, "classification"),
        (mask_files, "segmentation"),
    ],
)
def test_classes_are_matched_by_name_in_every_format(
    write: Callable[[Path, Sequence[str]], Path], task: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    dataset = open_data(write(tmp_path / "data", names), task=task, least_classes=1)
    classes = ("background", *MODEL) if task == "segmentation" else MODEL
    matched = match_classes(samples(dataset), task, dataset.classes, classes, dataset.name)
    for sample, name in zip(matched, HELD, strict=True):
        target = sample.target(task)
        assert target.classes == classes
        assert sorted({*target.mentions()} - {"background"}) == [name]
        if task == "segmentation":
            assert (target.map[:, 16:] == classes.index(name)).all()
            assert (target.map[:, :16] == 0).all()
        elif task != "classification":
            assert target.labels.tolist() == [MODEL.index(name)]
            assert sample.target(task, masks=False).classes == classes


def test_masks_without_names_that_lack_the_higher_numbers_are_the_first_two_classes(tmp_path: Path) -> None:
    root = mask_files(tmp_path / "data", MODEL)
    (root / "classes.txt").unlink()
    for path in (root / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 3).save(path)
    dataset = open_data(root, task="segmentation")
    assert dataset.classes["segmentation"] == ("background", "foreground")
    classes = ("class_0", "class_1", "class_2")
    matched = match_classes(samples(dataset), "segmentation", dataset.classes, classes, dataset.name)
    target = matched[0].target("segmentation")
    assert target.classes == classes
    assert target.mentions() == ["class_0", "class_1"]


@pytest.mark.parametrize(
    ("write", "task"), [(coco, "detection"), (folders, "classification"), (mask_files, "segmentation")]
)
def test_images_of_an_unknown_class_stop_and_are_named(write: Any, task: str, tmp_path: Path) -> None:
    dataset = open_data(write(tmp_path / "data", ("cat", "ant")), task=task)
    classes = ("background", "Ant", "bee", "cat") if task == "segmentation" else ("Ant", "bee", "cat")
    with pytest.raises(DataError, match="ant in 2 images") as caught:
        match_classes(samples(dataset), task, dataset.classes, classes, "field")
    assert "1.png" in caught.value.got
    assert "3.png" in caught.value.got
    assert "0.png" not in caught.value.got
    assert "did you mean ant as Ant?" in caught.value.remedy


def test_equal_classes_leave_the_samples_as_they_are(tmp_path: Path) -> None:
    dataset = open_data(folders(tmp_path / "data", ()), least_classes=1)
    held = samples(dataset)
    assert match_classes(held, "classification", dataset.classes, ("ant", "cat"), "field") is held


def test_landmarks_and_several_labels_do_not_know_what_the_data_lack() -> None:
    ids = np.asarray([2, 0])
    points = np.float32([[1, 2], [3, 4]])
    marks = Landmarks(("cat", "ant"), points, np.asarray([True, True]), (9, 9), ((0, 1),)).with_classes(MODEL, ids)
    assert marks.visible.tolist() == [True, False, True]
    assert marks.points[[2, 0]].tolist() == points.tolist()
    assert marks.flip_pairs == ((2, 0),)
    both = LabelSet.of_ids(("cat", "ant"), [1]).with_classes(MODEL, ids)
    assert both.codes.tolist() == [1, 255, 0]
    planes = np.zeros((2, 2, 2), bool)
    planes[0, 0] = True
    maps = MultiLabelMap(("cat", "ant"), planes).with_classes(MODEL, ids)
    assert maps.masks[2].tolist() == planes[0].tolist()
    assert maps.ignored is not None
    assert maps.ignored.all(axis=(1, 2)).tolist() == [False, True, False]


def test_means_are_over_the_classes_with_examples() -> None:
    scores = {"accuracy": 0.5, "macro_f1": 0.4, "per_class": {"a": {"f1": 0.8}, "b": {"f1": 0.4}, "c": {"f1": 0.0}}}
    told = over_classes_with_examples(scores, ("c",))
    assert told["macro_f1"] == pytest.approx(0.6)
    assert told["accuracy"] == 0.5
    assert scores["macro_f1"] == 0.4
    assert over_classes_with_examples(scores, ("a", "b", "c"))["macro_f1"] is None


def test_a_run_is_judged_on_images_of_some_of_its_classes(
    trained: Callable[[str], Any], photos: Path, cli: Any, tmp_path: Path
) -> None:
    run = trained("classification").path
    own = visus.evaluate(run, quiet=True).metrics["per_class"]
    for label in ("green", "red"):
        shutil.copytree(photos / "test" / label, tmp_path / "field" / label)
    told = json.loads(cli("evaluate", run, "--data", tmp_path / "field", "--split", "all", "--json", "--quiet").out)
    per_class = told["metrics"]["per_class"]
    assert {label: row["recall"] for label, row in per_class.items()} == {
        "blue": None, "green": own["green"]["recall"], "red": own["red"]["recall"]
    }  # fmt: skip
    known = [per_class[label]["f1"] for label in ("green", "red")]
    assert told["metrics"]["macro_f1"] == pytest.approx(np.mean(known))
    assert told["images"] == 6
    assert any("no example of blue" in note for note in told["notes"])
    without = cli("evaluate", run, "--data", tmp_path / "field", "--quiet").out
    assert "all its 6 images are judged" in without
    part = cli("evaluate", run, "--data", tmp_path / "field", "--split", "test", "--quiet").out
    assert "no split test of its own: it is 1 of 6 images" in part
    shutil.rmtree(tmp_path / "field" / "green")
    alone = cli("evaluate", run, "--data", tmp_path / "field", "--quiet")
    assert alone.code == 0
    assert "no example of blue, green" in alone.out
    shutil.copytree(photos / "test" / "blue", tmp_path / "field" / "Blue")
    unknown = cli("evaluate", run, "--data", tmp_path / "field", "--quiet")
    assert unknown.code == 4
    assert "Blue in 3 images: Blue/blue-0.png" in unknown.err


def test_a_value_of_others_that_names_classes_says_that_it_cannot_be_matched() -> None:
    from visus.structures.values.base import BaseValue

    class Tag(BaseValue):
        classes = ("a", "b")

    tag = Tag()
    assert tag.with_classes(("a", "b"), np.arange(2)) is tag
    with pytest.raises(ShapeError, match="Tag cannot be told in other classes"):
        tag.with_classes(("b", "a"), np.asarray([1, 0]))

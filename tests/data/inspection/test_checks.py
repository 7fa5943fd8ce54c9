"""Each fault has its kind, severity and file names; what is repaired is gone; quick and thorough checks agree."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from checked_data import (
    CLASSES,
    Broken,
    boxes,
    dataset_of,
    encoded,
    files,
    good_boxes,
    good_map,
    labels,
    maps,
    scene,
    summary,
)
from visus.data.dataset import Dataset, Finding
from visus.data.inspection import checks, leaks
from visus.data.inspection.checks import check, check_before_training, repair
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.data.reading.fingerprint import fingerprint
from visus.data.reading.opening import open_data
from visus.errors import TaskMismatchError
from visus.report.data_page import write_data_report
from visus.report.samples import sample_grid
from visus.structures import Label, Sample, TargetSource, Value, task_cards
from visus.structures.task_cards import TaskCard

# --- clean sets of every task give nothing


def test_clean_sets_give_nothing() -> None:
    sets = [
        dataset_of({"train": labels(0, 1, 2, 0), "val": labels(0, 1, 2)}, "classification"),
        dataset_of({"train": good_boxes(), "val": good_boxes()}, "detection"),
        dataset_of({"train": maps(good_map(), good_map()), "test": maps(good_map())}, "segmentation"),
        dataset_of({"train": labels(0, 1, 2), "val": labels(0, 1, 2)}, "classification", made=("val",)),
    ]
    for dataset in sets:
        assert check(dataset) == []
        assert check(dataset, dataset.tasks[0]) == []
        assert check_before_training(dataset, None) == []
        assert repair(dataset, []) is dataset


def test_an_empty_data_set_is_no_crash() -> None:
    assert list(summary(check(Dataset("made", "arrays", None, {}, {})))) == ["no-labels"]
    assert list(summary(check(dataset_of({"train": []}, "classification")))) == ["no-training-images"]


def test_nothing_to_learn_stops() -> None:
    unlabelled = [Sample("a.png", ArrayImage(scene(0))), Sample("b.png", ArrayImage(scene(1)))]
    (labels_missing,) = check(Dataset("made", "images", None, {}, {"predict": unlabelled}))
    assert (labels_missing.kind, labels_missing.severity, labels_missing.count) == ("no-labels", "stop", 2)
    assert "classes, boxes, points or masks" in labels_missing.message
    (captions,) = check(Dataset("made", "captions", None, {}, {"train": unlabelled}))
    assert (captions.kind, captions.severity) == ("no-labels", "stop")
    assert "captions" in captions.message
    (split_missing,) = check(dataset_of({"val": labels(0, 1, 2)}, "classification"))
    assert (split_missing.kind, split_missing.severity) == ("no-training-images", "stop")
    assert "val" in split_missing.message


# --- tasks that name no classes, or identities that differ between the splits

GENERATION = TaskCard("generation", "new images", Label, "pack:Generation", names="", supervised=False)
IDENTIFICATION = TaskCard("identification", "who it is", Label, "pack:Identification", names="identities")


@pytest.fixture
def more_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_cards, "TASKS", (*task_cards.TASKS, GENERATION, IDENTIFICATION))


@pytest.mark.usefixtures("more_tasks")
def test_a_task_without_labels_takes_any_images(tmp_path: Path) -> None:
    for seed in range(20):
        Image.fromarray(scene(seed)).save(tmp_path / f"{seed}.png")
    dataset = open_data(tmp_path, task="generation")
    assert dataset.classes == {"generation": ()}
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 14, "val": 3, "test": 3}
    assert dataset.made_splits == ("val", "test")
    assert check(dataset) == check(dataset, "generation") == check_before_training(dataset, "generation") == []
    assert dataset.describe().startswith("generation: images layout, 14 train")
    assert len(fingerprint(dataset)) == 64
    report = tmp_path / "report.html"
    write_data_report(report, dataset, "generation")
    assert "classes" not in report.read_text()
    assert sample_grid(dataset.split("train"), "generation", 4).width > 64
    with pytest.raises(TaskMismatchError, match="no labels"):
        open_data(tmp_path, task="identification")


@pytest.mark.usefixtures("more_tasks")
def test_a_task_without_labels_takes_labelled_images_too(tmp_path: Path) -> None:
    for split, names in (("train", ("red", "blue")), ("val", ("red", "blue"))):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(2):
                image = scene(len(list(tmp_path.rglob("*.png"))))
                Image.fromarray(image).save(tmp_path / split / name / f"{i}.png")
    dataset = open_data(tmp_path, task="generation")
    assert dataset.tasks == ("classification", "generation")
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 4, "val": 4}
    assert check(dataset, "generation") == []


@pytest.mark.usefixtures("more_tasks")
def test_identities_may_differ_between_splits() -> None:
    people = ("ann", "bob", "cyd", "dan")
    splits: dict[str, Sequence[Value | TargetSource]] = {
        "train": labels(0, 1, 0, 1, classes=people),
        "val": labels(2, 3, classes=people),
    }
    assert check(dataset_of(splits, "identification", people)) == []
    found = summary(check(dataset_of(splits, "classification", people)))
    assert found["untrained-class"][0] == "stop"


def test_a_foreign_task_is_refused() -> None:
    with pytest.raises(TaskMismatchError):
        check(dataset_of({"train": labels(0, 1)}, "classification"), "detection")


def test_the_checks_do_without_torch() -> None:
    code = "import sys, visus.data.inspection.checks, visus.data.reading.fingerprint; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    dataset = dataset_of({"train": labels(*[0, 1, 2] * 50)}, "classification")
    check(dataset, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (150, 150)
    assert seen == sorted(seen)
    assert len(seen) > 1


def test_what_the_reader_noticed_comes_along_and_stops_come_first() -> None:
    noted = (Finding("box-outside", "repair", "2 boxes", 2, ("a.xml",)), Finding("unknown-class", "stop", "1 label", 1))
    dataset = replace(dataset_of({"train": labels(0, 0)}, "classification", CLASSES[:1]), findings=noted)
    found = check(dataset)
    assert [finding.severity for finding in found] == ["stop", "stop", "repair"]
    assert set(noted) < set(found)
    assert {finding.kind for finding in found} - {finding.kind for finding in noted} == {"single-class"}


# --- classes


def test_a_gap_in_the_class_ids() -> None:
    found = check(dataset_of({"train": labels(0, 2, 0), "val": labels(0, 2)}, "classification"))
    assert summary(found) == {"class-id-gap": ("note", 1, ("dog",))}


def test_a_class_that_a_split_lacks() -> None:
    found = check(dataset_of({"train": labels(0, 1, 2), "val": labels(0, 1), "test": labels(2)}, "classification"))
    assert summary(found) == {"missing-class": ("note", 3, ("val: owl", "test: cat", "test: dog"))}


@pytest.mark.parametrize(
    ("task", "made", "severity"),
    [("classification", (), "stop"), ("classification", ("val",), "note"), ("detection", (), "note")],
)
def test_a_class_that_only_train_lacks(task: str, made: tuple[str, ...], severity: str) -> None:
    train: Sequence[Value] = labels(0, 1) if task == "classification" else good_boxes()[:2]
    val: Sequence[Value] = labels(0, 1, 2) if task == "classification" else good_boxes()
    found = check(dataset_of({"train": train, "val": val}, task, made=made))
    assert summary(found) == {"untrained-class": (severity, 1, ("val: owl",))}


def test_missing_classes_are_told_once() -> None:
    """The reader told of the splits that were given, the check of those that there are now."""
    noted = Finding("missing-class", "note", "1 classes", 1, ("val: owl",))
    dataset = replace(dataset_of({"train": labels(0, 1, 2), "val": labels(0, 1)}, "classification"), findings=(noted,))
    assert summary(check(dataset)) == {"missing-class": ("note", 1, ("val: owl",))}


@pytest.mark.parametrize("classes", [CLASSES, CLASSES[:1]])
def test_one_class_alone_stops_a_classification(classes: tuple[str, ...]) -> None:
    dataset = dataset_of({"train": labels(0, 0, 0, classes=classes)}, "classification", classes)
    stops = [finding for finding in check_before_training(dataset, "classification") if finding.severity == "stop"]
    assert summary(stops) == {"single-class": ("stop", 1, ("cat",))}
    one_kind = dataset_of({"train": good_boxes()[:1]}, "detection", CLASSES)
    assert not [finding for finding in check(one_kind) if finding.severity == "stop"]


def test_imbalance_names_the_rare_classes() -> None:
    found = check(dataset_of({"train": labels(*[0] * 31, *[1] * 3, 2)}, "classification"))
    assert summary(found) == {"class-imbalance": ("note", 2, ("owl", "dog"))}
    assert check(dataset_of({"train": labels(*[0] * 20, *[1] * 2, *[2] * 2)}, "classification")) == []
    crowd = boxes(*[(i, i, i + 5, i + 5) for i in range(25)])
    found = check(dataset_of({"train": [*good_boxes(), crowd]}, "detection"))
    assert summary(found) == {"class-imbalance": ("note", 2, ("dog", "owl"))}


# --- copies and leaks


def copied(splits: dict[str, list[int]], made: tuple[str, ...] = (), format: str = "arrays") -> Dataset:
    """Images by number: equal numbers, equal pixels. Ids are "train/0" ...; all of one class in turn by number."""
    samples = {
        split: [
            Sample(f"{split}/{i}", ArrayImage(scene(number)), {"classification": Label(CLASSES, number % 3)})
            for i, number in enumerate(numbers)
        ]
        for split, numbers in splits.items()
    }
    return Dataset("made", format, None, {"classification": CLASSES}, samples, made)


def test_copies_in_a_split() -> None:
    found = check(copied({"train": [0, 1, 2, 0, 0, 2], "val": [3, 4, 5]}))
    assert summary(found) == {
        "duplicate": (
            "note",
            3,
            ("train: train/0 = train: train/3", "train: train/0 = train: train/4", "train: train/2 = train: train/5"),
        )
    }


def test_copies_across_given_splits() -> None:
    dataset = copied({"train": [0, 1, 2], "val": [3, 1, 5], "test": [6, 7, 8, 1]})
    found = check(dataset)
    pairs = ("train: train/1 = val: val/1", "train: train/1 = test: test/3")
    assert summary(found) == {"leak": ("stop", 2, pairs)}
    assert repair(dataset, found) is dataset  # which one to take out is for people to say


def test_copies_across_made_splits_stay_held_back() -> None:
    dataset = copied({"train": [0, 1, 2, 3, 1], "val": [3, 4, 5, 8], "test": [6, 7, 8, 1]}, made=("val", "test"))
    found = check(dataset)
    pairs = ("test: test/3 = train: train/1", "test: test/3 = train: train/4", "val: val/0 = train: train/3",
             "test: test/2 = val: val/3")  # fmt: skip
    assert summary(found) == {"leak-in-made-splits": ("repair", 4, pairs)}
    repaired = repair(dataset, found)
    assert {split: [sample.id for sample in samples] for split, samples in repaired.splits.items()} == {
        "train": ["train/0", "train/2"],
        "val": ["val/0", "val/1", "val/2"],
        "test": ["test/0", "test/1", "test/2", "test/3"],
    }


def test_a_val_that_was_split_off_belongs_to_the_given_train() -> None:
    found = check(copied({"train": [0, 1, 2], "val": [3, 4, 5], "test": [6, 7, 8, 3]}, made=("val",)))
    assert summary(found) == {"leak": ("stop", 1, ("val: val/0 = test: test/3",))}


def test_published_splits_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = copied({"train": [0, 1, 2], "test": [3, 4, 5, 2]}, format="idx")
    assert summary(check(dataset))["leak"][0] == "stop"
    monkeypatch.setattr(leaks, "PUBLISHED", frozenset({("idx", 7)}))
    assert summary(check(dataset))["leak"][:2] == ("note", 1)


def test_copies_of_another_class() -> None:
    dataset = copied({"train": [0, 1, 2]})
    twin = Sample("twin", ArrayImage(scene(0)), {"classification": Label(CLASSES, 1)})
    found = check(dataset.with_splits({"train": [*dataset.split("train"), twin]}))
    assert set(summary(found)) == {"duplicate", "conflicting-copies"}
    assert summary(found)["conflicting-copies"] == ("note", 1, ("train: train/0 = train: twin",))


# --- the quick look at large data sets


def test_the_quick_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = files(tmp_path, 410)
    photo = bytearray(encoded(scene(3, (200, 300)), "JPEG"))
    photographed = Sample("3.jpg", FileImage(tmp_path / "3.jpg"), {"classification": Label(CLASSES, 0)})
    dataset = dataset.with_splits({"train": [*dataset.split("train"), photographed]})
    held = Sample("copy", FileImage(tmp_path / "5.png"), {"classification": Label(CLASSES, 2)})
    dataset = dataset.with_splits({"train": dataset.split("train"), "val": [held]})
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(encoded(scene(2))[:-300])
    (tmp_path / "4.png").write_bytes(encoded(scene(4), "JPEG")[:-100])
    photo[-1000:-900] = b"\xff\xc4" * 50
    (tmp_path / "3.jpg").write_bytes(bytes(photo))
    thorough = summary(check_before_training(dataset, "classification"))
    assert thorough["damaged-image"][1:] == (3, ("2.png", "4.png", "3.jpg"))
    monkeypatch.setattr(checks, "QUICK_IMAGES", 100)
    quick = summary(check_before_training(dataset, "classification"))
    assert quick["damaged-image"][1:] == (2, ("2.png", "4.png"))  # damage in the middle takes a decoding to find
    for kind in ("empty-file", "leak"):
        assert quick[kind] == thorough[kind]
    monkeypatch.setattr(checks, "QUICK_IMAGES", 1000)
    monkeypatch.setattr(checks, "QUICK_BYTES", 1000)
    assert summary(check_before_training(dataset, "classification")) == quick


def test_the_quick_look_reads_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "QUICK_IMAGES", 2)
    samples = [Sample(str(i), BytesImage(encoded(scene(i)), str(i)), {"segmentation": Broken()}) for i in range(4)]
    dataset = Dataset("made", "bytes", None, {"segmentation": CLASSES}, {"train": samples})
    assert check_before_training(dataset, "segmentation") == []
    assert summary(check(dataset)) == {"unreadable-target": ("stop", 4, ("0", "1", "2", "3"))}


def test_five_hundred_small_jpegs_take_a_second(tmp_path: Path) -> None:
    content = [encoded(scene(i, (160, 200)), "JPEG", quality=85) for i in range(40)]
    samples = []
    for i in range(500):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(content[i % 40] + bytes(i // 40))  # of 13 sizes, so that no two files are equal
        samples.append(Sample(path.name, FileImage(path), {"classification": Label(CLASSES, i % 3)}))
    dataset = Dataset("made", "files", tmp_path, {"classification": CLASSES}, {"train": samples})
    start = time.process_time()
    found = check_before_training(dataset, "classification")
    assert time.process_time() - start < 3  # about 0.8 s on an idle core, nearly half of it to confirm the copies
    assert summary(found)["duplicate"][1] == 460


# --- real data: nothing stops a training, nothing is repaired that need not be


@pytest.mark.parametrize("name", ["mnist", pytest.param("fashion_mnist", marks=pytest.mark.slow)])
def test_shared_sets_in_memory_are_clean_and_fast(name: str, shared_data: Callable[[str], Path]) -> None:
    dataset = open_data(shared_data(name))
    start = time.process_time()
    assert check_before_training(dataset, "classification") == []
    assert time.process_time() - start < 10  # 1.7 s on an idle core


def test_digits_are_clean() -> None:
    assert check(open_data("digits")) == []


@pytest.mark.slow
def test_shared_cifar10_is_clean(shared_data: Callable[[str], Path]) -> None:
    assert check(open_data(shared_data("cifar10"))) == []

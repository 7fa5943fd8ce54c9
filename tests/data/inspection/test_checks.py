"""Each fault has its kind, severity and file names; what is repaired is gone; quick and thorough checks agree."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from made_up import smooth_picture
from visus.data.dataset import MOST_EXAMPLES, Dataset, Finding
from visus.data.inspection import checks, leaks
from visus.data.inspection.checks import check, check_before_training, repair
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.data.reading.fingerprint import fingerprint
from visus.data.reading.opening import open_data
from visus.errors import DataError, TaskMismatchError
from visus.report.data_page import write_data_report
from visus.report.samples import sample_grid
from visus.structures import IGNORE, Detections, Label, Sample, SegmentationMap, TargetSource, Value, task_cards
from visus.structures.task_cards import TaskCard

CLASSES = ("cat", "dog", "owl")


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return smooth_picture(seed, size)


def encoded(pixels: NDArray[np.uint8], format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def dataset_of(
    splits: dict[str, Sequence[Value | TargetSource]],
    task: str,
    classes: tuple[str, ...] = CLASSES,
    made: tuple[str, ...] = (),
) -> Dataset:
    """Different images in memory, one for each target; ids "train/0", "train/1" ..."""
    seeds = iter(range(10_000))
    samples = {
        split: [Sample(f"{split}/{i}", ArrayImage(scene(next(seeds))), {task: item}) for i, item in enumerate(targets)]
        for split, targets in splits.items()
    }
    return Dataset("made", "arrays", None, {task: classes}, samples, made)


def labels(*indices: int, classes: tuple[str, ...] = CLASSES) -> list[Label]:
    return [Label(classes, index) for index in indices]


def boxes(
    *rows: tuple[float, ...], size: tuple[int, int] = (48, 64), of: int = 0, masks: NDArray[np.bool_] | None = None
) -> Detections:
    values = np.asarray(rows, np.float32).reshape(-1, 4)
    return Detections(CLASSES, values, np.full(len(rows), of, np.int64), size, masks=masks)


def good_boxes() -> list[Detections]:
    return [boxes((1, 2, 30, 40), of=index) for index in range(3)]


def maps(*values: NDArray[np.uint8], classes: tuple[str, ...] = CLASSES) -> list[SegmentationMap]:
    return [SegmentationMap(classes, value) for value in values]


def good_map(first: int = 0) -> NDArray[np.uint8]:
    ids = np.full((48, 64), first, np.uint8)
    ids[:16], ids[16:32], ids[32:] = 0, 1, 2
    return ids


def summary(findings: Sequence[Finding]) -> dict[str, tuple[str, int, tuple[str, ...]]]:
    found = {finding.kind: (finding.severity, finding.count, finding.examples) for finding in findings}
    assert len(found) == len(findings)
    return found


class Broken:
    """A target whose file cannot be read."""

    def load(self) -> Value:
        raise DataError("labels.bin is damaged", got="3 bytes missing")


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


# --- images


def files(folder: Path, count: int) -> Dataset:
    """Images "0.png" ... of three classes in turn, all in train."""
    samples = []
    for i in range(count):
        (folder / f"{i}.png").write_bytes(encoded(scene(i)))
        label = Label(CLASSES, i % 3)
        samples.append(Sample(f"{i}.png", FileImage(folder / f"{i}.png"), {"classification": label}))
    return Dataset("made", "files", folder, {"classification": CLASSES}, {"train": samples})


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("empty-file", b"", "0 bytes"),
        ("unreadable-image", b"<html>not found</html>", "no image header"),
        ("damaged-image", encoded(scene(1))[:20], ""),
        ("damaged-image", encoded(scene(1))[:2000], ""),
        ("damaged-image", encoded(scene(1))[:-12], "end of the file"),
        ("damaged-image", encoded(scene(1), "JPEG")[:300], ""),
        ("damaged-image", encoded(scene(1), "JPEG")[:900], ""),
        ("damaged-image", encoded(scene(1), "JPEG")[:-2], ""),
        ("damaged-image", encoded(scene(1), "TIFF")[:4000], ""),
    ],
)
def test_kinds_of_unusable_images(tmp_path: Path, kind: str, content: bytes, reason: str) -> None:
    dataset = files(tmp_path, 12)
    (tmp_path / "7.png").write_bytes(content)
    for found in (check(dataset), check_before_training(dataset, None)):
        assert summary(found) == {kind: ("repair", 1, ("7.png",))}
        assert reason in found[0].message
        assert {sample.id for sample in repair(dataset, found).split("train")} == {f"{i}.png" for i in range(12)} - {
            "7.png"
        }


def test_an_absent_file_is_unreadable(tmp_path: Path) -> None:
    dataset = files(tmp_path, 12)
    (tmp_path / "3.png").unlink()
    assert summary(check(dataset)) == {"unreadable-image": ("repair", 1, ("3.png",))}


def test_data_after_the_end_is_no_damage(tmp_path: Path) -> None:
    """Phones append films to photos, and tools append notes."""
    dataset = files(tmp_path, 6)
    with (tmp_path / "2.png").open("ab") as stream:
        stream.write(bytes(10_000))
    (tmp_path / "3.png").write_bytes(encoded(scene(3), "JPEG") + bytes(10_000))
    assert set(summary(check(dataset))) == {"wrong-extension"}


@pytest.mark.parametrize(("total", "broken", "severity"), [
    (8, 1, "repair"), (8, 2, "stop"), (199, 1, "repair"), (199, 2, "stop"), (200, 2, "repair"), (300, 4, "stop"),
])  # fmt: skip
def test_one_percent_or_one_image_may_be_unusable(tmp_path: Path, total: int, broken: int, severity: str) -> None:
    dataset = files(tmp_path, total)
    for i in range(broken):
        (tmp_path / f"{i}.png").write_bytes(b"" if i % 2 else b"text")
    found = check(dataset)
    assert {finding.severity for finding in found} == {severity}
    assert sum(finding.count for finding in found) == broken  # two kinds count together
    assert len(repair(dataset, found).split("train")) == total - broken


def test_twenty_names_are_shown_and_all_are_repaired(tmp_path: Path) -> None:
    dataset = files(tmp_path, 60)
    for i in range(25):
        (tmp_path / f"{i}.png").write_bytes(b"")
    (finding,) = check(dataset)
    assert (finding.count, len(finding.examples), len(finding.samples)) == (25, MOST_EXAMPLES, 25)
    assert finding.to_dict()["examples"] == [f"{i}.png" for i in range(20)]
    assert len(repair(dataset, [finding]).split("train")) == 35


def test_a_split_that_would_be_empty_stops(tmp_path: Path) -> None:
    train = files(tmp_path, 150)
    lost = Sample("lost.png", FileImage(tmp_path / "lost.png"), {"classification": Label(CLASSES, 0)})
    dataset = train.with_splits({"train": train.split("train"), "val": [lost]})
    found = [finding for finding in check(dataset) if finding.severity == "stop"]
    assert summary(found) == {"unreadable-image": ("stop", 1, ("lost.png",))}
    assert "val" in found[0].message
    with pytest.raises(DataError, match="val"):
        repair(dataset, found)


@pytest.mark.parametrize(
    ("format", "suffixes", "wrong"),
    [
        ("JPEG", (".jpg", ".JPEG", ".jpe", ".dat", ""), ".png"),
        ("PNG", (".png", ".PNG"), ".jpg"),
        ("WEBP", (".webp",), ".gif"),
        ("BMP", (".bmp", ".dib"), ".tif"),
        ("TIFF", (".tif", ".tiff"), ".bmp"),
        ("GIF", (".gif",), ".webp"),
        ("PPM", (".ppm", ".pnm"), ".jpeg"),
    ],
)
def test_wrong_suffixes(tmp_path: Path, format: str, suffixes: tuple[str, ...], wrong: str) -> None:
    samples = []
    for i, suffix in enumerate((*suffixes, wrong)):
        path = tmp_path / f"{i}{suffix}"
        path.write_bytes(encoded(scene(i), format))
        samples.append(Sample(path.name, FileImage(path), {"classification": Label(("cat", "dog"), i % 2)}))
    found = check(Dataset("made", "files", tmp_path, {"classification": ("cat", "dog")}, {"train": samples}))
    assert summary(found) == {"wrong-extension": ("note", 1, (samples[-1].id,))}


# --- boxes: targets made by hand, which no reader has repaired

FAULTY_BOXES = [
    ("box-outside", (10, 10, 80, 40), [(10, 10, 64, 40)]),
    ("box-outside", (-9, -9, 40, 40), [(0, 0, 40, 40)]),
    ("box-degenerate", (10, 10, 10, 40), []),
    ("box-degenerate", (100, 100, 120, 120), []),
    ("box-swapped", (30, 40, 10, 20), [(10, 20, 30, 40)]),
    ("box-not-a-number", (1, float("nan"), 10, 10), []),
    ("box-not-a-number", (1, 1, float("inf"), 10), []),
]


@pytest.mark.parametrize(("kind", "box", "repaired"), FAULTY_BOXES)
def test_faulty_boxes_are_found_and_repaired(
    kind: str, box: tuple[float, ...], repaired: list[tuple[float, ...]]
) -> None:
    sound = (1.0, 2.0, 30.0, 40.0)
    dataset = dataset_of({"train": [*good_boxes(), boxes(sound, box, of=1)]}, "detection")
    found = check(dataset)
    assert summary(found) == {kind: ("repair", 1, ("train/3",))}
    after = repair(dataset, found).split("train")[3].target("detection")
    assert isinstance(after, Detections)
    assert after.boxes.tolist() == [list(sound), *map(list, repaired)]
    assert after.labels.tolist() == [1] * (1 + len(repaired))
    assert check(repair(dataset, found)) == []
    before = dataset.split("train")[3].target("detection")
    assert isinstance(before, Detections)
    assert np.array_equal(before.boxes[1], np.asarray(box, np.float32), equal_nan=True)  # the data set is not changed


def test_boxes_are_counted_and_samples_named() -> None:
    bad = boxes((10, 10, 80, 40), (20, 20, 190, 40), (5, 5, 6, 5))
    dataset = dataset_of({"train": [*good_boxes(), bad, bad]}, "detection")
    found = {finding.kind: (finding.count, finding.samples) for finding in check(dataset)}
    assert found == {"box-outside": (4, ("train/3", "train/4")), "box-degenerate": (2, ("train/3", "train/4")),
                     "box-mostly-outside": (2, ("train/3", "train/4"))}  # fmt: skip


def test_masks_of_dropped_boxes_go_with_them() -> None:
    masks = np.zeros((2, 48, 64), bool)
    masks[1, 5:9] = True
    bad = boxes((5, 5, 5, 9), (0, 5, 64, 9), masks=masks)
    dataset = dataset_of({"train": [*good_boxes(), bad]}, "detection")
    after = repair(dataset, check(dataset)).split("train")[3].target("detection")
    assert isinstance(after, Detections)
    assert after.masks is not None
    assert after.masks.full().shape == (1, 48, 64)
    assert after.masks[0][5:9].all()


def test_images_without_objects_are_a_note() -> None:
    nothing = Detections.empty(CLASSES, (48, 64))
    found = check(dataset_of({"train": [*good_boxes(), nothing], "val": good_boxes()}, "detection"))
    assert summary(found) == {"no-objects": ("note", 1, ("train/3",))}
    assert check(dataset_of({"train": [nothing, nothing]}, "detection"))[0].kind == "nothing-to-learn"
    ids = np.zeros((48, 64), np.uint8)
    classes = ("background", "dog", "owl")
    found = check(dataset_of({"train": maps(good_map(), ids, classes=classes)}, "segmentation", classes))
    assert summary(found) == {"no-objects": ("note", 1, ("train/1",))}


# --- targets that do not fit their images


def test_a_stated_size_that_only_the_boxes_outlive() -> None:
    """A size that is off by rounding is a note; of another size it is unknown whether the boxes lie on the image."""
    fits, reaches = boxes((1, 2, 30, 40), size=(49, 64)), boxes((1, 2, 30, 40), size=(480, 640))
    found = check(dataset_of({"train": [*good_boxes(), fits]}, "detection"))
    assert summary(found) == {"stated-size": ("note", 1, ("train/3",))}
    dataset = dataset_of({"train": [*good_boxes(), reaches]}, "detection")
    found = check(dataset)
    assert summary(found) == {"size-differs": ("repair", 1, ("train/3",))}
    assert "480 x 640" in found[0].message
    assert len(repair(dataset, found).split("train")) == 3


def test_a_map_of_another_size() -> None:
    small = good_map()[:, :60]
    found = check(dataset_of({"train": maps(good_map(), good_map(), small)}, "segmentation"))
    assert summary(found) == {"size-differs": ("repair", 1, ("train/2",))}


def test_mask_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(9):
        (tmp_path / "images" / f"{i}.png").write_bytes(encoded(scene(i)))
        (tmp_path / "masks" / f"{i}.png").write_bytes(encoded(good_map()))
    assert check(open_data(tmp_path)) == []
    odd = good_map()
    odd[5, 5] = 7
    spoilt = {
        "2": encoded(good_map()[:, :60]),
        "3": encoded(odd),
        "5": encoded(good_map())[:60],
    }
    for name, content in spoilt.items():
        (tmp_path / "masks" / f"{name}.png").write_bytes(content)
    found = [finding for finding in check(open_data(tmp_path)) if finding.severity != "note"]
    assert summary(found) == {
        "size-differs": ("stop", 1, ("images/2.png",)),
        "unexpected-values": ("stop", 1, ("images/3.png",)),
        "unreadable-target": ("repair", 1, ("masks/5.png",)),
    }


def test_a_map_with_an_id_of_another_list_of_classes() -> None:
    odd = good_map()
    odd[5, 5] = 4
    foreign = SegmentationMap((*CLASSES, "fox", "hen"), odd)
    void = good_map()
    void[5, 5] = IGNORE
    dataset = dataset_of({"train": [*maps(good_map(), void), foreign]}, "segmentation")
    assert summary(check(dataset)) == {"unexpected-values": ("repair", 1, ("train/2",))}


def test_a_target_that_cannot_be_read() -> None:
    dataset = dataset_of({"train": [*labels(0, 1, 2), Broken()]}, "classification")
    found = check(dataset)
    assert summary(found) == {"unreadable-target": ("repair", 1, ("train/3",))}
    assert "3 bytes missing" in found[0].message


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


def test_two_thousand_small_jpegs_take_seconds(tmp_path: Path) -> None:
    content = [encoded(scene(i, (160, 200)), "JPEG", quality=85) for i in range(40)]
    samples = []
    for i in range(2000):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(content[i % 40] + bytes(i // 40))  # of 50 sizes, so that no two files are equal
        samples.append(Sample(path.name, FileImage(path), {"classification": Label(CLASSES, i % 3)}))
    dataset = Dataset("made", "files", tmp_path, {"classification": CLASSES}, {"train": samples})
    start = time.process_time()
    found = check_before_training(dataset, "classification")
    assert time.process_time() - start < 12  # about 3 s on an idle core, nearly half of it to confirm the copies
    assert summary(found)["duplicate"][1] == 1960


# --- real data: nothing stops a training, nothing is repaired that need not be


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
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

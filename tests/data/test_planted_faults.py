"""Every fault is planted into a clean data set of the usual layouts, and exactly the planted file is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from made_up import smooth_picture
from visus.data.dataset import Dataset, Finding
from visus.data.inspection.checks import check, check_before_training, repair
from visus.data.reading.opening import open_data

CHECKS = [
    pytest.param(lambda dataset: check(dataset, dataset.tasks[0]), id="check"),
    pytest.param(lambda dataset: check_before_training(dataset, dataset.tasks[0]), id="before-training"),
]
Check = Callable[[Dataset], list[Finding]]


def scene(seed: int, size: tuple[int, int] = (72, 96)) -> NDArray[np.uint8]:
    return smooth_picture(seed, size)


def save(path: Path, pixels: NDArray[np.uint8], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two classes, 6 images each to train on and 3 to validate; PNG, all different."""
    for split, count in (("train", 6), ("val", 3)):
        for k, name in enumerate(("cats", "dogs")):
            for i in range(count):
                save(tmp_path / split / name / f"{i}.png", scene(1000 * k + 100 * len(split) + i))
    return tmp_path


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Images with index masks of three declared classes."""
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    for split, count in (("train", 6), ("val", 3)):
        for i in range(count):
            save(tmp_path / split / "images" / f"{i}.png", scene(10 * len(split) + i))
            mask = np.zeros((72, 96), np.uint8)
            mask[40:, : 30 + i] = 1
            mask[50:60, 60:80] = 2
            save(tmp_path / split / "masks" / f"{i}.png", mask)
    return tmp_path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two classes, 6 + 3 images with one box each."""
    for split, count in (("train", 6), ("val", 3)):
        for i in range(count):
            save(tmp_path / split / f"{split}{i}.jpg", scene(10 * len(split) + i), quality=95)
        content = {
            "images": [{"id": i, "file_name": f"{split}{i}.jpg", "height": 72, "width": 96} for i in range(count)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1 + i % 2, "bbox": [5, 5, 30, 40]} for i in range(count)
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    return tmp_path


def change_coco(folder: Path, image: int, **values: object) -> None:
    path = folder / "train.json"
    content = json.loads(path.read_text())
    content["images"][image] |= values
    path.write_text(json.dumps(content))


def ids(dataset: Dataset) -> set[str]:
    return {sample.id for samples in dataset.splits.values() for sample in samples}


def the_one(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, [(finding.kind, finding.message) for finding in findings]
    return findings[0]


# --- clean sets


@pytest.mark.parametrize("look", CHECKS)
@pytest.mark.parametrize("layout", ["folders", "masks", "coco"])
def test_clean_sets_give_nothing(layout: str, look: Check, request: pytest.FixtureRequest) -> None:
    dataset = open_data(request.getfixturevalue(layout))
    assert look(dataset) == []
    assert repair(dataset, []) == dataset


def test_unlabelled_images_are_checked(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png", scene(i))
    dataset = open_data(tmp_path)
    assert dataset.tasks == ()
    assert [finding.kind for finding in check(dataset)] == ["no-labels"]
    (tmp_path / "1.png").write_bytes(b"")
    unlabelled, empty = sorted(check(open_data(tmp_path)), key=lambda finding: finding.kind != "no-labels")
    assert unlabelled.kind == "no-labels"
    assert empty.samples == ("1.png",)


# --- images that cannot be used


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_by_little(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def text(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


def cut_jpeg(path: Path) -> None:
    save(path, scene(9), format="JPEG")
    cut(path)


@pytest.mark.parametrize("look", CHECKS)
@pytest.mark.parametrize("spoil", [nothing, cut, cut_by_little, text, cut_jpeg])
def test_unusable_image_is_found_and_left_out(folders: Path, spoil: Callable[[Path], None], look: Check) -> None:
    spoil(folders / "train" / "dogs" / "2.png")
    dataset = open_data(folders)
    finding = the_one([finding for finding in look(dataset) if finding.severity != "note"])
    assert (finding.severity, finding.count) == ("repair", 1)
    assert finding.samples == ("train/dogs/2.png",)
    assert ids(dataset) - ids(repair(dataset, [finding])) == {"train/dogs/2.png"}
    assert "samples" not in finding.to_dict()


def test_kinds_tell_empty_files_from_others(folders: Path) -> None:
    nothing(folders / "train" / "dogs" / "2.png")
    assert the_one(check(open_data(folders))).kind == "empty-file"


@pytest.mark.parametrize("look", CHECKS)
def test_most_of_a_small_set_or_a_share_of_a_large_one_stops(folders: Path, look: Check) -> None:
    for i in range(6):
        for name in ("cats", "dogs"):
            cut(folders / "train" / name / f"{i}.png")
    finding = next(finding for finding in look(open_data(folders)) if finding.samples)
    assert (finding.severity, finding.count) == ("stop", 12)


def test_at_most_twenty_names_are_shown_and_all_are_known(tmp_path: Path) -> None:
    for i in range(200):
        for name in ("cats", "dogs"):
            save(tmp_path / "train" / name / f"{i:03d}.png", scene(1000 * len(name) + i, (16, 16)))
    for i in range(30):
        nothing(tmp_path / "train" / "cats" / f"{i:03d}.png")
    finding = next(f for f in check(open_data(tmp_path)) if f.kind == "empty-file")
    assert (finding.severity, finding.count) == ("stop", 30)  # 7.5 % of 400
    assert (len(finding.examples), len(finding.samples)) == (20, 30)
    for i in range(2, 30):
        shutil.copy(tmp_path / "train" / "cats" / f"{i + 100:03d}.png", tmp_path / "train" / "cats" / f"{i:03d}.png")
    finding = next(f for f in check(open_data(tmp_path)) if f.kind == "empty-file")
    assert (finding.severity, finding.count) == ("repair", 2)  # 0.5 %


def test_wrong_suffix(folders: Path) -> None:
    Image.fromarray(scene(77)).save(folders / "train" / "cats" / "0.png", "JPEG", quality=95)
    finding = the_one(check(open_data(folders)))
    assert (finding.severity, finding.samples) == ("note", ("train/cats/0.png",))
    assert "JPEG" in finding.message + finding.examples[0]


# --- targets


@pytest.mark.parametrize("look", CHECKS)
def test_mask_faults_are_found(masks: Path, look: Check) -> None:
    path = masks / "train" / "masks" / "4.png"
    good = path.read_bytes()
    odd = np.zeros((72, 96), np.uint8)
    odd[3, 3] = 9
    for spoil in (lambda: save(path, odd), lambda: save(path, odd[:50]), lambda: cut(path), lambda: nothing(path)):
        path.write_bytes(good)
        clean = ids(open_data(masks))
        spoil()
        dataset = open_data(masks)
        assert ids(dataset) == clean
        finding = the_one([finding for finding in look(dataset) if finding.severity != "note"])
        assert (finding.severity, finding.count) == ("repair", 1)
        assert finding.samples == ("train/images/4.png",)


@pytest.mark.parametrize("look", CHECKS)
def test_annotation_of_another_size(coco: Path, look: Check) -> None:
    change_coco(coco, 3, height=1440, width=1920)
    content = json.loads((coco / "train.json").read_text())
    content["annotations"][3]["bbox"] = [100, 100, 600, 800]
    (coco / "train.json").write_text(json.dumps(content))
    finding = the_one(look(open_data(coco)))
    assert finding.severity in ("repair", "stop")
    assert finding.samples == ("train/train3.jpg",)
    assert "1440" in finding.message + finding.examples[0]


def test_annotation_before_the_exif_rotation(coco: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(5)).save(coco / "train" / "train3.jpg", quality=95, exif=exif)
    content = json.loads((coco / "train.json").read_text())
    content["annotations"][3]["bbox"] = [60, 5, 35, 40]  # inside of 72 x 96, outside of 96 x 72
    (coco / "train.json").write_text(json.dumps(content))
    finding = the_one(check(open_data(coco)))
    assert finding.samples == ("train/train3.jpg",)
    assert "EXIF" in finding.message + finding.examples[0]


def test_images_without_objects_are_normal(coco: Path) -> None:
    content = json.loads((coco / "train.json").read_text())
    del content["annotations"][3]
    (coco / "train.json").write_text(json.dumps(content))
    finding = the_one(check(open_data(coco)))
    assert (finding.severity, finding.examples) == ("note", ("train/train3.jpg",))


# --- copies


@pytest.mark.parametrize("look", CHECKS)
def test_an_exact_copy_in_another_split_stops(folders: Path, look: Check) -> None:
    shutil.copy(folders / "train" / "cats" / "1.png", folders / "val" / "cats" / "9.png")
    finding = the_one(look(open_data(folders)))
    assert (finding.kind, finding.severity, finding.count) == ("leak", "stop", 1)
    assert "train/cats/1.png" in finding.examples[0]
    assert "val/cats/9.png" in finding.examples[0]


@pytest.mark.parametrize("look", CHECKS)
def test_the_same_pixels_in_another_file_format_stop_too(folders: Path, look: Check) -> None:
    save(folders / "val" / "cats" / "9.bmp", scene(500 + 1))
    assert np.array_equal(scene(501), np.asarray(Image.open(folders / "train" / "cats" / "1.png")))
    assert the_one(look(open_data(folders))).severity == "stop"


@pytest.mark.parametrize("look", CHECKS)
def test_a_copy_within_a_split_is_a_note(folders: Path, look: Check) -> None:
    shutil.copy(folders / "train" / "cats" / "1.png", folders / "train" / "cats" / "9.png")
    finding = the_one(look(open_data(folders)))
    assert (finding.severity, finding.count) == ("note", 1)


def test_a_copy_with_another_label_is_told(folders: Path) -> None:
    shutil.copy(folders / "train" / "cats" / "1.png", folders / "train" / "dogs" / "9.png")
    findings = check(open_data(folders))
    assert {finding.severity for finding in findings} == {"note"}
    assert len(findings) == 2


@pytest.mark.parametrize("look", CHECKS)
def test_in_splits_made_here_a_copy_is_left_out(tmp_path: Path, look: Check) -> None:
    for k, name in enumerate(("cats", "dogs")):
        for i in range(20):
            save(tmp_path / name / f"{i}.png", scene(100 * k + i))
        for i in range(6):
            shutil.copy(tmp_path / name / f"{i}.png", tmp_path / name / f"copy{i}.png")
    dataset = open_data(tmp_path)
    findings = look(dataset)
    assert {finding.severity for finding in findings} == {"repair", "note"}
    repaired = repair(dataset, findings)
    assert set(repaired.splits) == {"train", "val", "test"}
    kept = {name.replace("copy", "") for name in ids(repaired)}
    assert len(kept) == 40  # every picture is still there, in one split
    assert not [finding for finding in look(repaired) if finding.kind.startswith("leak")]


@pytest.mark.parametrize(("quality", "scale"), [(80, 1.0), (95, 0.5)])
def test_a_picture_saved_again_is_a_note(folders: Path, quality: int, scale: float) -> None:
    original = Image.fromarray(scene(3, (256, 320)))
    original.save(folders / "train" / "cats" / "0.png")
    again = original.resize((int(320 * scale), int(256 * scale)), Image.Resampling.LANCZOS)
    again.save(folders / "val" / "cats" / "9.jpg", quality=quality)
    finding = the_one(check(open_data(folders)))
    assert (finding.severity, finding.count) == ("note", 1)
    assert "val/cats/9.jpg" in finding.examples[0]


def test_alike_is_not_the_same(folders: Path) -> None:
    """The hash is blind to a small thing that is there or not; the pixels are not."""
    pixels = scene(3, (256, 320)).copy()
    save(folders / "train" / "cats" / "0.png", pixels)
    pixels[100:140, 100:150] = 255 - pixels[100:140, 100:150]
    save(folders / "val" / "cats" / "9.png", pixels)
    assert check(open_data(folders)) == []


def test_dark_noise_is_not_the_same(folders: Path) -> None:
    for split in ("train", "val"):
        noise = np.random.default_rng(len(split)).integers(0, 4, (96, 96, 3), np.uint8)
        save(folders / split / "cats" / "0.png", noise)
    assert check(open_data(folders)) == []


# --- classes


@pytest.mark.parametrize("look", CHECKS)
def test_imbalance_is_a_note(folders: Path, look: Check) -> None:
    for i in range(6, 70):
        save(folders / "train" / "cats" / f"{i}.png", scene(5000 + i))
    finding = the_one(look(open_data(folders)))
    assert finding.severity == "note"
    assert "cats" in finding.message + str(finding.examples)


@pytest.mark.parametrize("look", CHECKS)
def test_one_class_to_train_on_stops(folders: Path, look: Check) -> None:
    dataset = open_data(folders)
    cats = [sample for sample in dataset.split("train") if sample.id.startswith("train/cats")]
    findings = look(dataset.with_splits({"train": cats, "val": dataset.split("val")}))
    assert "single-class" in {finding.kind for finding in findings if finding.severity == "stop"}


# --- real data


@pytest.mark.parametrize(
    "name",
    [
        "cats_dogs/cats_dogs_trainval.tar",
        "bccd/bccd_voc.tar",
        "kangaroo/kangaroo_voc.tar",
        "nuclei/nuclei_160.tar",
        "camvid/camvid_trainval.tar",
        "isbi2012_em/isbi2012_train30.tar",
        "orl_faces/orl_faces_s1_s30.tar.gz",
    ],
)
def test_nothing_stops_a_training_on_the_shared_sets(name: str, unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked(name))
    findings = check_before_training(dataset, dataset.tasks[0])
    assert [finding for finding in findings if finding.severity != "note"] == []


def test_shared_kangaroo_has_one_copy(unpacked: Callable[[str], Path]) -> None:
    finding = the_one(check(open_data(unpacked("kangaroo/kangaroo_voc.tar"))))
    assert "00007.jpg" in finding.examples[0]
    assert "00033.jpg" in finding.examples[0]

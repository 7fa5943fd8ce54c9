"""Every data set is recognised by looking at it, and what cannot be opened is said in one message."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.readers import FORMATS
from visus.data.reading.images import open_images
from visus.data.reading.opening import open_data
from visus.errors import DataError, TaskMismatchError, UsageError
from visus.structures import Detections, Sample


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (90, 90, 90)).save(path)
    return path


def sizes(dataset: Dataset) -> dict[str, int]:
    return {split: len(samples) for split, samples in dataset.splits.items()}


def everything(dataset: Dataset) -> list[Sample]:
    return [sample for samples in dataset.splits.values() for sample in samples]


def boxes(dataset: Dataset) -> int:
    found = [sample.target("detection") for sample in everything(dataset)]
    return sum(len(target) for target in found if isinstance(target, Detections))


# --- every data set of the shared folder; counts are those of its MANIFEST.md


@pytest.mark.parametrize(("name", "first"), [("mnist", "0"), ("fashion_mnist", "T-shirt/top")])
def test_shared_idx(name: str, first: str, shared_data: Callable[[str], Path]) -> None:
    dataset = open_data(shared_data(name))
    assert (dataset.format, dataset.tasks) == ("idx", ("classification",))
    assert sizes(dataset) == {"train": 51_000, "val": 9_000, "test": 10_000}
    assert dataset.made_splits == ("val",)
    assert len(dataset.classes["classification"]) == 10
    assert dataset.classes["classification"][0] == first
    assert dataset.split("test")[0].target("classification").index == (7 if name == "mnist" else 9)


def test_shared_cifar10(shared_data: Callable[[str], Path]) -> None:
    dataset = open_data(shared_data("cifar10"))
    assert (dataset.format, dataset.tasks) == ("jpeg-npz", ("classification",))
    assert sizes(dataset) == {"train": 42_500, "val": 7_500, "test": 10_000}
    assert dataset.classes["classification"][:2] == ("airplane", "automobile")
    counts = np.bincount([sample.target("classification").index for sample in dataset.split("test")])
    assert counts.tolist() == [1000] * 10
    assert dataset.split("test")[5].image.load().shape == (3, 32, 32)


def test_shared_cats_dogs(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("cats_dogs/cats_dogs_trainval.tar"))
    assert (dataset.format, dataset.classes) == ("class-folders", {"classification": ("cats", "dogs")})
    assert sizes(dataset) == {"train": 2000, "val": 1000}
    assert dataset.made_splits == ()
    assert dataset.findings == ()
    assert dataset.describe() == "classification: 2 classes in class-folders layout, 2000 train / 1000 val"


def test_shared_imagenet_sample(
    unpacked: Callable[[str], Path], shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = unpacked("imagenet_sample/imagenet_sample_200.tar")
    flat = open_data(folder)
    assert (flat.format, flat.tasks, sizes(flat)) == ("images", (), {"predict": 200})
    shutil.copytree(folder, tmp_path / "imagenet_sample_200")
    shutil.copy(shared_data("imagenet_sample/labels_200.csv"), tmp_path)
    alone = open_data(tmp_path)
    assert (alone.format, len(alone.classes["classification"]), len(everything(alone))) == ("csv", 200, 200)
    shutil.copy(shared_data("imagenet_sample/imagenet_classes_1000.csv"), tmp_path)
    dataset = open_data(tmp_path)
    assert (dataset.format, len(dataset.classes["classification"]), len(everything(dataset))) == ("csv", 1000, 200)
    found = {sample.id: sample.target("classification") for sample in everything(dataset)}
    ray = found["imagenet_sample_200/n01496331.jpg"]
    assert (ray.index, ray.name) == (5, "electric ray")
    assert sorted(label.index for label in found.values()) == list(range(0, 1000, 5))


def test_shared_bccd(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("bccd/bccd_voc.tar"))
    assert (dataset.format, dataset.classes) == ("voc", {"detection": ("Platelets", "RBC", "WBC")})
    assert sizes(dataset) == {"train": 205, "val": 87, "test": 42}
    degenerate = sum(f.count for f in dataset.findings if f.kind == "box-degenerate")
    assert boxes(dataset) + degenerate == 4480
    assert not [finding for finding in dataset.findings if finding.severity == "stop"]


def test_shared_kangaroo(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("kangaroo/kangaroo_voc.tar"))
    assert (dataset.format, dataset.classes) == ("voc", {"detection": ("kangaroo",)})
    assert len(everything(dataset)) == 164
    assert boxes(dataset) == 266
    assert dataset.findings == ()


def test_shared_nuclei(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("nuclei/nuclei_160.tar"))
    assert dataset.format == "instance-maps"
    assert dataset.classes == {"detection": ("object",), "segmentation": ("background", "object")}
    assert sizes(dataset) == {"train": 112, "val": 24, "test": 24}
    assert dataset.findings == ()
    for sample in everything(dataset)[:20]:
        found = sample.target("detection")
        assert isinstance(found, Detections)
        assert found.masks is not None
        np.testing.assert_array_equal(found.masks.full().any(axis=0), sample.target("segmentation").map)


def test_shared_camvid(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("camvid/camvid_trainval.tar"))
    assert (dataset.format, dataset.tasks) == ("masks", ("segmentation",))
    assert sizes(dataset) == {"train": 367, "val": 101}
    expected = "sky building pole road pavement tree sign_symbol fence car pedestrian bicyclist"
    assert dataset.classes["segmentation"] == tuple(expected.split())
    target = dataset.split("train")[0].target("segmentation")
    assert target.size == (360, 480)
    assert 11 not in target.map
    assert 255 in target.map


def test_shared_isbi(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("isbi2012_em/isbi2012_train30.tar"))
    assert (dataset.format, dataset.classes) == ("masks", {"segmentation": ("background", "foreground")})
    assert len(everything(dataset)) == 30
    target = everything(dataset)[0].target("segmentation")
    assert target.size == (512, 512)
    assert target.fractions()["foreground"] > 0.5  # cells, stored as 255


def test_shared_faces(unpacked: Callable[[str], Path]) -> None:
    dataset = open_data(unpacked("orl_faces/orl_faces_s1_s30.tar.gz"))
    assert (dataset.format, len(dataset.classes["classification"])) == ("class-folders", 30)
    assert len(everything(dataset)) == 300
    assert everything(dataset)[0].image.size() == (112, 92)


def test_shared_captions(unpacked: Callable[[str], Path], shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = unpacked("flickr8k_1000/flickr8k_900_images.tar")
    assert sizes(open_data(folder)) == {"predict": 900}
    shutil.copytree(folder, tmp_path / "images")
    shutil.copy(shared_data("flickr8k_1000/captions.csv"), tmp_path)
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks, sizes(dataset)) == ("captions", (), {"train": 800, "val": 100})
    with pytest.raises(TaskMismatchError, match="no labels that a task can learn from"):
        dataset.choose_task()


def test_shared_photos(shared_data: Callable[[str], Path]) -> None:
    dataset = open_data(shared_data("photos"))
    assert (dataset.format, dataset.tasks, sizes(dataset)) == ("images", (), {"predict": 10})


def test_shared_archives_are_to_be_unpacked(shared_data: Callable[[str], Path]) -> None:
    with pytest.raises(DataError) as caught:
        open_data(shared_data("bccd"))
    assert caught.value.remedy == "unpack bccd_voc.tar first"


# --- what the folders of a format are not


@pytest.mark.parametrize("names", [("image", "label"), ("images", "masks"), ("imgs", "annotations"), ("Images", "GT")])
@pytest.mark.parametrize("split", ["", "train"])
def test_pairs_of_images_and_labels_are_never_classes(names: tuple[str, str], split: str, tmp_path: Path) -> None:
    for name in names:
        picture(tmp_path / split / name / f"{name}-without-partner.jpg")
    with pytest.raises(DataError, match="not in a format that visus knows"):
        open_data(tmp_path)


def test_classes_may_be_called_mask(tmp_path: Path) -> None:
    for name in ("mask", "no_mask"):
        picture(tmp_path / name / "1.jpg")
    assert open_data(tmp_path).classes["classification"] == ("mask", "no_mask")


def test_two_formats_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 24, "width": 32}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "x"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="more than one way") as caught:
        open_data(tmp_path)
    assert "coco (" in caught.value.got
    assert "yolo (" in caught.value.got
    assert "--format coco" in caught.value.remedy
    assert len(everything(open_data(tmp_path, format="yolo"))) == 2
    assert len(everything(open_data(tmp_path, format="coco"))) == 1


def test_folders_that_hold_one_folder_are_entered(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        picture(tmp_path / "unpacked" / "photos-v2" / kind / "1.jpg")
    dataset = open_data(tmp_path)
    assert dataset.classes["classification"] == ("a", "b")
    assert dataset.name == tmp_path.name


# --- bad input


def test_no_such_folder_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="no file or folder") as caught:
        open_data(tmp_path / "photo")
    assert "photos" in caught.value.remedy
    with pytest.raises(DataError) as caught:
        open_data("fashionmnist")
    assert "fashion_mnist" in caught.value.remedy
    assert caught.value.exit_code == 4


def test_empty_folder(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "inner"):
        source.mkdir(exist_ok=True)
        with pytest.raises(DataError, match="is empty"):
            open_data(source)


def test_one_class_only(tmp_path: Path) -> None:
    picture(tmp_path / "cats" / "1.jpg")
    with pytest.raises(DataError, match="one class only") as caught:
        open_data(tmp_path)
    assert caught.value.got == "cats"


def test_unknown_and_unfit_formats(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.jpg")
    picture(tmp_path / "b" / "1.jpg")
    with pytest.raises(UsageError, match="no format named xml"):
        open_data(tmp_path, format="xml")
    with pytest.raises(DataError, match="cannot be read as voc"):
        open_data(tmp_path, format="voc")
    with pytest.raises(TaskMismatchError, match="do not allow detection"):
        open_data(tmp_path, task="detection")


def test_other_files_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for source in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="not in a format that visus knows") as caught:
            open_data(source)
        assert ".txt file" in caught.value.got


def test_a_folder_of_a_named_sets_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("a", "b"):
        picture(tmp_path / "digits" / kind / "1.jpg")
    assert len(everything(open_data("digits"))) == 1797
    assert [finding.kind for finding in open_data("digits").findings] == ["named-data-set"]
    assert len(everything(open_data("./digits"))) == 2


def test_a_folder_of_the_name_of_a_set_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "coco" / "a" / "1.jpg")
    with pytest.raises(DataError, match="not in the cache") as caught:
        open_data("coco", cache=tmp_path / "cache")
    assert caught.value.remedy.startswith("write ./coco for the folder coco; or ")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("visus.data.formats.listing.os.scandir", refuse)
    with pytest.raises(DataError, match="cannot be listed") as caught:
        open_data(tmp_path)
    assert caught.value.got == "Permission denied"


def test_samples_travel_to_other_processes(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.jpg")
        (tmp_path / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5 0.7 0.7\n")
    for task in ("detection", "segmentation"):
        for sample in everything(open_data(tmp_path, task=task)):
            copy = pickle.loads(pickle.dumps(sample))
            assert copy.id == sample.id
            assert copy.target(task).to_dict() == sample.target(task).to_dict()
            np.testing.assert_array_equal(copy.image.load(), sample.image.load())


# --- images for prediction


def test_images_of_files_and_folders(tmp_path: Path) -> None:
    one = picture(tmp_path / "new" / "deep" / "b.png")
    two = picture(tmp_path / "new" / "a.jpg")
    odd = picture(tmp_path / "odd.png").rename(tmp_path / "odd.data")
    (tmp_path / "new" / "notes.txt").write_text("no image")
    found = open_images([tmp_path / "new", str(odd), one])
    assert [sample.image.path for sample in found] == [two, one, odd]
    assert all(not sample.targets for sample in found)
    assert found[2].image.load().shape == (3, 24, 32)
    (tmp_path / "none").mkdir()
    for wrong in ([], [tmp_path / "none"], [tmp_path / "absent.jpg"]):
        with pytest.raises(DataError):
            open_images(wrong)


def numbered(path: Path, values: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(np.uint8([values]), 24, 0)).save(path)
    return path


@pytest.mark.parametrize("layout", ["images/{}.jpg labels/{}.png", "train/{}.jpg train/{}_mask.png"])
def test_of_a_data_set_the_labels_are_no_images(layout: str, tmp_path: Path) -> None:
    """Where visus data check reads them as labels; and it is said. A folder of labels that is asked for is taken."""
    photo, label = layout.split()
    for name in "ab":
        picture(tmp_path / "set" / photo.format(name))
        numbered(tmp_path / "set" / label.format(name), [0] * 8 + [1] * 8 + [2] * 16)
    said: list[str] = []
    found = open_images([tmp_path / "set"], say=said.append)
    assert [sample.image.path for sample in found] == [tmp_path / "set" / photo.format(name) for name in "ab"]
    assert said == [
        f"2 label images of a data set are left out of {tmp_path / 'set'}: {label.format('a')}, {label.format('b')}"
    ]
    one = tmp_path / "set" / label.format("a")
    assert [sample.image.path for sample in open_images([one])] == [one]
    if layout.startswith("images"):
        assert len(open_images([tmp_path / "set" / "labels"])) == 2


def test_maps_of_voc_are_no_images(tmp_path: Path) -> None:
    photo = picture(tmp_path / "JPEGImages" / "a.jpg")
    numbered(tmp_path / "SegmentationClass" / "a.png", [0] * 16 + [1] * 16)
    numbered(tmp_path / "SegmentationObject" / "a.png", [0] * 16 + [1] * 16)
    assert [sample.image.path for sample in open_images([tmp_path])] == [photo]


def test_images_of_one_name_and_two_kinds_are_all_taken(tmp_path: Path) -> None:
    """A photograph in a lossless file is no label of its copy."""
    photos = [picture(tmp_path / f"{name}.jpg") for name in "ab"]
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    for photo in photos:
        Image.fromarray(noise).save(photo.with_suffix(".png"))
    assert len(open_images([tmp_path])) == 4


# --- the house


def test_formats_have_names_of_their_own_and_files() -> None:
    names = [item.name for item in FORMATS]
    assert len(set(names)) == len(names)
    assert [item.name for item in FORMATS if item.fallback] == ["images"]


def test_opening_loads_no_torch(tmp_path: Path) -> None:
    for kind in ("a", "b"):
        picture(tmp_path / kind / "1.jpg")
    program = (
        "import sys\nfrom visus.data.reading.opening import open_data\n"
        f"open_data({str(tmp_path)!r}).split('train')[0].image.load()\nopen_data('digits')\n"
        "print([name for name in ('torch', 'torchvision', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("read", [open_data, lambda path: open_images([path])])
def test_an_empty_path_is_not_the_current_folder(
    read: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "1.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the path is empty"):
        read("")
    assert read(".")


@pytest.mark.parametrize("folder", ["images/", ""])
def test_lists_of_splits_beside_class_folders_are_named(folder: str, tmp_path: Path) -> None:
    for number in range(8):
        picture(tmp_path / f"{folder}{('cat', 'dog')[number % 2]}" / f"{number}.jpg")
    for name in ("train_test_split.txt", "test.txt", "image_class_labels.txt", "README.txt", "LICENSE.txt"):
        (tmp_path / name).write_text("1 1\n")
    findings = {item.kind: item for item in open_data(tmp_path).findings}
    assert findings["split-not-used"].message.startswith("2 files look like a split and are not used")
    assert sorted(findings["split-not-used"].examples) == ["test.txt", "train_test_split.txt"]
    assert findings["file-not-read"].examples == ("image_class_labels.txt",)

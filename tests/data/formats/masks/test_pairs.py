"""Images and label images are paired in the layouts that people and tools have, and never taken for classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.masks.name_matching import match_names
from visus.data.inspection.checks import check
from visus.data.reading.opening import open_data
from visus.errors import DataError
from visus.structures import SegmentationMap

SIZE = (24, 32)


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(path)
    return path


def mask(path: Path, value: int = 1, rows: int = 6) -> Path:
    """0 but for ``rows`` rows of the value."""
    array = np.zeros(SIZE, np.uint8)
    array[:rows] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def rows_of(dataset: Dataset, split: str | None = None) -> dict[str, int]:
    """From an image's name to the number of rows of class 1 in its map."""
    found = {}
    for name, samples in dataset.splits.items():
        for sample in samples if split in (None, name) else ():
            target = sample.target("segmentation")
            assert isinstance(target, SegmentationMap)
            found[sample.id] = int((target.map == 1).sum()) // SIZE[1]
    return found


LAYOUTS: dict[str, tuple[str, str]] = {
    "nnU-Net": ("imagesTr/c_{:03}_0000.png", "labelsTr/c_{:03}.png"),
    "raw and label": ("raw/{}.png", "label/{}.png"),
    "inputs and targets": ("inputs/{}.jpg", "targets/{}.png"),
    "FiftyOne": ("data/{}.jpg", "labels/{}.png"),
    "CamVid by datumaro": ("default/{}.png", "defaultannot/{}.png"),
    "sides in the names of folders": ("train_images/{}.png", "train_masks/{}.png"),
    "mmsegmentation": ("img_dir/train/{}.jpg", "ann_dir/train/{}.png"),
    "KITTI": ("training/image_2/{:06}_10.png", "training/semantic/{:06}_10.png"),
    "folders inside": ("images/a/{}.png", "masks/a/{}.png"),
    "Cellpose": ("images/{}.png", "masks/{}_cp_masks.png"),
    "Cellpose, one folder": ("{:03}_img.png", "{:03}_masks.png"),
    "ilastik": ("images/{}.png", "masks/{}_Simple Segmentation.png"),
    "labelled": ("images/{}.tif", "masks/{}-labelled.tif"),
    "manual": ("images/{:02}_training.tif", "1st_manual/{:02}_manual1.gif"),
    "a beginning": ("images/{}.png", "masks/mask_{}.png"),
    "beginnings on both sides": ("images/image_{}.png", "labels/label_{}.png"),
    "endings on both sides": ("images/{}_sat.jpg", "masks/{}_mask.png"),
    "beside": ("{}.png", "{}_mask.png"),
    "beside, in folders of sessions": ("day1/{}.jpg", "day1/{}_label.png"),
    "beside, by suffix": ("{}.jpg", "{}.png"),
    "Oxford's pets": ("images/{}.jpg", "annotations/trimaps/{}.png"),
    "any name beside one of labels": ("ISIC_Training_Input/I_{}.jpg", "ISIC_GroundTruth/I_{}_segmentation.png"),
    "short names": ("src/img{}.png", "gt/gt{}.png"),
    "DeepGlobe": ("train/{}_sat.jpg", "train/{}_mask.png"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str, tmp_path: Path) -> None:
    image, label = LAYOUTS[name]
    for number in range(1, 12):
        photo(tmp_path / image.format(number), number)
        mask(tmp_path / label.format(number), 8 if name == "KITTI" else 1, number)  # 8 is Cityscapes' second class
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks) == ("masks", ("segmentation",))
    known = "sidewalk" if name == "KITTI" else "foreground"
    assert dataset.classes["segmentation"][1] == known
    expected = {image.format(number): number for number in range(1, 12)}
    assert rows_of(dataset) == expected


def test_nnunet_names_its_classes_and_keeps_images_without_labels_apart(tmp_path: Path) -> None:
    for number in range(6):
        photo(tmp_path / f"imagesTr/c_{number}_0000.png", number)
        photo(tmp_path / f"imagesTs/d_{number}_0000.png", 20 + number)
        mask(tmp_path / f"labelsTr/c_{number}.png")
    for labels in ({"background": 0, "cell": 1}, {"0": "background", "1": "cell"}):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        dataset = open_data(tmp_path)
        assert dataset.classes["segmentation"] == ("background", "cell")
        assert sum(map(len, dataset.splits.values())) == 6
    photo(tmp_path / "imagesTr/c_0_0001.png", 40)
    with pytest.raises(DataError, match="a file for each channel"):
        open_data(tmp_path)


def test_cityscapes_has_its_nineteen_classes(tmp_path: Path) -> None:
    for split, town in (("train", "aachen"), ("val", "ulm")):
        for number in range(3):
            stem = f"{split}/{town}/{town}_{number:06}_000019"
            photo(tmp_path / f"leftImg8bit/{stem}_leftImg8bit.png", number + 10 * (split == "val"))
            mask(tmp_path / f"gtFine/{stem}_gtFine_labelIds.png", 26)  # car; 0 is unlabelled
            mask(tmp_path / f"gtFine/{stem}_gtFine_instanceIds.png", 99)
            mask(tmp_path / f"gtFine/{stem}_gtFine_color.png", 77)
    dataset = open_data(tmp_path)
    assert {name: len(samples) for name, samples in dataset.splits.items()} == {"train": 3, "val": 3}
    assert len(dataset.classes["segmentation"]) == 19
    target = dataset.splits["val"][0].target("segmentation")
    assert isinstance(target, SegmentationMap)
    assert target.map[0, 0] == dataset.classes["segmentation"].index("car")
    assert target.map[23, 0] == 255
    assert {"further-labels", "unused-image"} & {item.kind for item in dataset.findings} == {"further-labels"}


def test_ade20k_names_its_classes_and_ignores_the_rest(tmp_path: Path) -> None:
    for split in ("training", "validation"):
        for number in range(3):
            photo(tmp_path / f"images/{split}/ADE_{number}.jpg", number + 10 * (split == "training"))
            mask(tmp_path / f"annotations/{split}/ADE_{number}.png", 2)
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName", "1\t0.1\t1\t1\t1\twall", "2\t0.1\t1\t1\t1\tbuilding, edifice"]
    (tmp_path / "objectInfo150.txt").write_text("\n".join(lines))
    dataset = open_data(tmp_path)
    assert dataset.classes["segmentation"] == ("wall", "building")
    target = dataset.splits["val"][0].target("segmentation")
    assert np.unique(target.map).tolist() == [1, 255]


def test_masks_beside_images_in_folders_of_classes(tmp_path: Path) -> None:
    for number in range(6):
        kind = ("benign", "malignant")[number % 2]
        photo(tmp_path / f"{kind}/{kind} ({number}).png", number)
        mask(tmp_path / f"{kind}/{kind} ({number})_mask.png", 255, rows=2)
    path = mask(tmp_path / "benign/benign (4)_mask_1.png", 255, rows=1)
    array = np.asarray(Image.open(path)).copy()
    array[20:23] = 255
    Image.fromarray(array).save(path)
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("segmentation", "classification")
    assert dataset.classes == {
        "segmentation": ("background", "foreground"),
        "classification": ("benign", "malignant"),
    }
    rows = rows_of(dataset)
    assert rows["benign/benign (4).png"] == 5  # two of the first mask, three more of the second
    assert rows["malignant/malignant (1).png"] == 2
    assert sum(map(len, dataset.splits.values())) == 6


def test_mvtec_has_masks_of_its_test_images_only(tmp_path: Path) -> None:
    for number in range(4):
        photo(tmp_path / f"train/good/{number}.png", number)
        photo(tmp_path / f"test/good/{number}.png", 10 + number)
        photo(tmp_path / f"test/crack/{number}.png", 20 + number)
        mask(tmp_path / f"ground_truth/crack/{number}_mask.png", 255, rows=3)
    dataset = open_data(tmp_path)
    assert list(dataset.splits) == ["test"]
    found = next(item for item in check(dataset) if item.kind == "no-training-images")
    assert found.severity == "stop"
    assert (
        "only the images of test have masks"
        in {item.kind: item.message for item in dataset.findings}["test-masks-only"]
    )
    expected = {f"test/good/{number}.png": 0 for number in range(4)}
    assert rows_of(dataset) == expected | {f"test/crack/{number}.png": 3 for number in range(4)}


def test_pets_have_trimaps_beside_boxes_of_some(tmp_path: Path) -> None:
    for number in range(6):
        photo(tmp_path / f"images/Great_Dane_{number}.jpg", number)
        mask(tmp_path / f"annotations/trimaps/Great_Dane_{number}.png", 1, rows=3)
        path = tmp_path / f"annotations/trimaps/Great_Dane_{number}.png"
        values = np.asarray(Image.open(path)).copy()
        values[values == 0] = 2
        values[-1] = 3
        Image.fromarray(values).save(path)
    (tmp_path / "annotations/xmls").mkdir()
    (tmp_path / "annotations/xmls/Great_Dane_0.xml").write_text("<annotation/>")
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes) == ("masks", {"segmentation": ("background", "foreground")})
    assert "3 is not classified" in {item.kind: item.message for item in dataset.findings}["known-masks"]
    map_ = dataset.splits["train"][0].target("segmentation").map
    assert (set(map_[:3].ravel()), set(map_[3:-1].ravel()), set(map_[-1])) == ({1}, {0}, {255})


def test_roboflow_names_the_classes_in_the_folders_of_splits(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid")):
        for number in range(4):
            photo(tmp_path / f"{split}/{number}.jpg", 10 * seed + number)
            mask(tmp_path / f"{split}/{number}_mask.png", 1 + number % 2)
        (tmp_path / f"{split}/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    dataset = open_data(tmp_path)
    assert dataset.tasks == ("segmentation",)
    assert dataset.classes["segmentation"] == ("background", "cat", "dog")


def test_names_that_do_not_agree_are_said_with_an_example(tmp_path: Path) -> None:
    for number in range(5):
        photo(tmp_path / f"images/frame{number}.png", number)
        mask(tmp_path / f"masks/{chr(97 + number)}{chr(110 + number)}.png")
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert "images holds 5 images and masks 5 label images" in caught.value.got
    assert "images/frame0.png and masks/an.png" in caught.value.got


def test_a_learnt_ending_is_told(tmp_path: Path) -> None:
    for number in range(5):
        photo(tmp_path / f"images/{number}.png", number)
        mask(tmp_path / f"masks/{number}_bin.png")
    found = next(item for item in open_data(tmp_path).findings if item.kind == "paired-names")
    assert (found.severity, found.examples) == ("note", ("0.png and 0_bin.png",))
    assert "..._bin" in found.message


def test_two_images_of_one_name_are_told(tmp_path: Path) -> None:
    for number in range(5):
        photo(tmp_path / f"images/{number}.png", number)
        mask(tmp_path / f"masks/{number}.png")
    photo(tmp_path / "images/3.jpg", 9)
    found = next(item for item in open_data(tmp_path).findings if item.kind == "unlabelled-image")
    assert (found.count, found.examples) == (1, ("images/3.png",))
    boxes = tmp_path / "yolo"
    for number in range(5):
        photo(boxes / f"images/{number}.png", number)
        (boxes / "labels").mkdir(exist_ok=True)
        (boxes / f"labels/{number}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    photo(boxes / "images/3.jpg", 9)
    told = [item for item in open_data(boxes).findings if item.kind == "shared-labels"]
    assert [(item.severity, item.count) for item in told] == [("note", 1)]


def test_photos_in_folders_stay_classes(tmp_path: Path) -> None:
    for number in range(4):
        for folder in ("cats", "dogs", "raw", "carnival masks"):
            photo(tmp_path / f"{folder}/{number}.jpg", hash((folder, number)) % 1000)
    dataset = open_data(tmp_path)
    assert dataset.format == "class-folders"
    assert len(dataset.classes["classification"]) == 4


NAMES: dict[str, tuple[list[str], list[str], dict[int, tuple[int, ...]]]] = {
    "equal": (["1", "2"], ["2", "1"], {0: (1,), 1: (0,)}),
    "numbers that begin numbers": (["1", "11"], ["11_m", "1_m"], {0: (1,), 1: (0,)}),
    "a number at the end": (["a"], ["a_mask", "a_mask_1", "a_mask_2"], {0: (0, 1, 2)}),
    "folders differ": (["x/1", "y/2"], ["y/1_mask", "x/2_mask"], {}),
    "nothing common": (["ab", "cd"], ["ef", "gh"], {}),
    "some without": (["1", "2", "3"], ["1_bin", "3_bin"], {0: (0,), 2: (1,)}),
}


@pytest.mark.parametrize("name", NAMES)
def test_matching_of_names(name: str) -> None:
    images, labels, expected = NAMES[name]
    assert match_names(images, labels).labels == expected


def a_folder_an_image(root: Path, number: int) -> tuple[Path, Callable[[int], Path]]:
    folder = root / "stage1_train" / f"id{number}"
    return folder / "images" / f"id{number}.png", lambda k: folder / "masks" / f"{k}{number}.png"


def a_folder_of_masks_an_image(root: Path, number: int) -> tuple[Path, Callable[[int], Path]]:
    return root / "images" / f"p{number}.png", lambda k: root / "masks" / f"p{number}" / f"{k}.png"


@pytest.mark.parametrize("layout", [a_folder_an_image, a_folder_of_masks_an_image])
def test_a_mask_an_object(layout: Callable[[Path, int], tuple[Path, Callable[[int], Path]]], tmp_path: Path) -> None:
    for number in range(6):
        image, place = layout(tmp_path, number)
        photo(image, number)
        for k in range(1 + number % 3):
            array = np.zeros(SIZE, np.uint8)
            array[2 : 6 + k, 10 * k : 10 * k + 5] = 255
            place(k).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(place(k))
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks) == ("object-masks", ("detection", "segmentation"))
    samples = {Path(sample.id).stem[-1]: sample for part in dataset.splits.values() for sample in part}
    assert len(samples) == 6
    found = samples["2"].target("detection")
    assert found.boxes.tolist() == [[0, 2, 5, 6], [10, 2, 15, 7], [20, 2, 25, 8]]
    assert found.masks.areas().tolist() == [20, 25, 30]
    assert int((samples["0"].target("segmentation").map == 1).sum()) == 20

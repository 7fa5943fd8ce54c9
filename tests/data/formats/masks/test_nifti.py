"""NIfTI volumes are read as axial slices in a stated orientation, and divided as wholes."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from visus.data.reading.opening import open_data
from visus.errors import DataError


@pytest.mark.skipif(find_spec("nibabel") is not None, reason="nibabel is here")
def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match="NIfTI volumes, which need another package") as caught:
        open_data(tmp_path)
    assert caught.value.remedy == "pip install visus[medical]"


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    nibabel = pytest.importorskip("nibabel")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


def volume(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 2000, shape or (8, 6, 4)).astype(np.int16)


def labels(*shape: int) -> np.ndarray:
    array = np.zeros(shape or (8, 6, 4), np.uint8)
    array[5:7, 4, 1] = 1  # to the patient's right, in front
    return array


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("imagesTr/c_{:03}_0000.nii.gz", "labelsTr/c_{:03}.nii.gz"),
        ("images/{}.nii", "labels/{}.nii"),
        ("{}.nii.gz", "{}_seg.nii.gz"),
        ("case{0}/{0}_ct.nii.gz", "case{0}/{0}_ct_mask.nii.gz"),
    ],
)
def test_layouts_and_volumes_that_stay_whole(image: str, label: str, tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / image.format(number), volume(number))
        save(tmp_path / label.format(number), labels())
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.tasks) == ("nifti", ("segmentation",))
    assert dataset.classes["segmentation"] == ("background", "foreground")
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 16, "val": 4, "test": 4}
    cases = [{sample.id.rpartition(":")[0] for sample in part} for part in dataset.splits.values()]
    assert len(set.union(*cases)) == sum(map(len, cases)) == 6


def test_slices_are_shown_as_scanners_show_them(tmp_path: Path) -> None:
    values = np.zeros((8, 6, 4), np.int16)
    values[5:7, 4, 1] = 300
    values[0, 0, :] = -1024
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0])  # the same, stored as DICOM stores it
    for number in range(3):
        save(tmp_path / f"a/{number}.nii.gz", values)
        save(tmp_path / f"a/{number}_seg.nii.gz", labels())
        save(tmp_path / f"b/{number}.nii.gz", values[::-1, ::-1], flipped)
        save(tmp_path / f"b/{number}_seg.nii.gz", labels()[::-1, ::-1], flipped)
    for folder in ("a", "b"):
        dataset = open_data(tmp_path / folder)
        sample = next(s for s in dataset.splits["train"] if s.id.endswith(":001"))
        found = sample.target("segmentation").map
        assert found.shape == (6, 8)
        assert np.argwhere(found == 1).tolist() == [[1, 1], [1, 2]]  # y 4 of 0..5 from above, x 6 and 5 of 0..7
        stored = sample.image.array
        assert stored[1, 1:3].tolist() == [1324, 1324]
        assert stored[5, 7] == 0
        assert stored[0, 0] == 1024


def test_the_classes_of_dataset_json(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"imagesTr/{number}_0000.nii.gz", volume(number))
        save(tmp_path / f"labelsTr/{number}.nii.gz", labels())
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1, "tumour": 2}}))
    assert open_data(tmp_path).classes["segmentation"] == ("background", "liver", "tumour")


def test_fractions_are_scaled_and_blank_slices_left_out(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 30, 5)).astype(np.float32)
    values[..., 0] = 0
    save(tmp_path / "a.nii.gz", values)
    save(tmp_path / "a_seg.nii.gz", labels(20, 30, 5))
    dataset = open_data(tmp_path)
    assert sum(map(len, dataset.splits.values())) == 4
    assert {"blank-slice", "whole-volumes"} <= {item.kind for item in dataset.findings}
    assert max(int(s.image.array.max()) for part in dataset.splits.values() for s in part) == 65535


def test_volumes_without_labels_are_for_prediction(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", volume(0))
    for source in (tmp_path, tmp_path / "a.nii.gz"):
        assert {split: len(part) for split, part in open_data(source).splits.items()} == {"predict": 4}


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (np.zeros((4, 4, 4, 3), np.int16), labels(), "no volume of one value"),
        (volume(0), labels(8, 6, 5), "not of its image's size"),
        (volume(0), labels() * np.float32(0.5), "no class numbers"),
    ],
)
def test_volumes_that_do_not_fit_are_named(image: np.ndarray, label: np.ndarray, message: str, tmp_path: Path) -> None:
    save(tmp_path / "a.nii", image)
    save(tmp_path / "a_seg.nii", label)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path)

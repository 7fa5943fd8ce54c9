"""Arrays of pixels and labels, as MedMNIST has them, are data sets of one or of several classes an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visus.data.reading.opening import open_data
from visus.errors import DataError


def pixels(count: int, seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, *shape), dtype=np.uint8)


def med_mnist(path: Path, labels: np.ndarray, *shape: int) -> Path:
    """Six images for training, four for validation, two for the test."""
    parts = {"train": slice(0, 6), "val": slice(6, 10), "test": slice(10, 12)}
    images = pixels(12, 0, *shape)
    arrays = {f"{split}_images": images[part] for split, part in parts.items()}
    np.savez(path, **arrays, **{f"{split}_labels": labels[part] for split, part in parts.items()})
    return path


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3)])
def test_one_class_an_image(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = med_mnist(tmp_path / "pathmnist.npz", np.asarray([[k % 3] for k in range(12)], np.uint8), *shape)
    for source in (path, tmp_path):
        dataset = open_data(source)
        assert dataset.classes == {"classification": ("0", "1", "2")}
        assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 6, "val": 4, "test": 2}
        assert [sample.target("classification").index for sample in dataset.splits["val"]] == [0, 1, 2, 0]
        loaded = dataset.splits["train"][2].image.load()
        expected = pixels(12, 0, *shape)[2]
        np.testing.assert_array_equal(loaded[1], expected if expected.ndim == 2 else expected[..., 1])
    (tmp_path / "classes.txt").write_text("fat\nair\ngland\n")
    assert open_data(tmp_path).classes == {"classification": ("fat", "air", "gland")}


def test_several_classes_an_image(tmp_path: Path) -> None:
    table = np.asarray([[k % 2, 1, k % 3 == 0] for k in range(12)], np.uint8)
    dataset = open_data(med_mnist(tmp_path / "chestmnist.npz", table, 28, 28))
    assert dataset.tasks == ("multilabel_classification",)
    target = dataset.splits["train"][3].target("multilabel_classification")
    assert target.present.tolist() == [True, True, True]
    assert dataset.splits["train"][2].target("multilabel_classification").present.tolist() == [False, True, False]


def test_a_table_with_one_class_a_row_is_a_classification(tmp_path: Path) -> None:
    dataset = open_data(med_mnist(tmp_path / "a.npz", np.eye(3, dtype=np.float32)[np.arange(12) % 3], 8, 8))
    assert dataset.tasks == ("classification",)
    assert [sample.target("classification").index for sample in dataset.splits["test"]] == [1, 2]


def test_other_names_and_no_splits(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=pixels(8, 0, 9, 9), y_train=np.arange(8) % 2,
             x_test=pixels(4, 1, 9, 9), y_test=np.arange(4) % 2)  # fmt: skip
    assert len(open_data(tmp_path).splits["test"]) == 4
    np.savez(tmp_path / "a.npz", images=pixels(20, 0, 9, 9), labels=np.asarray(["cat", "dog"] * 10))
    assert open_data(tmp_path).classes == {"classification": ("cat", "dog")}


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((6, 9, 9), np.float32), np.zeros(6, int), "do not fit"),
        (np.zeros((6, 9, 9), np.uint8), np.zeros(5, int), "do not fit"),
        (np.zeros((6, 9, 9), np.uint8), np.full(6, 0.5), "no class numbers"),
        (np.zeros((6, 9, 9), np.uint8), np.full(6, -1), "no class numbers"),
        (np.zeros((6, 9, 9), np.uint8), np.full(6, 10**9), "no class numbers"),
        (np.zeros((6, 9, 9), np.uint8), np.full((6, 3), 7), "no table of classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    images: np.ndarray, labels: np.ndarray, message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path)

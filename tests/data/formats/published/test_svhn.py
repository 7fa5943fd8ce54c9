"""SVHN's cropped digits, in files that scipy writes as MATLAB does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from visus.data.reading.opening import open_data
from visus.errors import DataError


def write(root: Path, split: str, labels: list[int]) -> None:
    images = np.random.default_rng(len(split)).integers(0, 256, (32, 32, 3, len(labels)), np.uint8)
    savemat(root / f"{split}_32x32.mat", {"X": images, "y": np.asarray(labels, np.uint8)[:, None]}, do_compression=True)


def test_ten_stands_for_zero_and_pixels_are_rows_first(tmp_path: Path) -> None:
    write(tmp_path, "train", [10, 1, 9])
    write(tmp_path, "test", [10, 2])
    write(tmp_path, "extra", [3])
    dataset = open_data(tmp_path)
    assert dataset.format == "svhn"
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 3, "test": 2}
    found = {s.id: s for part in dataset.splits.values() for s in part}
    assert [found[f"train/{k:06}"].target("classification").index for k in range(3)] == [0, 1, 9]
    expected = np.random.default_rng(5).integers(0, 256, (32, 32, 3, 3), np.uint8)[..., 1]
    assert (found["train/000001"].image.load() == expected.transpose(2, 0, 1)).all()
    assert [finding.kind for finding in dataset.findings] == ["extra-digits"]


@pytest.mark.parametrize("content", [{"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.asarray([[1], [77]])},
                                     {"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))},
                                     {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.ones((3, 1))},
                                     {"y": np.ones((3, 1))}])  # fmt: skip
def test_other_content_is_refused(tmp_path: Path, content: dict[str, np.ndarray]) -> None:
    savemat(tmp_path / "train_32x32.mat", content)
    with pytest.raises(DataError) as error:
        open_data(tmp_path)
    assert "X [32,32,3,N]" in error.value.expected


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", [1, 2])
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match="cannot be read"):
        open_data(tmp_path)

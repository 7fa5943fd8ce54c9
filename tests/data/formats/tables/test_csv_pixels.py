"""Tables that hold the pixels of the images themselves."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.reading.opening import open_data
from visus.errors import DataError


def grey(seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)


def test_a_column_a_pixel(tmp_path: Path) -> None:
    header = "label," + ",".join(f"pixel{i}" for i in range(25))
    rows = [f"{n},{','.join(map(str, grey(n, 5).flatten()))}" for n in (1, 0)]
    (tmp_path / "train.csv").write_text("\n".join([header, *rows]))
    (tmp_path / "test.csv").write_text(header.partition(",")[2] + "\n" + ",".join(["0"] * 25))
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes) == ("csv-pixels", {"classification": ("0", "1")})
    found = {s.target("classification").name: s.image.load() for part in dataset.splits.values() for s in part}
    np.testing.assert_array_equal(found["1"], np.stack([grey(1, 5)] * 3))
    assert "table-without-labels" in [finding.kind for finding in dataset.findings]


def test_all_pixels_in_a_cell_and_a_column_of_splits(tmp_path: Path) -> None:
    usage = ("Training", "Training", "PublicTest", "PrivateTest")
    rows = [f"{n % 2},{' '.join(map(str, grey(n, 9).flatten()))},{use}" for n, use in enumerate(usage)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    dataset = open_data(tmp_path)
    assert {split: len(part) for split, part in dataset.splits.items()} == {"train": 2, "val": 1, "test": 1}
    np.testing.assert_array_equal(dataset.split("test")[0].image.load()[0], grey(3, 9))


def test_facial_key_points_with_missing_ones(tmp_path: Path) -> None:
    rows = [
        f"3.5,4,,,{' '.join(map(str, grey(0, 9).flatten()))}",
        f"1,2,7,8,{' '.join(map(str, grey(1, 9).flatten()))}",
    ]
    (tmp_path / "training.csv").write_text("\n".join(["left_eye_x,left_eye_y,nose_tip_x,nose_tip_y,Image", *rows]))
    dataset = open_data(tmp_path)
    assert dataset.classes == {"landmarks": ("left_eye", "nose_tip")}
    first, second = sorted((s for part in dataset.splits.values() for s in part), key=lambda sample: sample.id)
    assert first.target("landmarks").visible.tolist() == [True, False]
    assert second.target("landmarks").points.tolist() == [[1, 2], [7, 8]]
    assert second.target("landmarks").size == (9, 9)


@pytest.mark.parametrize("start", ["", "data:image/png;base64,"])
def test_images_as_base64(start: str, tmp_path: Path) -> None:
    rows = []
    for n in range(2):
        stream = io.BytesIO()
        Image.fromarray(grey(n, 40)).save(stream, "PNG")
        rows.append(f'{n},"{start}{base64.b64encode(stream.getvalue()).decode()}"')
    (tmp_path / "a.csv").write_text("\n".join(["label,image", *rows]))
    found = {
        s.target("classification").name: s.image.load() for part in open_data(tmp_path).splits.values() for s in part
    }
    np.testing.assert_array_equal(found["1"][0], grey(1, 40))


def test_pixels_without_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("pixels\n" + "\n".join(" ".join(["3"] * 81) for _ in range(2)))
    with pytest.raises(DataError, match=r"a\.csv holds pixels, and no column of classes or points beside them"):
        open_data(tmp_path)

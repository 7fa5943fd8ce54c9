"""A training on 16-bit TIFFs of five channels, from the folder to the picture of an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import visus
from visus.errors import DataError

ANSWER = 0.9  # mean IoU; a network that did not see the fourth channel could not reach it


def write(folder: Path, *, pages: bool = False) -> Path:
    """12 images whose fourth channel alone shows the class of the mask, dark as a camera of 12 bits has them."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    random = np.random.default_rng(1)
    for number in range(12):
        top, left = random.integers(4, 24, 2)
        mask = np.zeros((48, 64), np.uint8)
        mask[top : top + 18, left : left + 24] = 1
        array = random.integers(100, 300, (48, 64, 5)).astype(np.uint16)
        array[..., 3] += mask * np.uint16(2500)
        stored = np.moveaxis(array, -1, 0) if pages else array
        plane = {} if pages else {"planarconfig": "contig"}
        tifffile.imwrite(folder / "images" / f"{number}.tif", stored, photometric="minisblack", **plane)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


SMALL = {"model_options": {"width": 4, "depth": 2}, "optimizer.lr": 0.01, "batch_size": 4}


def test_trains_judges_predicts_and_explains(tmp_path: Path) -> None:
    data = write(tmp_path / "cells")
    run = visus.train(data, out=tmp_path / "runs", weights="none", epochs=10, changes=SMALL, device="cpu", quiet=True)
    assert visus.evaluate(run.path, quiet=True).metrics["mean_iou"] > ANSWER
    model = visus.load(run.path, device="cpu")
    assert model.info.in_channels == model.info.preprocessing.channels == 5
    assert model.info.preprocessing.value_range == ((0, 511), (0, 511), (0, 511), (0, 4095), (0, 511))
    file = data / "images" / "0.tif"
    found = model.predict(file)
    truth = np.asarray(Image.open(data / "masks" / "0.png"))
    assert (found.map == truth).mean() > 0.95
    assert found.image.load().shape == (3, 48, 64)
    assert found.image.load().max() > 100  # drawn by the range that the values fill, not black
    np.testing.assert_array_equal(model.predict(tifffile.imread(file)).map, found.map)
    assert model.explain(file).draw().size[0] > 0
    assert (run.path / "report.html").stat().st_size > 0
    with pytest.raises(DataError, match="another number of channels"):
        model.predict(np.zeros((48, 64, 3), np.uint8))


@pytest.mark.usefixtures("without_reports")
def test_pages_are_channels_where_the_recipe_says_so(tmp_path: Path) -> None:
    data = write(tmp_path / "cells", pages=True)
    changes = {**SMALL, "channels": 5, "value_range": [0, 4095]}
    run = visus.train(data, out=tmp_path / "runs", weights="none", epochs=10, changes=changes, device="cpu", quiet=True)
    model = visus.load(run.path, device="cpu")
    assert model.info.preprocessing.value_range == ((0, 4095),)
    truth = np.asarray(Image.open(data / "masks" / "0.png"))
    assert (model.predict(data / "images" / "0.tif").map == truth).mean() > 0.95
    assert visus.evaluate(run.path, quiet=True).metrics["mean_iou"] > ANSWER

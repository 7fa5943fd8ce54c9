"""Selective search's boxes become proposals in pixels of the file, best first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.pixels.images import ArrayImage, FileImage
from visus.data.proposals.computing import Proposer, compute
from visus.structures import ProposalSettings

pytest.importorskip("skimage")

SINGLE = ProposalSettings(mode="single")


def scene(height: int, width: int) -> np.ndarray:
    """A bright square, from a quarter to a half of each side, on a dark ground."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = (230, 180, 60)
    return pixels


def nearest(boxes: np.ndarray, box: tuple[float, ...]) -> float:
    return float(np.abs(boxes - np.asarray(box)).max(axis=1).min())


def test_an_object_that_stands_out_is_proposed() -> None:
    found = compute(ArrayImage(scene(64, 96)), SINGLE)
    assert found.size == (64, 96)
    assert found.boxes.dtype == np.float32
    assert nearest(found.boxes, (24, 16, 48, 32)) <= 3  # the smoothing blurs its edges
    assert nearest(found.boxes, (0, 0, 96, 64)) == 0
    assert found.scores is not None
    assert (np.diff(found.scores) <= 0).all()
    same, faults = found.repaired()
    assert same is found
    assert faults == ()


@pytest.mark.slow
def test_a_large_image_is_searched_smaller_and_its_boxes_are_in_its_own_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path / "cache"))
    Image.fromarray(scene(1200, 1600)).save(tmp_path / "a.jpg")
    found = Proposer.of(SINGLE)(FileImage(tmp_path / "a.jpg"))
    assert found.size == (1200, 1600)
    assert nearest(found.boxes, (400, 300, 800, 600)) <= 12


def test_a_tiny_or_an_even_image_has_itself(tmp_path: Path) -> None:
    for pixels in (np.zeros((1, 1, 3), np.uint8), np.full((9, 7), 80, np.uint8)):
        found = compute(ArrayImage(pixels), SINGLE)
        np.testing.assert_array_equal(found.boxes, [[0, 0, pixels.shape[1], pixels.shape[0]]])

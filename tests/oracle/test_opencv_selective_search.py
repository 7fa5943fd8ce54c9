"""OpenCV's selective search merges the same regions, and on real images finds no more objects.

It needs an environment of its own, as opencv-contrib-python-headless overwrites the cv2 of visus: set
VISUS_OPENCV_CONTRIB to a Python that has it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import visus
from visus.ops.iou import pairwise_iou
from visus.ops.selective_search import selective_search
from visus.ops.selective_search.colour_spaces import in_colour_space
from visus.ops.selective_search.grouping import Regions, grouped
from visus.ops.selective_search.histograms import measured

PYTHON = os.environ.get("VISUS_OPENCV_CONTRIB", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs a Python with opencv-contrib-python-headless: VISUS_OPENCV_CONTRIB"),
]

PEER = """
import sys
import cv2, numpy as np
segmentation = cv2.ximgproc.segmentation
images, found = np.load(sys.argv[1]), {}
for name in images.files:
    image = np.ascontiguousarray(images[name][..., ::-1])
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(image)
    if sys.argv[3] == "fast":
        search.switchToSelectiveSearchFast()
    else:  # the letters of the similarities, on regions of one colour
        search.addImage(image)
        search.addGraphSegmentation(segmentation.createGraphSegmentation(0.0, 0.5, 1))
        makers = {"C": segmentation.createSelectiveSearchSegmentationStrategyColor,
                  "S": segmentation.createSelectiveSearchSegmentationStrategySize,
                  "F": segmentation.createSelectiveSearchSegmentationStrategyFill}
        parts = [makers[letter]() for letter in sys.argv[3]]
        together = segmentation.createSelectiveSearchSegmentationStrategyMultiple(*parts)
        search.addStrategy(together)
    boxes = np.asarray(search.process()).reshape(-1, 4)
    found[name] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
np.savez(sys.argv[2], **found)
"""

Images = dict[str, NDArray[np.uint8]]


def opencv(images: Images, what: str, folder: Path) -> dict[str, NDArray[np.int64]]:
    """Boxes [P,4] xyxy of each image."""
    np.savez(folder / "images.npz", **images)  # type: ignore[arg-type]
    command = [PYTHON, "-c", PEER, str(folder / "images.npz"), str(folder / "boxes.npz"), what]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, env=environment)
    with np.load(folder / "boxes.npz") as file:
        return {name: file[name] for name in file.files}


def bricks(seed: int) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """A wall of bricks of one colour each; no four meet at a corner, where OpenCV sees one of the two diagonals.

    Heights and widths differ, so that no two pairs of regions are equally similar, of which either may be merged first.
    """
    random = np.random.default_rng(seed)
    heights = random.permutation([7, 8, 9, 11, 12, 13])
    labels, number, top = np.zeros((60, 90), int), 0, 0
    for row, height in enumerate(heights):
        cuts = np.sort(random.choice(np.arange(2 + row % 2, 88, 2), 5, replace=False))
        for left, right in zip([0, *cuts], [*cuts, 90], strict=True):
            labels[top : top + height, left:right] = number
            number += 1
        top += height
    # Values whose bin is the same by 256 (OpenCV) and by 255; few, so that bricks have one or two channels in common.
    alike = [value for value in range(0, 256, 7) if value * 25 // 256 == min(value * 25 // 255, 24)]
    palette = np.array(list(product(random.choice(alike, 5, replace=False), repeat=3)))
    return labels, random.permutation(palette)[labels].astype(np.uint8)


@pytest.mark.parametrize("similarities", ["CSF", "CS"])
def test_the_same_regions_are_merged(similarities: str, tmp_path: Path) -> None:
    walls = {str(seed): bricks(seed) for seed in range(5)}
    theirs = opencv({name: image for name, (_, image) in walls.items()}, similarities, tmp_path)
    for name, (labels, image) in walls.items():
        ours = grouped(Regions(labels, measured(in_colour_space(image, "RGB"))), similarities)
        assert sorted(np.unique(ours.boxes, axis=0).tolist()) == sorted(theirs[name].tolist())


@pytest.mark.parametrize("archive", ["bccd/bccd_voc.tar", "kangaroo/kangaroo_voc.tar"])
def test_objects_are_found_as_often(archive: str, unpacked: Callable[[str], Path], tmp_path: Path) -> None:
    samples = visus.open_data(unpacked(archive)).splits["val"][:6]
    images = {sample.id.replace("/", "-"): sample.image.load().transpose(1, 2, 0) for sample in samples}
    theirs = opencv(images, "fast", tmp_path)
    best: list[list[float]] = [[], []]
    for sample, (name, image) in zip(samples, images.items(), strict=True):
        truth = sample.target("detection").boxes
        for overlaps, boxes in zip(best, (selective_search(image).boxes, theirs[name]), strict=True):
            overlaps += pairwise_iou(truth, boxes[:2000]).max(1, initial=0).tolist()
    ours, other = (np.asarray(overlaps) for overlaps in best)
    assert (ours >= 0.5).mean() >= (other >= 0.5).mean() - 0.01
    assert ours.mean() >= other.mean() - 0.01

"""A wrong stated size never moves, clips or drops a box; a factor of all images is recognised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visus.data.dataset import Dataset
from visus.data.formats.objects.stated_sizes import settle_sizes
from visus.data.formats.reading import Tally
from visus.data.inspection.checks import check, check_before_training
from visus.data.reading.opening import open_data

Sizes = list[tuple[int, int]]
"""(width, height) of each image."""


def write(root: Path, sizes: Sizes, stated: Sizes, boxes: list[list[float]], *, orientation: int = 1) -> Dataset:
    """COCO with one image of each size, each with these boxes [x, y, width, height]."""
    images, objects = [], []
    for i, (size, (width, height)) in enumerate(zip(sizes, stated, strict=True)):
        pixels = np.random.default_rng(i).integers(0, 256, (*size[::-1], 3), np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        root.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / f"{i}.png", exif=exif)
        images.append({"id": i, "file_name": f"{i}.png", "width": width, "height": height})
        objects += [{"id": i, "image_id": i, "category_id": 1, "bbox": box} for box in boxes]
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cat"}]}
    (root / "ann.json").write_text(json.dumps(content))
    return open_data(root)


def boxes(dataset: Dataset) -> list[list[list[float]]]:
    samples = sorted((s for part in dataset.splits.values() for s in part), key=lambda s: int(Path(s.id).stem))
    return [sample.target("detection").boxes.tolist() for sample in samples]


def severities(dataset: Dataset) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in check(dataset)}


def test_boxes_that_fit_the_image_stay_where_the_stated_size_is_too_small(tmp_path: Path) -> None:
    dataset = write(tmp_path, [(128, 96)] * 8, [(64, 48)] * 8, [[79, 54, 41, 36], [9, 9, 21, 21], [49, 29, 51, 31]])
    assert boxes(dataset) == [[[79, 54, 120, 90], [9, 9, 30, 30], [49, 29, 100, 60]]] * 8
    assert severities(dataset) == {"stated-size-wrong": "note"}


def test_swapped_height_and_width(tmp_path: Path) -> None:
    dataset = write(tmp_path, [(64, 48)] * 8, [(48, 64)] * 8, [[5, 5, 55, 30]])
    assert boxes(dataset) == [[[5, 5, 60, 35]]] * 8
    assert severities(dataset) == {"stated-size-wrong": "note"}


@pytest.mark.parametrize("own", [(64, 48), (256, 192)])
def test_one_factor_of_all_images_scales_the_boxes(own: tuple[int, int], tmp_path: Path) -> None:
    dataset = write(tmp_path, [own] * 8, [(128, 96)] * 8, [[20, 20, 40, 25]])
    factor = own[0] / 128
    assert boxes(dataset) == [[[20 * factor, 20 * factor, 60 * factor, 45 * factor]]] * 8
    assert severities(dataset) == {"images-scaled": "note"}


@pytest.mark.parametrize(
    "sizes",
    [
        [(64, 48)] * 4 + [(128, 96)] * 4,  # half of the images were scaled
        [(64, 48)] * 4 + [(32, 24)] * 4,  # each by a factor of its own
        [(64, 64)] * 8,  # stretched or padded: nobody knows
        [(96, 128)] * 8,  # turned
    ],
)
@pytest.mark.parametrize("look", [check, check_before_training])
def test_other_differences_stop(sizes: Sizes, look: object, tmp_path: Path) -> None:
    dataset = write(tmp_path, sizes, [(128, 96)] * 8, [[10, 10, 15, 10]])
    assert boxes(dataset) == [[[10, 10, 25, 20]]] * 8
    found = look(dataset, "detection")  # type: ignore[operator]
    assert {finding.kind: finding.severity for finding in found}["size-differs"] == "stop"


def test_the_size_before_the_rotation_by_exif_stops(tmp_path: Path) -> None:
    dataset = write(tmp_path, [(64, 48)] * 8, [(64, 48)] * 8, [[5, 5, 20, 20]], orientation=6)
    differs = next(finding for finding in check(dataset) if finding.kind == "size-differs")
    assert differs.severity == "stop"
    assert "EXIF" in differs.message


def test_rounding_and_images_without_objects_are_no_matter(tmp_path: Path) -> None:
    assert severities(write(tmp_path / "a", [(64, 48)] * 4, [(63, 47)] * 4, [[5, 5, 20, 20]])) == {
        "stated-size": "note"
    }
    assert severities(write(tmp_path / "b", [(64, 48)] * 4, [(99, 9)] * 4, []))["no-objects"] == "note"


def test_few_headers_are_read_while_the_sizes_are_right() -> None:
    class Counted:
        reads = 0

        def __init__(self, size: tuple[int, int]) -> None:
            self._size = size

        def size(self) -> tuple[int, int]:
            Counted.reads += 1
            return self._size

    count = 1000
    stated = np.tile([48, 64], (count, 1))
    images: Any = [Counted((48, 64)) for _ in range(count)]
    extents = np.tile([60.0, 40.0], (count, 1))
    extents[500] = (70, 40)  # reaches outside
    sizes = settle_sizes(images, stated, extents, Tally(), ["x"] * count)
    assert (sizes.sizes == (48, 64)).all()
    assert Counted.reads <= 33
    images[0] = Counted((96, 128))
    settle_sizes(images, stated, extents, Tally(), ["x"] * count)
    assert Counted.reads >= count


def test_missing_and_damaged_sizes_are_read_from_the_image(tmp_path: Path) -> None:
    write(tmp_path, [(64, 48)] * 5, [(64, 48)] * 5, [[50, 40, 100, 100]])
    content = json.loads((tmp_path / "ann.json").read_text())
    for image, (width, height) in zip(
        content["images"], [(None, None), (0, 0), ("64", "48"), (-1, 9), (64.0, float("inf"))], strict=True
    ):
        image |= {"width": width, "height": height}
    (tmp_path / "ann.json").write_text(json.dumps(content))
    assert boxes(open_data(tmp_path)) == [[[50, 40, 64, 48]]] * 5

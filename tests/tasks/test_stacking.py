"""Batches of images of several sizes: padded where the preprocessing allows it, with all that belongs to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage
from visus.errors import ShapeError
from visus.structures import IGNORE, Detections, Label, Preprocessing, Proposals, Sample, SegmentationMap
from visus.tasks.table import make_task

CLASSES = ("a", "b")
WAY = Preprocessing(size=(60, 100), fit="shorter_side", fill=7)


def sample(height: int, width: int) -> Sample:
    pixels = np.full((height, width, 3), 200, np.uint8)
    mask = np.zeros((1, height, width), bool)
    mask[0, : height // 2, : width // 2] = True
    boxes = np.asarray([[0, 0, width / 2, height / 2]], np.float32)
    found = Detections(CLASSES, boxes, np.asarray([1]), (height, width), masks=mask)
    targets = {
        "detection": found,
        "classification": Label(CLASSES, 1),
        "segmentation": SegmentationMap(CLASSES, mask[0].astype(np.uint8)),
    }
    return Sample("x", ArrayImage(pixels), targets)


def prepared(task: str, *sizes: tuple[int, int], augmentation: Augmentation | None = None) -> list[Prepared]:
    prepare = Preparer(task, WAY, augmentation, 0, masks=True)
    return [prepare(sample(*size), index, 0) for index, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ((375, 500), (60, 80)),  # VOC's 600 x 800, a tenth as large
        ((500, 375), (80, 60)),
        ((300, 900), (33, 100)),  # the longer side would pass 100
        ((30, 40), (60, 80)),  # small files grow
        ((20, 400), (5, 100)),
    ],
)
def test_the_shorter_side_is_scaled(file: tuple[int, int], network: tuple[int, int]) -> None:
    (item,) = prepared("detection", file)
    assert tuple(item.image.shape[1:]) == network
    assert item.placement.file_size == file
    assert item.placement.scale == pytest.approx((network[0] / file[0], network[1] / file[1]))
    back = item.target.undo(item.placement)  # type: ignore[union-attr]
    np.testing.assert_allclose(back.boxes, [[0, 0, file[1] / 2, file[0] / 2]], atol=1e-3)


def test_a_batch_has_the_largest_height_and_width() -> None:
    batch = make_task("detection", CLASSES).collate(prepared("detection", (375, 500), (500, 375)))
    assert batch.images.shape == (2, 3, 80, 80)
    assert batch.images[0, :, :60].unique().tolist() == [200]
    assert batch.images[0, :, 60:].unique().tolist() == [7]
    assert batch.images[1, :, :, 60:].unique().tolist() == [7]
    for target, placement, file in zip(batch.targets, batch.placements, ((375, 500), (500, 375)), strict=True):
        assert target.size == placement.network_size == target.masks.size == (80, 80)
        back = target.undo(placement)
        assert back.size == file
        np.testing.assert_allclose(back.boxes, [[0, 0, file[1] / 2, file[0] / 2]], atol=1e-3)


def test_class_maps_are_ignored_where_there_is_no_image() -> None:
    batch = make_task("segmentation", CLASSES).collate(prepared("segmentation", (375, 500), (500, 375)))
    assert batch.targets.shape == (2, 80, 80)
    assert batch.targets[0, 60:].unique().tolist() == [IGNORE]
    assert batch.targets[0, :60].unique().tolist() == [0, 1]


def test_labels_have_no_place() -> None:
    batch = make_task("classification", CLASSES).collate(prepared("classification", (375, 500), (500, 375)))
    assert batch.images.shape == (2, 3, 80, 80)
    assert batch.targets.tolist() == [1, 1]


def test_proposals_and_small_objects_stay() -> None:
    items = prepared("detection", (375, 500), (500, 375))
    tiny = Detections(CLASSES, np.asarray([[3, 3, 3.2, 3.1]], np.float32), np.asarray([0]), (60, 80))
    regions = Proposals(np.asarray([[1, 2, 3, 4]], np.float32), (60, 80))
    items[0] = replace(items[0], target=tiny, proposals=regions)
    items[1] = replace(items[1], proposals=Proposals.empty((80, 60)))
    batch = make_task("detection", CLASSES).collate(items)
    assert batch.targets[0].boxes.tolist() == tiny.boxes.tolist()
    assert batch.proposals is not None
    assert [(len(part), part.size) for part in batch.proposals] == [(1, (80, 80)), (0, (80, 80))]


def test_images_of_one_size_are_left_alone() -> None:
    items = prepared("detection", (375, 500), (375, 500))
    assert make_task("detection", CLASSES).collate(items).targets[0] is items[0].target


def test_others_are_not_padded() -> None:
    items = [replace(item, fill=None) for item in prepared("detection", (375, 500), (500, 375))]
    with pytest.raises(ShapeError, match="one size"):
        make_task("detection", CLASSES).collate(items)


def test_augmentation_moves_what_has_any_size() -> None:
    changes = Augmentation(mirror=1.0, quarter_turns=True, zoom=0.1, iou_crop=True, zoom_out=0.5, brightness=0.1)
    batch = make_task("detection", CLASSES).collate(
        prepared("detection", (375, 500), (500, 375), (90, 90), augmentation=changes)
    )
    assert max(batch.images.shape[2:]) <= 100
    assert all(target.size == tuple(batch.images.shape[2:]) for target in batch.targets)
    assert all((target.boxes >= 0).all() for target in batch.targets)


def test_sides_are_shorter_sides() -> None:
    changes = Augmentation(sides=(30, 60))
    prepare = Preparer("detection", WAY, changes, 0)
    sizes = [tuple(prepare(sample(375, 500), 0, epoch).image.shape[1:]) for epoch in range(2)]
    assert sizes == [(30, 40), (60, 80)]


def test_a_mirrored_object_lies_where_its_pixels_do() -> None:
    (item,) = prepared("detection", (375, 500), augmentation=Augmentation(mirror=1.0))
    assert item.target is not None
    np.testing.assert_allclose(item.target.boxes, [[40, 0, 80, 30]], atol=1e-3)  # type: ignore[attr-defined]
    assert isinstance(item.image, np.ndarray)

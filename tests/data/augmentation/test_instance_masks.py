"""Masks move with their images: a moved mask is what drawing the moved outline gives, to within a pixel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import displace, elastic, flip, mirror, rot90, warp
from visus.data.augmentation.mosaic import Mosaic
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.formats.objects.outlined_objects import draw_outline
from visus.data.pixels.images import ArrayImage
from visus.structures import Detections, Masks, Move, Preprocessing, Sample

SIZE = (72, 96)
OUTLINES = (
    np.asarray([[20.0, 12], [52, 20], [44, 50], [30, 40], [16, 44]]),  # a star's corner turned in
    np.asarray([[60.0, 30], [88, 34], [84, 62], [62, 58]]),
    np.asarray([[40.0, 24], [70, 24], [70, 44], [40, 44]]),  # lies on both others
)


def objects() -> Detections:
    masks = Masks.from_planes((draw_outline((outline,), SIZE) for outline in OUTLINES), SIZE)
    return Detections(("a", "b"), masks.windows.astype(np.float32), np.asarray([0, 1, 0]), SIZE, masks=masks)


def frame() -> Frame:
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    return Frame(pixels, objects())


def bend(frame: Frame) -> Frame:
    rows, columns = np.indices(SIZE).astype(np.float32)
    return displace(frame, np.stack([3 * np.sin(rows / 15), 4 * np.cos(columns / 20)], axis=-1), "constant")


TURN = np.asarray([[np.cos(0.4), -np.sin(0.4), 20], [np.sin(0.4), np.cos(0.4), -12.0]])
MOVES: dict[str, Callable[[Frame], Frame]] = {
    "cut": lambda frame: Cut.of(SIZE, (4, 8, 64, 92), (72, 108)).apply(frame),
    "cut at a fraction": lambda frame: Cut.of(SIZE, (3.3, 7.8, 65.1, 91.4), (49, 63)).apply(frame),
    "larger canvas": lambda frame: Cut.of(SIZE, (-20, -30, 90, 120), (80, 110)).apply(frame),
    "mirror": mirror,
    "flip": flip,
    "quarter turn": lambda frame: rot90(frame, 1),
    "half turn": lambda frame: rot90(frame, 2),
    "rotation": lambda frame: warp(frame, TURN, "constant"),
    "shear and scale": lambda frame: warp(frame, np.asarray([[1.1, 0.3, -18], [0.1, 0.9, 2.0]]), "mirror"),
    "bend": bend,
    "elastic": lambda frame: elastic(frame, 4.0, "nearest", np.random.default_rng(2)),
}


def dense(outline: np.ndarray) -> np.ndarray:
    """Points along a closed outline, several for each pixel: a bent edge is no straight line."""
    closed = np.concatenate([outline, outline[:1]])
    steps = np.linspace(0, 1, 200, endpoint=False)[:, None]
    return np.concatenate([a + (b - a) * steps for a, b in pairwise(closed)])


def near(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether no pixel of either mask is more than one pixel from the other, seen from inside and from outside."""
    square = np.ones((3, 3), np.uint8)

    def within(a: np.ndarray, b: np.ndarray) -> bool:
        return not (a & ~cv2.dilate(b.astype(np.uint8), square).astype(bool)).any()

    return within(one, other) and within(other, one) and within(~one, ~other) and within(~other, ~one)


@pytest.mark.parametrize("name", MOVES)
def test_a_moved_mask_is_the_moved_outline(name: str) -> None:
    seen: list[Move] = []

    class Spy:
        """Keeps the moves, so that the outlines can take the same ones."""

        def __init__(self, value: Detections) -> None:
            self.value = value

        def moved(self, move: Move) -> Spy:
            seen.append(move)
            return Spy(self.value.moved(move))

    result = MOVES[name](Frame(frame().pixels, Spy(objects())))  # type: ignore[arg-type]
    moved = result.target.value  # type: ignore[union-attr]
    assert moved.size == result.size
    assert len(moved) == len(OUTLINES)
    for i, outline in enumerate(OUTLINES):
        points = dense(outline)
        for move in seen:
            points = move.points(points)
        drawn = draw_outline((points,), moved.size)
        assert drawn.any()
        assert near(moved.masks[i], drawn), name
        extent = moved.masks.extents()[i]  # the box goes around the mask, a pixel more at most
        assert (np.abs(moved.boxes[i] - extent) <= 1).all()


def test_masks_show_the_pixels_that_their_image_shows() -> None:
    """An image that is bright where its mask is stays so, whatever changes."""
    pixels = np.where(objects().masks.full().any(axis=0), 255, 0).astype(np.uint8)
    augmentation = Augmentation(mirror=0.5, rotation=40, zoom=0.2, shear=10, shift=0.1, elastic=2.0, quarter_turns=True)
    sample = Sample("a", ArrayImage(pixels), {"instance_segmentation": objects()})
    prepare = Preparer(
        "instance_segmentation", Preprocessing(size=(80, 80), fit="stretch"), augmentation, 3, masks=True
    )
    for epoch in range(10):
        prepared = prepare(sample, 0, epoch)
        bright = prepared.image[0] > 127
        masks = prepared.target.masks.full().any(axis=0)  # type: ignore[union-attr]
        assert len(prepared.target) == 3  # type: ignore[arg-type]
        assert (bright != masks).sum() < 0.1 * masks.sum()  # of several moves, each to the nearest pixel


@pytest.mark.parametrize(
    "changes",
    [
        {"iou_crop": True, "mirror": 0.5},
        {"released": "ssd", "iou_crop": True, "zoom_out": 0.5},
        {"released": "darknet", "jitter": 0.3},
        {"random_crop": True, "scale_range": (0.7, 1.6), "border": "mirror"},
        {"crop_area": (0.3, 1.0)},
    ],
    ids=str,
)
def test_masks_lie_on_their_objects_after_every_way_of_cutting(changes: dict) -> None:
    """Objects whose centre is cut off go, so bright pixels may have no mask, but masks have no dark pixels."""
    pixels = np.where(objects().masks.full().any(axis=0), 255, 0).astype(np.uint8)
    sample = Sample("a", ArrayImage(pixels), {"instance_segmentation": objects()})
    way = Preprocessing(size=(80, 80), fit="stretch")
    prepare = Preparer("instance_segmentation", way, Augmentation(**changes), 3, masks=True)
    seen = 0
    for epoch in range(12):
        prepared = prepare(sample, 0, epoch)
        bright = prepared.image[0] > 127
        for mask in prepared.target.masks:  # type: ignore[union-attr]
            assert mask.any()
            assert (mask & ~bright).sum() <= 0.15 * mask.sum() + 8
            seen += 1
        apart = np.abs(prepared.target.boxes - prepared.target.masks.extents())  # type: ignore[union-attr]
        assert (apart < 4).all()  # a pixel of a window that is then enlarged
    assert seen >= 12


def test_a_mosaic_shows_the_masks_of_four() -> None:
    def bright(seed: int) -> Sample:
        numbers = np.zeros(SIZE, np.uint8)
        numbers[10 + 7 * seed : 40 + 5 * seed, 20:60], numbers[50:70, 66:90] = 1, 2
        masks = Masks.from_numbers(numbers, 2)
        value = Detections(("a",), masks.windows.astype(np.float32), np.zeros(2, np.int64), SIZE, masks=masks)
        image = ArrayImage(np.where(numbers > 0, 255, 0).astype(np.uint8))
        return Sample(str(seed), image, {"instance_segmentation": value})

    samples = [bright(seed) for seed in range(5)]
    prepare = Preparer("instance_segmentation", Preprocessing(size=SIZE, fit="stretch"), Augmentation(), 0, masks=True)
    mosaic = Mosaic(prepare, samples, 1.0, 0)
    for index in range(5):
        shown = mosaic(samples[index], index, 1)
        masks = shown.target.masks  # type: ignore[union-attr]
        assert len(masks) == len(shown.target) >= 2  # type: ignore[arg-type]
        covered = masks.full().any(axis=0)
        image = shown.image[0]
        assert (image[covered] > 127).mean() > 0.95
        assert (np.abs(shown.target.boxes - masks.extents()) <= 1).all()  # type: ignore[union-attr]


class TestWhatALittleIsLeftOf:
    def test_a_crop_that_leaves_no_pixel_of_a_mask_drops_its_object(self) -> None:
        """A ring's box has its centre where the ring has no pixel."""
        ring = np.zeros(SIZE, bool)
        ring[10:60, 20:80] = True
        ring[14:56, 24:76] = False
        masks = Masks.from_full(np.stack([ring, ring]))
        value = Detections(
            ("a",), masks.windows.astype(np.float32), np.zeros(2, np.int64), SIZE, masks=masks,
            ignored=np.asarray([False, True]),
        )  # fmt: skip
        cut = Cut.of(SIZE, (24, 34, 46, 66), (44, 64)).apply(Frame(np.zeros((*SIZE, 3), np.uint8), value))
        kept = cut.target
        assert kept.ignored.tolist() == [True]  # type: ignore[union-attr] # an ignored region stays one
        assert kept.boxes.tolist() == [[0, 0, 64, 44]]  # type: ignore[union-attr]

    def test_the_box_of_a_cut_object_is_that_of_its_visible_part(self) -> None:
        corner = np.zeros(SIZE, bool)
        corner[10:60, 20:26] = corner[10:16, 20:80] = True  # an L
        masks = Masks.from_full(corner[None])
        value = Detections(("a",), np.asarray([[20, 10, 80, 60]], np.float32), np.zeros(1, np.int64), SIZE, masks=masks)
        cut = Cut.of(SIZE, (0, 24, 72, 96), (72, 72)).apply(Frame(np.zeros((*SIZE, 3), np.uint8), value))
        assert cut.target.masks.extents().tolist() == [[0, 10, 56, 60]]  # type: ignore[union-attr]
        cut = Cut.of(SIZE, (0, 30, 60, 96), (60, 66)).apply(Frame(np.zeros((*SIZE, 3), np.uint8), value))
        assert cut.target.boxes.tolist() == [[0, 10, 50, 17]]  # type: ignore[union-attr]

    def test_a_mask_outside_its_box_gives_the_box_of_the_mask(self) -> None:
        masks = objects().masks.select(np.asarray([1]))
        value = Detections(("a",), np.asarray([[10, 10, 30, 30]], np.float32), np.zeros(1, np.int64), SIZE, masks=masks)
        turned = mirror(Frame(np.zeros((*SIZE, 3), np.uint8), value)).target
        assert turned.boxes.tolist() == turned.masks.extents().tolist()  # type: ignore[union-attr]

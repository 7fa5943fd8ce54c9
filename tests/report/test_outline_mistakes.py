"""The picture of what is wrong with masks: rims and differences in the colours of their kinds of error."""

from __future__ import annotations

import numpy as np

from visus.report.box_mistakes import COLOURS
from visus.report.outline_mistakes import LACKING, SURPLUS, draw_outline_mistakes
from visus.structures import Detections, Masks
from visus.structures.drawing.canvas import UNCOUNTED

SIZE = (300, 400)
PLACES = {"hit": (10, 10), "lacking": (110, 10), "surplus": (210, 10), "moved": (310, 10), "missed": (10, 200),
          "crowd": (110, 200), "nothing": (250, 200)}  # fmt: skip


def squares(places: list[tuple[int, int, int]], *, scored: bool, ignored: int | None = None) -> Detections:
    planes = np.zeros((len(places), *SIZE), bool)
    for plane, (x, y, side) in zip(planes, places, strict=True):
        plane[y : y + side, x : x + side] = True
    masks = Masks.from_full(planes)
    return Detections(
        ("cell",),
        masks.extents().astype(np.float32),
        np.zeros(len(places), np.int64),
        SIZE,
        scores=np.linspace(0.9, 0.5, len(places)).astype(np.float32) if scored else None,
        masks=masks,
        ignored=None if ignored is None else np.arange(len(places)) == ignored,
    )


def picture() -> np.ndarray:
    true = [(*PLACES[name], 60) for name in ("hit", "lacking", "surplus", "moved", "missed", "crowd")]
    found = [
        (*PLACES["hit"], 60),
        (110, 10, 50),  # lacks a rim of its object
        (210, 10, 70),
        (335, 30, 60),
        (*PLACES["nothing"], 40),
    ]
    value = draw_outline_mistakes(
        squares(found, scored=True), squares(true, scored=False, ignored=5), np.full((3, *SIZE), 20, np.uint8)
    )
    return np.asarray(value)[: SIZE[0]].astype(int)


def near(pixel: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixel - np.asarray(colour)).max() < 80)


def test_each_kind_has_its_colour() -> None:
    drawn = picture()
    assert (drawn[10, 40] == COLOURS["hit"]).all()  # the rim of a mask that is right
    assert (drawn[40, 40] == 20).all()  # and nothing in it
    assert near(drawn[65, 130], LACKING)
    assert (drawn[30, 130] == 20).all()
    assert near(drawn[75, 230], SURPLUS)
    assert (drawn[200, 40] == COLOURS["missed"]).all()
    assert (drawn[230, 40] != 20).any()  # missed objects are tinted as a whole
    assert not (drawn[200, 140] == COLOURS["missed"]).all()
    assert np.abs(drawn[230, 140] - (0.65 * 20 + 0.35 * np.asarray(UNCOUNTED))).max() <= 1
    assert (drawn[30, 340] == COLOURS["localisation"]).all()
    assert (drawn[239, 270] == COLOURS["background"]).all()


def test_a_smaller_copy_of_the_image_and_soft_masks() -> None:
    true = squares([(40, 40, 100)], scored=False)
    soft = Masks((np.ones((14, 14), np.float32),), np.asarray([[40.0, 40, 140, 140]]), SIZE)
    found = Detections(("cell",), true.boxes, true.labels, SIZE, scores=np.asarray([0.9], np.float32), masks=soft)
    large = draw_outline_mistakes(found, true, np.zeros((3, *SIZE), np.uint8))
    small = draw_outline_mistakes(found, true, np.zeros((3, SIZE[0] // 2, SIZE[1] // 2), np.uint8))
    assert large.width == SIZE[1]
    rim = np.argwhere((np.asarray(small.convert("RGB")) == COLOURS["hit"]).all(axis=2))
    rim = rim[rim[:, 0] < small.height - 60]  # without the legend
    scale = small.width / SIZE[1]
    assert rim.min() == round(40 * scale)
    assert rim.max() == round(140 * scale) - 1


def test_nothing_found_and_nothing_there() -> None:
    nothing = squares([], scored=True)
    assert draw_outline_mistakes(nothing, squares([], scored=False), np.zeros((3, *SIZE), np.uint8)).size[0] == SIZE[1]

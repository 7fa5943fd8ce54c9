"""What stays readable of a crowd and of a thin image: what is named, what the lines say of the rest, sizes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from visus.explanation import panels, region_drawing, target_drawing
from visus.explanation.object_marks import Marks, better, worst
from visus.explanation.panels import NARROWEST, PICTURE, THINNEST, Canvas, Panel, sheet_of, stretched
from visus.explanation.targets import as_seen
from visus.ops.prediction_grid import Grid, PredictionGrid
from visus.structures import Detections, Placement
from visus.structures.drawing.canvas import HUES, RIGHT, UNCOUNTED, WRONG

SIZE = (96, 96)
WHITE = np.full((3, PICTURE, PICTURE), 255, np.uint8)


def objects(count: int, ignored: int = -1) -> list[Any]:
    """Squares of 4 pixels; each fits a little better than the one before."""
    rows, columns = np.divmod(np.arange(count), 16)
    return [
        SimpleNamespace(
            box=np.asarray([4 * x, 4 * y, 4 * x + 4, 4 * y + 4], np.float32),
            ignored=number == ignored,
            overlap=number / count,
        )
        for number, (x, y) in enumerate(zip(columns, rows, strict=True))
    ]


def test_a_few_objects_have_colours_and_names_of_their_own() -> None:
    canvas = Canvas(WHITE, SIZE)
    assert canvas.room == 26  # a quarter of 1120 x 1120 pixels, by 2 x 27 by 8 x 27 of a name in letters of 27
    marks = Marks.of(objects(9, ignored=2), [True] * 9, canvas)
    assert not marks.crowd
    assert marks.named == list(range(9))
    assert marks.colours == [HUES[0], HUES[1], UNCOUNTED, *HUES[3:7], HUES[0], HUES[1]]
    assert marks.told == list(range(8))
    assert marks.lines(str)[-1] == ("and 1 object that fits better", None)
    assert marks.legend("good", "bad") == []


def test_of_a_crowd_the_worst_are_named_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = Canvas(WHITE, SIZE)
    marks = Marks.of(objects(300, ignored=0), [number >= 100 for number in range(300)], canvas)
    assert marks.crowd
    assert marks.named == list(range(8))
    assert marks.colours[0] == UNCOUNTED
    assert set(marks.colours[1:100]) == {WRONG}
    assert set(marks.colours[100:]) == {RIGHT}
    assert marks.lines(str)[8:] == [("and 292 objects that fit better", None)]
    assert marks.legend("learned", "not learned") == [
        ("200 of 299 objects: learned", RIGHT),
        ("99: not learned", WRONG),
        ("with names: the 8 that fit worst", None),
    ]
    written: list[str] = []
    monkeypatch.setattr(canvas, "named", lambda boxes, texts, colours: written.extend(texts))
    marks.draw(canvas, [str(number) for number in range(300)])
    assert written == [str(number) for number in range(8)]
    pixels = np.asarray(canvas.picture).astype(int)
    middle = round(1120 / 96 * 4 * 8)  # the edge between columns 7 and 8: thin lines in the colours of both rows
    assert np.abs(pixels[round(1120 / 96 * 2), middle] - WRONG).sum() < 250
    assert np.abs(pixels[round(1120 / 96 * 4 * 18 - 20), middle] - RIGHT).sum() < 250


def test_equally_bad_fits_are_spread() -> None:
    assert worst([0.5, 0.1], 2) == [0, 1]
    assert worst([0.5, 0.1, 0.3], 2) == [1, 2]
    assert max(worst([0.0] * 500, 8)) > 250
    assert better(2) == "and 2 objects that fit better"


def detections(count: int) -> Detections:
    boxes = np.asarray([obj.box for obj in objects(count)], np.float32)
    return Detections(
        ("a",), boxes, np.zeros(count, np.int64), SIZE, scores=np.linspace(0.9, 0.4, count, dtype=np.float32)
    )


def test_of_many_answers_the_best_are_named() -> None:
    few = panels.answers_panel(WHITE, SIZE, detections(9), detections(1), 0.3)
    assert [text for text, _ in few.lines] == [
        "thin: 9 answers of a score of 0.3 or more",
        "bold: the 1 that suppression keeps",
    ]
    many = panels.answers_panel(WHITE, SIZE, detections(500), detections(200), 0.3)
    assert [text for text, _ in many.lines] == [
        "thin: 500 answers of a score of 0.3 or more, the best 400 are drawn",
        "bold: the 200 that suppression keeps; with names: the best 26",
    ]


@pytest.mark.parametrize("count", [300, 0])
def test_proposals_and_regions_of_a_crowd(count: int) -> None:
    own = [SimpleNamespace(name="a", sampled=k % 2, **vars(obj)) for k, obj in enumerate(objects(count))]
    boxes = np.asarray([[0, 0, 4, 4], [50, 50, 90, 90]] * 200, np.float32)
    overlaps = np.zeros((count, 400), np.float32)
    overlaps[:1, ::2] = 1
    counts = {"proposals": 400, "learn": 200, "neutral": 0, "background": 200, "sampled": 400, "sampled_learn": 0}
    learned = SimpleNamespace(boxes=boxes, sampled=np.full(400, -1), own_boxes=True, counts=lambda: counts)
    value: Any = SimpleNamespace(
        image=WHITE, size=SIZE, objects=own, before=boxes, proposals=boxes, learned=learned,
        overlaps=lambda: overlaps, covered=lambda: 1, sentence=str,
    )  # fmt: skip
    lines = [text for text, _ in region_drawing._proposals(value).lines]
    assert lines[0] == "400 boxes before suppression, the best 300 are drawn"
    if count:
        assert lines[1:4] == [
            "200 of 400 proposals cover no object by half; the best 300 are drawn",
            "1 of 300 objects: a proposal covers them by half or more (thin)",
            "299: none does",
        ]
    lines = [text for text, _ in region_drawing._regions(value, learned).lines]
    assert "background: 400 of the 400 regions of a step; 300 are drawn" in lines
    assert ("150 of 300 objects: a region of the step shows them (thin)" in lines) == (count > 0)


def test_a_thin_image_is_stretched_and_says_so() -> None:
    """One pixel becomes a fifth of the picture; the file lies where the network sees it, in both directions."""
    seen = as_seen(np.full((3, 480, 1), 255, np.uint8), Placement((480, 1), (512, 1), (512 / 480, 1.0)), fill=0)
    assert seen.shape == (3, PICTURE, THINNEST)
    assert seen.min() == 255
    assert stretched(seen, (512, 1)) == "this thin image is drawn 102 times as wide as it is"
    assert stretched(seen.transpose(0, 2, 1), (1, 512)) == "this thin image is drawn 102 times as high as it is"
    assert stretched(WHITE, SIZE) == ""
    assert stretched(as_seen(seen[:, :, :50], Placement((560, 50), (560, 50), (1.0, 1.0)), 0), (560, 50)) != ""
    assert stretched(as_seen(WHITE[:, :300], Placement((300, 560), (300, 560), (1.0, 1.0)), 0), (300, 560)) == ""


def test_text_has_room_beside_a_thin_picture() -> None:
    panel = Panel("A title of several words", Image.new("RGB", (THINNEST, 50)), (("one two " * 20, None),))
    sheet = sheet_of("word " * 80, [panel, panel], columns=2, note="a note")
    assert sheet.width == 22 + 2 * (NARROWEST + 22)
    pixels = np.asarray(sheet)
    assert (pixels[:, -22:] == 255).all()  # nothing runs into the margin


def test_lines_of_too_fine_a_grid_are_left_out_and_it_is_said() -> None:
    grids, boxes = (Grid(96, 96, 1, (1.0, 1.0)), Grid(12, 12, 1, (8.0, 8.0))), []
    for grid in grids:
        y, x = torch.meshgrid(torch.arange(grid.rows), torch.arange(grid.columns), indexing="ij")
        corners = torch.stack([x, y], -1).reshape(-1, 2) * grid.step[0]
        boxes.append(torch.cat([corners, corners + grid.step[0]], 1))
    value: Any = SimpleNamespace(
        image=WHITE,
        size=SIZE,
        predictors=PredictionGrid(torch.cat(boxes), grids, "box", "anchors"),
        objects=None,
        noun="anchors",
    )
    panel = target_drawing.grids_panel(value)
    assert [text.endswith("(too fine to draw)") for text, _ in panel.lines] == [True, False]
    assert np.asarray(panel.picture)[10:36, 10:36].min() == 255  # inside a cell of the coarse grid

"""What is said and drawn of a detector's predictors: against overlaps by hand, and outputs whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError, TaskMismatchError
from visus.explanation import target_drawing
from visus.explanation.assignments import explain_targets
from visus.explanation.targets import ExplainedTargets, as_seen
from visus.models.detection.retinanet import RetinaNetCodec, RetinaNetOutput
from visus.models.detection.ssd import SSDCodec, SSDOutput
from visus.models.detection.yolo_output import yolo_output
from visus.models.detection.yolov1 import YOLOv1Codec, YOLOv1Output
from visus.models.detection.yolov3 import YOLOv3Codec
from visus.ops.default_boxes import DefaultBoxes
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.structures import Batch, Detections, Placement
from visus.structures.drawing.canvas import HUES

NAMES = ("sun", "sea")
SIZE = (128, 128)


class Fixed(nn.Module):
    """A detector that answers the same to every image."""

    def __init__(self, outputs: Any, codec: Any) -> None:
        super().__init__()
        self.outputs, self.codec = outputs, codec

    def forward(self, images: Tensor) -> Any:
        assert not self.training
        return self.outputs


def truth(boxes: list[list[float]], ignored: list[bool] | None = None) -> Detections:
    labels = np.arange(len(boxes), dtype=np.int64) % 2
    flags = None if ignored is None else np.asarray(ignored)
    return Detections(NAMES, np.asarray(boxes, np.float32).reshape(-1, 4), labels, SIZE, ignored=flags)


def ssd() -> Fixed:
    """Two maps of 4 x 4 and 2 x 2 cells: default boxes of 32 and 64 pixels, and between; three sure answers.

    Default box 0 of a cell is a square of 32 (or 64) pixels, and offsets of 0 answer with it. Cell (1, 1) of the fine
    map is around (48, 48), its boxes are 20 to 23 and box 20 is (32, 32, 64, 64); box 24 is the next cell's.
    """
    shapes = DefaultBoxes(scales=(0.25, 0.5, 0.75), aspect_ratios=((2.0,), (2.0,)), steps=(None, None))
    maps = [(4, 4), (2, 2)]
    count = (16 + 4) * 4
    logits = torch.zeros(1, count, 3)
    logits[..., 0] = 20
    offsets = torch.zeros(1, count, 4)
    for number, label, value in ((20, 1, 25.0), (64, 2, 24.0), (24, 1, 22.0)):
        logits[0, number, label] = value
    offsets[0, 24, 0] = -9.0  # nine tenths of 32 pixels to the left: nearly box 20
    outputs = SSDOutput(logits, offsets, shapes, SIZE, shapes.grids(maps, SIZE))
    return Fixed(outputs, SSDCodec())


def yolo(codec: YOLOv3Codec | None = None) -> Fixed:
    anchors = [(64.0, 64.0), (16.0, 32.0)]
    outputs = yolo_output([torch.zeros(1, 2 * 7, 4, 4)], [anchors], SIZE, exclusive=False)
    return Fixed(outputs, codec or YOLOv3Codec(anchors, ignore=1.0))


def explained(network: nn.Module, target: Detections | None, **more: Any) -> ExplainedTargets:
    batch = Batch(
        images=torch.zeros(1, 3, *SIZE),
        targets=None if target is None else [target],
        placements=[Placement.identity(SIZE)],
        ids=["a"],
    )
    white = np.full((3, *SIZE), 255, np.uint8)
    options = {"classes": NAMES, "model": "made", "score": 0.3, **more}
    return explain_targets(network, batch, white, **options)


def test_ssd_by_hand() -> None:
    """A default box itself, and a square of 8 pixels, of which a box of 32 shows 64 / 1024 at best."""
    found = explained(ssd(), truth([[32, 32, 64, 64], [92, 92, 100, 100]]))
    assert found.objects is not None
    exact, small = found.objects
    assert (exact.name, exact.best, exact.overlap) == ("sun", 20, pytest.approx(1))
    assert 20 in exact.predictors
    assert small.overlap == pytest.approx(64 / (32 * 32), rel=0.5)
    assert len(small.predictors) == 1  # its best one learns it all the same
    assert "none covers it by half" in found.sentence(1)
    assert "learned by 1" in found.sentence(1)
    assert found.sentence(0).endswith("the best overlaps it by 100.0 %")
    assert sum(found.counts().values()) == 80
    assert found.counts()["learn"] == sum(len(own.predictors) for own in found.objects)


def test_candidates_and_what_suppression_keeps() -> None:
    """Of two answers on one place the surer stays; the other class is not touched."""
    found = explained(ssd(), None)
    assert found.candidates is not None
    assert found.kept is not None
    assert len(found.candidates) == 3
    assert found.kept.boxes.tolist() == [[32, 32, 64, 64], [0, 0, 64, 64]]
    assert [found.kept.classes[k] for k in found.kept.labels] == ["sun", "sea"]
    assert len(explained(ssd(), None, score=0.99).candidates or ()) == 1  # softmax of (0, 25 - 20): 0.993
    assert explained(ssd(), None, answers=False).kept is None


def test_shapes_are_compared_where_centres_are_free() -> None:
    """30 x 50 pixels have 16 * 32 = 512 in common with 16 x 32, and 1500 with 64 x 64."""
    found = explained(yolo(), truth([[10, 10, 40, 60]]))
    assert found.objects is not None
    (own,) = found.objects
    assert own.overlap == pytest.approx(1500 / 4096)
    assert own.predictors.tolist() == [own.best] == [2 * 4]  # centre (25, 35): column 0, row 1
    assert "none covers it by half, the best shape by 36.6 %" in found.sentence(0)


def test_an_object_that_lost_its_predictor_to_another() -> None:
    found = explained(yolo(), truth([[34, 34, 94, 94], [36, 36, 96, 96]]))
    assert found.objects is not None
    assert [len(own.predictors) for own in found.objects] == [0, 1]
    assert "learned by none, for all that could are taken by other objects" in found.sentence(0)


def test_an_object_below_retinanets_threshold() -> None:
    anchors, maps = PyramidAnchors(strides=(32,)), [(4, 4)]
    grids = anchors.grids(maps, SIZE)
    zeros = torch.zeros(1, grids[0].total, 2), torch.zeros(1, grids[0].total, 4)
    network = Fixed(RetinaNetOutput(*zeros, anchors, grids, SIZE), RetinaNetCodec())
    found = explained(network, truth([[40, 40, 50, 50]]))
    assert "learned by none, for no overlap is high enough" in found.sentence(0)
    assert found.counts() == {"learn": 0, "neutral": 0, "background": grids[0].total}


def test_yolo_is_compared_by_what_it_answers() -> None:
    """Cell 24, the middle of 7 x 7, answers with the object and with a fourth of it."""
    raw = torch.zeros(1, 49, 2, 4)
    raw[0, 24] = torch.tensor([[0.5, 0.5, 0.5**0.5 / 2, 0.5**0.5 / 2], [0.5, 0.5, 0.5**0.5, 0.5**0.5]])
    outputs = YOLOv1Output(torch.zeros(1, 49, 2), torch.zeros(1, 49, 2), raw, SIZE, 7)
    found = explained(Fixed(outputs, YOLOv1Codec()), truth([[32, 32, 96, 96]]))
    assert found.objects is not None
    assert found.objects[0].predictors.tolist() == [49]
    assert found.objects[0].overlap == pytest.approx(1, abs=1e-5)
    assert found.noun == "boxes"
    assert "the best answer overlaps it by" in found.sentence(0)


def test_ignored_objects_and_objects_without_area() -> None:
    found = explained(ssd(), truth([[32, 32, 64, 64], [5, 5, 5, 60], [0, 0, 64, 64]], [False, False, True]))
    assert found.objects is not None
    assert [own.ignored for own in found.objects] == [False, True]
    assert len(found.objects[1].predictors) == 0
    assert "not counted" in found.sentence(1)
    assert found.counts()["neutral"] > 0


def test_no_object_at_all() -> None:
    found = explained(ssd(), truth([]))
    assert found.counts() == {"learn": 0, "neutral": 0, "background": 80}
    assert "0 objects" in str(found)
    assert found.draw().width > 1000


def test_what_is_printed_and_given() -> None:
    found = explained(ssd(), truth([[32, 32, 64, 64]]))
    assert str(found).splitlines()[:3] == [
        "made at 128 x 128: 80 default boxes on 2 maps",
        "  4 x 4 cells of 32 x 32 pixels, 4 in each",
        "  2 x 2 cells of 64 x 64 pixels, 4 in each",
    ]
    values = found.to_dict()
    assert values["grids"][1] == {"rows": 2, "columns": 2, "per_cell": 4, "step": [64, 64]}
    assert (values["predictors"], values["candidates"], len(values["kept"])) == (80, 3, 2)
    assert values["objects"][0]["label"] == "sun"
    assert (0, 1, 1) in values["objects"][0]["cells"]
    assert explained(ssd(), None).to_dict()["objects"] is None
    assert "no truth" in str(explained(ssd(), None))


def test_of_many_objects_the_worst_covered_are_named() -> None:
    """Nine default boxes of the fine map as they are, and a square of 8 pixels."""
    exact = [[32 * x, 32 * y, 32 * x + 32, 32 * y + 32] for x in range(3) for y in range(3)]
    found = explained(ssd(), truth([*exact, [100, 100, 108, 108]]))
    lines = [text for text, _ in target_drawing.learned_panel(found).lines]
    assert lines[0] == found.sentence(9)
    assert "and 2 objects that fit better" in lines


def colour_at(found: ExplainedTargets, panel: int, x: float, y: float) -> np.ndarray:
    """The colour in a panel at a place of the network's input."""
    picture = np.asarray(found.draw()).astype(int)
    left = 22 + panel * (560 + 22)
    top = 22 + round(2.2 * 17) + 34
    return picture[top + round(y * 560 / SIZE[0]), left + round(x * 560 / SIZE[1])]


def far(one: np.ndarray, other: tuple[int, int, int]) -> int:
    return int(np.abs(one - np.asarray(other)).sum())


def test_lines_lie_where_they_should() -> None:
    found = explained(yolo(), truth([[34, 34, 94, 94]]), answers=False)
    assert found.draw().width == 22 + 3 * (560 + 22)
    white = (255, 255, 255)
    assert far(colour_at(found, 0, 32, 110), HUES[0]) < 160  # a line between the first two columns of cells
    assert far(colour_at(found, 0, 110, 96), HUES[0]) < 160
    assert far(colour_at(found, 0, 16, 16), white) < 10  # the middle of a cell without an object
    assert far(colour_at(found, 0, 54, 54), white) < 10
    assert far(colour_at(found, 0, 74, 74), white) > 100  # a cell with one: the centre is (64, 64), cell (2, 2)
    assert far(colour_at(found, 2, 34, 60), HUES[0]) < 160  # the object's left edge
    assert far(colour_at(found, 2, 110, 120), white) < 10


@pytest.mark.parametrize(("target", "answers", "columns"), [(True, True, 2), (True, False, 3), (False, True, 3)])
def test_panels_without_anything_to_show_are_left_out(target: bool, answers: bool, columns: int) -> None:
    found = explained(ssd(), truth([[32, 32, 64, 64]]) if target else None, answers=answers)
    assert found.draw().width == 22 + columns * (560 + 22)


def test_the_file_lies_where_the_network_sees_it() -> None:
    """A red file of 50 x 100 pixels in the upper half of a letterbox of 200 x 200; then its middle alone."""
    red = np.zeros((3, 50, 100), np.uint8)
    red[0] = 255
    box = as_seen(red, Placement((50, 100), (200, 200), (2.0, 2.0)), fill=127)
    assert box.shape == (3, 560, 560)
    assert box[:, 270, 300].tolist() == [255, 0, 0]
    assert box[:, 290, 300].tolist() == [127, 127, 127]
    red[:, :, :25] = 9
    cropped = as_seen(red, Placement((50, 100), (50, 50), (1.0, 1.0), (0.0, -25.0)), fill=0)
    assert cropped[0, :, 12:].min() > 200  # one pixel of the file is 11 of the picture, and neighbours are mixed


def test_other_networks_and_other_classes() -> None:
    with pytest.raises(TaskMismatchError, match="not a detector with anchors"):
        explained(nn.Linear(2, 2), None)
    with pytest.raises(ShapeError, match="number of classes"):
        explained(ssd(), None, classes=("a", "b", "c"))
    numbered = explained(ssd(), None, classes=None).kept
    assert numbered is not None
    assert numbered.classes == ("0", "1")


def test_a_network_stays_in_its_mode() -> None:
    network = ssd().train()
    explained(network, None)
    assert network.training

"""Where the detectors' predictors are and what each learns: against counts of the papers, by hand, and by the losses.

That an assignment is the one that the losses use is asked of the losses' gradients: a predictor that learns an object
has a gradient of "box", and no other has; one that does not count has no gradient at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.yolov1 import YOLOv1Codec, YOLOv1Output
from visus.models.on_meta import build_on_meta
from visus.models.protocols import AnchoredCodec
from visus.ops.matching import BACKGROUND, NEUTRAL
from visus.ops.prediction_grid import Grid, PredictionGrid, cell_grid
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.structures import Detections

CLASSES = ("red", "green")
CPU = torch.device("cpu")


def truth(boxes: list[list[float]], size: tuple[int, int], ignored: list[bool] | None = None) -> Detections:
    flags = None if ignored is None else np.asarray(ignored)
    labels = np.arange(len(boxes), dtype=np.int64) % len(CLASSES)
    return Detections(CLASSES, np.asarray(boxes, np.float32).reshape(-1, 4), labels, size, ignored=flags)


def with_gradients(outputs: Any) -> tuple[Any, list[Tensor]]:
    """The same outputs, their tensors [N,A,...] or [N,SS,...] of answers as leaves."""
    names = [name for name in ("logits", "offsets", "values", "raw", "confidences") if hasattr(outputs, name)]
    leaves = {name: getattr(outputs, name).detach().clone().requires_grad_() for name in names}
    return outputs._replace(**leaves), list(leaves.values())


def touched(loss: Tensor, leaves: list[Tensor], count: int) -> Tensor:
    """[A] bool: the predictors of the first image that a loss has a gradient for."""
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, retain_graph=True)
    parts = [g[0].reshape(count, -1).ne(0).any(1) for g in gradients if g is not None]
    return torch.stack(parts).any(0)


def yolov1_outputs() -> tuple[YOLOv1Output, YOLOv1Codec]:
    random = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.rand(*shape, generator=random)  # noqa: E731
    return YOLOv1Output(draw(1, 49, 2), draw(1, 49, 2), draw(1, 49, 2, 4), (448, 448), 7), YOLOv1Codec()


@pytest.fixture(scope="module")
def answered() -> Any:
    """``answered(name)``: raw outputs of an untrained network on noise, with its codec."""
    made: dict[str, tuple[Any, Any]] = {}
    options: dict[str, dict[str, Any]] = {
        "ssd+mobilenet_v2": {"size": 128},
        "retinanet+resnet18": {"match_best": False},
        "yolov2+mobilenet_v2": {},
        "yolov3_tiny": {},
    }

    def answer(name: str) -> tuple[Any, Any]:
        if name == "yolov1":
            return yolov1_outputs()
        if name not in made:
            torch.manual_seed(0)
            network: nn.Module = build(catalog.find(name), classes=2, options=options[name]).eval()
            with torch.no_grad():
                made[name] = (network(torch.rand(1, 3, 128, 128)), network.codec)
        return made[name]

    return answer


FAMILIES = ("ssd+mobilenet_v2", "retinanet+resnet18", "yolov1", "yolov2+mobilenet_v2", "yolov3_tiny")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_losses_use_the_assignment_that_is_shown(answered: Any, name: str) -> None:
    outputs, codec = answered(name)
    assert isinstance(codec, AnchoredCodec)
    height, width = outputs.size
    scale = np.asarray([width, height] * 2) / 128
    boxes = [[8, 8, 72, 88], [60, 30, 124, 62], [90, 70, 120, 120]]
    target = truth([list(np.asarray(box) * scale) for box in boxes], outputs.size, [False, False, True])
    leaf, leaves = with_gradients(outputs)
    encoded = codec.encode([target], CPU)
    (matches,) = codec.assign(leaf, encoded)
    predictors = codec.prediction_grid(leaf)
    assert len(matches) == len(predictors.boxes) == sum(grid.total for grid in predictors.grids)
    assert set(matches[matches >= 0].tolist()) <= {0, 1}  # the ignored object is nobody's
    losses = codec.terms(leaf, encoded)
    learns = touched(losses["box"], leaves, len(matches))
    assert learns.any()
    assert torch.equal(learns, matches >= 0)
    counted = touched(sum(losses.values()), leaves, len(matches))
    assert not counted[matches == NEUTRAL].any()
    if "object" in losses or name.startswith("retinanet"):  # SSD counts only the hardest of its background boxes
        assert counted[matches == BACKGROUND].all()


@pytest.mark.parametrize("name", FAMILIES)
def test_an_image_without_objects_has_only_background(answered: Any, name: str) -> None:
    outputs, codec = answered(name)
    matches = codec.assign(outputs, codec.encode([truth([], outputs.size)], CPU))
    assert (matches == BACKGROUND).all()


@pytest.mark.parametrize(
    ("name", "size", "grids", "count"),
    [
        ("yolov1", 448, [(7, 7, 2)], 98),  # YOLO, section 2.3: 98 bounding boxes an image
        ("yolov2", 416, [(13, 13, 5)], 845),  # YOLO9000, section 2: 13 x 13 cells, k = 5
        ("yolov3", 416, [(13, 13, 3), (26, 26, 3), (52, 52, 3)], 10_647),
        # SSD, figure 2: 8732 detections a class
        ("ssd", 300, [(38, 38, 4), (19, 19, 6), (10, 10, 6), (5, 5, 6), (3, 3, 4), (1, 1, 4)], 8_732),
        ("retinanet", 800, [(100, 100, 9), (50, 50, 9), (25, 25, 9), (13, 13, 9), (7, 7, 9)], 120_087),
    ],
)
def test_the_published_networks_have_so_many(
    name: str, size: int, grids: list[tuple[int, int, int]], count: int
) -> None:
    network = build_on_meta(catalog.find(name)).eval().to("meta")
    with torch.no_grad():
        outputs = network(torch.empty(1, 3, size, size, device="meta"))
    predictors = network.codec.prediction_grid(outputs)
    found = predictors.grids
    assert [(grid.rows, grid.columns, grid.per_cell) for grid in found] == grids
    assert len(predictors.boxes) == sum(grid.total for grid in found) == count
    assert all(grid.step[0] * grid.rows == pytest.approx(size, rel=0.15) for grid in found)


def test_yolov1_by_hand() -> None:
    """The centre (224, 160) lies in column 3 and row 2 of cells of 64 pixels: cell 17, boxes 34 and 35.

    Box 34 answers with nearly nothing, box 35 with the object itself.
    """
    outputs, codec = yolov1_outputs()
    outputs.raw[0, 17, 0] = torch.tensor([0.5, 0.5, 0.1, 0.1])
    outputs.raw[0, 17, 1] = torch.tensor([0.5, 0.5, (128 / 448) ** 0.5, (64 / 448) ** 0.5])
    (matches,) = codec.assign(outputs, codec.encode([truth([[160, 128, 288, 192]], (448, 448))], CPU))
    assert torch.nonzero(matches >= 0).flatten().tolist() == [35]
    predictors = codec.prediction_grid(outputs)
    assert predictors.position(35) == (0, 2, 3)
    assert predictors.boxes[35].tolist() == [192, 128, 256, 192]  # the cell itself


def test_yolov2_by_hand(answered: Any) -> None:
    """The centre (80, 48) lies in column 2 and row 1 of 4 x 4 cells: cell 6, predictors 30 to 34.

    Of yolo-voc.cfg's anchors 102.2 x 128.3 is the nearest shape to 96 x 120: the second of five.
    """
    outputs, codec = answered("yolov2+mobilenet_v2")
    (matches,) = codec.assign(outputs, codec.encode([truth([[32, -12, 128, 108]], (128, 128))], CPU))
    assert torch.nonzero(matches >= 0).flatten().tolist() == [31]
    predictors = codec.prediction_grid(outputs)
    assert predictors.position(31) == (0, 1, 2)
    width, height = 3.19275 * 32, 4.00944 * 32
    expected = [80 - width / 2, 48 - height / 2, 80 + width / 2, 48 + height / 2]
    assert predictors.boxes[31].tolist() == pytest.approx(expected, abs=1e-3)


def test_yolov3_tiny_by_hand(answered: Any) -> None:
    """24 x 26 pixels fit the smallest anchor (23 x 27), which the finer map of 8 x 8 cells has.

    The centre (60, 100) lies in column 3 and row 6 of its cells of 16 pixels: 4*4*3 coarse ones, then 51 cells of 3.
    """
    outputs, codec = answered("yolov3_tiny")
    (matches,) = codec.assign(outputs, codec.encode([truth([[48, 87, 72, 113]], (128, 128))], CPU))
    assert torch.nonzero(matches >= 0).flatten().tolist() == [4 * 4 * 3 + (6 * 8 + 3) * 3]
    assert codec.prediction_grid(outputs).position(4 * 4 * 3 + (6 * 8 + 3) * 3) == (1, 6, 3)


def test_retinanet_by_hand(answered: Any) -> None:
    """A square of 32 pixels in the middle of a cell of P3 is that cell's second anchor (ratio 1, the smallest size).

    Ratio 1 comes after 1/2, three sizes each: number 3 of the cell. The centre (60, 36) is in column 7 and row 4 of 16.
    """
    outputs, codec = answered("retinanet+resnet18")
    (matches,) = codec.assign(outputs, codec.encode([truth([[44, 20, 76, 52]], (128, 128))], CPU))
    number = (4 * 16 + 7) * 9 + 3
    assert matches[number] == 0
    predictors = codec.prediction_grid(outputs)
    assert predictors.boxes[number].tolist() == pytest.approx([44, 20, 76, 52], abs=1e-4)
    assert predictors.of_cell(0, 4, 7) == slice(number - 3, number + 6)


def test_ssd_by_hand(answered: Any) -> None:
    """The object is the very default box of the third map's middle: it must learn it."""
    outputs, codec = answered("ssd+mobilenet_v2")
    predictors = codec.prediction_grid(outputs)
    assert [(g.rows, g.columns) for g in predictors.grids] == [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]
    own = predictors.of_cell(2, 1, 1)
    assert own.start == 16 * 16 * 4 + 8 * 8 * 6 + 5 * 6
    box = predictors.boxes[own.start].tolist()
    assert [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] == pytest.approx([48, 48])  # cells of 32 pixels
    (matches,) = codec.assign(outputs, codec.encode([truth([box], (128, 128))], CPU))
    assert matches[own.start] == 0


def test_places_are_numbered_grid_by_grid() -> None:
    grids = (Grid(2, 3, 2, (10, 20)), Grid(1, 2, 1, (20, 30)))
    boxes = torch.cat([cell_grid(grid, CPU) for grid in grids])
    predictors = PredictionGrid(boxes, grids, "box", "anchors")
    assert [predictors.position(k) for k in (0, 1, 2, 7, 11, 12, 13)] == [
        *((0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 2)),
        *((1, 0, 0), (1, 0, 1)),
    ]
    for k in range(14):
        cell = predictors.of_cell(*predictors.position(k))
        assert cell.start <= k < cell.stop
    assert boxes[7].tolist() == [0, 10, 20, 20]
    assert predictors.cell_of(0, 59.9, 10) == (1, 2)
    assert predictors.cell_of(0, -5, 500) == (1, 0)  # the nearest
    with pytest.raises(IndexError, match="predictor from 0 to 13, got 14"):
        predictors.position(14)


def test_torchvisions_anchors_begin_half_a_cell_earlier() -> None:
    maps, size = [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)], (128, 128)
    for whole, corner in ((False, 0.0), (True, -4.0)):
        anchors = PyramidAnchors(whole_pixels=whole)
        predictors = PredictionGrid(anchors.place(maps, size), anchors.grids(maps, size), "box", "anchors")
        assert predictors.corner(0) == pytest.approx((corner, corner), abs=0.5)
    with pytest.raises(ShapeError, match="one map for each level"):
        anchors.grids(maps[1:], size)

"""Boxes of cells and anchors: a worked example, both directions, and which predictor an object belongs to."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.cell_boxes import CellBoxes, place_cells, shape_iou

CPU = torch.device("cpu")
ANCHORS = (((64.0, 96.0), (200.0, 100.0)), ((10.0, 20.0), (30.0, 30.0)))
FLAT = torch.tensor([shape for own in ANCHORS for shape in own])


@pytest.fixture(scope="module")
def places() -> CellBoxes:
    return place_cells([(4, 6), (8, 12)], ANCHORS, (128, 192), CPU)


def test_worked_example(places: CellBoxes) -> None:
    """All t = 0 in the cell (3, 4) with an anchor of 2 x 3 cells: the box (3.5, 4.5, 2, 3); YOLO9000, section 2."""
    places = place_cells([(8, 8)], [[(2 * 32.0, 3 * 32.0)]], (256, 256), CPU)
    raw = torch.zeros(64, 4)
    box = places.decode(raw)[4 * 8 + 3] / 32
    assert box.tolist() == pytest.approx([3.5 - 1, 4.5 - 1.5, 3.5 + 1, 4.5 + 1.5])


def test_order_of_the_predictors(places: CellBoxes) -> None:
    assert places.levels == ((4, 6, 2), (8, 12, 2))
    assert len(places.cells) == 2 * (4 * 6 + 8 * 12)
    assert places.cells[:4].tolist() == [[0, 0], [0, 0], [1, 0], [1, 0]]  # column, row
    assert places.cells[12].tolist() == [0, 1]
    assert places.anchors[:3].tolist() == [[64, 96], [200, 100], [64, 96]]
    assert places.steps[0].tolist() == [32, 32]
    assert places.steps[-1].tolist() == [16, 16]


box = st.tuples(st.floats(0, 150), st.floats(0, 100), st.floats(2, 40), st.floats(2, 26))


@given(st.lists(box, min_size=1, max_size=12))
def test_decoding_undoes_encoding(boxes: list[tuple[float, float, float, float]]) -> None:
    places = place_cells([(4, 6), (8, 12)], ANCHORS, (128, 192), CPU)
    corners = torch.tensor([(x, y, x + w, y + h) for x, y, w, h in boxes], dtype=torch.float64)
    rows = places.responsible(corners, FLAT.double())
    written = places.encode(corners, rows)
    assert written[:, :2].min() >= 0
    assert written[:, :2].max() <= 1
    raw = torch.zeros(len(places.cells), 4, dtype=torch.float64)
    for row, values, wanted in zip(rows, written, corners, strict=True):
        raw[row] = torch.cat([torch.logit(values[:2], eps=1e-12), values[2:]])
        torch.testing.assert_close(places.decode(raw)[row], wanted, rtol=1e-4, atol=1e-4)


def test_the_anchor_of_the_nearest_shape_in_the_cell_of_the_centre(places: CellBoxes) -> None:
    boxes = torch.tensor([[0.0, 0, 190, 104], [100.0, 50, 128, 82]])  # centres (95, 52), (114, 66); 190x104, 28x32
    coarse = (1 * 6 + 2) * 2 + 1  # row 1, column 2 of stride 32, second anchor
    fine = 4 * 6 * 2 + (4 * 12 + 7) * 2 + 1  # row 4, column 7 of stride 16
    assert places.responsible(boxes, FLAT).tolist() == [coarse, fine]


def test_a_centre_on_the_far_edge_belongs_to_the_last_cell(places: CellBoxes) -> None:
    row = places.responsible(torch.tensor([[180.0, 118, 204, 138]]), FLAT)
    assert places.cells[row].tolist() == [[11, 7]]
    assert places.encode(torch.tensor([[180.0, 118, 204, 138]]), row)[0, :2].tolist() == [1, 1]


def test_shapes_by_hand() -> None:
    overlaps = shape_iou(torch.tensor([[10.0, 20.0]]), torch.tensor([[10.0, 20.0], [20.0, 10.0], [5.0, 10.0]]))
    assert overlaps[0].tolist() == pytest.approx([1, 100 / 300, 50 / 200])


def test_no_side_is_infinite(places: CellBoxes) -> None:
    raw = torch.full((len(places.cells), 4), 1e4)
    assert torch.isfinite(places.decode(raw)).all()
    assert places.decode(raw).max() > math.exp(9)

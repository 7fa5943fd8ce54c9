"""The course's worked targets of detection, and its walk through suppression, made with the networks' own parts.

A. Ng's course of 2017 (convolutional networks, week 3), as the decks print it: a 3 x 3 grid, two anchors, three classes
(pedestrian, car, motorcycle); an object is written in the cell of its middle, at the anchor of the highest overlap, as
(p_c, b_x, b_y, b_h, b_w, c_1, c_2, c_3): height before width, in shares of the cell.

Where the other worked numbers of localisation and detection are held: intersection over union in ops/test_overlap.py;
R-CNN's offsets in ops/test_box_coding.py; YOLO v2's box from its cell in ops/test_cell_boxes.py; YOLO's 7 x 7 x 30 and
the loss of its sides in test_yolov1.py; clustering of anchors in ops/test_anchor_clustering.py; a vector of one object
in losses/test_localization.py; 64 landmarks in models/landmarks/test_regressor.py; sliding windows as convolutions,
with their costs, in models/test_sliding.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from visus.answers.selection import Selection
from visus.answers.yolo import YOLOReader
from visus.models.building import build
from visus.models.catalog import find
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.yolo_output import YOLOOutput, assign, yolo_output
from visus.ops.cell_boxes import shape_iou
from visus.ops.pyramid_anchors import PyramidAnchors

CELL = 32.0
SIZE = (96, 96)
TALL, WIDE = (20.0, 50.0), (50.0, 20.0)  # anchors 1 and 2, (width, height): for a person who stands, and for a car
ANCHORS = torch.tensor([TALL, WIDE])
PEDESTRIAN, CAR = 0, 1
NOTHING = torch.zeros(3, 3, 2, 8)

# In the middle cell: (b_x, b_y, b_h, b_w) = (0.3, 0.4, 0.5, 1.1), so the middle is at 32 + 0.3 * 32 = 41.6 and
# 32 + 0.4 * 32 = 44.8, and the sides are 35.2 and 16 pixels.
CAR_BOX = [24.0, 36.8, 59.2, 52.8]
# Its middle is 40, 48, in the same cell: 8 / 32 and 16 / 32 of it; 48 pixels high and 16 wide: 1.5 and 0.5 cells.
PEDESTRIAN_BOX = [32.0, 24.0, 48.0, 72.0]


def silent() -> YOLOOutput:
    """What a network of 18 predictors has said before it learnt anything."""
    return yolo_output([torch.zeros(1, 2 * 8, 3, 3)], [[TALL, WIDE]], SIZE, exclusive=True)


def target(*objects: tuple[list[float], int]) -> Tensor:
    """The decks' tensor [3,3,2,8], row by row and anchor by anchor, from what our networks learn."""
    boxes = torch.tensor([box for box, _ in objects]).reshape(-1, 4)
    labels = torch.tensor([label for _, label in objects], dtype=torch.int64)
    outputs = silent()
    truth = BoxTargets(boxes, labels, torch.zeros(len(objects), dtype=torch.bool))
    matches = assign(outputs, 0, truth, ANCHORS, ignore=0.6).matches
    rows = torch.nonzero(matches >= 0).flatten()
    learned = matches[rows]  # the object of each
    wanted = outputs.cell_boxes.encode(boxes[learned], rows)  # shares of the cell, and logarithms of sides
    sides = wanted[:, 2:].exp() * outputs.cell_boxes.anchors[rows] / CELL  # width, height in cells
    tensor = torch.zeros(18, 8)
    tensor[rows, 0] = 1
    tensor[rows, 1:3] = wanted[:, :2]
    tensor[rows, 3:5] = sides.flip(1)  # the decks have the height first
    tensor[rows, 5 + labels[learned]] = 1
    return tensor.reshape(3, 3, 2, 8)


def said(tensor: Tensor) -> YOLOOutput:
    """The raw outputs that say what a tensor of the decks says; its p_c may be any share."""
    outputs = silent()
    flat = tensor.reshape(18, 8)
    sides = (flat[:, 3:5].flip(1) * CELL / outputs.cell_boxes.anchors).clamp(min=1e-3).log()
    values = torch.cat([flat[:, 1:3].logit(1e-6), sides, flat[:, :1].logit(1e-6), 40 * flat[:, 5:]], 1)
    return outputs._replace(values=values[None])


def test_no_object_is_eighteen_times_nothing() -> None:
    """The remaining numbers of an anchor without object are of no interest; here they are 0."""
    assert NOTHING.numel() == 144
    assert torch.equal(target(), NOTHING)


def test_the_cars_overlaps_with_both_anchors() -> None:
    """35.2 x 16 and 20 x 50 share 20 * 16 = 320 of 1243.2; 35.2 x 16 lies within 50 x 20: 563.2 of 1000."""
    overlaps = shape_iou(torch.tensor([[35.2, 16.0]]), ANCHORS)
    assert overlaps[0].tolist() == pytest.approx([320 / 1243.2, 563.2 / 1000])


def test_one_car_is_written_at_the_second_anchor() -> None:
    """y of its cell is (0, ? ... ?, 1, b_x, b_y, b_h, b_w, 0, 1, 0)."""
    expected = NOTHING.clone()
    expected[1, 1, 1] = torch.tensor([1, 0.3, 0.4, 0.5, 1.1, 0, 1, 0])  # b_w may be more than 1, b_x and b_y may not
    torch.testing.assert_close(target((CAR_BOX, CAR)), expected)


def test_a_car_and_a_pedestrian_share_a_cell() -> None:
    expected = NOTHING.clone()
    expected[1, 1, 0] = torch.tensor([1, 0.25, 0.5, 1.5, 0.5, 1, 0, 0])
    expected[1, 1, 1] = torch.tensor([1, 0.3, 0.4, 0.5, 1.1, 0, 1, 0])
    torch.testing.assert_close(target((CAR_BOX, CAR), (PEDESTRIAN_BOX, PEDESTRIAN)), expected)


def test_two_cars_in_one_cell_are_one_too_many() -> None:
    """The course's limit: two objects of one cell with the same anchor cannot both be written; the later one is."""
    moved = [CAR_BOX[0] + 4, CAR_BOX[1], CAR_BOX[2] + 4, CAR_BOX[3]]
    torch.testing.assert_close(target((CAR_BOX, CAR), (moved, CAR)), target((moved, CAR)))


def test_the_tensor_is_read_back() -> None:
    """Of the 18 boxes that a tensor gives, those above 0.6 remain, each in its place and of its class."""
    tensor = target((CAR_BOX, CAR), (PEDESTRIAN_BOX, PEDESTRIAN))
    tensor[1, 1, 0, 0] = 0.7
    tensor[0, 2, 1] = torch.tensor([0.59, 0.5, 0.5, 0.5, 1, 0, 0, 1])  # a motorcycle, not sure enough
    found = YOLOReader(((TALL, WIDE),), exclusive=True, selection=Selection(0.6, 0.5)).read(
        {"values_0": said(tensor).values.reshape(1, 3, 3, 2, 8).numpy()}, SIZE
    )[0]
    assert found.labels.tolist() == [CAR, PEDESTRIAN]
    assert found.scores == pytest.approx([1, 0.7], abs=1e-5)
    torch.testing.assert_close(
        torch.from_numpy(found.boxes), torch.tensor([CAR_BOX, PEDESTRIAN_BOX]), atol=1e-3, rtol=0
    )


def test_scores_of_exactly_0_6_go() -> None:
    """The first step of the decks' walk: boxes with p_c <= 0.6 are discarded."""
    boxes = np.asarray([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)
    scores = np.asarray([[0.61], [0.6], [0.59]], np.float32)
    assert Selection(confidence=0.6, overlap=0.5).among(boxes, scores, SIZE).boxes.tolist() == boxes[:1].tolist()


def test_overlaps_of_the_walk_and_of_exactly_a_half() -> None:
    """The decks' example overlaps by 81/119 and 9/11. At exactly 0.5 the decks discard, and visus, like torchvision and
    the papers' code, keeps."""
    from torchvision.ops import box_iou

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [21, 20, 31, 30]])
    overlaps = box_iou(boxes, boxes)
    assert overlaps[0, 1].item() == pytest.approx(81 / 119)
    assert overlaps[2, 3].item() == pytest.approx(9 / 11)
    half = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    assert box_iou(half, half)[0, 1] == 0.5
    scores = np.asarray([[0.9], [0.8]], np.float32)
    for overlap, count in ((0.5, 2), (0.499, 1)):
        assert len(Selection(confidence=0.6, overlap=overlap).among(half.numpy(), scores, SIZE).boxes) == count


def test_three_sizes_and_three_shapes_at_every_place() -> None:
    """The decks' 20 x 15 map of a 640 x 480 image has 20 * 15 * 9 = 2700 anchors, of 128, 256 and 512 pixels."""
    anchors = PyramidAnchors(strides=(32,), side=4, octave=(1, 2, 4)).place([(15, 20)], (480, 640))
    assert anchors.shape == (2700, 4)
    areas = ((anchors[:9, 2:] - anchors[:9, :2]).prod(1)).sqrt().reshape(3, 3)
    torch.testing.assert_close(areas, torch.tensor([[128.0, 256, 512]] * 3))


def test_three_boxes_a_cell() -> None:
    """The decks' 7 x 7 x (5 B + C) with B = 3 and 20 classes: 49 * 35 numbers, as the released yolov1.cfg answers."""
    with torch.device("meta"):
        network = build(find("yolov1@darknet"))
        outputs = network.eval()(torch.empty(1, 3, 448, 448))
    assert network.rest[-1].out_features == 49 * 35
    assert outputs.boxes().shape == (1, 147, 4)

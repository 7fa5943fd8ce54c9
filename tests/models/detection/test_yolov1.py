"""YOLO: the codec's two directions, equation 3 by hand, and the responsible box."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from made_up import objects_of
from visus.errors import ShapeError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.yolov1 import YOLOv1Codec, YOLOv1Output, decode_boxes, encode_boxes, yolov1, yolov1_tiny
from visus.structures import Detections

CLASSES = ("red", "green", "blue")
CPU = torch.device("cpu")
SIZE = (448, 448)


target = objects_of(CLASSES, SIZE)


def silent(count: int = 1, cells: int = 7, boxes: int = 2, size: tuple[int, int] = SIZE) -> YOLOv1Output:
    return YOLOv1Output(
        torch.zeros(count, cells**2, len(CLASSES)),
        torch.zeros(count, cells**2, boxes),
        torch.zeros(count, cells**2, boxes, 4),
        size,
        cells,
    )


def perfect(codec: YOLOv1Codec, truths: list[Detections]) -> YOLOv1Output:
    """Raw outputs that say exactly what the targets say, through each cell's second box."""
    outputs = silent(len(truths))
    for n, truth in enumerate(codec.encode(truths, CPU)):
        cells, written = encode_boxes(truth.boxes, SIZE, 7)
        outputs.raw[n, cells, 1] = written
        outputs.confidences[n, cells, 1] = 1
        outputs.probabilities[n, cells, truth.labels] = 1
    return outputs


coordinate = st.floats(0, 440)


@given(st.lists(st.tuples(coordinate, coordinate, st.floats(1, 300), st.floats(1, 300)), min_size=1, max_size=8))
def test_boxes_there_and_back(corners: list[tuple[float, float, float, float]]) -> None:
    boxes = torch.tensor([(x, y, min(x + w, 448), min(y + h, 448)) for x, y, w, h in corners], dtype=torch.float64)
    cells, written = encode_boxes(boxes, SIZE, 7)
    assert 0 <= cells.min() <= cells.max() < 49
    assert written[:, :2].min() >= 0
    assert written.max() <= 1
    raw = torch.zeros(len(boxes), 49, 1, 4, dtype=torch.float64)
    rows = torch.arange(len(boxes))
    raw[rows, cells, 0] = written
    torch.testing.assert_close(decode_boxes(raw, SIZE, 7)[rows, cells, 0], boxes)


@pytest.mark.parametrize("seed", range(6))
def test_decoding_undoes_encoding(seed: int) -> None:
    from torchvision.ops import box_iou

    random = np.random.default_rng(seed)
    codec = YOLOv1Codec()
    truths = []
    for count in (0, 1, 3):
        boxes = []
        for column in range(count):  # one beside the other, so that no two share a cell
            width, height = random.uniform(20, [448 / count - 66, 448])
            x = random.uniform(448 / count * column, 448 / count * (column + 1) - 66 - width)
            y = random.uniform(0, 448 - height)
            boxes.append([x, y, x + width, y + height])
        truths.append(target(boxes, random.integers(0, 3, count).tolist()))
    said = perfect(codec, truths)
    assert sum(codec.terms(said, codec.encode(truths, CPU)).values()).item() == pytest.approx(0, abs=1e-4)
    for truth, answer in zip(truths, codec.decode(said), strict=True):
        assert len(answer) == len(truth)
        if not len(truth):
            continue
        overlaps = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(answer.boxes))
        assert overlaps.amax(1).min() > 0.999
        assert answer.labels[overlaps.argmax(1).numpy()].tolist() == truth.labels.tolist()


def test_equation_3_by_hand() -> None:
    """A grid of 2 x 2 on 100 x 100 pixels; an object of 16 x 36 pixels at (25, 75), class 1: the third cell's.

    Its numbers are to be x = y = 1/2, sqrt(w) = 0.4, sqrt(h) = 0.6. The first box says x = 0.6 and is else right: its
    box is moved by 5 of 16 pixels, an overlap of 11 / 21. The second says 25 x 49 pixels: an overlap of
    576 / (576 + 1225 - 576). So the first is responsible, and the second's confidence is to be 0.
    """
    outputs = silent(cells=2, size=(100, 100))
    outputs.raw[0, 2, 0] = torch.tensor([0.6, 0.5, 0.4, 0.6])
    outputs.raw[0, 2, 1] = torch.tensor([0.5, 0.5, 0.5, 0.7])
    outputs.confidences[0, 2] = torch.tensor([0.9, 0.3])
    outputs.confidences[0, 0] = torch.tensor([0.2, -0.1])
    outputs.probabilities[0, 2] = torch.tensor([0.1, 0.8, 0.0])
    outputs.probabilities[0, 1] = 5.0  # of a cell without an object: no matter
    truth = target([[17, 57, 33, 93]], [1], (100, 100))
    losses = YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([truth], CPU))
    assert losses["box"].item() == pytest.approx(5 * 0.1**2, rel=1e-4)
    assert losses["object"].item() == pytest.approx((0.9 - 11 / 21) ** 2 + 0.5 * (0.3**2 + 0.2**2 + 0.1**2), rel=1e-4)
    assert losses["class"].item() == pytest.approx(0.1**2 + 0.2**2, rel=1e-4)


def test_sides_by_hand() -> None:
    """w = 0.25 for 0.16 and h = 0.36 for 0.49, with lambda_coord 5: 5 (0.1^2 + 0.1^2) = 0.1."""
    outputs = silent(cells=1, boxes=1, size=(100, 100))
    outputs.raw[0, 0, 0] = torch.tensor([0.5, 0.5, 0.4, 0.7])
    truth = target([[37.5, 32, 62.5, 68]], [0], (100, 100))
    losses = YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([truth], CPU))
    assert losses["box"].item() == pytest.approx(0.1, rel=1e-4)


def test_where_nothing_overlaps_the_nearest_numbers_are_responsible() -> None:
    outputs = silent(cells=1, size=(100, 100))
    outputs.raw[0, 0] = torch.tensor([[3.0, 0.5, 0.1, 0.1], [2.0, 0.5, 0.1, 0.1]])
    outputs.raw.requires_grad_()
    truth = target([[40, 40, 60, 60]], [0], (100, 100))
    sum(YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([truth], CPU)).values()).backward()
    assert outputs.raw.grad[0, 0].any(1).tolist() == [False, True]


def test_a_cell_learns_its_first_object() -> None:
    two = target([[40, 40, 60, 60], [41, 41, 99, 99]], [1, 2], (100, 100))
    one = target([[40, 40, 60, 60]], [1], (100, 100))
    outputs = silent(cells=1, size=(100, 100))
    found = [YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([truth], CPU)) for truth in (two, one)]
    assert found[0] == found[1]


def test_objects_to_be_ignored_and_none() -> None:
    outputs = silent()
    outputs.confidences[0, 24] = 0.5
    outputs.confidences.requires_grad_()
    ignored = target([[200, 200, 248, 248]], [0], ignored=np.asarray([True]))
    losses = YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([ignored], CPU))
    assert sum(losses.values()).item() == 0
    nothing = YOLOv1Codec().terms(outputs, YOLOv1Codec().encode([target([], [])], CPU))
    assert nothing["box"].item() == nothing["class"].item() == 0
    assert nothing["object"].item() == pytest.approx(0.5 * 2 * 0.5**2)
    sum(nothing.values()).backward()
    assert outputs.confidences.grad[0, 24].tolist() == [0.5, 0.5]


def test_the_papers_output() -> None:
    with torch.device("meta"):
        network = yolov1(classes=20, in_channels=3).eval()
        outputs = network(torch.empty(2, 3, 448, 448))
    assert network.rest[-1].out_features == 7 * 7 * 30
    assert outputs.class_logits().shape == (2, 98, 20)
    assert outputs.boxes().shape == (2, 98, 4)


def test_answers_stand_in_the_released_order() -> None:
    """detection_layer.c: all cells' classes, then all confidences, then all boxes."""
    network = yolov1_tiny(classes=3, in_channels=1).eval()
    torch.nn.init.zeros_(network.rest[-1].weight)
    network.rest[-1].bias.data = torch.arange(49 * 13.0)
    with torch.no_grad():
        outputs = network(torch.zeros(1, 1, 448, 448))
    assert outputs.probabilities[0, 1].tolist() == [3, 4, 5]
    assert outputs.confidences[0, 1].tolist() == [49 * 3 + 2, 49 * 3 + 3]
    assert outputs.raw[0, 1, 1].tolist() == [49 * 5 + 12 + i for i in range(4)]


def test_another_size_is_refused() -> None:
    with pytest.raises(ShapeError) as error:
        yolov1_tiny(classes=1, in_channels=3)(torch.zeros(1, 3, 416, 416))
    assert "448x448" in error.value.remedy


@pytest.mark.slow
def test_two_images_learnt_by_heart() -> None:
    """Within 60 steps of Adam every object is found again: IoU above 0.7 and the right class first."""
    from torchvision.ops import box_iou

    torch.manual_seed(0)
    network = build(catalog.find("yolov1_tiny"), classes=3)
    boxes = ((60, 100, 200, 280), (140, 40, 420, 330))
    images = 0.2 * torch.rand(2, 3, *SIZE)
    for number, (left, top, right, bottom) in enumerate(boxes):
        images[number, number, top:bottom, left:right] = 1
    truths = [target([list(map(float, box))], [number]) for number, box in enumerate(boxes)]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        sum(network.codec.terms(network(images), network.codec.encode(truths, CPU)).values()).backward()
        optimiser.step()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # 60 steps are few for the running statistics: take this batch's
    with torch.no_grad():
        network(images)
        found = network.eval().codec.decode(network(images))
    for answer, truth in zip(found, truths, strict=True):
        assert answer.labels[0] == truth.labels[0]
        assert box_iou(torch.from_numpy(answer.boxes[:1]), torch.from_numpy(truth.boxes)).item() > 0.7

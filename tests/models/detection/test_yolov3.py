"""YOLO v3: the codec's two directions, its losses by hand, other backbones, and two images learnt by heart."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from made_up import objects_of
from visus.data.augmentation.windows import fixed_window
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.yolo_output import YOLOOutput
from visus.models.detection.yolov3 import ANCHORS, YOLOv3, YOLOv3Codec, yolov3, yolov3_tiny
from visus.ops.prediction_grid import Grid
from visus.structures import Detections

CLASSES = ("red", "green", "blue")
CPU = torch.device("cpu")


target = objects_of(CLASSES, (96, 128))


@pytest.fixture(scope="module")
def tiny() -> YOLOv3:
    torch.manual_seed(0)
    return yolov3_tiny(classes=3, in_channels=3).eval()


@pytest.fixture(scope="module")
def raw(tiny: YOLOv3) -> YOLOOutput:
    with torch.no_grad():
        return tiny(torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(1)))


def perfect(network: YOLOv3, raw: YOLOOutput, truths: list[Detections]) -> YOLOOutput:
    """Raw outputs that say exactly what the targets say."""
    values = torch.full((len(truths), len(raw.cell_boxes.cells), 5 + len(CLASSES)), -20.0)
    values[..., :4] = 0
    anchors = torch.tensor(network.codec.anchors)
    for n, truth in enumerate(network.codec.encode(truths, CPU)):
        rows = raw.cell_boxes.responsible(truth.boxes, anchors)
        written = raw.cell_boxes.encode(truth.boxes, rows)
        values[n, rows, :2] = torch.logit(written[:, :2], eps=1e-6)
        values[n, rows, 2:4] = written[:, 2:]
        values[n, rows, 4] = 20
        values[n, rows, 5 + truth.labels] = 20
    return raw._replace(values=values)


def random_boxes(random: np.random.Generator, size: tuple[int, int], count: int) -> list[list[float]]:
    """Boxes of all shapes in a row of columns, so that no two have one predictor and none suppresses another."""
    height, width = size
    boxes = []
    for column in range(count):
        left = width / count * column
        sides = random.uniform(4, [width / count, height])
        x, y = random.uniform((left, 0), (left + width / count - sides[0], height - sides[1]))
        boxes.append([x, y, x + sides[0], y + sides[1]])
    return boxes


@pytest.mark.parametrize("seed", range(8))
def test_decoding_undoes_encoding(tiny: YOLOv3, raw: YOLOOutput, seed: int) -> None:
    from torchvision.ops import box_iou

    random = np.random.default_rng(seed)
    truths = [
        target(random_boxes(random, (96, 128), count), random.integers(0, 3, count).tolist()) for count in (0, 1, 3)
    ]
    found = tiny.codec.decode(perfect(tiny, raw, truths))
    for truth, answer in zip(truths, found, strict=True):
        assert len(answer) == len(truth)
        if not len(truth):
            continue
        overlaps = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(answer.boxes))
        best = overlaps.argmax(1)
        assert overlaps.amax(1).min() > 0.999
        assert answer.labels[best.numpy()].tolist() == truth.labels.tolist()
        assert answer.scores.min() > 0.999
        assert answer.size == (96, 128)


def test_what_is_said_exactly_costs_nothing(tiny: YOLOv3, raw: YOLOOutput) -> None:
    truths = [target([[10, 10, 50, 70], [70, 20, 120, 90]], [0, 2]), target([], [])]
    losses = tiny.codec.terms(perfect(tiny, raw, truths), tiny.codec.encode(truths, CPU))
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(
        {"box": 0, "object": 0, "class": 0}, abs=1e-4
    )


def one_cell(values: list[list[float]], anchors: list[tuple[float, float]], ignore: float = 0.5) -> tuple:
    """An input of 32 x 32 pixels with one cell and a predictor for each row of values."""
    grids = (Grid(1, 1, len(anchors), (32, 32)),)
    outputs = YOLOOutput(torch.tensor([values]).requires_grad_(), grids, (tuple(anchors),), (32, 32), exclusive=False)
    return outputs, YOLOv3Codec(anchors, ignore=ignore)


def test_losses_and_gradients_by_hand() -> None:
    """A box of 16 x 8 pixels at (12, 16), class 1 of 2; anchors of 8 x 8 and 32 x 32.

    The first anchor overlaps its shape by 64 / 128, the second by 128 / 1024: the first learns it, with
    sigmoid(tx) = 12 / 32, sigmoid(ty) = 1/2, tw = log 2, th = 0, weighted by 2 - 128 / 1024 = 1.875. The second
    answers (0, 0, 32, 32), which overlaps it by 1/8: it is told that it sees nothing.
    """
    outputs, codec = one_cell(
        [[0.0, 0.0, 0.0, 0.0, 1.0, 0.5, -0.5], [0.0, 0.0, 0.0, 0.0, -1.0, 3.0, 3.0]], [(8, 8), (32, 32)]
    )
    box = target([[4, 12, 20, 20]], [1], (32, 32))
    losses = codec.terms(outputs, codec.encode([box], CPU))
    share = 12 / 32
    centre = math.log(2) - (-share * math.log(share) - (1 - share) * math.log(1 - share))
    assert losses["box"].item() == pytest.approx(1.875 * (centre + math.log(2) ** 2 / 2), rel=1e-5)
    softplus = lambda x: math.log1p(math.exp(x))  # noqa: E731
    assert losses["object"].item() == pytest.approx(softplus(-1) + softplus(-1), rel=1e-5)
    assert losses["class"].item() == pytest.approx(softplus(0.5) + softplus(0.5), rel=1e-5)
    sum(losses.values()).backward()
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    # yolo_layer.c's deltas are these, negated: truth minus answer
    first = [1.875 * (0.5 - share), 0, 1.875 * -math.log(2), 0, sigmoid(1) - 1, sigmoid(0.5), sigmoid(-0.5) - 1]
    gradient = outputs.values.grad[0]
    torch.testing.assert_close(gradient[0], torch.tensor(first), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient[1], torch.tensor([0.0, 0, 0, 0, sigmoid(-1), 0, 0]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("ignore", "told"), [(0.5, False), (0.7, True)])
def test_near_misses_are_not_told_that_they_see_nothing(ignore: float, told: bool) -> None:
    # the second predictor answers 32 x 20 pixels about the same centre: an overlap of 20 / 32 = 0.625
    raw = [[0.0, 0, 0, 0, 0, 0, 0], [0.0, 0, 0, math.log(20 / 8), 2.0, 0, 0]]
    outputs, codec = one_cell(raw, [(32, 32), (32, 8)], ignore)
    box = target([[0, 0, 32, 32]], [0], (32, 32))
    sum(codec.terms(outputs, codec.encode([box], CPU)).values()).backward()
    assert bool(outputs.values.grad[0, 1, 4]) is told


def test_objects_to_be_ignored_teach_nothing(tiny: YOLOv3, raw: YOLOOutput) -> None:
    boxes, labels = [[10.0, 10, 50, 70], [70.0, 20, 120, 90]], [0, 2]
    both = [target(boxes, labels, ignored=np.asarray([False, True]))]
    one = [target(boxes[:1], labels[:1])]
    said = perfect(tiny, raw, [target(boxes, labels)])  # the ignored object is seen
    losses = tiny.codec.terms(said, tiny.codec.encode(both, CPU))
    assert sum(losses.values()).item() == pytest.approx(0, abs=1e-4)
    without = tiny.codec.terms(said, tiny.codec.encode(one, CPU))
    assert without["object"].item() == pytest.approx(20, rel=1e-3)  # here it is a false alarm


def test_two_objects_of_one_predictor_give_it_both_classes() -> None:
    outputs, codec = one_cell([[0.0, 0, 0, 0, 30, 30, 30]], [(16, 16)])
    boxes = target([[8, 8, 24, 24], [8, 8, 24, 24]], [0, 1], (32, 32))
    losses = codec.terms(outputs, codec.encode([boxes], CPU))
    assert {k: v.item() for k, v in losses.items()} == pytest.approx({"box": 0, "object": 0, "class": 0}, abs=1e-6)


def test_no_object_at_all_is_a_normal_image(tiny: YOLOv3, raw: YOLOOutput) -> None:
    values = raw.values.clone().requires_grad_()
    losses = tiny.codec.terms(raw._replace(values=values), tiny.codec.encode([target([], [])], CPU))
    assert losses["box"].item() == losses["class"].item() == 0
    assert losses["object"].item() > 0
    sum(losses.values()).backward()
    assert values.grad[..., 4].all()
    assert not values.grad[..., :4].any()


def test_maps_and_predictors_of_the_paper() -> None:
    with torch.device("meta"):
        network = yolov3(classes=80, in_channels=3).eval()
        outputs = network(torch.empty(1, 3, 416, 416))
    assert outputs.cell_boxes.levels == ((13, 13, 3), (26, 26, 3), (52, 52, 3))
    assert outputs.values.shape == (1, 10647, 85)
    assert network.anchors == (ANCHORS[6:], ANCHORS[3:6], ANCHORS[:3])


def test_the_released_tiny_forms_anchors() -> None:
    """yolov3-tiny.weights learned with mask=1,2,3 on the finer map: pjreddie/darknet#764, ultralytics/yolov3#256."""
    with torch.device("meta"):
        network = yolov3_tiny(classes=80, in_channels=3).eval()
        outputs = network(torch.empty(1, 3, 416, 416))
    assert outputs.cell_boxes.levels == ((13, 13, 3), (26, 26, 3))
    assert network.anchors == (((81, 82), (135, 169), (344, 319)), ((23, 27), (37, 58), (81, 82)))


def test_the_channels_of_a_map_are_predictor_by_predictor() -> None:
    """As yolo_layer.c's entry_index has them: n * (4 + 1 + classes) + entry."""
    from visus.models.detection.yolo_output import by_predictor

    map_ = torch.arange(2 * 7 * 6.0).reshape(1, 14, 2, 3)
    answers = by_predictor(map_, 2)
    assert answers.shape == (1, 12, 7)
    row, column, predictor = 1, 2, 1
    wanted = map_[0, predictor * 7 : predictor * 7 + 7, row, column]
    assert torch.equal(answers[0, (row * 3 + column) * 2 + predictor], wanted)


def test_scores_are_those_of_object_and_class_together(raw: YOLOOutput) -> None:
    wanted = raw.values[..., 4:5].sigmoid() * raw.values[..., 5:].sigmoid()
    torch.testing.assert_close(raw.class_logits().exp(), wanted)
    torch.testing.assert_close(raw.class_logits().exp(), wanted)


def test_other_backbones() -> None:
    torch.manual_seed(0)
    network = build(catalog.find("yolov3+resnet18"), classes=2, options={"anchors": [[20, 20], [40, 60], [90, 80]]})
    outputs = network.eval()(torch.rand(1, 3, 64, 96))
    assert outputs.values.shape == (1, 2 * 3 + 4 * 6 + 8 * 12, 7)
    with pytest.raises(TaskMismatchError, match="YOLO v3"):
        build(catalog.find("yolov3+lenet5"))


def test_unfit_sizes_and_anchors() -> None:
    with pytest.raises(ShapeError) as size:
        yolov3_tiny(classes=1, in_channels=3)(torch.zeros(1, 3, 64, 100))
    assert "64x128" in size.value.remedy
    with pytest.raises(RecipeError, match="3 maps"):
        yolov3(classes=1, in_channels=3, anchors=((10.0, 10.0),) * 4)
    with pytest.raises(RecipeError):
        build(catalog.find("yolov3_tiny"), options={"anchors": [[0, 10], [10, 10]]})


def picture(size: int, box: tuple[int, int, int, int], colour: int, seed: int) -> Tensor:
    image = 0.2 * torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))
    image[colour, box[1] : box[3], box[0] : box[2]] = 1
    return image


@pytest.mark.parametrize(
    ("build_network", "count"), [(yolov3_tiny, 4), pytest.param(yolov3, 3, marks=[pytest.mark.slow])]
)
def test_two_images_learnt_by_heart(build_network: Callable[..., YOLOv3], count: int) -> None:
    """Within 150 steps of Adam every object is found again: IoU above 0.7 and the right class first."""
    torch.manual_seed(0)
    shapes = ((16.0, 16.0), (24.0, 40.0), (48.0, 32.0), (64.0, 64.0))
    network = build_network(classes=3, in_channels=3, anchors=shapes[-count:])
    boxes = ((12, 20, 44, 60), (30, 8, 90, 70))
    images = torch.stack([picture(96, box, number, number) for number, box in enumerate(boxes)])
    truths = [target([list(map(float, box))], [number], (96, 96)) for number, box in enumerate(boxes)]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    encoded = network.codec.encode(truths, CPU)
    for _ in range(10):
        for _ in range(15):
            optimiser.zero_grad()
            sum(network.codec.terms(network(images), encoded).values()).backward()
            optimiser.step()
        found = answers(network, images)
        if all(finds(answer, truth) for answer, truth in zip(found, truths, strict=True)):
            return
    raise AssertionError([(answer.labels[:1], answer.scores[:1], answer.boxes[:1]) for answer in found])


def answers(network: YOLOv3, images: torch.Tensor) -> list[Detections]:
    """In eval mode, with the BatchNorm statistics of these images alone; the network goes on in train mode."""
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        network(images)
        found = network.eval().codec.decode(network(images))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    network.train()
    return found


def finds(answer: Detections, truth: Detections) -> bool:
    from torchvision.ops import box_iou

    if not len(answer.labels) or answer.labels[0] != truth.labels[0] or answer.scores[0] <= 0.5:
        return False
    return box_iou(torch.from_numpy(answer.boxes[:1]), torch.from_numpy(truth.boxes)).item() > 0.7


def test_the_largest_anchors_answer_on_the_coarsest_map(tiny: YOLOv3) -> None:
    """The masks of yolov3-tiny.cfg: anchors 3, 4, 5 on the map of stride 32."""
    with torch.no_grad():
        cell_boxes = tiny(torch.zeros(1, 3, 96, 128)).cell_boxes
    assert cell_boxes.levels[0] == (3, 4, 3)
    assert cell_boxes.steps[0].tolist() == [32, 32]
    assert sorted(cell_boxes.anchors[:3].tolist()) == [[81, 82], [135, 169], [344, 319]]


def test_the_released_networks_see_images_where_darknet_puts_them() -> None:
    """A photo of 480 x 640 fills 312 of 416 rows: Darknet leaves 52 above (image.c, letterbox_image)."""
    for name, above in (("yolov3", 52), ("yolov3_tiny", 52), ("yolov2@darknet-voc", 52), ("yolov3+resnet18", 0)):
        preprocessing = catalog.find(name).preprocessing
        (top, left, _, _), size = fixed_window((480, 640), preprocessing)
        assert size == (416, 416)
        assert (-top * 0.65, left) == (pytest.approx(above), 0), name

"""YOLO v2: the passthrough, the codec's two directions, its losses by hand, other backbones."""

import math

import numpy as np
import pytest
import torch

from made_up import objects_of
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.yolo_output import YOLOOutput
from visus.models.detection.yolov2 import VOC_ANCHORS, BoxWeight, Reorganisation, YOLOv2, YOLOv2Codec, yolov2
from visus.ops.cell_boxes import place_cells
from visus.structures import Detections

CLASSES = ("red", "green", "blue")
CPU = torch.device("cpu")


target = objects_of(CLASSES, (160, 224))


@pytest.fixture(scope="module")
def small() -> YOLOv2:
    torch.manual_seed(0)
    return build(catalog.find("yolov2+resnet18"), classes=3).eval()


@pytest.fixture(scope="module")
def raw(small: YOLOv2) -> YOLOOutput:
    with torch.no_grad():
        return small(torch.rand(1, 3, 160, 224, generator=torch.Generator().manual_seed(1)))


def perfect(network: YOLOv2, raw: YOLOOutput, truths: list[Detections]) -> YOLOOutput:
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


@pytest.mark.parametrize("seed", range(8))
def test_decoding_undoes_encoding(small: YOLOv2, raw: YOLOOutput, seed: int) -> None:
    from torchvision.ops import box_iou

    random = np.random.default_rng(seed)
    truths = []
    for count in (0, 1, 3):
        boxes = []
        for column in range(count):  # one beside the other, so that no two share a cell
            width, height = random.uniform(6, [224 / count - 34, 160])
            x = random.uniform(224 / count * column, 224 / count * (column + 1) - 34 - width)
            y = random.uniform(0, 160 - height)
            boxes.append([x, y, x + width, y + height])
        truths.append(target(boxes, random.integers(0, 3, count).tolist()))
    said = perfect(small, raw, truths)
    losses = small.codec.terms(said, small.codec.encode(truths, CPU))
    assert sum(losses.values()).item() == pytest.approx(0, abs=1e-3)
    for truth, answer in zip(truths, small.codec.decode(said), strict=True):
        assert len(answer) == len(truth)
        if not len(truth):
            continue
        overlaps = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(answer.boxes))
        assert overlaps.amax(1).min() > 0.999
        assert answer.labels[overlaps.argmax(1).numpy()].tolist() == truth.labels.tolist()


def test_losses_and_gradients_by_hand() -> None:
    """A box of 16 x 8 pixels at (12, 16), class 1 of 2; one cell of 32 x 32, anchors of 8 x 8 and 32 x 32.

    The first anchor learns it (see YOLO v3's test): sigmoid(tx) is to be 12 / 32 and is 1/2, tw to be log 2 and is 0.
    Its box, 8 x 8 about (16, 16), shares 8 x 8 pixels with x 12..20 of the object's 4..20: 64 of 128 + 64 - 64.
    """
    cell_boxes = place_cells([(1, 1)], [[(8, 8), (32, 32)]], (32, 32), CPU)
    values = [[0.0, 0.0, 0.0, 0.0, 1.0, 0.5, -0.5], [0.0, 0.0, 0.0, 0.0, -1.0, 3.0, 3.0]]
    outputs = YOLOOutput(torch.tensor([values]).requires_grad_(), cell_boxes, (32, 32), exclusive=True)
    codec = YOLOv2Codec([(8, 8), (32, 32)])
    losses = codec.terms(outputs, codec.encode([target([[4, 12, 20, 20]], [1], (32, 32))], CPU))
    fit = 64 / 128
    seen, empty = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))
    assert losses["box"].item() == pytest.approx((0.125**2 + math.log(2) ** 2) / 2, rel=1e-5)
    assert losses["object"].item() == pytest.approx((5 * (seen - fit) ** 2 + empty**2) / 2, rel=1e-5)
    assert losses["class"].item() == pytest.approx(math.log(1 + math.e), rel=1e-5)
    sum(losses.values()).backward()
    # region_layer.c's deltas, negated: those of what is a sigmoid have its slope as a factor
    named = 1 / (1 + math.exp(-1))
    first = [0.125 * 0.25, 0, -math.log(2), 0, 5 * (seen - fit) * seen * (1 - seen), named, -named]
    gradient = outputs.values.grad[0]
    torch.testing.assert_close(gradient[0], torch.tensor(first), rtol=1e-5, atol=1e-6)
    second = [0.0, 0, 0, 0, empty * empty * (1 - empty), 0, 0]
    torch.testing.assert_close(gradient[1], torch.tensor(second), rtol=1e-5, atol=1e-6)


def region_deltas(values: np.ndarray, anchors: np.ndarray, truths: list[list[float]], weigh: bool) -> np.ndarray:
    """The gradient of the loss by the raw values [h,w,B,5+K], as region_layer.c means it, for softmax, rescore,
    bias_match, thresh 0.6 and the scales 5, 1, 1, 1; after the first 12,800 images.

    truths: (x, y, w, h, class), shares of the image. ``weigh``: as since 26 March 2017. Each delta there
    is target minus answer; those of what is a sigmoid get its slope as a factor on the way back, and all signs change.
    """

    def share(a: list[float], b: list[float]) -> float:  # IoU of (x, y, w, h)
        across = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
        along = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
        common = across * along if across > 0 and along > 0 else 0.0
        return common / (a[2] * a[3] + b[2] * b[3] - common)

    rows, columns, count, width = values.shape
    answer, delta = values.astype(np.float64), np.zeros(values.shape)
    answer[..., [0, 1, 4]] = 1 / (1 + np.exp(-answer[..., [0, 1, 4]]))
    powers = np.exp(answer[..., 5:])
    answer[..., 5:] = powers / powers.sum(-1, keepdims=True)

    def box(j: int, i: int, n: int) -> list[float]:
        x, y, w, h = answer[j, i, n, :4]
        return [
            (i + x) / columns,
            (j + y) / rows,
            math.exp(w) * anchors[n][0] / columns,
            math.exp(h) * anchors[n][1] / rows,
        ]

    for j in range(rows):
        for i in range(columns):
            for n in range(count):
                overlaps = [share(box(j, i, n), truth) for truth in truths]
                if max(overlaps, default=0) <= 0.6:
                    delta[j, i, n, 4] = 0 - answer[j, i, n, 4]
    for x, y, w, h, label in truths:
        i, j = int(x * columns), int(y * rows)
        shapes = [share([0, 0, w, h], [0, 0, a / columns, b / rows]) for a, b in anchors]
        n = int(np.argmax(shapes))
        weight = 2 - w * h if weigh else 1
        wanted = [
            x * columns - i,
            y * rows - j,
            math.log(w * columns / anchors[n][0]),
            math.log(h * rows / anchors[n][1]),
        ]
        delta[j, i, n, :4] = weight * (np.asarray(wanted) - answer[j, i, n, :4])
        delta[j, i, n, 4] = 5 * (share(box(j, i, n), [x, y, w, h]) - answer[j, i, n, 4])
        delta[j, i, n, 5:] = (np.arange(width - 5) == label) - answer[j, i, n, 5:]
    slopes = answer[..., [0, 1, 4]]
    delta[..., [0, 1, 4]] *= slopes * (1 - slopes)
    return -delta


@pytest.mark.parametrize("box_weight", ["equal", "small_more"])
@pytest.mark.parametrize("seed", range(4))
def test_gradients_are_those_of_region_layer(seed: int, box_weight: BoxWeight) -> None:
    """Boxes from a hundredth of the image to more than half of it, some on one predictor; one image without any."""
    random = np.random.default_rng(seed)
    rows, columns, anchors = 3, 4, np.asarray([[0.6, 0.7], [1.9, 1.2], [3.3, 2.5]])  # in cells
    size = (32 * rows, 32 * columns)
    count = (5, 1, 2, 0)[seed]
    sides = random.uniform(0.1, 0.8, (count, 2))
    centres = random.uniform(sides / 2, 1 - sides / 2)
    labels = random.integers(0, 3, count)
    if seed == 0:
        centres[1], sides[1] = centres[0], sides[0]  # two objects on one predictor: the later one is learned
    values = random.normal(0, 1, (rows, columns, 3, 8)).astype(np.float32)
    truths = np.concatenate([centres, sides, labels[:, None]], 1)
    scale = np.asarray(size[::-1] * 2)
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1) * scale
    codec = YOLOv2Codec([(32 * w, 32 * h) for w, h in anchors], box_weight=box_weight)
    raw = torch.from_numpy(values).reshape(1, -1, 8).requires_grad_()
    cell_boxes = place_cells([(rows, columns)], [codec.anchors], size, CPU)
    outputs = YOLOOutput(raw, cell_boxes, size, exclusive=True)
    losses = codec.terms(outputs, codec.encode([target(boxes.tolist(), labels.tolist(), size)], CPU))
    sum(losses.values()).backward()
    wanted = region_deltas(values, anchors, truths.tolist(), box_weight == "small_more")
    np.testing.assert_allclose(raw.grad.reshape(values.shape).numpy(), wanted, rtol=1e-4, atol=2e-6)


def test_only_the_released_editions_weigh_small_boxes_more() -> None:
    weights = {}
    for edition in ("paper", "darknet-voc", "darknet-coco"):
        with torch.device("meta"):
            weights[edition] = build(catalog.find(f"yolov2@{edition}")).codec.box_weight
    assert weights == {"paper": "equal", "darknet-voc": "small_more", "darknet-coco": "small_more"}


@pytest.mark.parametrize(("height", "told"), [(20, False), (18, True)])
def test_near_misses_are_not_told_that_they_see_nothing(height: float, told: bool) -> None:
    # an answer 32 wide about the same centre overlaps the object by height / 32: 0.625 or 0.5625, around 0.6
    cell_boxes = place_cells([(1, 1)], [[(32, 32), (32, 8)]], (32, 32), CPU)
    values = torch.zeros(1, 2, 7)
    values[0, 1, 3] = math.log(height / 8)
    outputs = YOLOOutput(values.requires_grad_(), cell_boxes, (32, 32), exclusive=True)
    codec = YOLOv2Codec([(32, 32), (32, 8)])
    losses = codec.terms(outputs, codec.encode([target([[0, 0, 32, 32]], [0], (32, 32))], CPU))
    losses["object"].backward()
    assert bool(values.grad[0, 1, 4]) is told


def test_objects_to_be_ignored_teach_nothing(small: YOLOv2, raw: YOLOOutput) -> None:
    box = [[20.0, 20, 120, 100]]
    said = perfect(small, raw, [target(box, [1])])
    encoded = small.codec.encode([target(box, [1], ignored=np.asarray([True]))], CPU)
    assert sum(small.codec.terms(said, encoded).values()).item() == pytest.approx(0, abs=1e-4)
    empty = small.codec.terms(said, small.codec.encode([target([], [])], CPU))
    assert empty["object"].item() == pytest.approx(0.5, rel=1e-3)  # a false alarm


def test_darknets_reorganisation_place_by_place() -> None:
    """Its loops, written out: reorg_cpu with w, h, c of what comes in, and forward = 0."""
    channels, height, width, stride = 8, 4, 6, 2
    x = torch.randn(channels, height, width, generator=torch.Generator().manual_seed(0))
    flat, out = x.flatten(), torch.empty(channels * height * width)
    out_c = channels // stride**2
    for k in range(channels):
        for j in range(height):
            for i in range(width):
                w2, h2 = i * stride + (k // out_c) % stride, j * stride + (k // out_c) // stride
                source = w2 + width * stride * (h2 + height * stride * (k % out_c))
                out[i + width * (j + height * k)] = flat[source]
    assert torch.equal(Reorganisation(as_darknet=True)(x[None]).flatten(), out)


def test_the_papers_passthrough_lays_neighbours_on_one_another() -> None:
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    y = Reorganisation(as_darknet=False)(x)
    assert y.shape == (1, 4, 2, 2)
    assert y[0, :, 0, 0].tolist() == [0, 1, 4, 5]
    assert y[0, :, 1, 1].tolist() == [10, 11, 14, 15]
    both = torch.arange(32.0).reshape(1, 2, 4, 4)  # all channels of one place together, as tf.nn.space_to_depth
    assert Reorganisation(as_darknet=False)(both)[0, :, 0, 0].tolist() == [0, 16, 1, 17, 4, 20, 5, 21]


def test_maps_and_predictors_of_the_paper() -> None:
    with torch.device("meta"):
        outputs = yolov2(classes=20, in_channels=3).eval()(torch.empty(1, 3, 416, 416))
    assert outputs.cell_boxes.levels == ((13, 13, 5),)
    assert outputs.values.shape == (1, 845, 25)  # 13 x 13 x 125
    assert VOC_ANCHORS[0] == pytest.approx((42.3072, 55.4064))


def test_scores_are_those_of_object_and_class_together(raw: YOLOOutput) -> None:
    wanted = raw.values[..., 4:5].sigmoid() * raw.values[..., 5:].softmax(-1)
    torch.testing.assert_close(raw.class_logits().exp(), wanted)
    torch.testing.assert_close(raw.class_logits().exp(), wanted)


def test_options() -> None:
    own = build(catalog.find("yolov2+resnet18"), classes=2, options={"anchors": [[30, 30], [60, 40]]})
    assert own.predict.out_channels == 2 * 7
    assert build(catalog.find("yolov2@darknet-coco+resnet18"), classes=2).narrow[0].out_channels == 64
    with pytest.raises(ShapeError) as size:
        own(torch.zeros(1, 3, 100, 64))
    assert "128x64" in size.value.remedy
    with pytest.raises(RecipeError):
        build(catalog.find("yolov2"), options={"anchors": "imagenet"})
    with pytest.raises(TaskMismatchError, match="YOLO v2"):
        build(catalog.find("yolov2+lenet5"))


@pytest.mark.slow
def test_two_images_learnt_by_heart() -> None:
    """Within 60 steps of Adam every object is found again: IoU above 0.7 and the right class first."""
    from torchvision.ops import box_iou

    torch.manual_seed(0)
    network = build(catalog.find("yolov2+darknet19"), classes=3, options={"anchors": [[24, 30], [50, 44]]})
    boxes = ((8, 12, 32, 42), (10, 8, 60, 52))
    images = 0.2 * torch.rand(2, 3, 64, 64)
    for number, (left, top, right, bottom) in enumerate(boxes):
        images[number, number, top:bottom, left:right] = 1
    truths = [target([list(map(float, box))], [number], (64, 64)) for number, box in enumerate(boxes)]
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

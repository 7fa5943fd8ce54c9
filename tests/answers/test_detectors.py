"""The readers of detectors: plain computations in double precision, PyTorch's path, and outputs of all sorts."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visus.answers.reader import Reader
from visus.answers.retinanet import RetinaNetReader
from visus.answers.selection import Selection
from visus.answers.ssd import SSDReader
from visus.answers.table import reader_from
from visus.answers.yolo import YOLOReader, YOLOv1Reader
from visus.errors import DivergedError, ShapeError, WeightsError
from visus.models.codecs import arrays_of
from visus.models.detection import retinanet as retinanets
from visus.models.detection import ssd as ssds
from visus.models.detection.retinanet import RetinaNetCodec, RetinaNetOutput
from visus.models.detection.ssd import SSDCodec, SSDOutput
from visus.models.detection.yolo_output import yolo_output
from visus.models.detection.yolov1 import YOLOv1Codec, YOLOv1Output
from visus.models.detection.yolov2 import YOLOv2Codec
from visus.models.detection.yolov3 import YOLOv3Codec
from visus.ops.box_coding import BoxCoding
from visus.ops.default_boxes import DefaultBoxes
from visus.ops.pyramid_anchors import PyramidAnchors

SIZE = (64, 96)
MAPS = [(4, 6), (2, 3)]
K = 3
SHAPES = DefaultBoxes((0.2, 0.4, 0.8), ((2,), (2, 3)), (16, None))
ANCHORS = PyramidAnchors(strides=(16, 32), side=1.5)
YOLO_ANCHORS = (((20.0, 30.0), (50.0, 40.0)), ((10.0, 12.0), (14.0, 8.0), (9.0, 30.0)))
Found = list[tuple[float, int, list[float]]]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ssd_case() -> tuple[Any, Any]:
    count = sum(h * w * b for (h, w), b in zip(MAPS, SHAPES.per_cell, strict=True))
    return SSDOutput(
        draw(2, count, 1 + K), draw(2, count, 4, seed=1), SHAPES, SIZE, SHAPES.grids(MAPS, SIZE)
    ), SSDCodec()


def retinanet_case() -> tuple[Any, Any]:
    count = sum(h * w * 9 for h, w in MAPS)
    grids = ANCHORS.grids(MAPS, SIZE)
    return RetinaNetOutput(draw(2, count, K), draw(2, count, 4, seed=1) / 2, ANCHORS, grids, SIZE), RetinaNetCodec()


def yolo_case(codec: Any, exclusive: bool) -> tuple[Any, Any]:
    maps = [draw(2, len(own) * (5 + K), h, w, seed=h) for own, (h, w) in zip(YOLO_ANCHORS, MAPS[::-1], strict=True)]
    return yolo_output(maps, YOLO_ANCHORS, SIZE, exclusive=exclusive), codec


def yolov1_case() -> tuple[Any, Any]:
    outputs = YOLOv1Output(draw(2, 49, K) / 2, draw(2, 49, 2, seed=1) / 2, draw(2, 49, 2, 4, seed=2) / 2, SIZE, 7)
    return outputs, YOLOv1Codec()


FLAT = [shape for own in YOLO_ANCHORS for shape in own]
CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "ssd": ssd_case,
    "retinanet": retinanet_case,
    "yolov2": lambda: yolo_case(YOLOv2Codec(FLAT), True),
    "yolov3": lambda: yolo_case(YOLOv3Codec(FLAT), False),
    "yolov1": yolov1_case,
}


def moved(offsets: list[float], box: list[float], variances: tuple[float, ...]) -> list[float]:
    """R-CNN's equations 1 to 4, in double precision."""
    width, height = box[2] - box[0], box[3] - box[1]
    x = (box[0] + box[2]) / 2 + offsets[0] * variances[0] * width
    y = (box[1] + box[3]) / 2 + offsets[1] * variances[1] * height
    width *= math.exp(min(offsets[2] * variances[2], math.log(62.5)))
    height *= math.exp(min(offsets[3] * variances[3], math.log(62.5)))
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def shares(logits: list[float]) -> list[float]:
    parts = [math.exp(value) for value in logits]
    return [part / sum(parts) for part in parts]


def share(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def scored(name: str, outputs: Any, n: int) -> Found:
    """Every pair of a box and a class of one image, by the papers' equations."""
    pairs: Found = []
    if name in ("ssd", "retinanet"):
        boxes = (outputs.default_boxes if name == "ssd" else outputs.anchors).tolist()
        variances = (0.1, 0.1, 0.2, 0.2) if name == "ssd" else (1.0,) * 4
        for logits, offsets, box in zip(outputs.logits[n].tolist(), outputs.offsets[n].tolist(), boxes, strict=True):
            scores = shares(logits)[1:] if name == "ssd" else [share(value) for value in logits]
            pairs += [(score, label, moved(offsets, box, variances)) for label, score in enumerate(scores)]
    elif name == "yolov1":
        for cell in range(49):
            for k in range(2):
                x, y, w, h = outputs.raw[n, cell, k].tolist()
                x, y = (x + cell % 7) / 7 * SIZE[1], (y + cell // 7) / 7 * SIZE[0]
                w, h = w * w * SIZE[1], h * h * SIZE[0]
                box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                sure = min(max(float(outputs.confidences[n, cell, k]), 0), 1)
                for label, value in enumerate(outputs.probabilities[n, cell].tolist()):
                    pairs.append((min(max(value, 0), 1) * sure, label, box))
    else:
        values = iter(outputs.values[n].tolist())
        for grid, own in zip(outputs.grids, YOLO_ANCHORS, strict=True):
            for place in range(grid.rows * grid.columns):
                for width, height in own:
                    tx, ty, tw, th, there, *classes = next(values)
                    x = (share(tx) + place % grid.columns) * SIZE[1] / grid.columns
                    y = (share(ty) + place // grid.columns) * SIZE[0] / grid.rows
                    w, h = width * math.exp(tw), height * math.exp(th)
                    named = shares(classes) if name == "yolov2" else [share(value) for value in classes]
                    box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
                    pairs += [(share(there) * score, label, box) for label, score in enumerate(named)]
    return pairs


def overlap(a: list[float], b: list[float]) -> float:
    sides = [max(min(a[k + 2], b[k + 2]) - max(a[k], b[k]), 0) for k in (0, 1)]
    shared = sides[0] * sides[1]
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union if union > 0 else 0.0


def chosen(pairs: Found, confidence: float, threshold: float, keep: int, *, empty: bool) -> Found:
    kept: Found = []
    height, width = SIZE
    for score, label, box in sorted(pairs, key=lambda pair: -pair[0]):
        box = [min(max(value, 0), limit) for value, limit in zip(box, (width, height) * 2, strict=True)]
        if score <= confidence or len(kept) == keep or (not empty and (box[0] >= box[2] or box[1] >= box[3])):
            continue
        if not any(label == other and overlap(box, best) > threshold for _, other, best in kept):
            kept.append((score, label, box))
    return kept


@pytest.mark.parametrize("name", CASES)
def test_plain_computations_in_double_precision(name: str) -> None:
    outputs, codec = CASES[name]()
    answers = codec.decode(outputs)
    for n, answer in enumerate(answers):
        expected = chosen(
            scored(name, outputs, n), codec.confidence, codec.overlap, codec.keep, empty=name == "retinanet"
        )
        assert len(answer) == len(expected) > 5
        assert answer.labels.tolist() == [label for _, label, _ in expected]
        np.testing.assert_allclose(answer.scores, [score for score, _, _ in expected], rtol=1e-4)
        np.testing.assert_allclose(answer.boxes, [box for _, _, box in expected], rtol=1e-3, atol=1e-3)
        assert answer.classes == ("0", "1", "2")
        assert answer.size == SIZE


@pytest.mark.parametrize("name", CASES)
def test_a_reader_that_was_kept_reads_the_same(name: str) -> None:
    outputs, codec = CASES[name]()
    reader = codec.reader_of(outputs)
    again = reader_from(json.loads(json.dumps(reader.to_dict())))
    assert again == reader
    arrays = arrays_of(codec.named_outputs(outputs))
    assert tuple(sorted(arrays)) == tuple(sorted(reader.names))
    alone = [again.read({key: value[n : n + 1] for key, value in arrays.items()}, SIZE)[0] for n in range(2)]
    for one, other in zip(alone, codec.decode(outputs), strict=True):
        for field in ("boxes", "labels", "scores"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@pytest.mark.parametrize("name", CASES)
def test_no_image_and_no_object(name: str) -> None:
    outputs, codec = CASES[name]()
    reader, arrays = codec.reader_of(outputs), arrays_of(codec.named_outputs(outputs))
    assert reader.read({key: value[:0] for key, value in arrays.items()}, SIZE) == []
    codec.confidence = 1.0
    for answer in codec.decode(outputs):
        assert answer.boxes.shape == (0, 4)
        assert answer.scores is not None
        assert answer.scores.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_values_that_are_no_numbers(name: str) -> None:
    outputs, codec = CASES[name]()
    reader, arrays = codec.reader_of(outputs), arrays_of(codec.named_outputs(outputs))
    for key in reader.names:
        broken = {**arrays, key: arrays[key].copy()}
        broken[key].flat[3] = np.nan
        with pytest.raises(DivergedError, match=f"{key} has values that are not numbers(.|\n)*1 of .* NaN"):
            reader.read(broken, SIZE)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["ssd", "retinanet", "yolov3", "yolov1"])
@pytest.mark.filterwarnings("ignore:invalid value|overflow")
def test_infinite_places_are_no_objects(name: str, value: float) -> None:
    """A box that lies nowhere is left out, and disturbs no other."""
    outputs, codec = CASES[name]()
    reader, arrays = codec.reader_of(outputs), arrays_of(codec.named_outputs(outputs))
    key = {"yolov1": "boxes", "yolov3": "values_0"}.get(name, "offsets_0")
    arrays = {one: array.copy() for one, array in arrays.items()}
    arrays[key][..., 0, 0:1] = value
    for answer in reader.read(arrays, SIZE):
        assert np.isfinite(answer.boxes).all()
        assert len(answer)


@pytest.mark.parametrize("name", CASES)
def test_outputs_that_do_not_fit(name: str) -> None:
    outputs, codec = CASES[name]()
    reader, arrays = codec.reader_of(outputs), arrays_of(codec.named_outputs(outputs))
    last = reader.names[-1]
    with pytest.raises(ShapeError, match=last):
        reader.read({key: value for key, value in arrays.items() if key != last}, SIZE)
    with pytest.raises(ShapeError, match=last):
        reader.read({**arrays, last: arrays[last][..., None]}, SIZE)
    with pytest.raises(ShapeError, match=last):
        reader.read({**arrays, last: arrays[last][:1]}, SIZE)


SURE = Selection(0.1, 0.5)


@pytest.mark.parametrize(
    "reader",
    [
        SSDReader(SHAPES, BoxCoding((0.1, 0.1, 0.2, 0.2)), SURE),
        RetinaNetReader(ANCHORS, BoxCoding(), SURE),
        YOLOReader(YOLO_ANCHORS, True, SURE),
        YOLOv1Reader(SURE),
    ],
)
@pytest.mark.parametrize("change", [{"confidence": 2}, {"overlap": -1}, {"keep": 0}, {"method": "hard"}, {"more": 1}])
def test_readers_that_cannot_be(reader: Reader, change: dict[str, Any]) -> None:
    values = reader.to_dict()
    values["selection"] = {**values["selection"], **change}
    if "more" in change:
        values["more"] = 1
    with pytest.raises(WeightsError):
        reader_from(values)


def test_more_pairs_are_looked_at_until_there_are_enough() -> None:
    """Thousands of sure boxes in one place, and few unsure ones elsewhere."""
    random = np.random.default_rng(0)
    crowd = np.asarray([20, 20, 60, 60]) + 0.5 * random.random((9000, 4))
    rest = np.asarray([[100.0 * k, 100, 100 * k + 50, 150] for k in range(1, 6)])
    boxes = np.concatenate([crowd, rest]).astype(np.float32)
    scores = np.concatenate([0.5 + 0.5 * random.random(9000), [0.2] * 5]).astype(np.float32)[:, None]
    for method in ("greedy", "gaussian"):
        found = Selection(0.1, 0.5, candidates=9005, keep=5, method=method).among(boxes, scores, (1000, 1000))
        assert len(found.boxes) == 5
    found = Selection(0.1, 0.5, candidates=9005, keep=5).among(boxes, scores, (1000, 1000))
    assert found.scores.tolist() == pytest.approx([float(scores.max()), 0.2, 0.2, 0.2, 0.2])
    np.testing.assert_array_equal(found.boxes[1:], boxes[9000:9004])
    assert len(Selection(0.1, 0.5, candidates=100, keep=5).among(boxes, scores, (1000, 1000)).boxes) == 1


def test_candidates_are_those_with_an_area_on_the_image() -> None:
    outside = np.asarray([[-20, 0, -10, 10]] * 3, np.float32)
    boxes = np.concatenate([outside, np.asarray([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)])
    scores = np.asarray([[0.9], [0.9], [0.9], [0.8], [0.7]], np.float32)
    found = Selection(0.1, 0.5, candidates=1).among(boxes, scores, (20, 40))
    np.testing.assert_array_equal(found.boxes, boxes[3:4])


@pytest.mark.parametrize("name", ["ssd", "retinanet"])
def test_networks_know_their_reader(name: str) -> None:
    """What a network's reader reads is what its outputs' reader does."""
    from visus.models.building import build
    from visus.models.catalog import find
    from visus.structures import Batch

    card = {"ssd": "ssd+mobilenet_v1_025", "retinanet": "retinanet+mobilenet_v1_025"}[name]
    options = {"width": 8} if name == "retinanet" else {}
    network = build(find(card), classes=2, options=options).eval()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = network(images)
        answers = network.codec.answers(network, Batch(images, None, (), ()))
    assert network.codec.reader(network) == network.codec.reader_of(outputs)
    for one, other in zip(answers, network.codec.decode(outputs), strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert ssds.CODING.variances == (0.1, 0.1, 0.2, 0.2)
    assert BoxCoding() == retinanets.CODING


def test_arrays_are_decoded_as_tensors() -> None:
    offsets, boxes = draw(50, 4), torch.tensor([[3.0, 4, 20, 50]]).repeat(50, 1)
    for coding in (BoxCoding(), BoxCoding((0.1, 0.1, 0.2, 0.2)), BoxCoding(inclusive=True)):
        ours: NDArray[np.float32] = coding.decode_arrays(offsets.numpy(), boxes.numpy())
        np.testing.assert_allclose(ours, coding.decode(offsets, boxes).numpy(), rtol=1e-5, atol=1e-4)
        assert ours.dtype == np.float32

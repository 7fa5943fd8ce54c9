"""Scores of counted objects: by hand, by brute force over pixels, and against pycocotools."""

from __future__ import annotations

import contextlib
import io
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visus.errors import ShapeError
from visus.metrics.objects import THRESHOLDS, ObjectMetric
from visus.structures import Detections

NAMES = ("a", "b")


def objects(
    masks: list[np.ndarray], labels: list[int], size: tuple[int, int], *, scores: list[float] | None = None,
    ignored: list[bool] | None = None, names: tuple[str, ...] = NAMES,
) -> Detections:  # fmt: skip
    boxes = [[c.min(), r.min(), c.max() + 1, r.max() + 1] for r, c in map(np.nonzero, masks)]
    return Detections(
        names,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64),
        size,
        scores=None if scores is None else np.asarray(scores, np.float32),
        masks=np.asarray(masks, bool).reshape(-1, *size),
        ignored=None if ignored is None else np.asarray(ignored, bool),
    )


def row(*parts: tuple[int, int], length: int = 100) -> list[np.ndarray]:
    """Masks of one row: pixels from a to b, each."""
    found = []
    for a, b in parts:
        mask = np.zeros((1, length), bool)
        mask[0, a:b] = True
        found.append(mask)
    return found


def score(predictions: list[Detections], targets: list[Detections], names: tuple[str, ...] = NAMES) -> dict:
    metric = ObjectMetric(names)
    for prediction, target in zip(predictions, targets, strict=True):
        metric.update([prediction], [target])
    return metric.compute()


def test_by_hand() -> None:
    """Three true objects of 20 pixels; found: one exactly, one with IoU 15 / 20 = 0.75, one false."""
    true = objects(row((0, 20), (30, 50), (60, 80)), [0, 0, 0], (1, 100))
    found = objects(row((0, 20), (30, 45), (90, 95)), [0, 0, 0], (1, 100), scores=[0.9, 0.8, 0.7])
    scores = score([found], [true])
    # TP 2, FP 1, FN 1 below 0.75 (0.5 ... 0.7): 2 / 4; from 0.75 on, which must be exceeded: 1 / (1 + 2 + 2).
    assert scores["precision_by_iou"]["0.70"] == pytest.approx(1 / 2)
    assert scores["precision_by_iou"]["0.75"] == pytest.approx(1 / 5)
    assert scores["mean_precision"] == pytest.approx((5 * 1 / 2 + 5 * 1 / 5) / 10)
    assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert scores["count_error"] == 0
    # The second image: one object, nothing found. Images are averaged, not objects.
    both = score([found, objects([], [], (1, 100), scores=[])], [true, objects(row((0, 9)), [0], (1, 100))])
    assert both["mean_precision"] == pytest.approx(0.35 / 2)
    assert (both["count_error"], both["count_bias"]) == (0.5, -0.5)
    assert both["counts"] == {"images": 2, "objects": 4, "found": 3}
    # COCO at IoU 0.5: right, right, wrong of 4: precision 1 up to recall 0.5, 51 of 101 points.
    assert both["per_class"]["a"]["map50"] == pytest.approx(51 / 101)
    assert both["per_class"]["b"] == {
        "objects": 0, "found": 0, "mean_precision": None, "map": None, "map50": None, "count_error": 0.0,
    }  # fmt: skip


def test_the_class_must_be_right_and_crowds_do_not_count() -> None:
    true = objects(row((0, 20), (30, 60)), [0, 1], (1, 100), ignored=[False, True])
    found = objects(row((0, 20), (30, 40), (70, 80)), [1, 0, 0], (1, 100), scores=[0.9, 0.8, 0.7])
    scores = score([found], [true])
    assert scores["counts"] == {"images": 1, "objects": 1, "found": 2}  # what lies on the crowd is left out
    assert scores["mean_precision"] == 0


def test_nothing() -> None:
    empty = objects([], [], (5, 5), scores=[])
    for scores in (ObjectMetric(NAMES).compute(), score([empty], [empty])):
        assert scores["mean_precision"] is scores["map"] is scores["f1"] is None
        assert scores["precision_by_iou"] == {}
    assert (
        score([objects(row((0, 3), length=5), [0], (1, 5), scores=[1.0])], [objects([], [], (1, 5))])["mean_precision"]
        == 0
    )


def brute(predictions: list[Detections], targets: list[Detections]) -> float | None:
    """The best assignment of each class by trying all, for every threshold."""
    images = []
    for prediction, target in zip(predictions, targets, strict=True):
        if not len(prediction) and not len(target):
            continue
        values = []
        for threshold in THRESHOLDS:
            hits = 0
            for k in range(len(NAMES)):
                found = [m for m, label in zip(prediction.masks, prediction.labels, strict=True) if label == k]
                true = [m for m, label in zip(target.masks, target.labels, strict=True) if label == k]
                few, many = sorted((found, true), key=len)
                best = 0
                for chosen in permutations(many, len(few)):
                    ious = [(a & b).sum() / (a | b).sum() for a, b in zip(few, chosen, strict=True)]
                    best = max(best, sum(iou > threshold for iou in ious))
                hits += best
            values.append(hits / (len(prediction) + len(target) - hits))
        images.append(np.mean(values))
    return float(np.mean(images)) if images else None


def random_case(
    rng: np.random.Generator, size: tuple[int, int] = (24, 30), kept_share: float = 0.6
) -> tuple[Detections, Detections]:
    """Blobs, and the same moved, cut and renamed a little; neither overlaps itself."""
    from scipy import ndimage

    numbers, count = ndimage.label(ndimage.gaussian_filter(rng.standard_normal(size), 2) > 0.05)
    count = min(count, 5)
    masks = [numbers == n for n in range(1, count + 1)]
    labels = rng.integers(0, 2, count).tolist()
    moved = np.roll(numbers, rng.integers(-1, 2, 2), (0, 1))
    others = [(moved == n) & (rng.random(size) < rng.choice([1, 0.9, kept_share])) for n in range(1, count + 1)]
    kept = [i for i, mask in enumerate(others) if mask.any() and rng.random() < 0.9]
    kinds = [labels[i] if rng.random() < 0.9 else 1 - labels[i] for i in kept]
    found = objects([others[i] for i in kept], kinds, size, scores=rng.random(len(kept)).tolist())
    return found, objects(masks, labels, size)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 3))
def test_equals_brute_force(seed: int, images: int) -> None:
    rng = np.random.default_rng(seed)
    predictions, targets = map(list, zip(*(random_case(rng) for _ in range(images)), strict=True))
    found, expected = score(predictions, targets)["mean_precision"], brute(predictions, targets)
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected)


def pycocotools(predictions: list[Detections], targets: list[Detections]) -> np.ndarray:
    """[10,101,K]: precision with masks, area all, 100 detections."""
    from pycocotools import mask as coco_masks
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: dict = {"images": [], "categories": [{"id": 1}, {"id": 2}], "annotations": []}
    answers = []
    for n, (prediction, target) in enumerate(zip(predictions, targets, strict=True), 1):
        truth["images"].append({"id": n, "height": target.size[0], "width": target.size[1]})
        for value, entries in ((target, truth["annotations"]), (prediction, answers)):
            for i, mask in enumerate(value.masks):
                code = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
                entry = {"image_id": n, "category_id": int(value.labels[i]) + 1, "segmentation": code}
                own = {"score": float(value.scores[i])} if value.scores is not None else {}
                area = {"area": float(mask.sum()), "iscrowd": 0, "id": len(entries) + 1}
                entries.append({**entry, **own, **area})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(answers), "segm")
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][..., 0, -1]


def test_average_precision_equals_pycocotools() -> None:
    rng = np.random.default_rng(3)
    predictions, targets = map(list, zip(*(random_case(rng, (60, 80), 0.97) for _ in range(12)), strict=True))
    found, expected = score(predictions, targets), pycocotools(predictions, targets)
    assert found["map"] == pytest.approx(expected[expected > -1].mean())
    assert found["map50"] == pytest.approx(expected[0][expected[0] > -1].mean())
    assert found["map75"] == pytest.approx(expected[5][expected[5] > -1].mean())
    assert 0.05 < found["map"] < 0.95


def test_more_than_a_hundred_objects_are_all_looked_at() -> None:
    parts = row(*((2 * i, 2 * i + 1) for i in range(150)), length=300)
    true = objects(parts, [0] * 150, (1, 300))
    found = objects(parts, [0] * 150, (1, 300), scores=np.linspace(0.2, 0.9, 150).tolist())
    assert score([found], [true])["map"] == pytest.approx(1)


def test_wrong_input() -> None:
    metric = ObjectMetric(NAMES)
    one = objects(row((0, 3)), [0], (1, 100))
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([one], [])
    with pytest.raises(ShapeError, match="boxes alone"):
        metric.update([one], [Detections(NAMES, one.boxes, one.labels, one.size)])
    with pytest.raises(ShapeError, match="1x50"):
        metric.update([one], [objects(row((0, 3), length=50), [0], (1, 50))])
    with pytest.raises(ShapeError, match="1 classes"):
        metric.update([one], [objects(row((0, 3)), [0], (1, 100), names=("a",))])
    assert metric.compute()["counts"]["images"] == 0

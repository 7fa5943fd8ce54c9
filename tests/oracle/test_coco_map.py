"""COCO's scores against pycocotools, on random data with crowds, empty images and wrong classes."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from visus.metrics.detection import DetectionMetric, coco_scores
from visus.structures import Detections

NAMES = tuple("abcdef")


def random_images(seed: int, count: int) -> tuple[list[Detections], list[Detections]]:
    rng = np.random.default_rng(seed)
    predictions, targets = [], []
    for _ in range(count):
        objects, answers = int(rng.integers(0, 12)), int(rng.integers(0, 40))
        corners = rng.uniform(0, 300, (objects, 2))
        places = np.concatenate([corners, corners + rng.uniform(6, 200, (objects, 2))], 1)
        labels = rng.integers(0, 5, objects)  # the last class has no object
        ignored = rng.random(objects) < 0.15
        targets.append(Detections(NAMES, places.astype(np.float32), labels, (512, 512), ignored=ignored))
        if objects:
            source = rng.integers(0, objects, answers)
            guess = places[source] + rng.normal(0, 8, (answers, 4))
            guess[:, 2:] = np.maximum(guess[:, 2:], guess[:, :2] + 2)
            kinds = np.where(rng.random(answers) < 0.8, labels[source], rng.integers(0, 6, answers))
        else:
            guess = np.tile([5.0, 5, 50, 50], (answers, 1)) + rng.uniform(0, 50, (answers, 1))
            kinds = rng.integers(0, 6, answers)
        scores = rng.random(answers).astype(np.float32)
        predictions.append(Detections(NAMES, guess.astype(np.float32), kinds, (512, 512), scores=scores))
    return predictions, targets


def oracle(predictions: list[Detections], targets: list[Detections]) -> COCOeval:
    from pycocotools.coco import COCO

    annotations, answers = [], []
    for n, (prediction, target) in enumerate(zip(predictions, targets, strict=True), 1):
        for i in range(len(target)):
            x1, y1, x2, y2 = map(float, target.boxes[i])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": n,
                    "category_id": int(target.labels[i]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(target.ignored[i]),
                }
            )
        for i in range(len(prediction)):
            x1, y1, x2, y2 = map(float, prediction.boxes[i])
            answers.append(
                {
                    "image_id": n,
                    "category_id": int(prediction.labels[i]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": float(prediction.scores[i]),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": n + 1, "height": 512, "width": 512} for n in range(len(targets))],
            "categories": [{"id": k + 1} for k in range(len(NAMES))],
            "annotations": annotations,
        }
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_pycocotools(seed: int) -> None:
    predictions, targets = random_images(seed, 40)
    expected = oracle(predictions, targets)
    found = coco_scores(predictions, targets, len(NAMES))
    np.testing.assert_allclose(found.precision, expected.eval["precision"], atol=1e-6)
    np.testing.assert_allclose(found.recall, expected.eval["recall"], atol=1e-6)

    metric = DetectionMetric(NAMES)
    metric.update(predictions, targets)
    scores = metric.compute()
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    np.testing.assert_allclose([scores[name] for name in names], expected.stats[:6], atol=1e-6)
    names = ("recall_at_1", "recall_at_10", "recall", "recall_small", "recall_medium", "recall_large")
    np.testing.assert_allclose([scores[name] for name in names], expected.stats[6:], atol=1e-6)
    assert scores["errors"]["map"] == pytest.approx(expected.stats[1], abs=1e-6)
    for k, row in enumerate(scores["per_class"]):
        values = expected.eval["precision"][:, :, k, 0, -1]
        assert row["ap"] == (pytest.approx(values.mean(), abs=1e-6) if values.max() > -1 else None)
    assert scores["per_class"][5]["ap"] is None
    assert 0.05 < scores["map"] < 0.95


def test_more_than_a_hundred_detections_of_a_class() -> None:
    predictions, targets = random_images(7, 3)
    many = predictions[0].select(np.tile(np.arange(len(predictions[0])), 12)[:300])
    predictions[0] = many
    expected = oracle(predictions, targets)
    found = coco_scores(predictions, targets, len(NAMES))
    np.testing.assert_allclose(found.precision, expected.eval["precision"], atol=1e-6)

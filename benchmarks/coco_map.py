"""COCO mAP: visus against pycocotools, in one run on the same detections.

Random images with as many objects, classes and detections as COCO's usually have. pycocotools gets its dictionaries for
nothing, and its time is that of index, loadRes, evaluate, accumulate and summarize; the time of visus runs from
``Detections`` to the scores, the making of dictionaries included. Rounds alternate; the median of the ratios counts.

    python benchmarks/coco_map.py [--images 100 1000] [--detections 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import statistics
import time
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from visus.metrics.coco import CocoScores
from visus.metrics.detection import DetectionMetric, coco_scores
from visus.structures import Detections

CLASSES = 80
NAMES = tuple(str(k) for k in range(CLASSES))
SIZE = (480, 640)


def make(images: int, detections: int, rng: np.random.Generator) -> tuple[list[Detections], list[Detections]]:
    """Makes predictions and targets: about 7 objects of at most 4 classes an image, most detections near an object."""
    predictions, targets = [], []
    for _ in range(images):
        count = int(rng.integers(0, 15))
        kinds = rng.integers(0, CLASSES, 4)
        corners = rng.uniform(0, 400, (count, 2))
        places = np.concatenate([corners, corners + rng.uniform(8, 200, (count, 2))], 1)
        labels = kinds[rng.integers(0, 4, count)]
        targets.append(Detections(NAMES, places.astype(np.float32), labels, SIZE))
        corners = rng.uniform(0, 400, (detections, 2))
        guess = np.concatenate([corners, corners + rng.uniform(8, 200, (detections, 2))], 1)
        answers = rng.integers(0, CLASSES, detections)
        if count:
            near = rng.random(detections) < 0.7
            source = rng.integers(0, count, detections)
            guess[near] = places[source[near]] + rng.normal(0, 10, (int(near.sum()), 4))
            guess[:, 2:] = np.maximum(guess[:, 2:], guess[:, :2] + 2)
            answers[near] = labels[source[near]]
        scores = rng.random(detections).astype(np.float32)
        predictions.append(Detections(NAMES, guess.astype(np.float32), answers, SIZE, scores=scores))
    return predictions, targets


def dictionaries(
    predictions: list[Detections], targets: list[Detections]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The targets and predictions as the dictionaries that pycocotools reads."""
    annotations: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    for n, (prediction, target) in enumerate(zip(predictions, targets, strict=True), 1):
        for box, label in zip(target.boxes.astype(float), target.labels, strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": n,
                    "category_id": int(label) + 1,
                    "bbox": [box[0], box[1], width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
        for box, label, score in zip(prediction.boxes.astype(float), prediction.labels, prediction.scores, strict=True):
            place = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            answers.append({"image_id": n, "category_id": int(label) + 1, "bbox": place, "score": float(score)})
    meta = {
        "images": [{"id": n + 1, "height": SIZE[0], "width": SIZE[1]} for n in range(len(targets))],
        "categories": [{"id": k + 1} for k in range(CLASSES)],
    }
    return {**meta, "annotations": annotations}, answers


def run_pycocotools(truth: dict[str, Any], answers: list[dict[str, Any]]) -> tuple[float, COCOeval]:
    """Seconds and scores."""
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        index = COCO()
        index.dataset = truth
        index.createIndex()
        run = COCOeval(index, index.loadRes(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
        return time.perf_counter() - start, run


def run_visus(predictions: list[Detections], targets: list[Detections]) -> tuple[float, CocoScores]:
    """Seconds and scores."""
    start = time.perf_counter()
    scores = coco_scores(predictions, targets, CLASSES)
    return time.perf_counter() - start, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--detections", type=int, default=100, help="of an image")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    run_visus(*make(2, 5, np.random.default_rng(1)))  # the library's import is not measured
    print("images  detections  pycocotools s  visus s  ratio  all of visus' metrics s  largest difference")
    for images in chosen.images:
        predictions, targets = make(images, chosen.detections, np.random.default_rng(0))
        truth, answers = dictionaries(predictions, targets)
        theirs, ours = [], []
        for _ in range(chosen.rounds):
            fresh = copy.deepcopy(answers)  # loadRes writes into them
            seconds, expected = run_pycocotools(truth, fresh)
            theirs.append(seconds)
            seconds, scores = run_visus(predictions, targets)
            ours.append(seconds)
        difference = float(np.abs(scores.precision - expected.eval["precision"][..., -1]).max())
        if difference > 1e-4:
            raise SystemExit(f"the scores differ by {difference}")
        start = time.perf_counter()
        metric = DetectionMetric(NAMES)
        metric.update(predictions, targets)
        metric.compute()
        everything = time.perf_counter() - start
        ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
        print(
            f"{images:6}  {images * chosen.detections:10}  {statistics.median(theirs):13.2f}  "
            f"{statistics.median(ours):7.2f}  {ratio:5.1f}  {everything:23.2f}  {difference:.1e}"
        )


if __name__ == "__main__":
    main()

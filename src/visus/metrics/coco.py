"""COCO's evaluation of boxes and masks, by faster-coco-eval, a C++ form of pycocotools that gives its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from visus.structures import Detections
from visus.structures.outlines import window_runs

COCO_MOST = 100
"""COCO looks at so many detections a class and image, the surest."""


@dataclass(frozen=True, slots=True)
class CocoScores:
    """COCO's tables of precision and recall; -1 marks classes without objects.

    Args:
        precision: [10,101,K,4,3]: IoU 0.50 ... 0.95; recall 0 ... 1; class; area all, small, medium, large; at most 1,
            10 or 100 detections a class and image (100 or all of them, for counted objects).
        recall: [10,K,4,3]: the highest recall.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    @classmethod
    def of_nothing(cls, classes: int) -> CocoScores:
        """The tables of no image. classes: K."""
        return cls(np.full((10, 101, classes, 4, 3), -1.0), np.full((10, classes, 4, 3), -1.0))

    def average(
        self, *, iou: int | None = None, area: int = 0, label: int | None = None, most: int = 2
    ) -> float | None:
        """Average precision; None if undefined. Arguments are indices into the tables; None means the mean over all."""
        table = self.precision[..., area, most]
        table = table if iou is None else table[iou]
        return _mean(table if label is None else table[..., label])

    def average_recall(self, *, area: int = 0, most: int = 2) -> float | None:
        """The mean over IoU thresholds and classes of the highest recall. area, most: indices into the table."""
        return _mean(self.recall[..., area, most])

    def curve(self, label: int) -> list[float] | None:
        """The precision at recall 0, 0.01 ... 1 and IoU 0.5; None for a class without objects."""
        values = self.precision[0, :, label, 0, 2]
        return [round(float(v), 4) for v in values] if values[0] > -1 else None


def evaluate_coco(
    sizes: Sequence[tuple[int, int]],
    targets: Sequence[dict[str, Any]],
    predictions: Sequence[dict[str, Any]],
    classes: int,
    kind: Literal["bbox", "segm"],
    most: int = COCO_MOST,
) -> CocoScores:
    """Runs COCO's evaluation on annotations; it changes none of them.

    Args:
        sizes: (height, width) of each image; image ids are places here, from 1 on.
        targets, predictions: as :func:`object_annotations` gives them.
        classes: K.
        kind: whether boxes or masks are compared.
        most: detections a class and image that count.
    """
    if not sizes:
        return CocoScores.of_nothing(classes)
    from faster_coco_eval import COCO, COCOeval_faster

    meta = {
        "images": [{"id": n, "height": size[0], "width": size[1]} for n, size in enumerate(sizes, 1)],
        "categories": [{"id": k + 1} for k in range(classes)],
    }
    coco_targets, coco_predictions = COCO(), COCO()
    coco_targets.dataset = {**meta, "annotations": [dict(entry) for entry in targets]}
    coco_predictions.dataset = {**meta, "annotations": [dict(entry) for entry in predictions]}
    coco_targets.createIndex()
    coco_predictions.createIndex()
    run = COCOeval_faster(coco_targets, coco_predictions, kind, print_function=_silent)
    run.params.maxDets = [1, 10, max(most, 1)]
    run.evaluate()
    run.accumulate()
    return CocoScores(np.asarray(run.eval["precision"]), np.asarray(run.eval["recall"]))


def object_annotations(
    value: Detections, image: int, start: int, areas: NDArray[np.float64] | None = None, *, outlined: bool = False
) -> list[dict[str, Any]]:
    """The objects of one image as COCO's annotations; ignored ones are crowds.

    Args:
        value: the objects.
        image: the image's id.
        start: how many annotations there are before these.
        areas: [N] of the objects; None: those of their masks, else of their boxes.
        outlined: whether the run-length codes of the masks are wanted too.
    """
    if not len(value):
        return []
    boxes = value.boxes.astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = object_areas(value) if areas is None else areas
    crowds = np.zeros(len(value), np.int64) if value.ignored is None else value.ignored.astype(np.int64)
    scores = np.ones(len(value)) if value.scores is None else value.scores.astype(np.float64)
    columns = (
        np.concatenate([boxes[:, :2], sides], axis=1).tolist(),
        (value.labels + 1).tolist(),
        areas.tolist(),
        crowds.tolist(),
        scores.tolist(),
    )
    entries: list[dict[str, Any]] = [
        {
            "id": start + number,
            "image_id": image,
            "bbox": box,
            "category_id": label,
            "area": area,
            "iscrowd": crowd,
            "score": score,
        }
        for number, (box, label, area, crowd, score) in enumerate(zip(*columns, strict=True), 1)
    ]
    if outlined:
        for entry, code in zip(entries, run_length_codes(value), strict=True):
            entry["segmentation"] = code
    return entries


def object_areas(value: Detections) -> NDArray[np.float64]:
    """[N] pixels: of the masks, or of the boxes where there are none."""
    if value.masks is None:
        return np.asarray((value.boxes[:, 2:] - value.boxes[:, :2]).astype(np.float64).prod(axis=1))
    return value.masks.areas().astype(np.float64)


def run_length_codes(value: Detections) -> list[Any]:
    """COCO's compressed run-length code of each mask; empty without masks."""
    from faster_coco_eval.core import mask as coco_masks

    if value.masks is None:
        return []
    height, width = value.size
    codes = []
    for i in range(len(value)):
        window, mask = value.masks.pasted(i)
        runs = window_runs(window, mask, value.size)
        codes.append(coco_masks.frPyObjects({"size": [height, width], "counts": runs}, height, width))
    return codes


def _silent(*_: object) -> None:
    """Receives the progress messages of faster-coco-eval, and drops them."""


def _mean(values: NDArray[np.float64]) -> float | None:
    values = values[values > -1]
    return float(values.mean()) if values.size else None

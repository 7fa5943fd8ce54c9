"""Scores of objects with masks: against pycocotools, whole masks and hand-made cases."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.metrics.instances import COUNTED_SCORE, InstanceMetric, counting_score
from visus.structures import Detections, Masks
from visus.structures.outlines import window_runs

NAMES = ("a", "b", "never")
SIZE = (160, 200)


def ellipses(places: np.ndarray) -> Masks:
    """Masks of ellipses (x, y, half width, half height)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    planes = (((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 < 1 for x, y, a, b in places.tolist())
    return Masks.from_planes(planes, SIZE)


def random_image(random: np.random.Generator, count: int = 14) -> tuple[Detections, Detections]:
    """Objects of all of COCO's sizes, a crowd among them; and answers that are nearly right, wrong, or double."""
    places = np.stack(
        [random.uniform(20, 180, count), random.uniform(20, 140, count), *np.exp(random.uniform(1.5, 4, (2, count)))],
        axis=1,
    )
    labels = random.integers(0, 2, count)
    masks = ellipses(places)
    ignored = np.arange(count) == 3
    target = Detections(NAMES, masks.extents().astype(np.float32), labels, SIZE, masks=masks, ignored=ignored)
    again = np.concatenate([places, places[: count // 2], places[:4] + np.asarray([30, 20, 0, 0])])
    again += random.normal(0, 1, again.shape) * again[:, 2:].mean(axis=1, keepdims=True) * random.uniform(0, 0.15)
    again[:, 2:] = np.maximum(again[:, 2:], 2)
    found = ellipses(again)
    kinds = np.concatenate([labels, labels[: count // 2], labels[:4]])
    kinds = np.where(random.random(len(kinds)) < 0.1, 1 - kinds, kinds)
    scores = (random.integers(1, 20, len(kinds)) / 20).astype(np.float32)  # equal scores, too
    return Detections(NAMES, found.extents().astype(np.float32), kinds, SIZE, scores=scores, masks=found), target


def oracle(predictions: list[Detections], targets: list[Detections], kind: str) -> np.ndarray:
    """pycocotools' twelve figures."""
    from pycocotools import mask as coco_masks
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: dict = {"images": [], "categories": [{"id": k + 1} for k in range(len(NAMES))], "annotations": []}
    answers: list[dict] = []
    for n, (prediction, target) in enumerate(zip(predictions, targets, strict=True), 1):
        truth["images"].append({"id": n, "height": SIZE[0], "width": SIZE[1]})
        for value, entries in ((target, truth["annotations"]), (prediction, answers)):
            for i, mask in enumerate(value.masks):
                x1, y1, x2, y2 = map(float, value.boxes[i])
                entry = {
                    "image_id": n,
                    "category_id": int(value.labels[i]) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": coco_masks.encode(np.asfortranarray(mask.astype(np.uint8))),
                }
                if value.scores is None:
                    crowd = int(value.ignored is not None and value.ignored[i])
                    entry |= {"area": float(mask.sum()), "iscrowd": crowd, "id": len(entries) + 1}
                else:
                    entry["score"] = float(value.scores[i])
                entries.append(entry)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        if kind == "bbox":  # loadRes would take the boxes for the areas' sake, and keep the masks
            answers = [{key: value for key, value in entry.items() if key != "segmentation"} for entry in answers]
        else:
            answers = [{key: value for key, value in entry.items() if key != "bbox"} for entry in answers]
        run = COCOeval(coco, coco.loadRes(answers), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def test_equals_pycocotools_in_masks_and_boxes() -> None:
    random = np.random.default_rng(0)
    predictions, targets = map(list, zip(*(random_image(random) for _ in range(8)), strict=True))
    metric = InstanceMetric(NAMES)
    for prediction, target in zip(predictions, targets, strict=True):
        metric.update([prediction], [target])
    scores = metric.compute()
    json.dumps(scores)
    masks, boxes = (oracle(predictions, targets, kind) for kind in ("segm", "bbox"))
    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    for prefix, expected in (("mask_", masks), ("", boxes)):
        found = [scores[f"{prefix}{name}"] for name in names]
        np.testing.assert_allclose([-1 if score is None else score for score in found], expected[:6], atol=1e-6)
    assert scores["mask_recall"] == pytest.approx(masks[8], abs=1e-6)
    assert 0.05 < scores["mask_map"] < 0.95
    assert scores["per_class"][2]["mask_ap50"] is None
    known = [row["mask_ap50"] for row in scores["per_class"][:2]]
    assert np.mean(known) == pytest.approx(scores["mask_map50"])


def test_the_order_of_images_does_not_matter_and_masks_are_not_kept() -> None:
    random = np.random.default_rng(4)
    images = [random_image(random) for _ in range(3)]
    for prediction, _ in images:  # equally sure answers would be taken in the order of the images
        prediction.scores[:] = random.random(len(prediction))
    results = []
    for order in (images, images[::-1]):
        metric = InstanceMetric(NAMES)
        for prediction, target in order:
            metric.update([prediction], [target])
        results.append(metric.compute())
        held = [value.masks for part in (metric._boxes._predictions, metric._boxes._targets) for value in part]
        assert held == [None] * 6
    assert results[0]["mask_map50"] == pytest.approx(results[1]["mask_map50"], abs=1e-9)
    assert results[0]["boundary_iou"] == pytest.approx(results[1]["boundary_iou"])


def test_soft_crops_score_as_the_pixels_that_they_paste() -> None:
    random = np.random.default_rng(5)
    prediction, target = random_image(random)
    crops = tuple(random.random((12, 12)).astype(np.float32).cumsum(0) / 8 for _ in range(len(prediction)))
    soft = Masks(crops, prediction.boxes.astype(np.float64), SIZE)
    results = []
    for masks in (soft, Masks.from_full(soft.full())):
        value = Detections(NAMES, prediction.boxes, prediction.labels, SIZE, scores=prediction.scores, masks=masks)
        metric = InstanceMetric(NAMES)
        metric.update([value], [target])
        results.append(metric.compute())
    assert results[0] == results[1]


def squares(places: list[tuple[int, int, int]], scores: list[float] | None = None) -> Detections:
    """Squares (x, y, side) of class a."""
    planes = np.zeros((len(places), *SIZE), bool)
    for plane, (x, y, side) in zip(planes, places, strict=True):
        plane[y : y + side, x : x + side] = True
    masks = Masks.from_full(planes)
    kept = None if scores is None else np.asarray(scores, np.float32)
    boxes = masks.extents().astype(np.float32)
    return Detections(NAMES, boxes, np.zeros(len(places), np.int64), SIZE, scores=kept, masks=masks)


class TestCounting:
    def test_objects_count_from_a_score_on(self) -> None:
        true = squares([(0, 0, 10), (50, 0, 10), (100, 0, 10), (150, 0, 10)])
        found = squares([(0, 0, 10), (50, 0, 10), (100, 100, 10)], [0.9, 0.4, 0.2])
        for least, number in ((0.0, 3), (0.3, 2), (0.95, 0)):
            metric = InstanceMetric(NAMES, least_score=least)
            metric.update([found, squares([], [])], [true, squares([])])
            scores = metric.compute()
            assert scores["objects"]["counts"] == {"images": 2, "objects": 4, "found": number}
            assert scores["relative_count_error"] == abs(4 - number) / 4
            assert scores["objects"]["count_error"] == abs(4 - number) / 2
            assert scores["objects"]["least_score"] == least
            assert scores["mask_map50"] == pytest.approx(51 / 101)  # of all answers, whatever their score

    def test_the_score_with_the_smallest_error_is_chosen(self) -> None:
        scores = [[0.9, 0.8, 0.33, 0.1], [0.7, 0.2, 0.1], [0.04]]
        assert counting_score(scores, [3, 1, 0]) == 0.3  # the nearest to the middle of those without an error
        assert counting_score([[0.01], []], [1, 2]) == COUNTED_SCORE  # all are as wrong
        assert counting_score([], []) == COUNTED_SCORE


class TestBoundary:
    def test_the_same_mask_has_the_same_boundary(self) -> None:
        metric = InstanceMetric(NAMES)
        metric.update([squares([(20, 20, 90)], [0.9])], [squares([(20, 20, 90)])])
        assert metric.compute()["boundary_iou"] == 1

    def test_by_hand(self) -> None:
        """A square of 90 and one of 88 in it: d is 5 pixels of a diagonal of 256."""
        metric = InstanceMetric(NAMES)
        metric.update([squares([(21, 21, 88)], [0.9])], [squares([(20, 20, 90)])])
        ring, inner = 90**2 - 80**2, 88**2 - 78**2
        shared = 88**2 - 80**2
        assert metric.compute()["boundary_iou"] == pytest.approx(shared / (ring + inner - shared))

    def test_equals_the_authors_form_on_whole_masks(self) -> None:
        from faster_coco_eval.core import mask as coco_masks

        from visus.metrics.boundary import boundary_iou

        random = np.random.default_rng(8)
        for _ in range(10):
            one, other = random_image(random)
            codes = [
                [coco_masks.rleToBoundary(coco_masks.encode(np.asfortranarray(m.astype(np.uint8))), backend="opencv")
                 for m in value.masks]
                for value in (one, other)
            ]  # fmt: skip
            expected = np.asarray(coco_masks.iou(codes[0][:4], codes[1][:4], [0] * 4))
            for i in range(4):
                for j in range(4):
                    found = boundary_iou(one.masks.pasted(i), other.masks.pasted(j), SIZE)
                    assert found == pytest.approx(expected[i, j], abs=1e-9)


def test_wrong_input() -> None:
    metric = InstanceMetric(NAMES)
    one = squares([(0, 0, 5)], [0.5])
    with pytest.raises(ShapeError, match="boxes alone"):
        metric.update([one], [one.without_masks()])
    with pytest.raises(ShapeError, match="scored predictions"):
        metric.update([squares([(0, 0, 5)])], [one])
    with pytest.raises(ShapeError, match="one prediction"):
        metric.update([one], [])
    assert InstanceMetric(NAMES).compute()["mask_map50"] is None


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_of_a_window_are_those_of_the_whole_mask(seed: int) -> None:
    from faster_coco_eval.core import mask as coco_masks

    random = np.random.default_rng(seed)
    size = (int(random.integers(1, 8)), int(random.integers(1, 8)))
    whole = random.random(size) < random.choice([0.0, 0.2, 0.8, 1.0])
    masks = Masks.from_full(whole[None])
    for window, mask in (masks.pasted(0), ((slice(0, size[0]), slice(0, size[1])), whole)):
        code = coco_masks.frPyObjects({"size": list(size), "counts": window_runs(window, mask, size)}, *size)
        assert code == coco_masks.encode(np.asfortranarray(whole.astype(np.uint8)))


def test_a_thousand_objects_of_an_image() -> None:
    """More than COCO's hundred are looked at, of masks and of boxes, and the picture of errors counts them all."""
    from visus.report.outline_mistakes import draw_outline_mistakes

    places = [(6 * (i % 33), 5 * (i // 33), 4) for i in range(1000)]
    true, found = squares(places), squares(places, np.linspace(0.1, 1, 1000).tolist())
    metric = InstanceMetric(NAMES)
    metric.update([found], [true])
    scores = metric.compute()
    assert scores["mask_map"] == scores["map"] == pytest.approx(1)
    assert scores["errors"]["kinds"]["missed"]["count"] == 0
    picture = draw_outline_mistakes(found, true, np.zeros((3, *SIZE), np.uint8))
    assert picture.width >= SIZE[1]

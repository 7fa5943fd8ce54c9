"""The task of instance segmentation: what it refuses, how it counts, and what it keeps of the validation images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from visus.errors import RecipeError, ShapeError, WeightsError
from visus.structures import Batch, Detections, Masks, Placement
from visus.tasks.instance_segmentation import SCORE, InstanceSegmentation
from visus.tasks.options import LossOptions

SIZE = (20, 30)


def found(*scores: float, masks: bool = True) -> Detections:
    """Squares side by side."""
    count = len(scores)
    planes = np.zeros((count, *SIZE), bool)
    for i, plane in enumerate(planes):
        plane[2:8, 5 * i : 5 * i + 4] = True
    held = Masks.from_full(planes)
    boxes = held.extents().astype(np.float32)
    return Detections(
        ("0",),
        boxes,
        np.zeros(count, np.int64),
        SIZE,
        scores=np.asarray(scores, np.float32),
        masks=held if masks else None,
    )


def truth(count: int, ignored: int = 0) -> Detections:
    value = found(*([1.0] * count))
    marks = np.arange(count) < ignored
    return Detections(("cell",), value.boxes, value.labels, SIZE, masks=value.masks, ignored=marks if ignored else None)


class Answering(nn.Module):
    """A network whose codec answers with the same values, whatever it sees."""

    def __init__(self, *values: Detections) -> None:
        super().__init__()
        self.values = values
        self.codec: Any = self

    def answers(self, _network: nn.Module, _batch: Batch) -> list[Detections]:
        return list(self.values)


def batch(count: int) -> Batch:
    return Batch(torch.zeros(count, 3, *SIZE), None, [Placement.identity(SIZE)] * count, [str(i) for i in range(count)])


def test_answers_must_have_masks_and_get_the_names_of_the_classes() -> None:
    task = InstanceSegmentation(("cell",))
    (value,) = task.predict(Answering(found(0.9, 0.2)), batch(1))
    assert (value.classes, value.words()) == (("cell",), "2 cell")
    task.predict(Answering(Detections.empty(("0",), SIZE, scored=True)), batch(1))  # no object needs no mask
    with pytest.raises(ShapeError, match="answers without masks"):
        task.predict(Answering(found(0.9, masks=False)), batch(1))


def test_the_least_score_is_chosen_where_numbers_are_right_and_kept() -> None:
    task = InstanceSegmentation(("cell",))
    judged = [(found(0.9, 0.8, 0.3), truth(2)), (found(0.7, 0.35), truth(2, ignored=1))]
    settings = task.choose_settings(iter(judged))
    assert set(settings) == {SCORE}
    assert 0.35 < settings[SCORE] <= 0.7
    kept = task.with_settings(settings)
    assert kept.counted_from == kept.metrics().least_score == settings[SCORE]
    assert task.choose_settings(iter([])) == {}
    assert task.with_settings({}).counted_from == 0.5


@pytest.mark.parametrize("value", ["high", None, True, -1, 2, float("nan"), [0.5]])
def test_a_setting_of_a_model_file_that_is_no_score(value: Any) -> None:
    with pytest.raises(WeightsError, match=SCORE):
        InstanceSegmentation(("cell",)).with_settings({SCORE: value})


def test_marked_objects_are_no_choice_of_the_loss() -> None:
    """They may be boxes alone, and no mask is made of a box."""
    with pytest.raises(RecipeError, match="marked"):
        InstanceSegmentation(("cell",), LossOptions(marked="learned"))


def test_the_quality_of_an_image_is_that_of_its_masks() -> None:
    task = InstanceSegmentation(("cell",))
    good = found(0.9, 0.8)
    bad = Detections(
        ("cell",), good.boxes, good.labels, SIZE, scores=good.scores,
        masks=Masks.from_full(np.roll(good.masks.full(), 8, axis=1)),
    )  # fmt: skip # boxes are right, masks are not
    assert task.image_quality(good, truth(2)) == pytest.approx(1)
    assert task.image_quality(bad, truth(2)) == 0
    assert task.image_quality(good, truth(0)) == 1  # nothing to find allows no score

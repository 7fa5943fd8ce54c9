"""Every kind of answer through the battery of ``visus.testing``, and broken ones that it must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from visus.structures import VALUES, Detections, Label, LabelSet, Landmarks, MultiLabelMap, SegmentationMap
from visus.structures.outlines import Piece
from visus.testing import VALUE_CHECKS, ConformanceError, ValueCase, check_value
from visus.testing.values import (
    IMAGE_SIZE,
    counts_its_classes,
    is_examined_with_its_image,
    is_located_if_it_moves,
    loses_only_masks,
    outlines_lie_in_the_image,
)

CLASSES = ("background", "cell", "crystal")
HEIGHT, WIDTH = IMAGE_SIZE


def label() -> ValueCase:
    scores = np.asarray([0.2, 0.7, 0.1], np.float32)
    return ValueCase(Label(CLASSES, 2), Label(CLASSES, 1, scores))


def label_set() -> ValueCase:
    present, ignored = np.asarray([False, True, True]), np.asarray([True, False, False])
    scores = np.asarray([0.2, 0.7, 0.3], np.float32)
    thresholds = np.asarray([0.5, 0.6, 0.25], np.float32)
    return ValueCase(LabelSet(CLASSES, present, ignored=ignored), LabelSet.of_scores(CLASSES, scores, thresholds))


def no_labels() -> ValueCase:
    limits = np.full(3, 0.5, np.float32)
    return ValueCase(LabelSet(CLASSES, np.zeros(3, bool)), LabelSet.of_scores(CLASSES, limits / 2, limits))


def landmarks() -> ValueCase:
    names = ("nose", "left_eye", "right_eye")
    points = np.asarray([[30.5, 20.25], [20, 12], [44, 12]], np.float32)
    visible = np.asarray([True, True, False])
    target = Landmarks(names, points, visible, IMAGE_SIZE)
    shown = np.ones(3, bool)
    scores = np.asarray([0.9, 0.8, 0.6], np.float32)
    return ValueCase(target, Landmarks(names, points + 1, shown, IMAGE_SIZE, scores=scores))


def detections() -> ValueCase:
    boxes = np.asarray([[4, 5, 24, 30], [30, 10, 60, 40]], np.float32)
    labels = np.asarray([1, 2])
    scores = np.asarray([0.9, 0.4], np.float32)
    return ValueCase(
        Detections(CLASSES, boxes, labels, IMAGE_SIZE),
        Detections(CLASSES, boxes + 1, labels, IMAGE_SIZE, scores=scores),
    )


def outlined_detections() -> ValueCase:
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 5:30, 4:24] = True
    masks[1, 10:40, 30:60] = np.tri(30, dtype=bool)
    case = detections()
    case.target = replace(case.target, masks=masks)
    case.prediction = replace(case.prediction, masks=masks)
    return case


def no_detections() -> ValueCase:
    return ValueCase(Detections.empty(CLASSES, IMAGE_SIZE), Detections.empty(CLASSES, IMAGE_SIZE, scored=True))


def segmentation() -> ValueCase:
    ids = np.zeros(IMAGE_SIZE, np.uint8)
    ids[10:30, 12:40] = 1
    ids[20:40, 30:60] = 2
    guess = np.roll(ids, 3, axis=1)
    return ValueCase(
        SegmentationMap(CLASSES, ids), SegmentationMap(CLASSES, guess, np.full(IMAGE_SIZE, 0.75, np.float32))
    )


def multilabel() -> ValueCase:
    masks = np.zeros((3, HEIGHT, WIDTH), bool)
    masks[1, 10:30, 12:40] = True
    masks[2, 20:40, 30:60] = True
    ignored = np.zeros_like(masks)
    ignored[1, :4] = True
    scores = np.where(masks, 0.9, 0.1).astype(np.float32)
    return ValueCase(MultiLabelMap(CLASSES, masks, ignored=ignored), MultiLabelMap(CLASSES, masks, scores=scores))


CASES = (
    label,
    label_set,
    no_labels,
    landmarks,
    detections,
    outlined_detections,
    no_detections,
    segmentation,
    multilabel,
)


def test_every_kind_of_answer_is_here() -> None:
    assert {type(case().target) for case in CASES} == set(VALUES)


@pytest.mark.parametrize("check", VALUE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_value(case: Callable[[], ValueCase], check: Callable[[ValueCase], None]) -> None:
    check(case())


# --- the battery itself fails where it should


@dataclass(frozen=True, slots=True, eq=False)
class KeepsPixels(Label):
    """Decodes its image as soon as it is given."""

    def with_image(self, image: Any) -> Any:
        if image is not None:
            image.load()
        return replace(self, image=image)


@dataclass(frozen=True, slots=True, eq=False)
class ForgetsTheFile(Detections):
    """Comes home in the network's size."""

    def undo(self, placement: Any) -> Any:
        return self


@dataclass(frozen=True, slots=True, eq=False)
class SaysArrays(Label):
    """Puts an array where JSON goes."""

    def to_dict(self) -> dict[str, Any]:
        return {"scores": self.scores}


@dataclass(frozen=True, slots=True, eq=False)
class KeepsItsNames(Label):
    """Stays with the names that it was made with."""

    def named(self, classes: Any) -> Any:
        return self


def test_a_value_that_keeps_its_names_is_found() -> None:
    with pytest.raises(ConformanceError, match="new names"):
        check_value(KeepsItsNames(CLASSES, 1), KeepsItsNames(CLASSES, 1, np.full(3, 1 / 3, np.float32)))


def test_a_value_that_decodes_its_image_early_is_found() -> None:
    with pytest.raises(ConformanceError, match="decod"):
        check_value(KeepsPixels(CLASSES, 1), KeepsPixels(CLASSES, 1, np.full(3, 1 / 3, np.float32)))


def test_a_value_that_does_not_come_home_is_found() -> None:
    whole = detections()
    kinds = [
        ForgetsTheFile(v.classes, v.boxes, v.labels, v.size, scores=v.scores) for v in (whole.target, whole.prediction)
    ]
    with pytest.raises(ConformanceError, match="size is that of the file"):
        check_value(*kinds)


def test_a_value_that_is_not_plain_data_is_found() -> None:
    with pytest.raises((ConformanceError, TypeError)):
        check_value(SaysArrays(CLASSES, 1), SaysArrays(CLASSES, 1, np.full(3, 1 / 3, np.float32)))


def detections_of(kind: type[Detections]) -> ValueCase:
    """The outlined detections as values of a broken kind."""
    case = outlined_detections()
    values = [kind(v.classes, v.boxes, v.labels, v.size, scores=v.scores, masks=v.masks) for v in case.both]
    return ValueCase(*values)


@dataclass(frozen=True, slots=True, eq=False)
class SaysItIsLocated(Label):
    """Is nowhere in the image, and says that it is somewhere."""

    located: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, eq=False)
class SaysItIsNowhere(Detections):
    """Moves with the image, and says that it does not."""

    located: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, eq=False)
class StaysWhereItWas(Detections):
    """Does not follow an augmentation of its image."""

    def moved(self, move: Any) -> Any:
        return self


@dataclass(frozen=True, slots=True, eq=False)
class FitsEveryImage(SegmentationMap):
    """Does not look at the size of its image."""

    def examined(self, size: Any, classes: Any) -> Any:
        return SegmentationMap(self.classes, self.map).examined(self.size, classes)


@dataclass(frozen=True, slots=True, eq=False)
class OutlinesBeside(Detections):
    """Puts its pieces a window to the right of its objects."""

    def outlined(self) -> Any:
        pieces = Detections(self.classes, self.boxes, self.labels, self.size, masks=self.masks).outlined() or ()
        for piece in pieces:
            yield replace(piece, corner=(piece.corner[0] + piece.mask.shape[1], piece.corner[1]))


@dataclass(frozen=True, slots=True, eq=False)
class OutlinesNothing(Detections):
    """Gives pieces without a pixel."""

    def outlined(self) -> Any:
        yield Piece(0, (0, 0), np.zeros((3, 3), bool), None)


@dataclass(frozen=True, slots=True, eq=False)
class LosesScores(Detections):
    """Loses its scores with its masks."""

    def without_masks(self) -> Any:
        return replace(self, masks=None, scores=None)


@dataclass(frozen=True, slots=True, eq=False)
class LosesObjects(Detections):
    """Loses its last object with its masks."""

    def without_masks(self) -> Any:
        return replace(self, masks=None).select(np.arange(len(self) - 1))


@dataclass(frozen=True, slots=True, eq=False)
class AmountsOfAnotherClass(Detections):
    """Has amounts of a class that it does not count."""

    def class_amounts(self) -> Any:
        return np.roll(self.class_counts(), 1).astype(float)


def label_of(kind: type[Label]) -> ValueCase:
    return ValueCase(kind(CLASSES, 2), kind(CLASSES, 1, np.asarray([0.2, 0.7, 0.1], np.float32)))


def map_of(kind: type[SegmentationMap]) -> ValueCase:
    return ValueCase(*(kind(v.classes, v.map, v.scores) for v in segmentation().both))


@pytest.mark.parametrize(
    ("case", "check", "rule"),
    [
        (label_of(SaysItIsLocated), is_located_if_it_moves, "located = True"),
        (detections_of(SaysItIsNowhere), is_located_if_it_moves, "located = False"),
        (detections_of(StaysWhereItWas), is_located_if_it_moves, "moved changes a value that is located"),
        (map_of(FitsEveryImage), is_examined_with_its_image, "of another size than its image"),
        (detections_of(OutlinesBeside), outlines_lie_in_the_image, "lies in the image"),
        (detections_of(OutlinesNothing), outlines_lie_in_the_image, "has pixels"),
        (detections_of(LosesScores), loses_only_masks, "a change in scores"),
        (detections_of(LosesObjects), loses_only_masks, "a change in boxes, labels"),
        (detections_of(AmountsOfAnotherClass), counts_its_classes, "above 0 for the same classes"),
    ],
    ids=lambda item: type(item.target).__name__ if isinstance(item, ValueCase) else "",
)
def test_a_value_that_breaks_a_rule_is_found(case: ValueCase, check: Callable[[ValueCase], None], rule: str) -> None:
    """The check that the rule belongs to finds the value, and so does the whole battery."""
    with pytest.raises(ConformanceError, match=rule):
        check(case)
    with pytest.raises(ConformanceError):
        check_value(case.target, case.prediction)

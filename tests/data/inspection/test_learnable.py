"""Only data with something to learn in train and something to find in val are ready to train."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from visus.data.dataset import Dataset
from visus.data.inspection.checks import check
from visus.data.pixels.images import ArrayImage
from visus.structures import IGNORE, Detections, Sample, SegmentationMap, Value

SIZE = (8, 10)


def image(number: int) -> ArrayImage:
    return ArrayImage(np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8))


def boxes(*ignored: bool) -> Detections:
    count = len(ignored)
    return Detections(
        ("cell",),
        np.tile(np.asarray([1, 1, 5, 5], np.float32), (count, 1)),
        np.zeros(count, np.int64),
        SIZE,
        ignored=np.asarray(ignored, bool),
    )


def pixels(value: int, *, of: int = 4) -> SegmentationMap:
    """A map with ``of`` pixels of a value, the others background."""
    values = np.zeros(SIZE, np.uint8)
    values.ravel()[:of] = value
    return SegmentationMap(("background", "cell"), values)


def kinds(task: str, classes: tuple[str, ...], train: Sequence[Value], val: Sequence[Value]) -> dict[str, str]:
    splits = {
        split: [Sample(f"{split}{k}", image(k + first), {task: target}) for k, target in enumerate(part)]
        for split, part, first in (("train", train, 0), ("val", val, 100))
    }
    data = Dataset("made", "made", None, {task: classes}, splits)
    return {finding.kind: finding.severity for finding in check(data) if finding.kind != "no-objects"}


def test_objects_to_learn_and_to_find_are_enough() -> None:
    assert kinds("detection", ("cell",), [boxes(False), boxes()], [boxes(False), boxes()]) == {}


@pytest.mark.parametrize("lost", [boxes(), boxes(True)], ids=["none", "crowd"])
def test_a_split_without_objects_that_count_is_a_stop(lost: Detections) -> None:
    full = boxes(False, False, False)
    assert kinds("detection", ("cell",), [lost, lost], [full])["nothing-to-learn"] == "stop"
    assert kinds("detection", ("cell",), [full, full], [lost])["nothing-to-find"] == "stop"


def test_the_share_of_ignored_objects_is_told() -> None:
    few = kinds("detection", ("cell",), [boxes(False, False, True)], [boxes(False)])
    assert few == {"ignored-objects": "note"}
    most = kinds("detection", ("cell",), [boxes(False, True, True, True)], [boxes(False)])
    assert most == {"ignored-objects": "stop"}


def test_maps_of_background_only_are_a_stop() -> None:
    names = ("background", "cell")
    assert kinds("segmentation", names, [pixels(1)], [pixels(1)]) == {}
    assert kinds("segmentation", names, [pixels(0)], [pixels(1)])["nothing-to-learn"] == "stop"
    assert kinds("segmentation", names, [pixels(1)], [pixels(0)])["nothing-to-find"] == "stop"
    told = kinds("segmentation", names, [pixels(IGNORE)], [pixels(1)])
    assert told["nothing-to-learn"] == "stop"
    assert told["ignored-pixels"] == "note"
    # Strokes on a map that is otherwise left open are a way to label.
    assert kinds("segmentation", names, [pixels(1), pixels(IGNORE, of=70)], [pixels(1)]) == {"ignored-pixels": "note"}


def test_images_whose_labels_are_all_ignored_are_a_stop() -> None:
    names, lost, kept = ("background", "cell"), pixels(IGNORE), pixels(1)
    assert kinds("segmentation", names, [kept, kept, lost], [kept]) == {"ignored-pixels": "note"}
    assert kinds("segmentation", names, [kept, kept, lost, lost], [kept]) == {"ignored-pixels": "stop"}
    assert kinds("segmentation", names, [kept], [kept, lost, lost])["ignored-pixels"] == "stop"
    assert kinds("segmentation", names, [kept, pixels(0), pixels(0)], [kept]) == {}

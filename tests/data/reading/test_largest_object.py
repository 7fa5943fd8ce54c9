"""One object an image: the largest that counts, said in a finding; data without boxes do not offer the task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visus.data.reading.largest_object import LargestObject, largest
from visus.data.reading.opening import open_data
from visus.errors import TaskMismatchError
from visus.structures import Detections


def found(*places: tuple, ignored: list[bool] | None = None) -> Detections:
    return Detections(
        ("a", "b"),
        np.asarray(places, np.float32).reshape(-1, 4),
        np.arange(len(places)) % 2,
        (50, 50),
        ignored=None if ignored is None else np.asarray(ignored),
    )


def test_the_largest_that_counts() -> None:
    small, large = (0, 0, 5, 5), (10, 10, 40, 20)
    assert largest(found(small, large)).labels.tolist() == [1]
    assert largest(found(small, large, ignored=[False, True])).labels.tolist() == [0]
    assert largest(found(small, large, ignored=[True, True])).labels.tolist() == [1]
    assert len(largest(found())) == 0


def test_a_source_is_read_when_it_is_needed() -> None:
    class Source:
        reads = 0

        def load(self) -> Detections:
            self.reads += 1
            return found((0, 0, 5, 5), (10, 10, 40, 20))

    source = Source()
    target = LargestObject(source)
    assert source.reads == 0
    assert target.load().boxes.tolist() == [[10, 10, 40, 20]]


def test_boxes_offer_the_task_and_say_what_they_leave_out(boxes: Path) -> None:
    dataset = open_data(boxes, task="localization")
    assert dataset.classes["localization"] == ("sun", "sea")
    targets = [sample.target("localization") for sample in dataset.split("train")]
    assert [len(target) for target in targets] == [1, 1, 0, 1, 1, 1, 1, 1]
    (finding,) = [item for item in dataset.findings if item.kind == "several-objects"]
    assert finding.count == 5  # images of two objects, in all splits
    whole = open_data(boxes)
    assert "localization" not in whole.tasks
    assert not [item for item in whole.findings if item.kind == "several-objects"]


def test_data_without_boxes(photos: Path) -> None:
    with pytest.raises(TaskMismatchError, match="do not allow localization"):
        open_data(photos, task="localization")

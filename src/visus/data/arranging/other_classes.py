"""Targets in other classes: the same labels under the ids that their names have elsewhere.

Letters: K classes of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.structures import Sample, Value
from visus.structures.sample import OutlinedSource, TargetSource, is_outlined_source, is_target_source
from visus.structures.values.detections import Detections


@dataclass(frozen=True, slots=True)
class MatchedTarget:
    """A target that is still to be read, in other classes.

    Args:
        source: of the target in the data's classes.
        classes: the others.
        ids: [K] the id that each class of the data has among them; -1: none.
    """

    source: TargetSource
    classes: tuple[str, ...]
    ids: NDArray[np.int64]

    def load(self) -> Any:
        """The target; raises DataError when it cannot be read."""
        return self.source.load().with_classes(self.classes, self.ids)


@dataclass(frozen=True, slots=True)
class MatchedOutlines(MatchedTarget):
    """Such a target, of detections that can be read without masks."""

    source: OutlinedSource

    def load_boxes(self) -> Detections:
        """The detections without masks; raises as :meth:`load`."""
        return self.source.load_boxes().with_classes(self.classes, self.ids)


def ids_among(names: tuple[str, ...], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """[K]: the place of each name among the classes; -1 where it is not there."""
    places = {name: place for place, name in enumerate(classes)}
    return np.asarray([places.get(name, -1) for name in names], np.int64)


def in_classes(sample: Sample, task: str, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Sample:
    """The sample with its target for a task in other classes; the same where it has none."""
    held = sample.targets.get(task)
    if held is None:
        return sample
    target: Value | TargetSource
    if is_outlined_source(held):
        target = MatchedOutlines(held, classes, ids)
    elif is_target_source(held):
        target = MatchedTarget(held, classes, ids)
    else:
        target = held.with_classes(classes, ids)
    return replace(sample, targets={**sample.targets, task: target})

"""One image with its targets, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from visus.errors import TaskMismatchError
from visus.structures.values.detections import Detections
from visus.structures.values.label import Label
from visus.structures.values.landmarks import Landmarks
from visus.structures.values.multilabel import MultiLabelMap
from visus.structures.values.segmentation import SegmentationMap

Target = Label | Landmarks | Detections | SegmentationMap | MultiLabelMap
"""The truth about an image; the same types hold predictions."""


class ImageSource(Protocol):
    """Where the pixels of an image come from: a file, or memory."""

    @property
    def path(self) -> Path | None:
        """The file, or None for an image in memory."""

    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, from the header where that is possible."""

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """[3,H,W] uint8 RGB, upright.

        With ``at_least`` = (height, width) the image may come scaled down by a whole power of two, as long as no side
        is shorter than asked; its shape then differs from :meth:`size`. Raises DataError when it cannot be read.
        """


class TargetSource(Protocol):
    """A target that is read when it is needed, such as a mask file."""

    def load(self) -> Target:
        """The target; raises DataError when it cannot be read."""


@runtime_checkable
class OutlinedSource(TargetSource, Protocol):
    """A source of detections whose masks take longer than all the rest, and can be left out."""

    def load_boxes(self) -> Detections:
        """The detections without masks; raises as :meth:`load`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it, for every task that its labels allow.

    Args:
        id: the name that people see: the path inside the data set, or a number.
        image: where its pixels come from; nothing is decoded before ``image.load()``.
        targets: from the name of a task to the target, or to the source that reads it. Empty for unlabelled images.
    """

    id: str
    image: ImageSource
    targets: Mapping[str, Target | TargetSource] = field(default_factory=dict)

    def target(self, task: str, *, masks: bool = True) -> Target:
        """The target for a task.

        Args:
            task: its name.
            masks: whether the masks of detections are wanted; drawing them can take longer than reading the image.

        Raises:
            TaskMismatchError: if this image has no target for the task.
            DataError: if the target's file cannot be read.
        """
        found = self.targets.get(task)
        if found is None:
            raise TaskMismatchError(
                f"{self.id} has no target for {task}", expected=" or ".join(self.targets) or "an unlabelled image"
            )
        if isinstance(found, Detections) and not masks:
            return replace(found, masks=None)
        if isinstance(found, Target):
            return found
        return found.load_boxes() if not masks and isinstance(found, OutlinedSource) else found.load()

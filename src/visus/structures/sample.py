"""One image with its targets, before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from visus.errors import DataError, TaskMismatchError, VisusError
from visus.structures.image_source import ImageSource
from visus.structures.proposals import Proposals, ProposalSource
from visus.structures.value import Value
from visus.structures.values.detections import Detections

if TYPE_CHECKING:
    from typing_extensions import TypeIs


class TargetSource(Protocol):
    """A target that is read when it is needed, such as a mask file."""

    def load(self) -> Any:
        """The target, a value of the task's kind; raises DataError when it cannot be read."""


class OutlinedSource(TargetSource, Protocol):
    """A source of detections that can be read without their masks, which take longest."""

    def load_boxes(self) -> Detections:
        """The detections without masks; raises as :meth:`load`."""


# By an attribute: ``isinstance`` of a protocol takes 10 us, which every image of every epoch would pay.
def is_target_source(held: Value | TargetSource) -> TypeIs[TargetSource]:
    """Whether a target is still to be read."""
    return hasattr(held, "load")


def is_outlined_source(held: Value | TargetSource) -> TypeIs[OutlinedSource]:
    """Whether a target is still to be read, and can be read without masks."""
    return hasattr(held, "load_boxes")


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it, for every task that its labels allow.

    Args:
        id: the name that people see: the path inside the data set, or a number.
        image: where its pixels come from; nothing is decoded before ``image.load()``.
        targets: from the name of a task to the target, or to the source that reads it. Empty for unlabelled images.
        proposals: regions that may hold objects, in file pixels, or the source that reads them; None: nobody gave any.
    """

    id: str
    image: ImageSource
    targets: Mapping[str, Value | TargetSource] = field(default_factory=dict)
    proposals: Proposals | ProposalSource | None = None

    def target(self, task: str, *, masks: bool = True) -> Any:
        """The target for a task: a value of the task's kind.

        Args:
            task: its name.
            masks: whether the masks of detections are wanted; drawing them can take longer than reading the image.

        Raises:
            TaskMismatchError: if this image has no target for the task.
            DataError: if the target's file cannot be read.
        """
        held = self.targets.get(task)
        if held is None:
            raise TaskMismatchError(
                f"{self.id} has no target for {task}", expected=" or ".join(self.targets) or "an unlabelled image"
            )
        try:
            if not masks and is_outlined_source(held):
                return held.load_boxes()
            value = held.load() if is_target_source(held) else held
        except (VisusError, MemoryError):
            raise
        except Exception as error:  # values that the reader did not foresee: the label file is what is wrong
            raise DataError(
                f"the labels of {self.id} hold values that cannot be read",
                expected=f"a target for {task}",
                got=f"{type(error).__name__}: {error}"[:300],
                remedy="correct the label file",
            ) from error
        return value if masks else value.without_masks()

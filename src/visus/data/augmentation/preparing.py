"""From a sample to a network's input: preprocessing and augmentation, image and target together.

Preprocessing is deterministic and can be undone through the placement. Augmentation is a pure function of
(seed, epoch, index): the same for any number of loading processes, and after a resume. Without augmentation neither
torch nor OpenCV is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from visus.data.augmentation.prepared import Prepared, prepare
from visus.structures import Preprocessing, Sample

if TYPE_CHECKING:
    from visus.data.augmentation.settings import Augmentation


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes samples ready; call it with (sample, index, epoch).

    Args:
        task: whose targets are moved with the images.
        preprocessing: the network's.
        augmentation: None: no randomness at all.
        seed: of the augmentation, not negative.
        masks: draw and move the masks of objects too, which takes longest of all; a training asks the task's card.
        step: of the training, which chooses the side of ``sides_every``.

    Raises:
        RecipeError: if the augmentation asks for what the task's targets or the images' channels do not have.
    """

    task: str
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int
    masks: bool = False
    step: int = 0

    def __post_init__(self) -> None:
        if self.augmentation is not None:
            self.augmentation.require(self.task, self.preprocessing.channels)

    def __call__(self, sample: Sample, index: int, epoch: int) -> Prepared:
        """The prepared sample.

        Raises:
            DataError: if its image, target or proposals cannot be read, or the proposals are of an image of other size.
            DiskError: if proposals that were computed cannot be kept.
            ShapeError: if the preprocessing keeps sizes (``fit`` "none") but asks for one.
        """
        if self.augmentation is None:
            return prepare(sample, self.task, self.preprocessing, masks=self.masks)
        from visus.data.augmentation.changing import Changes

        changes = Changes(self.task, self.preprocessing, self.augmentation, self.seed, self.masks, self.step)
        return changes(sample, index, epoch)

    def at_step(self, step: int) -> Preparer:
        """The preparer of a training step, counted from 0 over the whole training: of ``sides_every`` its side."""
        return self if self.augmentation is None or self.augmentation.sides_every is None else replace(self, step=step)

"""Counts objects: the pieces of the maps of a segmentation network, or the objects that a network answers with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from visus.data.object_separation import REGROWTH
from visus.errors import ShapeError, UsageError
from visus.metrics.instances import COUNTED_SCORE
from visus.structures import IGNORE, Detections, Sample, SegmentationMap, Value
from visus.structures.class_names import object_ids
from visus.structures.task_cards import task_card

if TYPE_CHECKING:
    from visus.engine.model_card import ModelInfo

PARTED = ("gap", "border", "outline")
"""Ways of keeping touching objects apart that take pixels from them."""


@dataclass(frozen=True, slots=True)
class Counting:
    """The settings for counting objects.

    Args:
        classes: names of the classes of objects.
        min_area: pieces of fewer pixels are no objects.
        grow: objects get back, up to so many pixels away, what a gap or a border took.
        least_score: from which on an answered object counts; of no meaning for pieces of maps.
        pieces: whether objects are pieces of maps; else they are answered with their masks.
    """

    classes: tuple[str, ...]
    min_area: int = 1
    grow: float = 0.0
    least_score: float = 0.0
    pieces: bool = True

    @classmethod
    def of(cls, info: ModelInfo, *, min_area: int = 1, grow: float | None = None) -> Counting:
        """The settings for a model; without ``grow``, objects grow by what the training took to separate them.

        Raises:
            UsageError: if the model has neither maps nor masks, or an option is out of its range.
        """
        instances = task_card(info.task).masks
        if info.task != "segmentation" and not instances:
            raise UsageError(
                "only models with maps or masks can count objects",
                expected="a model for segmentation or instance_segmentation",
                got=f"{info.model}, a model for {info.task}",
                remedy="leave out --objects",
            )
        classes = info.classes if instances else tuple(info.classes[i] for i in object_ids(info.classes))
        if not classes:
            raise UsageError(
                "no class of the model has objects", expected="a class beside background", got=", ".join(info.classes)
            )
        if instances and grow:
            raise UsageError(
                "objects with masks do not grow: no gap took pixels from them",
                expected="grow of 0",
                got=str(grow),
                remedy="leave out --grow",
            )
        if min_area < 0 or (grow is not None and grow < 0):
            raise UsageError(
                "min_area or grow is out of range",
                expected="an area and a growth of 0 or more pixels",
                got=f"min_area={min_area}, grow={grow}",
            )
        default_grow = REGROWTH if info.task_options.get("touching") in PARTED else 0.0
        least = 0.0
        if instances:
            from visus.tasks.instance_segmentation import SCORE  # loads torch

            least = float(info.answer_settings.get(SCORE, COUNTED_SCORE))
        return cls(classes, min_area, default_grow if grow is None else grow, least, not instances)

    def find(self, value: Any) -> Detections:
        """Finds the objects of a map, or those of objects with masks that are large enough."""
        if self.pieces:
            found: Detections = value.objects(min_area=self.min_area, grow=self.grow)
            return found
        objects: Detections = value
        return objects if objects.masks is None else objects.select(objects.masks.areas() >= self.min_area)

    def compared(self, sample: Sample, prediction: Any, target: Value) -> tuple[Detections, Detections]:
        """Finds the predicted and the true objects; pixels that the target ignores belong to no object.

        The true ones are those that the labels tell apart, where they do, else the pieces of the true map. Predicted
        objects with masks count from :attr:`least_score` on.

        Raises:
            DataError: if the labels cannot be read.
            ShapeError: if pieces of maps are to be counted, and prediction or target is no map.
        """
        if not self.pieces:
            return self.find(prediction.above(self.least_score)), cast("Detections", target)
        # A task of an outsider may answer with other values; objects are pieces of a class map.
        if not isinstance(prediction, SegmentationMap) or not isinstance(target, SegmentationMap):
            raise ShapeError(
                "objects are counted in maps", expected="SegmentationMap", got=f"{type(prediction).__name__}"
            )
        ids = np.where(target.map == IGNORE, IGNORE, prediction.map).astype(np.uint8)
        predicted = self.find(replace(prediction, map=ids))
        if "detection" in sample.targets:
            labelled: Detections = sample.target("detection")
            if labelled.masks is not None and labelled.classes == predicted.classes:
                return predicted, labelled
        return predicted, target.objects()

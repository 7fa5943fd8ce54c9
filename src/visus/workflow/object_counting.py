"""Counts objects in the predicted and in the true maps of a segmentation network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from visus.data.object_separation import REGROWTH
from visus.errors import ShapeError, UsageError
from visus.structures import IGNORE, Detections, Sample, SegmentationMap, Value
from visus.structures.class_names import object_ids

if TYPE_CHECKING:
    from visus.engine.model_card import ModelInfo

PARTED = ("gap", "border", "outline")
"""Ways of keeping touching objects apart that take pixels from them."""


@dataclass(frozen=True, slots=True)
class Counting:
    """The settings for counting objects.

    Args:
        min_area: pieces of fewer pixels are no objects.
        grow: objects get back, up to so many pixels away, what a gap or a border took.
    """

    min_area: int = 1
    grow: float = 0.0

    @classmethod
    def of(cls, info: ModelInfo, *, min_area: int = 1, grow: float | None = None) -> Counting:
        """The settings for a model; without ``grow``, objects grow by what the training took to separate them.

        Raises:
            UsageError: if the model is not one for segmentation, or an option is out of its range.
        """
        if info.task != "segmentation":
            raise UsageError(
                "only segmentation models can count objects",
                expected="a model for segmentation",
                got=f"{info.model}, a model for {info.task}",
                remedy="leave out --objects",
            )
        if not object_ids(info.classes):
            raise UsageError(
                "no class of the model has objects", expected="a class beside background", got=", ".join(info.classes)
            )
        if min_area < 0 or (grow is not None and grow < 0):
            raise UsageError(
                "min_area or grow is out of range",
                expected="an area and a growth of 0 or more pixels",
                got=f"min_area={min_area}, grow={grow}",
            )
        default_grow = REGROWTH if info.task_options.get("touching") in PARTED else 0.0
        return cls(min_area, default_grow if grow is None else grow)

    def find(self, value: SegmentationMap) -> Detections:
        """Finds the objects of a map."""
        return value.objects(min_area=self.min_area, grow=self.grow)

    def compared(self, sample: Sample, prediction: Any, target: Value) -> tuple[Detections, Detections]:
        """Finds the predicted and the true objects; pixels that the target ignores belong to no object.

        The true ones are those that the labels tell apart, where they do, else the pieces of the true map.

        Raises:
            DataError: if the labels cannot be read.
            ShapeError: if prediction or target is no map.
        """
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

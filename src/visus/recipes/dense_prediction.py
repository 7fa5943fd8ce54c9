"""How papers train detectors and segmentation networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.tasks.options import LossOptions

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "ssd300-voc": Recipe(
            source="Liu et al. 2016, sec. 3.1: 120k steps of 32 on VOC 07+12 (16,551 images); lr/10 at 80k, 100k",
            epochs=232,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="steps", milestones=(155, 193), gamma=0.1),
            augmentation=Augmentation(
                iou_crop=True,
                zoom_out=0.5,
                mirror=0.5,
                brightness=0.125,
                contrast=0.5,
                saturation=0.5,
                hue=0.1,  # the released code's 18 of OpenCV's 180 steps
                photometric=0.5,
            ),
        ),
        "unet-isbi": Recipe(
            source="Ronneberger et al. 2015, sec. 3: one large tile a step, momentum 0.99; lr, epochs: not stated",
            epochs=300,
            batch_size=1,
            optimizer=Optimizer(lr=1e-3, momentum=0.99),
            augmentation=Augmentation(
                rotation=180, shift=0.1, elastic=10, brightness=0.2, contrast=0.2, border="mirror"
            ),
            loss=LossOptions(border_weight=10, border_sigma=5),
        ),
    }
)
"""Name -> recipe."""

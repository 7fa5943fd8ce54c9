"""Augmentations that contradict themselves, the task or the images."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from visus.data.augmentation.settings import Augmentation
from visus.errors import RecipeError

TASKS = (
    *("classification", "detection", "landmarks", "localization"),
    *("multilabel_classification", "multilabel_segmentation", "segmentation"),
)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"crop_area": (0.3, 1), "random_crop": True}, "exclude"),
        ({"iou_crop": True, "crop_area": (0.3, 1)}, "exclude"),
        ({"scale_range": (0.5, 2)}, "random_crop"),
        ({"crop_area": (0.9, 0.1)}, "smaller value first"),
        ({"crop_area": (0.0, 1)}, "crop_area"),
        ({"crop_aspect": (2, 1)}, "smaller value first"),
        ({"scale_range": (0, 1), "random_crop": True}, "scale_range"),
        ({"shear": 90}, "shear"),
        ({"zoom": 1}, "zoom"),
        ({"mirror": 1.5}, "mirror"),
        ({"jitter": 0.2}, "released=darknet"),
        ({"released": "ssd", "jitter_scale": (1, 1)}, "released=darknet"),
        ({"released": "darknet", "iou_crop": True}, "has no iou_crop"),
        ({"released": "darknet", "contrast": 0.5}, "has no contrast"),
        ({"released": "darknet", "photometric": 0.5}, "photometric"),
        ({"released": "darknet", "jitter_scale": (2, 0.25)}, "smaller value first"),
        ({"released": "ssd", "crop_area": (0.3, 1)}, "has no crop_area"),
        ({"released": "ssd", "object_window": "centred"}, "exclude"),
        ({"sides_every": 10}, "sides"),
        ({"rotaton": 5}, "rotaton"),
    ],
)
def test_what_cannot_act_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Augmentation(**fields)


@pytest.mark.parametrize(
    ("fields", "tasks", "channels"),
    [
        ({}, TASKS, (1, 3, 5)),
        ({"mirror": 0.5, "brightness": 0.2, "contrast": 0.2}, TASKS, (1, 3, 5)),
        ({"iou_crop": True}, ("detection", "localization"), (1, 3, 5)),
        ({"mosaic": 0.5}, ("detection",), (1, 3, 5)),
        ({"object_window": "centred"}, ("segmentation",), (1, 3, 5)),
        ({"policy": "autoaugment"}, ("classification", "multilabel_classification"), (1, 3)),
        ({"saturation": 0.2}, TASKS, (1, 3)),
        ({"hue": 0.1}, TASKS, (1, 3)),
        ({"pca_noise": 0.1}, TASKS, (1, 3)),
    ],
)
def test_changes_that_task_and_images_cannot_have_are_refused(
    fields: dict[str, object], tasks: tuple[str, ...], channels: tuple[int, ...]
) -> None:
    augmentation = Augmentation(**fields)
    for task in TASKS:
        for count in (1, 3, 5):
            if task in tasks and count in channels:
                augmentation.require(task, count)
            else:
                with pytest.raises(RecipeError) as caught:
                    augmentation.require(task, count)
                name = next(iter(fields))
                assert f"augmentation.{name}" in str(caught.value)
                off = Augmentation.model_fields[name].default
                assert f"set augmentation.{name}={str(off).lower()}" in str(caught.value).replace("=0;", "=0.0;")

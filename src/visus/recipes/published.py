"""How the papers and books trained, as they say it; chosen by name with ``--recipe``.

A recipe whose data or hardware was not at hand has not been run here; its ``source`` says where it is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.tasks.options import LossOptions

_RMSPROP_KERAS = {"name": "rmsprop", "alpha": 0.9, "momentum": 0.0, "eps": 1e-7}  # Keras's defaults (rho, epsilon)

PUBLISHED: Mapping[str, Recipe] = MappingProxyType(
    {
        "mnist-cnn": Recipe(
            source="Chollet, Deep Learning with Python, listing 5.3",
            epochs=5,
            batch_size=64,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "mnist-dense": Recipe(
            source="Chollet, Deep Learning with Python, listings 2.3 to 2.5",
            epochs=5,
            batch_size=128,
            optimizer=Optimizer(lr=1e-3, **_RMSPROP_KERAS),
            channels_last=False,
        ),
        "cats-dogs": Recipe(
            source="Chollet, Deep Learning with Python, listings 5.5 to 5.8",
            epochs=30,
            batch_size=20,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
        ),
        "cats-dogs-augmented": Recipe(
            source="Chollet, Deep Learning with Python, listings 5.11 to 5.14 (shear 0.2 is degrees in Keras)",
            epochs=100,
            batch_size=32,
            size=(150, 150),
            fit="stretch",
            optimizer=Optimizer(lr=1e-4, **_RMSPROP_KERAS),
            augmentation=Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, mirror=0.5, border="nearest"),
            model_options={"dropout": 0.5},
        ),
        "resnet-imagenet": Recipe(
            source="He et al. 2016, sec. 3.4; crops by area instead of scale jitter",
            epochs=120,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4),
            schedule=Schedule(name="plateau", gamma=0.1),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5),
        ),
        "vgg-imagenet": Recipe(
            source="Simonyan & Zisserman 2015, sec. 3.1",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=1e-2, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1),
            augmentation=Augmentation(random_crop=True, mirror=0.5),
        ),
        "mobilenet-v2-imagenet": Recipe(
            source="Sandler et al. 2018, sec. 6.1 (16 workers of 96 images); epochs are not stated there",
            epochs=300,
            batch_size=96,
            reference_batch_size=96,
            optimizer=Optimizer(name="rmsprop", lr=0.045, alpha=0.9, momentum=0.9, weight_decay=4e-5),
            schedule=Schedule(name="exponential", gamma=0.98),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5),
        ),
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

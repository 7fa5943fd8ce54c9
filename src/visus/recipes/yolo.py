"""How the YOLOs were trained.

Rates: Darknet divides a batch's gradients by its images, and so does the mean over images of the losses here. YOLO v2's
and v3's losses have its gradients. YOLO's has equation 3's, which are twice those of Darknet's detection_layer.c.

Darknet draws the images of each batch anew, with replacement; here each image comes once an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

SIDES = tuple(range(320, 609, 32))  # YOLO9000, section 2, "Multi-Scale Training"; detector.c: (rand() % 10 + 10) * 32

_COLOURS = {"brightness": 0.5, "saturation": 0.5, "hue": 0.1}  # exposure = saturation = 1.5, hue = .1
_NO_DECAY = "Darknet's convolutional_layer.c: biases and BatchNorm do not decay"
_DIFFICULT = "Darknet's voc_label.py leaves out difficult objects"
_FILTER = "Darknet's own interpolation of the images"


def _of_cfg(cfg: str, steps: int, drops: tuple[int, int], *, on_coco: bool) -> Recipe:
    """A training as a released cfg of 2017 or 2018 has it, with the code of its day."""
    data, steps_an_epoch = (
        ("COCO trainvalno5k (117,264 images)", 1833) if on_coco else ("VOC 07+12 (16,551 images)", 259)
    )
    crowds = "not printed: what the authors' label files of COCO did with crowds; neutral here"
    return Recipe(
        source=f"the authors' {cfg}: {steps:,} steps of 64 of {data}, lr/10 at {drops[0]:,} and {drops[1]:,}, "
        "burn-in of 1,000 steps",
        sources=by_field(
            {
                f"the authors' {cfg}": "epochs batch_size optimizer schedule augmentation",
                "load_data_detection of March 2017 (60e952b) to August 2018 (b13f67b)": "augmentation.jitter_scale "
                "augmentation.mirror",
                "detector.c: one of ten sizes every 10 steps": "augmentation.sides augmentation.sides_every",
                "network.c: burn_in rises by the power 4": "schedule.warmup schedule.warmup_power",
                _NO_DECAY: "optimizer.decay_norm_and_bias",
                crowds if on_coco else _DIFFICULT: "loss",
                f"max_batches of {cfg}: the last weights": "keep",
            }
        ),
        missing=("the size of 608 of the last 200 steps", _FILTER),
        keep="last",
        epochs=round(steps / steps_an_epoch),
        batch_size=64,
        reference_batch_size=64,
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
        schedule=Schedule(
            name="steps",
            milestones=tuple(drop / steps_an_epoch for drop in drops),
            gamma=0.1,
            warmup="polynomial",
            warmup_epochs=1000 / steps_an_epoch,
        ),
        augmentation=Augmentation(
            released="darknet",
            jitter=0.3,
            jitter_scale=(0.25, 2.0),
            mirror=0.5,
            sides=SIDES,
            sides_every=10,
            **_COLOURS,
        ),
        loss=LossOptions() if on_coco else LossOptions(marked="background"),
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "yolov1-voc": Recipe(
            source="Redmon et al. 2016, sec. 2.2: VOC 07+12, batches of 64; 1e-3 rising to 1e-2 (for how long: not "
            "stated), 75 epochs, 30 at 1e-3, 30 at 1e-4",
            sources=by_field(
                {
                    "section 2.2": "epochs batch_size optimizer schedule augmentation",
                    # The factor 2: see the module's docstring.
                    "section 2.2, for gradients half of equation 3's, by which the network learns here: the authors' "
                    "steps are those of lr 5e-3 with weight_decay 1e-3": "optimizer.lr optimizer.weight_decay",
                    "not printed: 2 epochs here; the cfg of 2015 rises in three jumps in 600 steps, 2.3 epochs": (
                        "schedule.warmup_epochs"
                    ),
                    "Darknet's load_data_region; the cfg's jitter": "augmentation.mirror augmentation.jitter",
                    _NO_DECAY: "optimizer.decay_norm_and_bias",
                    _DIFFICULT: "loss",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=(_FILTER,),
            keep="last",
            epochs=135,
            batch_size=64,
            reference_batch_size=64,
            optimizer=Optimizer(lr=1e-2, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
            schedule=Schedule(name="steps", milestones=(75, 105), gamma=0.1, warmup_epochs=2, warmup_from=0.1),
            augmentation=Augmentation(released="darknet", jitter=0.2, mirror=0.5, brightness=0.5, saturation=0.5),
            loss=LossOptions(marked="background"),
        ),
        "yolov2-voc": Recipe(
            source="Redmon, Farhadi 2017, sec. 2, 3: 160 epochs of VOC 07+12 (16,551 images), lr/10 at 60 and 90; what "
            "is not printed there: the cfg of its day, yolo-voc.2.0.cfg",
            sources=by_field(
                {
                    "section 3": "epochs optimizer schedule",
                    "yolo-voc.2.0.cfg": "batch_size augmentation",
                    "yolo-voc.2.0.cfg: 1e-4 in the first 100 steps": (
                        "schedule.warmup schedule.warmup_epochs schedule.warmup_from"
                    ),
                    'section 2, "Multi-Scale Training"': "augmentation.sides augmentation.sides_every",
                    "Darknet up to March 2017, load_data_detection": "augmentation.released augmentation.mirror",
                    _NO_DECAY: "optimizer.decay_norm_and_bias",
                    _DIFFICULT: "loss",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=(_FILTER,),
            keep="last",
            epochs=160,
            batch_size=64,
            reference_batch_size=64,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
            schedule=Schedule(
                name="steps",
                milestones=(60, 90),
                gamma=0.1,
                warmup="constant",
                warmup_from=0.1,
                warmup_epochs=100 / 259,
            ),
            augmentation=Augmentation(
                released="darknet", jitter=0.2, mirror=0.5, sides=SIDES, sides_every=10, **_COLOURS
            ),
            loss=LossOptions(marked="background"),
        ),
        "yolov2-voc-darknet": _of_cfg("yolov2-voc.cfg", 80_200, (40_000, 60_000), on_coco=False),
        "yolov2-coco": _of_cfg("yolov2.cfg", 500_200, (400_000, 450_000), on_coco=True),
        "yolov3-coco": _of_cfg("yolov3.cfg", 500_200, (400_000, 450_000), on_coco=True),
    }
)
"""Name -> recipe."""

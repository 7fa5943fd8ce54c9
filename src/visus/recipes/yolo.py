"""How the YOLOs were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field

SIDES = tuple(range(320, 609, 32))  # YOLO9000, section 2, "Multi-Scale Training"

# The cfg files: saturation = exposure = 1.5, hue = .1; their jitter of the image's edges by .3 is zoom and shift here.
_COLOURS = {"brightness": 0.5, "saturation": 0.5, "hue": 0.1}


def _darknet(
    source: str, *, epochs: int, milestones: tuple[float, ...], warmup_epochs: float, images: Augmentation
) -> Recipe:
    return Recipe(
        source=source,
        sources=by_field(
            {
                "the released cfg": "epochs batch_size optimizer schedule augmentation",
                "Darknet's code: biases and BatchNorm do not decay": "optimizer.decay_norm_and_bias",
                "max_batches of the released cfg: the last weights": "keep",
            }
        ),
        missing=(),
        keep="last",
        epochs=epochs,
        batch_size=64,
        reference_batch_size=64,
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
        schedule=Schedule(name="steps", milestones=milestones, gamma=0.1, warmup_epochs=warmup_epochs),
        augmentation=images,
    )


_MULTI_SCALE = Augmentation(sides=SIDES, mirror=0.5, zoom=0.3, shift=0.3, **_COLOURS)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "yolov1-voc": Recipe(
            source="Redmon et al. 2016, sec. 2.2: VOC 07+12, batches of 64; 1e-3 rising to 1e-2 (for how long: not "
            "stated), 75 epochs, 30 at 1e-3, 30 at 1e-4",
            sources=by_field(
                {
                    "section 2.2": "epochs batch_size optimizer schedule augmentation",
                    "Darknet's code: biases and BatchNorm do not decay": "optimizer.decay_norm_and_bias",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=135,
            batch_size=64,
            reference_batch_size=64,
            optimizer=Optimizer(lr=1e-2, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
            schedule=Schedule(name="steps", milestones=(75, 105), gamma=0.1, warmup_epochs=2, warmup_from=0.1),
            augmentation=Augmentation(mirror=0.5, zoom=0.2, shift=0.2, brightness=0.5, saturation=0.5),
        ),
        "yolov2-voc": _darknet(
            "Redmon, Farhadi 2017, sec. 3: lr/10 at 60 and 90 of 160 epochs of VOC 07+12 (16,551 images); batch, "
            "burn-in of 1,000 steps (linear here), colours: yolo-voc.cfg; another size every epoch, not every 10 steps",
            epochs=160,
            milestones=(60, 90),
            warmup_epochs=3.87,
            images=_MULTI_SCALE,
        ),
        "yolov3-coco": _darknet(
            "the authors' yolov3.cfg: 500,200 steps of 64 of COCO trainvalno5k (117,264 images), lr/10 at 400,000 and "
            "450,000, burn-in of 1,000 (linear here); another size every epoch, not every 10 steps",
            epochs=273,
            milestones=(218.3, 245.6),
            warmup_epochs=0.55,
            images=_MULTI_SCALE,
        ),
    }
)
"""Name -> recipe."""

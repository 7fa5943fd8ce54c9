"""How papers train detectors and segmentation networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes import yolo
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions


def _fcn(name: str, lr: float) -> Recipe:
    return Recipe(
        source=f"Long et al. 2015, the authors' {name}: 100,000 steps of one image of 8,498 (SBD); a loss of sums",
        sources=by_field(
            {
                "solver.prototxt": "epochs optimizer schedule",
                "train.prototxt": "batch_size optimizer.bias_lr optimizer.decay_norm_and_bias loss",
                "voc_layers.py": "augmentation",
                "solver.prototxt, max_iter: the last weights": "keep",
            }
        ),
        missing=(),
        keep="last",
        epochs=12,
        batch_size=1,
        optimizer=Optimizer(lr=lr, momentum=0.99, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
        loss=LossOptions(reduction="sum"),
        channels_last=False,
    )


def _deconvnet(
    stage: int, epochs: int, milestones: tuple[float, ...], window: Literal["centred", "overlapping"]
) -> Recipe:
    steps, drop = (20_000, 9_000) if stage == 1 else (40_000, 10_000)
    return Recipe(
        source=f"Noh et al. 2015, sec. 4.2, 4.3, the authors' solver: stage {stage}, {steps:,} steps of 64 windows "
        f"of 12,031 images, lr/10 every {drop:,}",
        sources=by_field(
            {
                "the authors' solver": "epochs optimizer schedule",
                "the authors' train.prototxt": "optimizer.bias_lr optimizer.decay_norm_and_bias",
                "section 4.3": "batch_size size fit augmentation",
                "max_iter of the solver: the last weights": "keep",
            }
        ),
        missing=("windows of object proposals in stage 2",) if stage == 2 else (),
        keep="last",
        epochs=epochs,
        batch_size=64,
        reference_batch_size=64,
        size=(224, 224),
        fit="stretch",
        optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
        schedule=Schedule(name="steps", milestones=milestones, gamma=0.1),
        augmentation=Augmentation(object_window=window, mirror=0.5),
    )


def _ssd(where: str) -> Recipe:
    return Recipe(
        source=f"Liu et al. 2016, {where}: 120k steps of 32 on VOC 07+12 (16,551 images); lr/10 at 80k, 100k",
        sources=by_field(
            {
                "the authors' ssd_pascal.py": "epochs batch_size optimizer schedule augmentation",
                "ssd_pascal.py, max_iter: the last weights": "keep",
            }
        ),
        missing=(),
        keep="last",
        epochs=232,
        batch_size=32,
        reference_batch_size=32,
        # biases: lr_mult 2, decay_mult 0 in the released model_libs.py
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
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
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "ssd300-voc": _ssd("sec. 3.1"),
        "ssd512-voc": _ssd("sec. 3.1, the authors' ssd_pascal_512.py"),
        "retinanet-coco": Recipe(
            source="Lin et al. 2017, sec. 4.1: 90k steps of 16 on COCO trainval35k (118,287 images); lr/10 at 60k, 80k",
            sources=by_field(
                {
                    "section 4.1": "epochs batch_size optimizer schedule augmentation",
                    "a number of steps is printed: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=12,
            batch_size=16,
            reference_batch_size=16,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(8, 11), gamma=0.1),
            augmentation=Augmentation(mirror=0.5),
        ),
        **yolo.RECIPES,
        "fcn32s-voc": _fcn("voc-fcn32s", 1e-10),
        "fcn16s-voc": _fcn("voc-fcn16s", 1e-12),
        "fcn8s-voc": _fcn("voc-fcn8s", 1e-14),
        "fcn-voc": Recipe(
            source="Long et al. 2015, sec. 4.3: 20 images a step, momentum 0.9, fixed lr",
            sources=by_field(
                {
                    "section 4.3": "batch_size optimizer schedule augmentation",
                    "not printed: 100 here": "epochs",
                    "not printed: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=100,
            batch_size=20,
            reference_batch_size=20,
            optimizer=Optimizer(lr=1e-4, momentum=0.9, weight_decay=5e-4, bias_lr=2.0),
        ),
        "deconvnet-voc-1": _deconvnet(1, 106, (48, 96), "centred"),
        "deconvnet-voc-2": _deconvnet(2, 213, (53, 106, 160), "overlapping"),
        "unet-isbi": Recipe(
            source="Ronneberger et al. 2015, sec. 3: one large tile a step, momentum 0.99",
            sources=by_field(
                {
                    "section 3": "batch_size optimizer loss",
                    "section 3.1; the extent of all but elastic is not printed": "augmentation",
                    "not printed: 1e-3 here": "optimizer.lr",
                    "not printed: 300 here": "epochs",
                    "not printed: constant": "schedule",
                    "not printed: the last weights": "keep",
                }
            ),
            missing=("the class weight of equation 2",),
            keep="last",
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

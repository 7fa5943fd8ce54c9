"""How papers train detectors and segmentation networks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes import region_classifiers, regions, yolo
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


def _ssd(
    source: str, script: str, *, steps: int, drops: tuple[int, int], steps_an_epoch: int, loss: LossOptions
) -> Recipe:
    return Recipe(
        source=source,
        sources=by_field(
            {
                f"the authors' {script} (weiliu89/caffe)": "epochs batch_size optimizer schedule augmentation",
                "the authors' model_libs.py: lr_mult 2, decay_mult 0 of biases": (
                    "optimizer.bias_lr optimizer.decay_norm_and_bias"
                ),
                "im_transforms.cpp, data_transformer.cpp, sampler.cpp": "augmentation.released",
                f"train_on_diff_gt of {script}": "loss",
                f"max_iter of {script}: the last weights": "keep",
            }
        ),
        missing=("the compression of each image as JPEG after its colours, its canvas and its patch",),
        keep="last",
        epochs=round(steps / steps_an_epoch),
        batch_size=32,
        reference_batch_size=32,
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
        schedule=Schedule(name="steps", milestones=tuple(drop / steps_an_epoch for drop in drops), gamma=0.1),
        augmentation=Augmentation(
            released="ssd",
            iou_crop=True,
            zoom_out=0.5,
            zoom_out_ratio=4.0,
            mirror=0.5,
            brightness=32 / 255,
            contrast=0.5,
            saturation=0.5,
            hue=18 / 180,  # of OpenCV's 180 steps
            photometric=0.5,
        ),
        loss=loss,
    )


def _ssd_voc(which: str) -> Recipe:
    # section 3.1 prints 40k + 10k + 10k steps, section 3.6 twice as many for the larger canvas
    return _ssd(
        f"Liu et al. 2016, sec. 3.1, 3.6: {which} on VOC 07+12 (16,551 images); the released script: 120,000 steps of "
        "32, lr/10 at 80,000 and 100,000",
        "ssd_pascal.py",
        steps=120_000,
        drops=(80_000, 100_000),
        steps_an_epoch=518,
        loss=LossOptions(marked="learned"),
    )


def _ssd_coco(which: str) -> Recipe:
    return _ssd(
        f"Liu et al. 2016, sec. 3.4: {which} on COCO trainval35k (118,287 images); the released script: 400,000 steps "
        "of 32, lr/10 at 280,000 and 360,000",
        "ssd_coco.py",
        steps=400_000,
        drops=(280_000, 360_000),
        steps_an_epoch=3697,
        loss=LossOptions(marked="background"),
    )


_NO_SCRIPT = "SSD512, for which the authors' branch has no script of its own,"

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "ssd300-voc": _ssd_voc("SSD300"),
        "ssd512-voc": _ssd_voc(_NO_SCRIPT),
        "ssd300-coco": _ssd_coco("SSD300"),
        "ssd512-coco": _ssd_coco(_NO_SCRIPT),
        "retinanet-coco": Recipe(
            source="Lin et al. 2017, sec. 4.1: 90k steps of 16 on COCO trainval35k (118,287 images); lr/10 at 60k, 80k",
            sources=by_field(
                {
                    "section 4.1": "epochs batch_size optimizer schedule",
                    "section 4.1: horizontal flipping alone": "augmentation",
                    "a number of steps is printed: the last weights": "keep",
                }
            ),
            missing=("images whose shorter side, not the longer, is scaled to the size (the card's note)",),
            keep="last",
            epochs=12,
            batch_size=16,
            reference_batch_size=16,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(60_000 / 7393, 80_000 / 7393), gamma=0.1),
            augmentation=Augmentation(mirror=0.5),
        ),
        **region_classifiers.RECIPES,
        **regions.RECIPES,
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
                    "section 3, equation 2: w_c balances the classes of the training pixels": "loss.class_weights",
                    "section 3.1; the extent of all but elastic is not printed": "augmentation",
                    "not printed: 1e-3 here": "optimizer.lr",
                    "not printed: 300 here": "epochs",
                    "not printed: constant": "schedule",
                    "not printed: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=300,
            batch_size=1,
            optimizer=Optimizer(lr=1e-3, momentum=0.99),
            augmentation=Augmentation(
                rotation=180, shift=0.1, elastic=10, brightness=0.2, contrast=0.2, border="mirror"
            ),
            loss=LossOptions(class_weights="balanced", border_weight=10, border_sigma=5),
        ),
    }
)
"""Name -> recipe."""

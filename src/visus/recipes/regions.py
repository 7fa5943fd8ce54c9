"""How the detectors with two stages were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

_VOC07 = 5011  # images of trainval
_COCO = 118_287  # of trainval35k

_FROZEN = (0, 2, 5, 7)  # conv1_1, conv1_2, conv2_1 and conv2_2 of VGG-16


def _joint(network: str, rates: dict[str, float]) -> Recipe:
    return Recipe(
        source=f"Ren et al. 2015, sec. 3.2, approximate joint training on {network}, as the authors' end-to-end script "
        "has it: 70,000 steps of 2 images of VOC 2007 trainval (5,011), lr/10 at 50,000",
        sources=by_field(
            {
                "py-faster-rcnn's faster_rcnn_end2end.sh and solver.prototxt": "epochs batch_size optimizer schedule",
                "train.prototxt, lr_mult": "optimizer.bias_lr optimizer.rates",
                "config.py, USE_FLIPPED": "augmentation",
                "pascal_voc.py: difficult objects are left out": "loss",
                "a number of steps is printed: the last weights": "keep",
            }
        ),
        missing=("a least side of proposals, 16 pixels, of the file and not of the input",),
        keep="last",
        epochs=round(70_000 * 2 / _VOC07),
        batch_size=2,  # iter_size 2, of one image each
        reference_batch_size=2,
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, rates=rates),
        schedule=Schedule(name="steps", milestones=(50_000 * 2 / _VOC07,), gamma=0.1),
        augmentation=Augmentation(mirror=0.5),
        loss=LossOptions(marked="background"),
    )


def _on_a_pyramid(source: str, where: str, *, steps: int, drops: tuple[int, ...]) -> Recipe:
    steps_an_epoch = _COCO / 16
    return Recipe(
        source=source,
        sources=by_field(
            {
                where: "epochs batch_size optimizer schedule",
                "the authors' Detectron, config.py: horizontal flipping alone": "augmentation",
                "a number of steps is printed: the last weights": "keep",
            }
        ),
        missing=(),
        keep="last",
        epochs=round(steps / steps_an_epoch),
        batch_size=16,
        reference_batch_size=16,
        optimizer=Optimizer(lr=0.02, momentum=0.9, weight_decay=1e-4),
        schedule=Schedule(name="steps", milestones=tuple(drop / steps_an_epoch for drop in drops), gamma=0.1),
        augmentation=Augmentation(mirror=0.5),
    )


def _step(network: str, rates: dict[str, float], *, first: bool) -> Recipe:
    """Of alternating training: steps 1 and 3, which train the first stage, or 2 and 4."""
    steps, fall, images = (80_000, 60_000, 1) if first else (40_000, 30_000, 2)
    stage, solver = ("first", "rpn_solver60k80k.pt") if first else ("second", "fast_rcnn_solver30k40k.pt")
    return Recipe(
        source=f"Ren et al. 2015, sec. 3.2 and 3.3, the {stage} stage in 4-step alternating training on {network}: "
        f"{steps:,} steps of {images} image{'s' * (images > 1)} of VOC 2007 trainval (5,011), lr/10 at {fall:,}",
        sources=by_field(
            {
                f"py-faster-rcnn's train_faster_rcnn_alt_opt.py and stage1_{solver}": "epochs batch_size optimizer "
                "schedule",
                "train.prototxt, lr_mult": "optimizer.bias_lr optimizer.rates",
                "config.py, USE_FLIPPED": "augmentation",
                "pascal_voc.py: difficult objects are left out": "loss",
                "a number of steps is printed: the last weights": "keep",
            }
        ),
        missing=("a least side of proposals, 16 pixels, of the file and not of the input",),
        keep="last",
        epochs=round(steps * images / _VOC07),
        batch_size=images,
        reference_batch_size=images,
        optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, rates=rates),
        schedule=Schedule(name="steps", milestones=(fall * images / _VOC07,), gamma=0.1),
        augmentation=Augmentation(mirror=0.5),
        loss=LossOptions(marked="background"),
    )


_VGG_RATES = {f"backbone.features.{layer}.": 0.0 for layer in _FROZEN}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "faster-rcnn-fpn-coco": _on_a_pyramid(
            "Lin et al. 2017 on COCO trainval35k (118,287 images), both stages at once as in the authors' Detectron "
            "(e2e_faster_rcnn_R-50-FPN_1x): 90,000 steps of 16, lr/10 at 60,000 and 80,000",
            "the authors' e2e_faster_rcnn_R-50-FPN_1x.yaml",
            steps=90_000,
            drops=(60_000, 80_000),
        ),
        "mask-rcnn-coco": _on_a_pyramid(
            "He et al. 2017, sec. 3.1, on COCO trainval35k (118,287 images): 160,000 steps of 16, lr/10 at 120,000",
            "section 3.1",
            steps=160_000,
            drops=(120_000,),
        ),
        "faster-rcnn-voc": _joint("VGG-16", _VGG_RATES),
        "faster-rcnn-voc-proposals": _step("VGG-16", _VGG_RATES, first=True),
        "faster-rcnn-voc-regions": _step("VGG-16", _VGG_RATES, first=False),
        "faster-rcnn-zf-voc": _joint("ZF", {}),
        "faster-rcnn-zf-voc-proposals": _step("ZF", {}, first=True),
        "faster-rcnn-zf-voc-regions": _step("ZF", {}, first=False),
    }
)
"""Name -> recipe."""

"""How R-CNN and SPP-net are fine-tuned, as their papers print it.

The SVMs and regressions that follow are fitted by the phases of ``recipes/phases.py``, with the recipe's ``regions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field

_SOLVER = "the authors' pascal_finetune_solver.prototxt"

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "rcnn-voc": Recipe(
            source="Girshick et al. 2014, section 2.3, and rbgirshick/rcnn: 100,000 steps of 32 positive and 96 "
            "negative regions of VOC 2007 trainval (5,011 images), lr/10 every 20,000; then SVMs and box regressions",
            sources=by_field(
                {
                    f"{_SOLVER}: 100,000 steps, of which the paper's figures need 70,000": "epochs optimizer schedule",
                    "pascal_finetune_train.prototxt: lr_mult 2, decay_mult 0 of biases; 10 times the rate in fc8": (
                        "optimizer.bias_lr optimizer.decay_norm_and_bias optimizer.rates"
                    ),
                    "pascal_finetune_train.prototxt: mirror": "augmentation",
                    "not printed, where all images give regions to each step: 16 images here": "batch_size",
                    "the longest side of VOC's images": "size fit",
                    "max_iter of the solver: the last weights": "keep evaluate_every",
                    "rcnn_train.m and rcnn_train_bbox_regressor.m": "regions",
                }
            ),
            missing=("regions of all images in each step",),
            keep="last",
            epochs=319,  # 100,000 steps of 16 of 5,011 images
            evaluate_every=320,
            batch_size=16,
            reference_batch_size=16,
            size=(500, 500),
            fit="letterbox",
            optimizer=Optimizer(
                lr=1e-3,
                momentum=0.9,
                weight_decay=5e-4,
                bias_lr=2.0,
                decay_norm_and_bias=False,
                rates={"fc8": 10.0},
            ),
            schedule=Schedule(name="exponential", gamma=0.1, every=20_000 / 313.1875, staircase=True),
            augmentation=Augmentation(mirror=0.5),
        ),
        "spp-voc": Recipe(
            source="He et al. 2014, section 4.1: 250,000 steps at 1e-4 and 50,000 at 1e-5 on VOC 2007 trainval (5,011 "
            "images), a quarter of the regions positive, the dense layers alone; then SVMs and box regressions",
            sources=by_field(
                {
                    "section 4.1": "epochs schedule freeze",
                    "section 4.1: 1e-4, then 1e-5": "optimizer.lr",
                    "ShaoqingRen/SPP_net, pascal_finetune_fc_spm_solver.prototxt": "optimizer",
                    "the authors' spp_finetune_voc.m: flip": "augmentation",
                    "not printed, where all images give regions to each step: 16 images here": "batch_size",
                    "section 4.2: one scale of 688, the shorter side": "size fit",
                    "a number of steps is printed: the last weights": "keep evaluate_every",
                    "section 4.1 and R-CNN's; the authors' spp_train_bbox_regressor.m has 4000 and 0.5": "regions",
                }
            ),
            missing=("regions of all images in each step", "regions at a random one of five scales"),
            keep="last",
            epochs=958,  # 300,000 steps of 16 of 5,011 images
            evaluate_every=959,
            batch_size=16,
            reference_batch_size=16,
            size=(688, 1100),
            fit="shorter_side",
            freeze="backbone",
            optimizer=Optimizer(lr=1e-4, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="steps", milestones=(250_000 / 313.1875,), gamma=0.1),
            augmentation=Augmentation(mirror=0.5),
        ),
    }
)
"""Name -> recipe."""

"""How MobileNets and EfficientNets were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

_ALONE = "several processes that do not wait for one another"
_LAST = "not printed: the last weights"

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mobilenet-v1-imagenet": Recipe(
            source='Howard et al. 2017, section 3.2: RMSprop "similar to Inception V3" without label smoothing, crops '
            "that are not so small, little or no decay of depthwise filters",
            sources=by_field(
                {
                    "section 3.2": "optimizer.name optimizer.no_decay",
                    "not printed: as Inception-v3's": "epochs batch_size optimizer schedule",
                    "section 3.2, without a number; at least half of the area here": "augmentation",
                    _LAST: "keep",
                }
            ),
            missing=(_ALONE,),
            keep="last",
            epochs=100,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(
                name="rmsprop_tf",
                lr=0.045,
                alpha=0.9,
                momentum=0.9,
                eps=1.0,
                weight_decay=4e-5,
                no_decay=("depthwise",),
            ),
            schedule=Schedule(name="exponential", gamma=0.94, every=2.0, staircase=True),
            augmentation=Augmentation(crop_area=(0.5, 1.0), mirror=0.5),
        ),
        "mobilenet-v2-imagenet": Recipe(
            source="Sandler et al. 2018, section 6.1: RMSprop with decay and momentum 0.9, 16 processes of 96 images",
            sources=by_field(
                {
                    "section 6.1": "batch_size optimizer schedule",
                    "not printed: 1, as in the released code": "optimizer.eps",
                    "not printed: 300 here": "epochs",
                    "not printed: Inception's crops": "augmentation",
                    _LAST: "keep",
                }
            ),
            missing=(_ALONE,),
            keep="last",
            epochs=300,
            batch_size=96,
            reference_batch_size=96,
            optimizer=Optimizer(name="rmsprop_tf", lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
            schedule=Schedule(name="exponential", gamma=0.98, staircase=True),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5),
        ),
        "efficientnet-imagenet": Recipe(
            source="Tan, Le 2019, section 5.2: RMSprop with decay and momentum 0.9, rate 0.256 times 0.97 every 2.4 "
            "epochs, AutoAugment",
            sources=by_field(
                {
                    "section 5.2": "optimizer schedule augmentation.policy",
                    "the released code": "epochs batch_size reference_batch_size optimizer.eps "
                    "optimizer.decay_norm_and_bias augmentation loss.label_smoothing ema",
                    "section 5.2: 25,000 training images choose the checkpoint (early stopping)": "keep",
                }
            ),
            missing=(),
            keep="best",
            epochs=350,
            batch_size=256,
            reference_batch_size=4096,
            optimizer=Optimizer(
                name="rmsprop_tf",
                lr=0.256,
                alpha=0.9,
                momentum=0.9,
                eps=1e-3,
                weight_decay=1e-5,
                decay_norm_and_bias=False,
            ),
            schedule=Schedule(name="exponential", gamma=0.97, every=2.4, staircase=True),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5, policy="autoaugment"),
            loss=LossOptions(label_smoothing=0.1),
            ema=0.9999,
        ),
    }
)
"""Name -> recipe."""

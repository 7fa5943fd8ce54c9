"""How MobileNets and EfficientNets were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.tasks.options import LossOptions

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "mobilenet-v1-imagenet": Recipe(
            source='Howard et al. 2017, section 3.2: RMSprop "similar to Inception V3" without label smoothing, crops '
            "that are not so small, little or no decay of depthwise filters. It prints no number: rate, schedule, "
            "batch and epochs are Inception-v3's, and half of the area is the least here",
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
            source="Sandler et al. 2018, section 6.1: RMSprop with decay and momentum 0.9, 16 processes of 96 images, "
            "which do not wait for one another; epochs and epsilon are not stated (here 300, and 1 as in the released "
            "code), nor are the crops (here Inception's)",
            epochs=300,
            batch_size=96,
            reference_batch_size=96,
            optimizer=Optimizer(name="rmsprop_tf", lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
            schedule=Schedule(name="exponential", gamma=0.98, staircase=True),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5),
        ),
        "efficientnet-imagenet": Recipe(
            source="Tan, Le 2019, section 5.2: RMSprop with decay and momentum 0.9, rate 0.256 times 0.97 every 2.4 "
            "epochs, AutoAugment. Batch (4096: 0.016 for 256 images), 350 epochs, label smoothing, averaged weights, "
            "epsilon, Inception's crops and that BatchNorm has no decay are the released code's; BatchNorm's momentum "
            "of 0.99, swish, dropout and stochastic depth belong to the network",
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

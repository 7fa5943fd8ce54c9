"""How networks whose cells a search has found were trained on ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.inception import INCEPTION_CROPS
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "nasnet-imagenet": Recipe(
            source="Zoph et al. 2018 (Learning transferable architectures), appendix: RMSprop with decay 0.9 and "
            "epsilon 1, 50 processes of 32 images that wait for one another, Inception-v3's fall of the rate",
            sources=by_field(
                {
                    "appendix": "batch_size optimizer schedule augmentation loss.label_smoothing ema",
                    "Szegedy et al. 2016, section 8, which the appendix names": "optimizer.lr",
                    "not printed: as Inception-v3's": "optimizer.momentum",
                    "not printed: 4e-5, as TensorFlow's Inception code": "optimizer.weight_decay",
                    "the authors' nasnet.py: 250,000 steps, over which paths are dropped": "epochs",
                    "appendix: evaluated by a running average of the weights; of the last step": "keep",
                }
            ),
            missing=("3 processes more than are waited for",),
            keep="last",
            epochs=312,
            batch_size=1600,
            reference_batch_size=1600,
            optimizer=Optimizer(name="rmsprop_tf", lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5),
            schedule=Schedule(name="exponential", gamma=0.94, every=2.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            loss=LossOptions(label_smoothing=0.1),
            ema=0.9999,
        ),
        "amoebanet-imagenet": Recipe(
            source="Real et al. 2019 (Regularized evolution), methods details: RMSprop with decay 0.9 and epsilon 0.1, "
            "rate 0.001 times 0.97 every two epochs, label smoothing 0.1, 100 processes",
            sources=by_field(
                {
                    "methods details, appendix": "optimizer schedule augmentation loss.label_smoothing",
                    "not printed: as Inception-v3's": "optimizer.momentum",
                    "not printed: 32 images here": "batch_size",
                    "not printed: 100 here": "epochs",
                    "not printed: of the last step": "keep",
                }
            ),
            missing=("the images of 100 processes in each step",),
            keep="last",
            epochs=100,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(name="rmsprop_tf", lr=1e-3, alpha=0.9, momentum=0.9, eps=0.1, weight_decay=4e-5),
            schedule=Schedule(name="exponential", gamma=0.97, every=2.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            loss=LossOptions(label_smoothing=0.1),
        ),
    }
)
"""Name -> recipe."""

"""How residual networks were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule

CIFAR_CROPS = Augmentation(random_crop=True, short_side=(32, 32), pad=4, mirror=0.5)
"""He et al. 2016, section 4.2: 4 pixels on every side, a 32x32 crop, mirrors. Larger images are first made to fit."""

_STEPS_AN_EPOCH = 45_000 / 128
_CIFAR = Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4)
_DROPS = (32_000 / _STEPS_AN_EPOCH, 48_000 / _STEPS_AN_EPOCH)
_WARM = {"warmup_epochs": 400 / _STEPS_AN_EPOCH, "warmup": "constant", "warmup_from": 0.1}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "resnet-imagenet": Recipe(
            source="He et al. 2016, section 3.4: up to 600,000 steps of 256 (120 epochs), the shorter side drawn from "
            "256 to 480, AlexNet's shift of colours, the rate divided by 10 when the error stands still; how long, it "
            "leaves open. It answers by ten crops or five scales; visus by one crop",
            epochs=120,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4),
            schedule=Schedule(name="plateau", gamma=0.1),
            augmentation=Augmentation(random_crop=True, short_side=(256, 480), mirror=0.5, pca_noise=0.1),
        ),
        "resnet-imagenet-torch": Recipe(
            source="fb.resnet.torch, opts.lua, train.lua and datasets/imagenet.lua: crops by area, colours and their "
            "shift, Nesterov's momentum, 90 epochs with drops after 30 and 60",
            epochs=90,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 60), gamma=0.1),
            augmentation=Augmentation(
                crop_area=(0.08, 1.0), mirror=0.5, brightness=0.4, contrast=0.4, saturation=0.4, pca_noise=0.1
            ),
        ),
        "resnet-cifar": Recipe(
            source="He et al. 2016, section 4.2: 64,000 steps of 128, drops at 32,000 and 48,000, 45,000 images to "
            "train on. The padding is black here; the paper subtracts the mean first",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1),
            augmentation=CIFAR_CROPS,
        ),
        "resnet110-cifar": Recipe(
            source="He et al. 2016, section 4.2: as resnet-cifar, but at 0.01 until the training error is below 80 %, "
            "which takes about 400 steps there, and 400 steps here",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1, **_WARM),
            augmentation=CIFAR_CROPS,
        ),
        "preact-resnet-cifar": Recipe(
            source="He et al. 2016 (Identity mappings), appendix: 0.01 for 400 steps, then 0.1, divided by 10 at "
            "32,000 and 48,000 steps of 128; its length (64,000 steps) and 45,000 images are those of the first paper",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1, **_WARM),
            augmentation=CIFAR_CROPS,
        ),
        "stochastic-depth-cifar": Recipe(
            source="Huang et al. 2016, section 4: 500 epochs, Nesterov's momentum, drops at half and three quarters; "
            "the chance of each block to stay belongs to the network",
            epochs=500,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(250, 375), gamma=0.1),
            augmentation=CIFAR_CROPS,
        ),
        "stochastic-depth-svhn": Recipe(
            source="Huang et al. 2016, section 4: 50 epochs without augmentation, drops after 30 and 35",
            epochs=50,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 35), gamma=0.1),
        ),
    }
)
"""Name -> recipe."""

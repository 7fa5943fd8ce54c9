"""How residual networks were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field

CIFAR_CROPS = Augmentation(random_crop=True, short_side=(32, 32), pad=4, mirror=0.5)
"""He et al. 2016, section 4.2: 4 pixels on every side, a 32x32 crop, mirrors. Larger images are first made to fit."""

_TORCH = Augmentation(crop_area=(0.08, 1.0), mirror=0.5, brightness=0.4, contrast=0.4, saturation=0.4, pca_noise=0.1)
_STEPS_AN_EPOCH = 45_000 / 128
_CIFAR = Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4)
_DROPS = (32_000 / _STEPS_AN_EPOCH, 48_000 / _STEPS_AN_EPOCH)
_WARM = {"warmup_epochs": 400 / _STEPS_AN_EPOCH, "warmup": "constant", "warmup_from": 0.1}

_FIXED = "a number of steps is printed: the last weights"
_BLACK = "the padding is the mean image; black here"

_CIFAR_LINES = by_field({"section 4.2": "epochs batch_size optimizer schedule augmentation", _FIXED: "keep"})

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "resnet-imagenet": Recipe(
            source="He et al. 2016, section 3.4: up to 600,000 steps of 256 (120 epochs), the shorter side drawn from "
            "256 to 480, AlexNet's shift of colours, the rate divided by 10 when the error stands still",
            sources=by_field(
                {
                    "section 3.4": "epochs batch_size optimizer schedule augmentation",
                    "not printed: how long the error must stand still; 6 epochs here": "schedule.patience",
                    _FIXED: "keep",
                }
            ),
            missing=("answers by ten crops, or by the mean over the whole image at five scales",),
            keep="last",
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
            sources=by_field(
                {
                    "opts.lua": "epochs batch_size optimizer",
                    "train.lua": "schedule optimizer.nesterov",
                    "datasets/imagenet.lua": "augmentation",
                    "main.lua: the last and the best epoch are saved; the last here": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=90,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 60), gamma=0.1),
            augmentation=_TORCH,
        ),
        "resnet-cifar": Recipe(
            source="He et al. 2016, section 4.2: 64,000 steps of 128, drops at 32,000 and 48,000, 45,000 images to "
            "train on",
            sources=_CIFAR_LINES,
            missing=(_BLACK,),
            keep="last",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1),
            augmentation=CIFAR_CROPS,
        ),
        "resnet110-cifar": Recipe(
            source="He et al. 2016, section 4.2: as resnet-cifar, but at 0.01 until the training error is below 80 %",
            sources=_CIFAR_LINES
            | {"schedule.warmup_epochs": "section 4.2: about 400 steps, until an error of 80 %; here 400 steps"},
            missing=("the training error ends the warm-up, not a number of steps", _BLACK),
            keep="last",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1, **_WARM),
            augmentation=CIFAR_CROPS,
        ),
        "preact-resnet-cifar": Recipe(
            source="He et al. 2016 (Identity mappings), appendix: 0.01 for 400 steps, then 0.1, divided by 10 at "
            "32,000 and 48,000 steps of 128",
            sources=by_field(
                {
                    "appendix": "batch_size optimizer schedule augmentation",
                    "He et al. 2016 (Deep residual learning), section 4.2: 64,000 steps": "epochs",
                    _FIXED: "keep",
                }
            ),
            missing=(_BLACK,),
            keep="last",
            epochs=182,
            batch_size=128,
            reference_batch_size=128,
            optimizer=_CIFAR,
            schedule=Schedule(name="steps", milestones=_DROPS, gamma=0.1, **_WARM),
            augmentation=CIFAR_CROPS,
        ),
        "stochastic-depth-cifar": Recipe(
            source="Huang et al. 2016, section 4: 500 epochs, Nesterov's momentum, drops at half and three quarters",
            sources=by_field(
                {
                    "section 4": "epochs batch_size optimizer schedule augmentation",
                    "the authors' README.md: selected by the best validation error": "keep",
                }
            ),
            missing=(_BLACK,),
            keep="best",
            epochs=500,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(250, 375), gamma=0.1),
            augmentation=CIFAR_CROPS,
        ),
        "stochastic-depth-svhn": Recipe(
            source="Huang et al. 2016, section 4: 50 epochs without augmentation, drops after 30 and 35",
            sources=by_field(
                {
                    "section 4": "epochs batch_size optimizer schedule augmentation",
                    "the authors' README.md: selected by the best validation error": "keep",
                }
            ),
            missing=(),
            keep="best",
            epochs=50,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 35), gamma=0.1),
        ),
        "resnext-imagenet": Recipe(
            source="Xie et al. 2017 (ResNeXt), section 4, and the authors' opts.lua, train.lua and "
            "datasets/imagenet.lua: as fb.resnet.torch, with 100 epochs and drops after 30, 60 and 90",
            sources=by_field(
                {
                    "opts.lua": "epochs optimizer",
                    "README.md, section Training": "batch_size",
                    "train.lua": "schedule optimizer.nesterov",
                    "datasets/imagenet.lua": "augmentation",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=(),
            keep="last",
            epochs=100,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 60, 90), gamma=0.1),
            augmentation=_TORCH,
        ),
        "densenet-imagenet": Recipe(
            source="Huang et al. 2017 (DenseNet), section 4.2, and the authors' opts.lua, train.lua and "
            "datasets/imagenet.lua: 90 epochs of batches of 256 with drops after 30 and 60",
            sources=by_field(
                {
                    "section 4.2": "epochs batch_size schedule",
                    "opts.lua and train.lua": "optimizer",
                    "datasets/imagenet.lua": "augmentation",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=("DenseNet-161 has batches of 128, 100 epochs and a third drop after 90",),
            keep="last",
            epochs=90,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 60), gamma=0.1),
            augmentation=_TORCH,
        ),
        "densenet-cifar": Recipe(
            source="Huang et al. 2017 (DenseNet), section 4.2: 300 epochs of batches of 64 with drops at half and at "
            "three quarters; opts.lua and datasets/cifar10.lua",
            sources=by_field(
                {
                    "section 4.2": "epochs batch_size schedule",
                    "opts.lua and train.lua": "optimizer",
                    "datasets/cifar10.lua": "augmentation",
                    "section 4.2: the final test error, so the last weights": "keep",
                }
            ),
            missing=(_BLACK,),
            keep="last",
            epochs=300,
            batch_size=64,
            reference_batch_size=64,
            optimizer=Optimizer(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(150, 225), gamma=0.1),
            augmentation=CIFAR_CROPS,
        ),
        "senet-imagenet": Recipe(
            source="Hu, Shen, Sun 2018 (Squeeze-and-excitation), section 5: 100 epochs of batches of 1024 at a rate "
            "of 0.6, divided by 10 every 30",
            sources=by_field(
                {
                    "section 5": "epochs batch_size optimizer schedule augmentation",
                    "not printed: 1e-4, as He et al. 2016": "optimizer.weight_decay",
                    "a number of epochs is printed: the last weights": "keep",
                }
            ),
            missing=(
                "balances the classes of each batch",
                "the released networks were trained for longer, in batches of 256 from a rate of 0.1, with turns by up "
                "to 10 degrees and pixels changed by up to 20 (README.md)",
            ),
            keep="last",
            epochs=100,
            batch_size=1024,
            reference_batch_size=1024,
            optimizer=Optimizer(lr=0.6, momentum=0.9, weight_decay=1e-4),
            schedule=Schedule(name="steps", milestones=(30, 60, 90), gamma=0.1),
            augmentation=Augmentation(crop_area=(0.08, 1.0), mirror=0.5),
        ),
    }
)
"""Name -> recipe."""

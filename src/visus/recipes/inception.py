"""How the Inception networks were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

INCEPTION_CROPS = Augmentation(
    crop_area=(0.08, 1.0),
    crop_aspect=(3 / 4, 4 / 3),
    mirror=0.5,
    brightness=0.125,
    contrast=0.5,
    saturation=0.5,
    hue=0.2,
)
"""Szegedy et al. 2015, section 6: 8 to 100 % of the area, aspects of 3/4 to 4/3, "photometric distortions". Their
extent is that of TensorFlow's Inception code (brightness 32/255, saturation 0.5, hue 0.2, contrast 0.5)."""

_ONE_COLOUR = INCEPTION_CROPS.model_copy(update={"contrast": 0.0, "saturation": 0.0, "hue": 0.0})
_RMSPROP = Optimizer(name="rmsprop_tf", lr=0.045, alpha=0.9, momentum=0.9, eps=1.0, weight_decay=4e-5)
_TENSORFLOW = "TensorFlow's Inception code"
_EXTENT = f"{_TENSORFLOW}: the extent of the changes of colour"
_AVERAGE = "not printed: the decay of the average; 0.9999 as in TensorFlow's Inception code"
_LAST = "a number of steps is printed: the last weights, averaged"
_ALONE = "several processes that do not wait for one another"
_CAFFE = by_field(
    {
        "train_val.prototxt": "batch_size optimizer.bias_lr optimizer.decay_norm_and_bias augmentation",
        "the solver": "epochs optimizer schedule",
        "the solver's max_iter: the last weights": "keep",
    }
)
_STRETCH = "stretches images to 256x256; here the shorter side becomes 256"


def _bn_inception(name: str, lr: float) -> Recipe:
    return Recipe(
        source=f"Ioffe, Szegedy 2015, section 4.2, {name}: L2 penalty divided by 5, a rate that falls six times as "
        "fast as GoogLeNet's, less change of colour",
        sources=by_field(
            {
                "section 4.2": "batch_size optimizer.lr schedule",
                "section 4.2: BN-x30's 6 million steps of 32": "epochs",
                "not printed: as GoogLeNet's": "optimizer.name optimizer.momentum",
                "not printed: Caffe's GoogLeNet's, divided by 5": "optimizer.weight_decay",
                "section 4.2: less than GoogLeNet's; here brightness alone": "augmentation",
                _AVERAGE: "ema",
                _LAST: "keep",
            }
        ),
        missing=(_ALONE, "shuffles images within shards"),
        keep="last",
        epochs=150,
        batch_size=32,
        reference_batch_size=32,
        optimizer=Optimizer(lr=lr, momentum=0.9, weight_decay=4e-5),
        schedule=Schedule(name="exponential", gamma=0.96, every=8 / 6, staircase=True),
        augmentation=_ONE_COLOUR,
        ema=0.9999,
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "googlenet-imagenet": Recipe(
            source="Szegedy et al. 2015, section 6: momentum 0.9, the rate 4 % lower every 8 epochs, averaged weights "
            "(Polyak; here a running average)",
            sources=by_field(
                {
                    "section 6": "optimizer schedule augmentation",
                    "Ioffe, Szegedy 2015, section 4.2, which says it of this network": "epochs batch_size optimizer.lr",
                    "not printed: none": "optimizer.weight_decay",
                    _EXTENT: "augmentation.brightness augmentation.contrast augmentation.saturation augmentation.hue",
                    _AVERAGE: "ema",
                    _LAST: "keep",
                }
            ),
            missing=(_ALONE, "random interpolation methods", "answers by the mean of 144 crops and 7 networks"),
            keep="last",
            epochs=774,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(lr=0.0015, momentum=0.9),
            schedule=Schedule(name="exponential", gamma=0.96, every=8.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            ema=0.9999,
        ),
        "googlenet-caffe": Recipe(
            source="BVLC's Caffe model bvlc_googlenet, solver.prototxt: 10 million steps of 32, the rate 4 % lower "
            "each 320,000; biases at twice the rate and without decay",
            sources=_CAFFE,
            missing=(_STRETCH,),
            keep="last",
            epochs=250,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=2e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="exponential", gamma=0.96, every=7.993, staircase=True),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5),
        ),
        "googlenet-caffe-quick": Recipe(
            source="BVLC's Caffe model bvlc_googlenet, quick_solver.prototxt: 2.4 million steps of 32, polynomial "
            "decay of power 0.5; else as googlenet-caffe",
            sources=_CAFFE,
            missing=(_STRETCH,),
            keep="last",
            epochs=60,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=2e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="polynomial", power=0.5),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5),
        ),
        "bn-inception-baseline": _bn_inception("BN-Baseline", 0.0015),
        "bn-inception-x5": _bn_inception("BN-x5", 0.0075),
        "bn-inception-x30": _bn_inception("BN-x30", 0.045),
        "inception-v3-imagenet": Recipe(
            source="Szegedy et al. 2016 (Rethinking), sections 7 and 8: RMSprop with decay 0.9 and epsilon 1, rate "
            "0.045 times 0.94 every two epochs, gradients clipped at 2, label smoothing 0.1, averaged weights",
            sources=by_field(
                {
                    "section 8": "epochs batch_size optimizer schedule clip_norm",
                    "section 7": "loss.label_smoothing",
                    f"not printed: {_TENSORFLOW}": "optimizer.momentum optimizer.weight_decay augmentation",
                    _AVERAGE: "ema",
                    _LAST: "keep",
                }
            ),
            missing=(_ALONE + " (50)",),
            keep="last",
            epochs=100,
            batch_size=32,
            reference_batch_size=32,
            optimizer=_RMSPROP,
            schedule=Schedule(name="exponential", gamma=0.94, every=2.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            loss=LossOptions(label_smoothing=0.1),
            clip_norm=2.0,
            ema=0.9999,
        ),
        "inception-v4-imagenet": Recipe(
            source="Szegedy et al. 2017 (Inception-v4), section 4: as Inception-v3, with 20 processes",
            sources=by_field(
                {
                    "section 4": "optimizer schedule",
                    "not printed: as Inception-v3's": "batch_size loss.label_smoothing clip_norm",
                    f"not printed: {_TENSORFLOW}": "optimizer.momentum optimizer.weight_decay augmentation",
                    "not printed: 160 here": "epochs",
                    _AVERAGE: "ema",
                    "section 4: evaluated by a running average of the weights; of the last step": "keep",
                }
            ),
            missing=(_ALONE + " (20)",),
            keep="last",
            epochs=160,
            batch_size=32,
            reference_batch_size=32,
            optimizer=_RMSPROP,
            schedule=Schedule(name="exponential", gamma=0.94, every=2.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            loss=LossOptions(label_smoothing=0.1),
            clip_norm=2.0,
            ema=0.9999,
        ),
        "xception-imagenet": Recipe(
            source="Chollet 2017 (Xception), sections 4.3 and 4.4: momentum 0.9, rate 0.045 times 0.94 every two "
            "epochs, weight decay 1e-5, averaged weights (Polyak; here a running average)",
            sources=by_field(
                {
                    "section 4.3": "optimizer schedule",
                    "section 4.4": "optimizer.weight_decay",
                    "section 4.3: averaged weights answer; their decay is not printed": "ema",
                    "not printed: 32, as Inception-v3's": "batch_size",
                    "not printed: 100 here": "epochs",
                    "not printed: Inception's crops": "augmentation",
                    "section 4.3: averaged weights answer; of the last step": "keep",
                }
            ),
            missing=("the images of 60 processes in each step",),
            keep="last",
            epochs=100,
            batch_size=32,
            reference_batch_size=32,
            optimizer=Optimizer(lr=0.045, momentum=0.9, weight_decay=1e-5),
            schedule=Schedule(name="exponential", gamma=0.94, every=2.0, staircase=True),
            augmentation=INCEPTION_CROPS,
            ema=0.9999,
        ),
    }
)
"""Name -> recipe."""

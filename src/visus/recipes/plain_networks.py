"""How AlexNet, ZFNet, VGG and the other networks without branches were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import LAST_BIASES, by_field

_PATIENCE = "not printed: how long the error must stand still before the rate falls; 6 epochs here"
_LENGTH = "a number of passes is printed: the last weights"
_CROPS = "answers by the mean of ten crops"

ALEXNET_CROPS = Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5, pca_noise=0.1)
"""Krizhevsky et al. 2012, sections 2 and 4.1."""

VGG_CROPS = Augmentation(random_crop=True, short_side=(256, 256), mirror=0.5, pca_noise=0.1)
"""Simonyan and Zisserman 2015, section 3.1, S = 256: crops, mirrors and AlexNet's shift of colours."""

VGG_JITTER = Augmentation(random_crop=True, short_side=(256, 512), mirror=0.5, pca_noise=0.1)
"""The same with S drawn from 256 to 512 for each image."""

_STRETCH = "stretches images to 256x256; here the shorter side becomes 256"
_DENSE = "answers by the mean over the whole image, at several scales"
_VGG = by_field(
    {
        "section 3.1": "epochs batch_size optimizer schedule augmentation",
        _PATIENCE: "schedule.patience",
        _LENGTH: "keep",
    }
)

_DARKNET_MISSING = (
    "Darknet's own interpolation of the images",
    "factors of colours are drawn as 3/4 .. 1 or the inverse; here as 1 .. 4/3 or the inverse",
)
_BURN_IN = 1000 * 128 / 1_281_167  # epochs of ImageNet that 1,000 steps of 128 are
_BURN_IN_SCHEDULE: Mapping[str, Any] = {"warmup": "polynomial", "warmup_power": 4.0, "warmup_epochs": _BURN_IN}
_DARKNET_CROPS = Augmentation(
    released="darknet",
    random_crop=True,
    short_side=(128, 448),
    aspect=0.75,
    mirror=0.5,
    rotation=7,
    brightness=1 / 3,
    saturation=1 / 3,
    hue=0.1,
)


def _darknet(cfg: str, about: str, *, epochs: int, warmup: Mapping[str, Any], **settings: Any) -> Recipe:
    """A classifier's recipe that only its released cfg prints: polynomial decay of power 4, batches of 128."""
    burn_in = "schedule.warmup schedule.warmup_power schedule.warmup_epochs" if warmup else ""
    return Recipe(
        source=f"the released {cfg}: {about}",
        sources=by_field(
            {
                cfg: f"epochs batch_size optimizer schedule size augmentation {burn_in}",
                "Darknet's code: biases and BatchNorm do not decay": "optimizer.decay_norm_and_bias",
                f"{cfg}, max_batches: the last weights": "keep",
            }
        ),
        missing=_DARKNET_MISSING if warmup else _DARKNET_MISSING[:1],
        keep="last",
        epochs=epochs,
        batch_size=128,
        reference_batch_size=128,
        optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
        schedule=Schedule(name="polynomial", power=4.0, **warmup),
        **settings,
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "alexnet-imagenet": Recipe(
            source="Krizhevsky, Sutskever, Hinton 2012, sections 2, 4 and 5: about 90 epochs, the rate divided by 10 "
            "three times when the validation error stops falling",
            sources=by_field(
                {
                    "section 5": "epochs batch_size optimizer schedule",
                    "sections 2 and 4.1": "augmentation",
                    _PATIENCE: "schedule.patience",
                    _LENGTH: "keep",
                }
            ),
            missing=(_CROPS,),
            keep="last",
            epochs=90,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=ALEXNET_CROPS,
        ),
        "alexnet-caffe": Recipe(
            source="BVLC's Caffe model bvlc_alexnet, solver.prototxt and train_val.prototxt: 450,000 steps of 256, the "
            "rate divided by 10 each 100,000; biases at twice the rate and without decay",
            sources=by_field(
                {
                    "solver.prototxt": "epochs optimizer schedule",
                    "train_val.prototxt": "batch_size optimizer.bias_lr optimizer.decay_norm_and_bias augmentation",
                    "solver.prototxt, max_iter: the last weights": "keep",
                }
            ),
            missing=(_STRETCH,),
            keep="last",
            epochs=90,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="exponential", gamma=0.1, every=19.98, staircase=True),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5),
        ),
        "zfnet-imagenet": Recipe(
            source="Zeiler, Fergus 2014, section 3.1: 70 epochs, ten fixed crops, filters held to a root mean "
            "square of 0.1",
            sources=by_field(
                {
                    "section 3.1": "epochs batch_size optimizer schedule augmentation filter_rms",
                    "not printed: the rate is lowered by hand when the validation error stops falling": (
                        "schedule.gamma schedule.patience"
                    ),
                    _LENGTH: "keep",
                }
            ),
            missing=("lowers the rate by hand", _CROPS),
            keep="last",
            epochs=70,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9),
            schedule=Schedule(name="plateau", gamma=0.1),
            augmentation=Augmentation(
                random_crop=True, short_side=(256, 256), central_square=True, corners=True, mirror=0.5
            ),
            filter_rms=0.1,
        ),
        "vgg-imagenet": Recipe(
            source="Simonyan, Zisserman 2015, section 3.1, S = 256: 370,000 steps (74 epochs), the rate divided by 10 "
            "three times when the validation accuracy stops rising",
            sources=_VGG,
            missing=("networks deeper than A start from A's outer layers", _DENSE),
            keep="last",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_CROPS,
        ),
        "vgg-imagenet-384": Recipe(
            source="Simonyan, Zisserman 2015, section 3.1, S = 384: from the weights of S = 256 (--weights FILE), at a "
            "tenth of its first rate",
            sources=_VGG | {"epochs": "not printed for S = 384: as for S = 256"},
            missing=(_DENSE,),
            keep="last",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_CROPS.model_copy(update={"short_side": (384, 384)}),
        ),
        "vgg-imagenet-jitter": Recipe(
            source="Simonyan, Zisserman 2015, section 3.1, S drawn from 256 to 512: from the weights of S = 384 "
            "(--weights FILE)",
            sources=_VGG
            | {
                "epochs": "not printed for S drawn at random: as for S = 256",
                "optimizer.lr": "not printed for S drawn at random: as for S = 384",
            },
            missing=(_DENSE,),
            keep="last",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_JITTER,
        ),
        "prelu-imagenet": Recipe(
            source="He et al. 2015 (Delving deep into rectifiers), section 3: about 80 epochs at 1e-2, 1e-3 and 1e-4, "
            "scales jittered from the beginning, no decay of PReLU's slopes",
            sources=by_field(
                {
                    "section 3": "epochs batch_size optimizer schedule augmentation",
                    "section 2.1": "optimizer.no_decay",
                    _PATIENCE: "schedule.patience",
                    _LENGTH: "keep",
                }
            ),
            missing=(_DENSE,),
            keep="last",
            epochs=80,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, no_decay=("prelu",)),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=2),
            augmentation=VGG_JITTER,
        ),
        "spp-imagenet": Recipe(
            source="He et al. 2014 (Spatial pyramid pooling), section 2.3: inputs of 224 and of 180 pixels in turn, an "
            "epoch each, which show the same regions",
            sources=by_field(
                {
                    "section 2.3": "augmentation.sides",
                    "section 3.1": "schedule augmentation optimizer.lr",
                    "not printed: as in alexnet-imagenet": "epochs batch_size optimizer",
                    _PATIENCE: "schedule.patience",
                    "not printed: as in alexnet-imagenet, the last weights": "keep",
                }
            ),
            missing=(_CROPS,),
            keep="last",
            epochs=90,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=2),
            augmentation=ALEXNET_CROPS.model_copy(update={"sides": (224, 180)}),
        ),
        "darknet19-imagenet": Recipe(
            source="Redmon, Farhadi 2017 (YOLO9000), section 3, and the released darknet19.cfg",
            sources=by_field(
                {
                    "section 3": "epochs optimizer schedule",
                    "Darknet's code: biases and BatchNorm do not decay": "optimizer.decay_norm_and_bias",
                    "darknet19.cfg": "batch_size schedule.warmup schedule.warmup_power schedule.warmup_epochs size "
                    "augmentation",
                    _LENGTH: "keep",
                }
            ),
            missing=(
                *_DARKNET_MISSING,
                "ten more epochs at 448 pixels and a rate of 1e-3",
                "the cfg ends after 800,000 steps of 128, which are 80 epochs; the paper prints 160",
            ),
            keep="last",
            epochs=160,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=5e-4, decay_norm_and_bias=False),
            schedule=Schedule(name="polynomial", power=4.0, **_BURN_IN_SCHEDULE),
            size=(256, 256),
            augmentation=_DARKNET_CROPS,
        ),
        "darknet53-imagenet": _darknet(
            "darknet53.cfg",
            "its burn-in, crops, turns and colours; the paper (YOLOv3) prints no training of it",
            epochs=80,
            warmup=_BURN_IN_SCHEDULE,
            size=(256, 256),
            augmentation=_DARKNET_CROPS,
        ),
        "extraction-imagenet": _darknet(
            "extraction.cfg",
            "the classifier of YOLO v1, whose paper says of its training only that it took a week",
            epochs=160,
            warmup={},
            size=(224, 224),
            augmentation=Augmentation(released="darknet", random_crop=True, short_side=(224, 320), mirror=0.5),
        ),
        "nin-imagenet": Recipe(
            source="Network in network of Caffe's model zoo (its authors' nin_imagenet), solver.prototxt and "
            "train_val.prototxt: 450,000 steps of 64, the rate divided by 10 each 200,000",
            sources=by_field(
                {
                    "solver.prototxt": "epochs optimizer schedule",
                    "train_val.prototxt": "batch_size optimizer.bias_lr optimizer.decay_norm_and_bias augmentation",
                    "solver.prototxt, max_iter: the last weights": "keep",
                }
            ),
            missing=(_STRETCH, LAST_BIASES),
            keep="last",
            epochs=22,
            batch_size=64,
            reference_batch_size=64,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="exponential", gamma=0.1, every=9.99, staircase=True),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5),
        ),
        "squeezenet-imagenet": Recipe(
            source="Iandola et al. 2016 (SqueezeNet), the authors' SqueezeNet_v1.0/solver.prototxt and "
            "train_val.prototxt: 170,000 steps of 16 times 32, the rate falls from 0.04 in a straight line",
            sources=by_field(
                {
                    "solver.prototxt": "epochs accumulate reference_batch_size optimizer schedule",
                    "train_val.prototxt": "batch_size size augmentation",
                    "solver.prototxt, max_iter: the last weights": "keep",
                }
            ),
            missing=(_STRETCH, LAST_BIASES),
            keep="last",
            epochs=68,
            batch_size=32,
            accumulate=16,
            reference_batch_size=512,
            size=(227, 227),
            optimizer=Optimizer(lr=0.04, momentum=0.9, weight_decay=2e-4),
            schedule=Schedule(name="polynomial", power=1.0),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True),
        ),
    }
)
"""Name -> recipe."""

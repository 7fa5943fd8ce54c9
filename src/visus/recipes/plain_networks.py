"""How AlexNet, ZFNet, VGG and the other networks without branches were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule

_PATIENCE = "how long the error must stand still, it leaves open"

ALEXNET_CROPS = Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5, pca_noise=0.1)
"""Krizhevsky et al. 2012, sections 2 and 4.1."""

VGG_CROPS = Augmentation(random_crop=True, short_side=(256, 256), mirror=0.5, pca_noise=0.1)
"""Simonyan and Zisserman 2015, section 3.1, S = 256: crops, mirrors and AlexNet's shift of colours."""

VGG_JITTER = Augmentation(random_crop=True, short_side=(256, 512), mirror=0.5, pca_noise=0.1)
"""The same with S drawn from 256 to 512 for each image."""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "alexnet-imagenet": Recipe(
            source="Krizhevsky, Sutskever, Hinton 2012, sections 4 and 5: about 90 epochs, the rate divided by 10 "
            f"three times when the validation error stops falling; {_PATIENCE}. It answers by the mean of ten crops; "
            "visus by one",
            epochs=90,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=ALEXNET_CROPS,
        ),
        "alexnet-caffe": Recipe(
            source="BVLC's Caffe model bvlc_alexnet, solver.prototxt and train_val.prototxt: 450,000 steps of 256, the "
            "rate divided by 10 each 100,000; biases at twice the rate and without decay. Caffe stretches images to "
            "256x256; here the shorter side becomes 256",
            epochs=90,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, bias_lr=2.0, decay_norm_and_bias=False),
            schedule=Schedule(name="exponential", gamma=0.1, every=19.98, staircase=True),
            augmentation=Augmentation(random_crop=True, short_side=(256, 256), central_square=True, mirror=0.5),
        ),
        "zfnet-imagenet": Recipe(
            source="Zeiler, Fergus 2014, section 3.1: 70 epochs, ten fixed crops, filters held to a root mean square "
            "of 0.1; the rate is lowered by hand when the validation error stops falling, by how much is not said",
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
            f"three times when the validation accuracy stops rising; {_PATIENCE}. Networks deeper than A start from "
            "A's outer layers there",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_CROPS,
        ),
        "vgg-imagenet-384": Recipe(
            source="Simonyan, Zisserman 2015, section 3.1, S = 384: from the weights of S = 256 (--weights FILE), at a "
            "tenth of its first rate; for how long is not said",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_CROPS.model_copy(update={"short_side": (384, 384)}),
        ),
        "vgg-imagenet-jitter": Recipe(
            source="Simonyan, Zisserman 2015, section 3.1, S drawn from 256 to 512: from the weights of S = 384 "
            "(--weights FILE); rate and length are not said, and are those of S = 384 here",
            epochs=74,
            batch_size=256,
            reference_batch_size=256,
            optimizer=Optimizer(lr=1e-3, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=VGG_JITTER,
        ),
        "prelu-imagenet": Recipe(
            source="He et al. 2015 (Delving deep into rectifiers), section 3: about 80 epochs at 1e-2, 1e-3 and 1e-4, "
            f"scales jittered from the beginning, no decay of PReLU's slopes; {_PATIENCE}",
            epochs=80,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4, no_decay=("prelu",)),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=2),
            augmentation=VGG_JITTER,
        ),
        "spp-imagenet": Recipe(
            source="He et al. 2014 (Spatial pyramid pooling), section 2.3: inputs of 224 and of 180 pixels in turn, an "
            "epoch each, which show the same regions; all else is as alexnet-imagenet here",
            epochs=90,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.01, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="plateau", gamma=0.1, most_drops=3),
            augmentation=ALEXNET_CROPS.model_copy(update={"sides": (224, 180)}),
        ),
        "darknet19-imagenet": Recipe(
            source="Redmon, Farhadi 2017 (YOLO9000), section 3: 160 epochs, polynomial decay of power 4. The batch and "
            "the extent of crops, turns and colours are those of the released darknet19.cfg, whose inputs have 256 "
            "pixels. Ten epochs at 448 pixels and a rate of 1e-3 follow there",
            epochs=160,
            batch_size=128,
            reference_batch_size=128,
            optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule(name="polynomial", power=4.0),
            augmentation=Augmentation(
                random_crop=True,
                short_side=(128, 448),
                mirror=0.5,
                rotation=7,
                brightness=1 / 3,
                saturation=1 / 3,
                hue=0.1,
            ),
        ),
    }
)
"""Name -> recipe."""

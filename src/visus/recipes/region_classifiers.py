"""How Fast R-CNN and R-FCN were trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.recipes.sources import by_field
from visus.tasks.options import LossOptions

_VOC07 = 5011  # images of trainval
_VOC0712 = 16_551

_FROZEN = (0, 2, 5, 7)  # conv1_1, conv1_2, conv2_1 and conv2_2 of VGG-16


def _fast_rcnn(network: str, folder: str, frozen: tuple[str, ...]) -> Recipe:
    """frozen: what the names of layers begin with that do not learn."""
    return Recipe(
        source=f"Girshick 2015, sec. 2.3, on {network}: 30,000 steps of 2 images of VOC 2007 trainval (5,011) and 64 "
        "regions of each, then 10,000 at a tenth of the rate",
        sources=by_field(
            {
                "section 2.3, SGD hyper-parameters": "epochs optimizer schedule",
                "section 2.3, mini-batch sampling": "batch_size augmentation",
                f"models/{folder}/train.prototxt, lr_mult and decay_mult; section 4.5": (
                    "optimizer.rates optimizer.bias_lr optimizer.decay_norm_and_bias"
                ),
                "pascal_voc.py: difficult objects are objects": "loss",
                "a number of steps is printed: the last weights": "keep",
            }
        ),
        missing=("deviations of the offsets that are computed of each class's boxes in the data",),
        keep="last",
        epochs=round(40_000 * 2 / _VOC07),
        batch_size=2,
        reference_batch_size=2,
        optimizer=Optimizer(
            lr=1e-3,
            momentum=0.9,
            weight_decay=5e-4,
            bias_lr=2.0,
            decay_norm_and_bias=False,
            rates=dict.fromkeys(frozen, 0.0),
        ),
        schedule=Schedule(name="steps", milestones=(30_000 * 2 / _VOC07,), gamma=0.1),
        augmentation=Augmentation(mirror=0.5),
        loss=LossOptions(marked="learned"),
        channels_last=False,
    )


_R_FCN = Recipe(
    source="Dai et al. 2016, sec. 3: 20,000 steps of 8 images of VOC 07+12 trainval (16,551) and the 128 hardest of "
    "300 regions of each, then 10,000 at a tenth of the rate",
    sources=by_field(
        {
            "section 3, training": "epochs batch_size optimizer schedule",
            "train_agnostic_ohem.prototxt (YuwenXiong/py-R-FCN), lr_mult and use_global_stats": (
                "optimizer.rates optimizer.bias_lr freeze"
            ),
            "config.py (YuwenXiong/py-R-FCN), USE_FLIPPED": "augmentation",
            "pascal_voc.py (YuwenXiong/py-R-FCN): difficult objects are left out": "loss",
            "a number of steps is printed: the last weights": "keep",
        }
    ),
    missing=("the four steps of alternating training; both stages are trained together, as py-R-FCN does",),
    keep="last",
    epochs=round(30_000 * 8 / _VOC0712),
    batch_size=8,
    reference_batch_size=8,
    optimizer=Optimizer(
        lr=1e-3,
        momentum=0.9,
        weight_decay=5e-4,
        bias_lr=2.0,
        rates=dict.fromkeys(("backbone.conv1.", "backbone.layer1."), 0.0),
    ),
    schedule=Schedule(name="steps", milestones=(20_000 * 8 / _VOC0712,), gamma=0.1),
    augmentation=Augmentation(mirror=0.5),
    loss=LossOptions(marked="background"),
    freeze="batchnorm",
    channels_last=False,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "fast-rcnn-voc": _fast_rcnn("VGG-16", "VGG16", tuple(f"backbone.features.{layer}." for layer in _FROZEN)),
        "fast-rcnn-small-voc": _fast_rcnn("CaffeNet or VGG_CNN_M_1024", "VGG_CNN_M_1024", ("backbone.conv1.",)),
        "r-fcn-voc": _R_FCN,
    }
)
"""Name -> recipe."""

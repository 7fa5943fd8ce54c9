"""Renames released weights for R-CNN to the names of visus: those to start from, and fine-tuned ones."""

from __future__ import annotations

from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.alexnet_weights import normalises_first
from visus.models.classification.vgg_weights import table

_FINETUNED = "fc8_pascal"
_DENSE = ("fc6", "fc7")


def from_caffenet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of CaffeNet, from which R-CNN begins, or of the authors' fine-tuned network, as R-CNN's state.

    The classes of ImageNet, fc8, are left behind; those of the fine-tuned network are kept, background first in both.

    Raises:
        WeightsError: if an array is missing or not one of that network's, or the file is AlexNet's, which normalises
            before it pools.
    """
    sources: dict[str, Source] = {f"backbone.conv{number}": Kernel(f"conv{number}") for number in range(1, 6)}
    state = converted(arrays, sources | _dense(arrays), "CaffeNet", unused=_unused(arrays))
    layers = getattr(arrays, "layers", ())
    if any(layer.type == "LRN" for layer in layers) and normalises_first(layers):
        raise WeightsError(
            "these are the weights of AlexNet, which normalises before it pools",
            expected="those of bvlc_reference_caffenet, with which R-CNN begins",
            got="the layers of bvlc_alexnet: equal shapes and names, in another order",
            remedy="take bvlc_reference_caffenet.caffemodel",
        )
    return state


def from_vgg16(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG_ILSVRC_16_layers, or of such a network that was fine-tuned, as the state of R-CNN on VGG-16.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    convolutions = {f"backbone.{ours}": its for ours, its in table("D").items() if ours.startswith("features.")}
    return converted(arrays, convolutions | _dense(arrays), "VGG_ILSVRC_16_layers", unused=_unused(arrays))


def _dense(arrays: Arrays) -> dict[str, Source]:
    sources: dict[str, Source] = {f"neck.{name}": Dense(name) for name in _DENSE}
    return sources | ({"fc8": Dense(_FINETUNED)} if f"{_FINETUNED}.0" in arrays else {})


def _unused(arrays: Arrays) -> tuple[str, ...]:
    return () if f"{_FINETUNED}.0" in arrays else ("fc8",)

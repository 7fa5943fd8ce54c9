"""Renames the weights of others to the names of Fast R-CNN.

The authors' files: rbgirshick/fast-rcnn, whose last layers are ``cls_score`` and ``bbox_pred``, background first. At a
snapshot that code multiplies the weights of ``bbox_pred`` by the deviations of the offsets, so that it predicts them
plainly; ours predicts offsets over deviations, by which the weights are divided again. Weights of VGG-16 for ImageNet
are renamed as for Faster R-CNN (:mod:`visus.models.detection.faster_rcnn_weights`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted
from visus.models.classification.alexnet_weights import normalises_first
from visus.models.classification.vgg_weights import table

DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
_CONVOLUTIONS = tuple(f"conv{number}" for number in range(1, 6))  # of CaffeNet and VGG_CNN_M_1024
_DENSE: dict[str, Source] = {f"regions.{name}": Dense(name) for name in ("fc6", "fc7")}


@dataclass(frozen=True, slots=True)
class Offsets:
    """A layer whose outputs are offsets, four of each box in turn, each divided by its deviation.

    Args:
        source: the layer without.
        cells: so many outputs are of one offset, one behind the other.
    """

    source: Kernel | Dense
    cells: int = 1

    @property
    def arrays(self) -> tuple[str, ...]:
        return self.source.arrays

    def state(self, arrays: Arrays) -> dict[str, Tensor]:
        state = self.source.state(arrays)
        outputs = len(state["weight"])
        if outputs % (4 * self.cells):
            raise WeightsError(
                f"{self.source.layer} does not predict offsets of boxes",
                expected=f"a multiple of {4 * self.cells} outputs",
                got=str(outputs),
                remedy="choose a file of the network that is to be filled",
            )
        deviations = torch.tensor(DEVIATIONS).repeat_interleave(self.cells).repeat(outputs // (4 * self.cells))
        return {name: value / deviations.reshape(-1, *[1] * (value.ndim - 1)) for name, value in state.items()}


_HEADS: dict[str, Source] = {"class_logits": Dense("cls_score"), "box_offsets": Offsets(Dense("bbox_pred"))}


def _vgg16_trunk() -> dict[str, Source]:
    return {f"backbone.{ours}": source for ours, source in table("D").items() if ours.startswith("features.")}


def _small_trunk() -> dict[str, Source]:
    return {f"backbone.{name}": Kernel(name) for name in _CONVOLUTIONS}


def from_caffe(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of the authors' Fast R-CNN on VGG-16, CaffeNet or VGG_CNN_M_1024 as our state.

    Raises:
        WeightsError: if an array is missing or not one of these networks'.
    """
    trunk = _vgg16_trunk() if "conv1_1.0" in arrays else _small_trunk()
    return converted(arrays, trunk | _DENSE | _HEADS, "the authors' Fast R-CNN")


def from_caffe_caffenet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of CaffeNet (bvlc_reference_caffenet, CaffeNet.v2); its classifier, fc8, is left.

    Raises:
        WeightsError: if an array is missing or not one of that network's, or the file says that it is AlexNet's, which
            has the same shapes and normalises before it pools.
    """
    state = converted(arrays, _small_trunk() | _DENSE, "CaffeNet", unused=("fc8",))
    layers = getattr(arrays, "layers", ())
    if any(layer.type == "LRN" for layer in layers) and normalises_first(layers):
        raise WeightsError(
            "these are the weights of AlexNet, which normalises before it pools",
            expected="those of CaffeNet, whose pooling comes first",
            got="the layers of bvlc_alexnet: equal shapes and names, in another order",
            remedy="take bvlc_reference_caffenet.caffemodel",
        )
    return state


def from_caffe_vgg_m(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG_CNN_M_1024 (VGG_CNN_M_1024.v2); its classifier, fc8, is left.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, _small_trunk() | _DENSE, "VGG_CNN_M_1024", unused=("fc8",))

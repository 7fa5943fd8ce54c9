"""Converts VGG-16's weights to those of an FCN's trunk, and the authors' Caffe files to those of FCNs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError
from visus.models.caffe_layers import Arrays, Dense, Kernel, Source, converted, tensor
from visus.models.classification.alexnet_weights import normalises_first

# Our stages, and the indices of their convolutions in torchvision's ``features``.
_INDICES = {
    "conv1": (0, 2),
    "conv2": (5, 7),
    "conv3": (10, 12, 14),
    "conv4": (17, 19, 21),
    "conv5": (24, 26, 28),
}
_DEVIATIONS = (0.229, 0.224, 0.225)  # of R, G, B: torchvision's preprocessing
_DENSE = {"fc6": ("classifier.0", (7, 7)), "fc7": ("classifier.3", (1, 1))}


def from_vgg16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of VGG-16 (torchvision's names) as that of :class:`~visus.models.segmentation.fcn.ConvolutionalVGG16`.

    The dense layers become convolutions (section 3.1): their weights [4096, 512 * 7 * 7] and [4096, 4096] are kernels
    of 7x7 and 1x1. The last layer, which names ImageNet's classes, is left out.

    Raises:
        WeightsError: if a layer is missing, or one is of another network.
    """
    table = {
        f"{stage}.{2 * number}.{part}": f"features.{index}.{part}"
        for stage, indices in _INDICES.items()
        for number, index in enumerate(indices)
        for part in ("weight", "bias")
    }
    table |= {
        f"{ours}.{part}": f"{theirs}.{part}" for ours, (theirs, _) in _DENSE.items() for part in ("weight", "bias")
    }
    missing = sorted(set(table.values()) - set(state))
    foreign = sorted(set(state) - set(table.values()) - {"classifier.6.weight", "classifier.6.bias"})
    if missing or foreign:
        raise WeightsError(
            "these are not the weights of VGG-16",
            expected=missing[0] if missing else "no further values",
            got=f"{len(missing)} values missing, {len(foreign)} of another network",
            remedy="choose a file of that network",
        )
    converted = {ours: state[theirs] for ours, theirs in table.items()}
    for ours, (_, window) in _DENSE.items():
        weight = converted[f"{ours}.weight"]
        converted[f"{ours}.weight"] = weight.reshape(len(weight), -1, *window)
    colours = converted["conv1.0.weight"]
    if colours.shape[1] == 3:
        converted["conv1.0.weight"] = (colours / colours.new_tensor(_DEVIATIONS)[:, None, None] / 255).flip(1)
    return converted


# --- Caffe

_UPSAMPLINGS = {32: "upscore", 16: "upscore16", 8: "upscore8"}
"""The authors' names of the last one, by the stride of the finest map."""
_SCALES = {"score_pool4": ("scale_pool4.0", 0.01), "score_pool3": ("scale_pool3.0", 0.0001)}
"""What FCN-8s at once multiplies pool4 and pool3 by: the arrays of that layer, and our constants."""


def from_caffe_32s(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of an FCN-32s of shelhamer/fcn.berkeleyvision.org as our state; so the others below.

    Raises:
        WeightsError: if an array is missing or not one of that network's.
    """
    return converted(arrays, fcn_table(32), "the authors' FCN-32s")


def from_caffe_16s(arrays: Arrays) -> dict[str, Tensor]:
    """See :func:`from_caffe_32s`."""
    return converted(arrays, fcn_table(16), "the authors' FCN-16s")


def from_caffe_8s(arrays: Arrays) -> dict[str, Tensor]:
    """See :func:`from_caffe_32s`."""
    return converted(arrays, fcn_table(8), "the authors' FCN-8s")


def from_caffe_at_once(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of voc-fcn8s-atonce, in which pool4 and pool3 are scaled before they are scored.

    The scales are constants here; what a file has beyond them goes into the scores' kernels.

    Raises:
        WeightsError: see :func:`from_caffe_32s`.
    """
    unused = [name.rpartition(".")[0] for name, _ in _SCALES.values()]
    state = converted(arrays, fcn_table(8), "the authors' FCN-8s at once", unused=unused)
    for ours, (name, ours_scale) in _SCALES.items():
        if name not in arrays:
            raise WeightsError(
                "these are not the weights of the authors' FCN-8s at once",
                expected=name,
                got="an FCN-8s that was trained in stages",
                remedy="choose the edition fcn8s@paper",
            )
        state[f"{ours}.weight"] *= tensor(arrays[name]).reshape(1, -1, 1, 1) / ours_scale
    return state


def from_caffe_alexnet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of voc-fcn-alexnet.

    Raises:
        WeightsError: see :func:`from_caffe_32s`.
    """
    heads: dict[str, Source] = {"score_fr": Kernel("score_fr"), "upscore": Kernel("upscore", bias=False)}
    trunk = {f"backbone.{name}": source for name, source in _alexnet(dense=False).items()}
    return converted(arrays, trunk | heads, "the authors' FCN-AlexNet")


def from_caffe_vgg16(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of VGG_ILSVRC_16_layers as the state of the trunk; the dense layers become convolutions.

    Raises:
        WeightsError: see :func:`from_caffe_32s`.
    """
    dense: dict[str, Source] = {"fc6": Dense("fc6", window=(512, 7, 7)), "fc7": Dense("fc7", window=(4096, 1, 1))}
    return converted(arrays, _convolutions() | dense, "VGG_ILSVRC_16_layers", unused=("fc8",))


def from_caffenet(arrays: Arrays) -> dict[str, Tensor]:
    """The arrays of bvlc_reference_caffenet as the state of FCN-AlexNet's trunk.

    Raises:
        WeightsError: see :func:`from_caffe_32s`; or if the file is AlexNet's, which normalises before it pools.
    """
    state = converted(arrays, _alexnet(dense=True), "CaffeNet", unused=("fc8",))
    if normalises_first(getattr(arrays, "layers", ())):
        raise WeightsError(
            "these are the weights of AlexNet, which normalises before it pools",
            expected="those of bvlc_reference_caffenet, with which FCN-AlexNet begins",
            got="the layers of bvlc_alexnet: equal shapes and names, in another order",
            remedy="take bvlc_reference_caffenet.caffemodel",
        )
    return state


def fcn_table(stride: int) -> dict[str, Source]:
    """Our layers of an FCN on VGG-16 with the authors'."""
    dense: dict[str, Source] = {"fc6": Kernel("fc6"), "fc7": Kernel("fc7")}
    sources: dict[str, Source] = {f"backbone.{ours}": source for ours, source in (_convolutions() | dense).items()}
    sources["score_fr"] = Kernel("score_fr")
    if stride <= 16:
        sources |= {"upscore2": Kernel("upscore2", bias=False), "score_pool4": Kernel("score_pool4")}
    if stride == 8:
        sources |= {"upscore_pool4": Kernel("upscore_pool4", bias=False), "score_pool3": Kernel("score_pool3")}
    return sources | {"upscore": Kernel(_UPSAMPLINGS[stride], bias=False)}


def _convolutions() -> dict[str, Source]:
    """Ours of VGG-16 with Caffe's."""
    return {
        f"{stage}.{2 * number}": Kernel(f"{stage}_{number + 1}")
        for stage, indices in _INDICES.items()
        for number in range(len(indices))
    }


def _alexnet(*, dense: bool) -> dict[str, Source]:
    """The trunk of FCN-AlexNet, whose layers have Caffe's names; ``dense``: as its file is before the surgery."""
    sources: dict[str, Source] = {name: Kernel(name) for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    if dense:
        return sources | {"fc6": Dense("fc6", window=(256, 6, 6)), "fc7": Dense("fc7", window=(4096, 1, 1))}
    return sources | {"fc6": Kernel("fc6"), "fc7": Kernel("fc7")}

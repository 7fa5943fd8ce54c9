"""Converts VGG-16's weights to those of an FCN's trunk."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from visus.errors import WeightsError

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

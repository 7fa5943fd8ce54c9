"""What the cards of networks for ImageNet share. Loads no torch."""

from __future__ import annotations

from visus.models.card import Conversion, WeightsFile
from visus.structures.preprocessing import Preprocessing

IMAGENET = Preprocessing()
"""Short side 256, centre 224x224, mean and deviation of ImageNet's channels."""


def caffe(module: str, function: str = "from_caffe", mark: str = "") -> Conversion:
    """The conversion of a network's .caffemodel by a function of this package.

    Args:
        module: of ``visus.models.classification``.
        function: of that module.
        mark: an array that every such file has, where the names of others differ.
    """
    return Conversion(f"visus.models.classification.{module}:{function}", suffix=".caffemodel", mark=mark)


def bgr(*mean: float, side: int = 224) -> Preprocessing:
    """As Caffe feeds its networks: blue first, values of 0 to 255 less a mean colour (of blue, green, red)."""
    size, share = (side, side), side / 256
    return Preprocessing(size=size, crop_fraction=share, order="BGR", scale=1.0, mean=mean, std=(1.0, 1.0, 1.0))


MEAN_OF_BVLC = (104.00699, 116.66877, 122.67892)
"""The mean colour of Caffe's imagenet_mean.binaryproto, of blue, green and red (shelhamer/fcn.berkeleyvision.org)."""


def torchvision_file(file: str, sha256: str, top1: float, top5: float) -> WeightsFile:
    """IMAGENET1K_V1 of torchvision, with the accuracies that its documentation states in percent.

    torchvision itself states the first eight digits of each hash, in the file's name; the full hashes are those that
    at least two independent public build or download scripts pin for these files, where such scripts were found.
    """
    return WeightsFile(
        name=file,
        sha256=sha256,
        url=f"https://download.pytorch.org/models/{file}",
        trained_on="ImageNet-1k",
        licence="BSD-3-Clause (torchvision)",
        metrics={"accuracy": round(top1 / 100, 5), "top5_accuracy": round(top5 / 100, 5)},
    )

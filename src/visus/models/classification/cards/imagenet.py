"""What the cards of networks for ImageNet share. Loads no torch."""

from __future__ import annotations

from visus.models.card import WeightsFile
from visus.structures.preprocessing import Preprocessing

IMAGENET = Preprocessing()
"""Short side 256, centre 224x224, mean and deviation of ImageNet's channels."""


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

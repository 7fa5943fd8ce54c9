"""Moves batches to the device, and normalises their images there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import torch

from visus.data.augmentation.normalising import normalise
from visus.structures import Batch, Preprocessing

ToDevice = Callable[[Batch], Batch]
"""Takes a loader's batch (uint8, on the CPU), and returns it on the device, normalised, as a network takes it."""


class Batches(Protocol):
    """The batches of a training; ``visus.data.loading.loader.Loader`` is one such source."""

    def __len__(self) -> int:
        """The number of batches an epoch of this process; equal for all processes."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch from number ``start`` on; each call yields the same ones."""


def to_device(preprocessing: Preprocessing, device: torch.device, *, channels_last: bool = False) -> ToDevice:
    """Makes the function that moves a batch to the device and normalises its images there."""

    def move(batch: Batch) -> Batch:
        on_device = batch.to(device, channels_last=channels_last)
        return replace(on_device, images=normalise(on_device.images, preprocessing))

    return move

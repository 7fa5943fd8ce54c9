"""The last yard to a network: batches onto the device and, there, from uint8 to normalised values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import torch

from visus.data.augmentation.preparing import normalise
from visus.structures import Batch, Preprocessing

Ready = Callable[[Batch], Batch]
"""From a loader's batch (uint8, on the CPU) to one that a network can take."""


class Batches(Protocol):
    """What a training draws from; ``visus.data.loading.loader.Loader`` is one."""

    def __len__(self) -> int:
        """Batches an epoch, for this process; the same for all of them."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on, the same ones each time."""


def feeder(preprocessing: Preprocessing, device: torch.device, *, channels_last: bool = False) -> Ready:
    """A function that takes a batch to the device and normalises it there."""

    def ready(batch: Batch) -> Batch:
        moved = batch.to(device, channels_last=channels_last)
        return replace(moved, images=normalise(moved.images, preprocessing))

    return ready

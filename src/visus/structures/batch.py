"""Samples made ready for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from visus.structures.placement import Placement

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples made ready for a network.

    Args:
        images: [N,C,H,W] uint8 as the loader makes it; [N,C,H,W] float32 once normalised.
        targets: what the task's ``collate`` made: ids [N] int64 (classification), a list of Detections in network
            pixels (detection), or ids [N,H,W] int64 with 255 to ignore (segmentation); None for unlabelled images.
        placements: where each image lies in its file; N of them.
        ids: the samples' names; N of them.
    """

    images: torch.Tensor
    targets: Any
    placements: Sequence[Placement]
    ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device, *, channels_last: bool = False) -> Batch:
        """The same batch on a device; targets that are tensors move too."""
        import torch

        memory = torch.channels_last if channels_last else torch.contiguous_format
        images = self.images.to(device, non_blocking=True, memory_format=memory)
        targets = self.targets
        if isinstance(targets, torch.Tensor):
            targets = targets.to(device, non_blocking=True)
        return replace(self, images=images, targets=targets)

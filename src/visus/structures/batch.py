"""Samples made ready for a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from visus.structures.placement import Placement
from visus.structures.proposals import Proposals

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples made ready for a network.

    Args:
        images: [N,C,H,W] uint8 as the loader makes it; [N,C,H,W] float32 once normalised.
        targets: what the task's ``collate`` made of the samples' targets, or None for unlabelled images. A tensor has
            one row an image (ids [N], maps [N,H,W]) and a list one item an image (N Detections, N sentences); dicts and
            tuples may hold several of them, one inside another.
        placements: where each image lies in its file; N of them.
        ids: the samples' names; N of them.
        proposals: regions to look at, in network pixels, best first; N of them. None where the network is given none.
    """

    images: torch.Tensor
    targets: Any
    placements: Sequence[Placement]
    ids: Sequence[str]
    proposals: Sequence[Proposals] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device, *, channels_last: bool = False) -> Batch:
        """The same batch on a device: its images, and every tensor of its targets; proposals stay where they are."""
        import torch

        memory = torch.channels_last if channels_last else torch.contiguous_format
        images = self.images.to(device, non_blocking=True, memory_format=memory)
        return replace(self, images=images, targets=_move(self.targets, device))

    def first(self, count: int) -> Batch:
        """The batch of the first ``count`` images alone."""
        return Batch(
            images=self.images[:count],
            targets=_first(self.targets, count),
            placements=self.placements[:count],
            ids=self.ids[:count],
            proposals=None if self.proposals is None else self.proposals[:count],
        )


def _move(tree: Any, device: torch.device) -> Any:
    """Moves every tensor of the targets to a device; anything else stays as it is."""
    import torch

    if isinstance(tree, torch.Tensor):
        return tree.to(device, non_blocking=True)
    if isinstance(tree, list):
        return [_move(item, device) for item in tree]
    return _rebuilt(tree, lambda item: _move(item, device))


def _first(tree: Any, count: int) -> Any:
    """The targets of the first images: the first rows of tensors, the first items of lists."""
    import torch

    if isinstance(tree, torch.Tensor | list):
        return tree[:count]
    return _rebuilt(tree, lambda item: _first(item, count))


def _rebuilt(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Applies a function to each item of a dict or tuple; returns anything else as it is."""
    if isinstance(tree, dict):
        return {name: change(item) for name, item in tree.items()}
    if isinstance(tree, tuple):
        changed = [change(item) for item in tree]
        return type(tree)(*changed) if hasattr(tree, "_fields") else tuple(changed)
    return tree

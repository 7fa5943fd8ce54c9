"""Batches: their targets are any tree of tensors, or nothing at all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from visus.structures import Batch, Detections, Placement

META = torch.device("meta")  # a device that every machine has


class Words(NamedTuple):
    tokens: Tensor
    lengths: Tensor


def boxes(label: int) -> Detections:
    return Detections(("a", "b"), np.asarray([[0, 0, 4, 4]], np.float32), np.asarray([label]), (8, 8))


def batch_of(targets: Any, count: int = 3) -> Batch:
    images = torch.arange(count * 12).reshape(count, 3, 2, 2)
    return Batch(images, targets, [Placement.identity((2, 2))] * count, [f"{n}.png" for n in range(count)])


def tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return [tensor for item in items for tensor in tensors(item)]


TREES = {
    "none": (None, 0),
    "ids": (torch.arange(3), 1),
    "boxes": ([boxes(0), boxes(1), boxes(0)], 0),
    "ragged": ([torch.zeros(2), torch.zeros(5), torch.zeros(1)], 3),
    "dict": ({"ids": torch.arange(3), "said": ["a", "b", "c"]}, 1),
    "nested": ({"words": Words(torch.zeros(3, 7), torch.ones(3)), "more": (torch.arange(3), [boxes(0)] * 3)}, 3),
}


@pytest.mark.parametrize("name", TREES)
def test_every_tensor_moves_to_the_device_and_nothing_else_changes(name: str) -> None:
    targets, count = TREES[name]
    batch = batch_of(targets)
    moved = batch.to(META)
    assert moved.images.device == META
    assert [tensor.device for tensor in tensors(moved.targets)] == [META] * count
    assert all(tensor.device.type == "cpu" for tensor in tensors(batch.targets))
    assert type(moved.targets) is type(targets)
    if name == "nested":
        assert isinstance(moved.targets["words"], Words)
        assert moved.targets["more"][1][0] is targets["more"][1][0]


@pytest.mark.parametrize("name", TREES)
def test_the_first_images_take_their_own_targets_with_them(name: str) -> None:
    targets, count = TREES[name]
    first = batch_of(targets).first(2)
    assert len(first) == len(first.images) == len(first.placements) == 2
    found = tensors(first.targets)
    if name == "ragged":
        assert [len(tensor) for tensor in found] == [2, 5]
    else:
        assert [len(tensor) for tensor in found] == [2] * count
    if name == "ids":
        assert first.targets.tolist() == [0, 1]
    if name == "boxes":
        assert [int(value.labels[0]) for value in first.targets] == [0, 1]
    if name == "dict":
        assert first.targets["said"] == ["a", "b"]
    if name == "none":
        assert first.targets is None


def test_a_dict_moves_with_its_images_in_channels_last() -> None:
    moved = batch_of({"ids": torch.arange(3)}).to(torch.device("cpu"), channels_last=True)
    assert moved.images.is_contiguous(memory_format=torch.channels_last)
    assert moved.targets["ids"].tolist() == [0, 1, 2]

"""Faster R-CNN on a pyramid: its parts, its levels, other backbones, and images of which nothing can be learnt.

That it computes what torchvision's does is tested in tests/oracle/test_torchvision_rcnn.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from made_up import objects_of
from visus.errors import RecipeError, TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.faster_rcnn_fpn import FasterRCNNFPN
from visus.structures import Batch, Placement

SIZE = (96, 128)
CLASSES = ("red", "green", "blue")
SMALL = {"width": 16, "hidden": 32, "proposals": 50, "sampled": 32}

target = objects_of(CLASSES, SIZE)


@pytest.fixture(scope="module")
def small() -> FasterRCNNFPN:
    torch.manual_seed(0)
    network = build(catalog.find("faster_rcnn_fpn+mobilenet_v1_025"), classes=3, options=SMALL)
    assert isinstance(network, FasterRCNNFPN)
    return network.eval()


def batch_of(*targets: Any, seed: int = 0) -> Batch:
    images = torch.randn(len(targets), 3, *SIZE, generator=torch.Generator().manual_seed(seed))
    names = tuple(map(str, range(len(targets))))
    return Batch(images, list(targets), [Placement.identity(SIZE)] * len(targets), names)


def test_the_parts_count_as_published() -> None:
    """facts/architectures.yaml, faster_rcnn_resnet50_fpn."""
    with torch.device("meta"):
        network = build(catalog.find("faster_rcnn_fpn"), classes=90)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert parts["backbone"] == 23_508_032
    assert parts["pyramid"] == 3_344_384
    assert parts["rpn"] == 593_935
    assert sum(parts[name] for name in ("fc6", "fc7", "class_logits", "box_offsets")) == 14_362_055


@pytest.mark.parametrize(
    ("name", "count"), [("faster_rcnn_fpn", 41_757_156), ("faster_rcnn_fpn@torchvision", 41_808_406)]
)
def test_the_whole_counts_as_published(name: str, count: int) -> None:
    assert catalog.find(name).parameters == count


def test_each_level_has_anchors_of_one_size(small: FasterRCNNFPN) -> None:
    """Section 4.1: 32^2 to 512^2 pixels on P2 to P6, in three shapes."""
    with torch.no_grad():
        objectness = small.objectness(small.features(torch.zeros(1, 3, 128, 128)), (128, 128))
    assert [(grid.rows, grid.columns) for grid in objectness.grids] == [(s, s) for s in (32, 16, 8, 4, 2)]
    first = 0
    for grid, side in zip(objectness.grids, (32, 64, 128, 256, 512), strict=True):
        shapes = objectness.anchors[first : first + 3, 2:] - objectness.anchors[first : first + 3, :2]
        assert shapes.prod(1).sqrt().tolist() == pytest.approx([side] * 3, rel=1e-5)
        assert (shapes[:, 1] / shapes[:, 0]).tolist() == pytest.approx([0.5, 1, 2], rel=1e-5)
        first += grid.total
    assert first == len(objectness.anchors)


def test_p6_is_every_second_cell_of_p5(small: FasterRCNNFPN) -> None:
    with torch.no_grad():
        maps = small.features(torch.randn(1, 3, 128, 192, generator=torch.Generator().manual_seed(0)))
        objectness = small.objectness(maps, (128, 192))
        window = F.relu(small.rpn.conv(maps[32][:, :, ::2, ::2]))
        coarsest = small.rpn.objectness(window).permute(0, 2, 3, 1).flatten()
    torch.testing.assert_close(objectness.logits[0, -len(coarsest) :], coarsest)


@pytest.mark.parametrize("pooling", ["max", "align", "legacy_align"])
def test_regions_are_seen_in_their_own_order(small: FasterRCNNFPN, pooling: Any) -> None:
    """Regions of several levels and images: each is answered as if it came alone."""
    small.pooling = pooling
    boxes = [torch.tensor([[0.0, 0, 127, 95], [8, 8, 30, 40]]), torch.tensor([[4.0, 4, 20, 20], [0, 10, 120, 90]])]
    with torch.no_grad():
        maps = small.features(torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2)))
        together = small.classify(maps, boxes, SIZE)
        for n, image in enumerate(boxes):
            for k, box in enumerate(image):
                alone = small.classify({s: m[n : n + 1] for s, m in maps.items()}, [box[None]], SIZE)
                torch.testing.assert_close(together.logits[2 * n + k], alone.logits[0], rtol=1e-4, atol=1e-6)
                torch.testing.assert_close(together.offsets[2 * n + k], alone.offsets[0], rtol=1e-4, atol=1e-6)
    small.pooling = "max"


def test_the_map_layout_changes_nothing(small: FasterRCNNFPN) -> None:
    images = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    boxes = [torch.tensor([[0.0, 0, 90, 80], [8, 8, 30, 40]])]
    with torch.no_grad():
        plain = small(images, boxes)
        last = small(images.to(memory_format=torch.channels_last), boxes)
    torch.testing.assert_close(plain.logits, last.logits, rtol=1e-4, atol=1e-5)


def test_losses_without_objects_and_with_a_thousand(small: FasterRCNNFPN) -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 80, (1000, 2))
    crowd = target(np.concatenate([corners, corners + generator.uniform(2, 16, (1000, 2))], 1).tolist(), [0] * 1000)
    small.zero_grad()
    terms = small.codec.losses(small, batch_of(target([], []), crowd))
    assert terms.keys() == {"objectness", "anchor_box", "class", "box"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in small.parameters() if p.grad is not None)
    empty = small.codec.losses(small, batch_of(target([], [])))
    assert all(bool(torch.isfinite(term)) for term in empty.values())
    assert empty["box"] == empty["anchor_box"] == 0


def test_an_image_without_proposals_has_no_objects(small: FasterRCNNFPN) -> None:
    with torch.no_grad():
        outputs = small(torch.zeros(2, 3, *SIZE), [torch.zeros(0, 4), torch.tensor([[0.0, 0, 50, 50]])])
    assert outputs.counts == (0, 1)
    assert [len(answer) <= count for answer, count in zip(small.codec.decode(outputs), (0, 3), strict=True)] == [
        True
    ] * 2


def test_backbones_and_options() -> None:
    with pytest.raises(TaskMismatchError, match="stride"):
        build(catalog.find("faster_rcnn_fpn+lenet5"))
    with pytest.raises(RecipeError, match="pooling"):
        build(catalog.find("faster_rcnn_fpn+mobilenet_v1_025"), options={"pooling": "mean"})
    with torch.device("meta"):
        network = build(catalog.find("faster_rcnn_fpn+mobilenet_v2"), classes=3, options={"width": 64, "hidden": 128})
        assert network(torch.zeros(1, 3, 200, 300)).logits.shape == (1, 1000, 4)

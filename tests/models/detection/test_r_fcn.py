"""R-FCN: its counts, its position-sensitive maps, the hardest regions against plain loops, and its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from made_up import objects_of
from tiny_backbone import TinyBackbone
from visus.models import catalog
from visus.models.building import build_backbone
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.hard_regions import HardRegionsCodec
from visus.models.detection.r_fcn import RFCN, r_fcn
from visus.models.detection.two_stage import RegionOutput
from visus.models.on_meta import build_on_meta
from visus.structures import Batch
from visus.structures.placement import Placement

CLASSES = ("red", "green", "blue")
SIZE = (96, 128)
target = objects_of(CLASSES, SIZE)


def small(backbone: str = "mobilenet_v1_025", **options: Any) -> RFCN:
    torch.manual_seed(0)
    choices = {"width": 16, "parts": 3, "rpn_width": 16, "smallest": 1.0, **options}
    return r_fcn(classes=3, in_channels=3, backbone=build_backbone(backbone, 3), **choices)


def batch_of(images: Tensor, targets: Sequence[Any]) -> Batch:
    return Batch(images, list(targets), [Placement.identity(SIZE)] * len(images), [str(n) for n in range(len(images))])


@pytest.mark.parametrize(("name", "count"), [("r_fcn@caffe", 46_054_861), ("r_fcn_resnet50@caffe", 27_062_797 - 64)])
def test_the_counts_of_the_release(name: str, count: int) -> None:
    """architectures.yaml counts no region proposal network, and the 64 biases of ResNet-50's conv1."""
    network = build_on_meta(catalog.find(name))
    counts = {key: value.numel() for key, value in network.named_parameters()}
    assert sum(counts.values()) - sum(n for key, n in counts.items() if key.startswith("rpn.")) == count


def test_the_papers_boxes_are_of_no_class() -> None:
    """Section 2: k^2 (C + 1) score maps and 4 k^2 box maps."""
    network = build_on_meta(catalog.find("r_fcn_resnet50"))
    assert network.class_maps.out_channels == 49 * 21
    assert network.box_maps.out_channels == 4 * 49
    assert network.channels == {16: 1024 + 2048}


@pytest.mark.parametrize(
    ("backbone", "depths"), [("mobilenet_v2", {16: 96 + 1280}), ("googlenet", {16: 832}), ("vgg11", {16: 512})]
)
def test_the_map_of_any_backbone(backbone: str, depths: dict[int, int]) -> None:
    """With a stage that can keep its stride, both maps; else the map of stride 16 alone serves both stages."""
    with torch.device("meta"):
        network = small(backbone).eval()
        maps = network.features(torch.empty(1, 3, 96, 128))
        outputs = network(torch.empty(1, 3, 96, 128))
    assert network.channels == depths
    assert maps[16].shape[1:] == (depths[16], 6, 8)
    assert outputs.logits.shape[-1] == 4
    assert outputs.offsets.shape[-2:] == (1, 4)


def test_a_region_is_the_vote_of_its_parts() -> None:
    """Equations 1 and 2: the mean over the parts of the means over their cells, each of its own map."""
    network, images = small().eval(), torch.randn(2, 3, *SIZE)
    boxes = [torch.tensor([[16.0, 0, 112, 96]]), torch.tensor([[0.0, 16, 48, 64], [32, 16, 80, 64]])]
    features = network.features(images)
    answered = network.classify(features, boxes, SIZE)
    maps = network.class_maps(network.reduced(features)).detach()  # [2, 9 * 4, 6, 8]
    regions = [(n, box) for n, image_boxes in enumerate(boxes) for box in image_boxes.tolist()]
    for row, (n, (x1, y1, x2, y2)) in enumerate(regions):
        for label in range(4):
            votes = []
            for i in range(3):
                for j in range(3):
                    top, bottom = (y1 + i * (y2 - y1) / 3) / 16, (y1 + (i + 1) * (y2 - y1) / 3) / 16
                    left, right = (x1 + j * (x2 - x1) / 3) / 16, (x1 + (j + 1) * (x2 - x1) / 3) / 16
                    cells = maps[n, (label * 3 + i) * 3 + j]
                    votes.append(
                        float(cells[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)].mean())
                    )
            assert float(answered.logits[row, label].detach()) == pytest.approx(sum(votes) / 9, abs=1e-5)


def test_the_maps_of_a_class_and_what_a_region_reads_from_them() -> None:
    network, images = small().eval(), torch.randn(2, 3, *SIZE)
    boxes = [torch.tensor([[16.0, 0, 112, 96]]), torch.tensor([[0.0, 16, 48, 64], [32, 16, 80, 64]])]
    features = network.features(images)
    maps, read = network.parts_of(features, boxes, 1)
    assert maps.shape == (2, 3, 3, 6, 8)
    assert read.shape == (3, 3, 3)
    torch.testing.assert_close(read.mean((1, 2)), network.classify(features, boxes, SIZE).logits[:, 2])
    whole = network.class_maps(network.reduced(features))
    torch.testing.assert_close(maps[1, 2, 0], whole[1, (2 * 3 + 2) * 3 + 0])


def test_the_first_stage_sees_conv4_alone() -> None:
    network, images = small().eval(), torch.randn(1, 3, *SIZE)
    features = network.features(images)
    before = network.objectness(features, SIZE).logits
    features[16][:, network.proposing :] = 0
    assert torch.equal(network.objectness(features, SIZE).logits, before)
    assert torch.equal(network.backbone.features(images)[16], features[16][:, : network.proposing])


def random_regions(codec: HardRegionsCodec, boxes: int) -> tuple[RegionOutput, list[Any], list[BoxTargets]]:
    """Outputs for the regions of three images, one without objects and one with few regions."""
    torch.manual_seed(1)
    truths = [
        BoxTargets(
            torch.tensor([[10.0, 10, 60, 60], [70, 20, 120, 90]]), torch.tensor([2, 0]), torch.tensor([False] * 2)
        ),
        BoxTargets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)),
        BoxTargets(torch.tensor([[10.0, 10, 60, 60]]), torch.tensor([1]), torch.tensor([False])),
    ]
    proposals = [
        truths[0].boxes.repeat(6, 1) + 12 * torch.randn(12, 4),
        10 + 60 * torch.rand(9, 4),
        torch.rand(1, 4) * 60,
    ]
    proposals = [
        torch.cat([part[:, :2].minimum(part[:, 2:]), part[:, :2].maximum(part[:, 2:]) + 1], 1) for part in proposals
    ]
    sampled = codec.sample(proposals, truths)
    count = sum(len(part.boxes) for part in sampled)
    return RegionOutput(2 * torch.randn(count, 4), torch.randn(count, boxes, 4)), sampled, truths


@pytest.mark.parametrize("boxes", [1, 2, 4])
def test_the_hardest_regions_are_the_plain_loops(boxes: int) -> None:
    """Every region's loss by itself, in Python's own numbers; sorted; the first of them averaged."""
    codec = small(sampled=5).codec
    assert isinstance(codec, HardRegionsCodec)
    regions, sampled, truths = random_regions(codec, boxes)
    assert [len(part.boxes) for part in sampled] == [14, 9, 2]  # all, and the objects' own boxes
    rows, kept = 0, []
    for part, truth in zip(sampled, truths, strict=True):
        losses = []
        for region, match in zip(part.boxes.tolist(), part.matches.tolist(), strict=True):
            logits, offsets = regions.logits[rows].tolist(), regions.offsets[rows].tolist()
            rows += 1
            label = 0 if match < 0 else int(truth.labels[match]) + 1
            loss = math.log(sum(math.exp(value) for value in logits)) - logits[label]
            box = 0.0
            if label:
                (px1, py1, px2, py2), (gx1, gy1, gx2, gy2) = region, truth.boxes[match].tolist()
                wanted = [
                    ((gx1 + gx2) - (px1 + px2)) / 2 / (px2 - px1) / 0.1,
                    ((gy1 + gy2) - (py1 + py2)) / 2 / (py2 - py1) / 0.1,
                    math.log((gx2 - gx1) / (px2 - px1)) / 0.2,
                    math.log((gy2 - gy1) / (py2 - py1)) / 0.2,
                ]
                chosen = offsets[label if boxes > 2 else boxes - 1]
                differences = [abs(a - b) for a, b in zip(chosen, wanted, strict=True)]
                box = sum(0.5 * d * d if d < 1 else d - 0.5 for d in differences)
            losses.append((loss, box))
        kept += sorted(losses, key=sum, reverse=True)[:5]
    assert len(kept) == 12
    terms = codec.region_losses(regions, sampled, truths)
    assert float(terms["class"]) == pytest.approx(sum(loss for loss, _ in kept) / 12, rel=1e-5)
    assert float(terms["box"]) == pytest.approx(sum(box for _, box in kept) / 12, rel=1e-5)


def test_only_the_hardest_have_gradients() -> None:
    codec = small(sampled=5).codec
    regions, sampled, truths = random_regions(codec, 1)
    logits = regions.logits.requires_grad_()
    codec.region_losses(regions, sampled, truths)["class"].backward()
    assert logits.grad is not None
    touched = logits.grad.any(1).split([14, 9, 2])
    assert [int(part.sum()) for part in touched] == [5, 5, 2]
    hardest = codec.losses_of_each(regions, sampled, truths)
    for part, losses in zip(touched, hardest, strict=True):
        assert losses[part].min() >= losses[~part].max() if bool((~part).any()) else True


def test_without_mining_a_sample_is_drawn() -> None:
    codec = small(hard=False, sampled=8).codec
    assert not isinstance(codec, HardRegionsCodec)
    truth = BoxTargets(torch.tensor([[10.0, 10, 60, 60]]), torch.tensor([1]), torch.tensor([False]))
    (sampled,) = codec.sample([torch.tensor([[80.0, 80, 120, 90]]).expand(50, 4)], [truth])
    assert [len(sampled.boxes), int((sampled.matches == 0).sum())] == [8, 1]


@pytest.mark.parametrize("released", ["paper", "caffe"])
def test_losses_without_objects_and_of_objects_without_proposals(released: Any) -> None:
    network = small(released=released).train()
    truths = [target([], []), target([[10, 10, 60, 50]], [1])]
    terms = network.codec.losses(network, batch_of(torch.randn(2, 3, *SIZE), truths))
    assert set(terms) == {"objectness", "anchor_box", "class", "box"}
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert bool(torch.isfinite(total))
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())
    network.codec.trained = network.codec.tested = network.codec.tested.__class__(smallest=1e6)  # no proposal is left
    again = network.codec.losses(network, batch_of(torch.randn(2, 3, *SIZE), truths))
    assert bool(torch.isfinite(torch.stack(list(again.values())).sum()))
    assert [
        len(answer) for answer in network.eval().codec.answers(network, batch_of(torch.randn(2, 3, *SIZE), truths))
    ] == [0, 0]


@pytest.mark.parametrize("released", ["paper", pytest.param("caffe", marks=pytest.mark.slow)])
def test_it_learns_eight_images_by_heart(released: Any) -> None:
    """A coloured square in each, of 40 pixels."""
    torch.manual_seed(0)
    anchors = ((40.0, 40.0), (60.0, 30.0), (30.0, 60.0))
    network = r_fcn(
        classes=3,
        in_channels=3,
        backbone=TinyBackbone(),
        released=released,
        anchors=anchors,
        parts=3,
        width=32,
        rpn_width=32,
        smallest=1.0,
        proposals=40,
    )
    random = np.random.default_rng(0)
    images, truths = torch.zeros(8, 3, *SIZE), []
    for n in range(8):
        x, y, label = int(random.integers(0, 88)), int(random.integers(0, 56)), n % 3
        images[n, label, y : y + 40, x : x + 40] = 2
        truths.append(target([[x, y, x + 40, y + 40]], [label]))
    batch = batch_of(images, truths)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for step in range(200):
        optimiser.zero_grad()
        loss = torch.stack(list(network.codec.losses(network, batch).values())).sum()
        loss.backward()
        optimiser.step()
        if step % 20 == 19 and learned(network, batch, truths):
            return
    raise AssertionError(f"not after 200 steps; the loss is {float(loss.detach()):.3f}")


def learned(network: RFCN, batch: Batch, truths: list[Any]) -> bool:
    """Whether the best answer of each image is its object."""
    with torch.no_grad():
        answers = network.codec.answers(network, batch)
    for answer, truth in zip(answers, truths, strict=True):
        if len(answer) == 0 or answer.labels[0] != truth.labels[0] or overlap(answer.boxes[0], truth.boxes[0]) < 0.6:
            return False
    return True


def overlap(a: Any, b: Any) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))

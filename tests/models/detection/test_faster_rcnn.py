"""Faster R-CNN: anchors, scores and editions as published, torchvision as an oracle, and images learnt by heart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from made_up import objects_of
from visus.engine.freezing import Freezing
from visus.engine.optimizer import head_parameters
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.faster_rcnn import CAFFE_ANCHORS, PAPER_ANCHORS, FasterRCNN, faster_rcnn
from visus.models.detection.region_proposals import AnchorRules, ProposalRules, RegionProposalNetwork, proposals_of
from visus.models.detection.two_stage import Proposed, RegionOutput, gathered
from visus.models.detection.zf import ZF
from visus.ops.box_coding import BoxCoding
from visus.ops.cell_anchors import CellAnchors, rounded_shapes, shapes_by_area
from visus.ops.prediction_grid import Grid
from visus.structures import Batch, Detections, Placement
from visus.testing.cheap_values import CheapValues

CLASSES = ("red", "green", "blue")
target = objects_of(CLASSES, (128, 128))


# --- anchors


def test_the_nine_anchors_have_the_papers_areas_and_ratios() -> None:
    """Section 3.1.1: areas of 128^2, 256^2 and 512^2 pixels; 1:1, 1:2 and 2:1."""
    sides = np.asarray(PAPER_ANCHORS)
    np.testing.assert_allclose(np.sqrt(sides.prod(1)), [128, 256, 512] * 3)
    np.testing.assert_allclose(sides[:, 1] / sides[:, 0], [0.5] * 3 + [1] * 3 + [2] * 3)
    placed = CellAnchors(16, PAPER_ANCHORS).place([(15, 20)], (240, 320))
    assert len(placed) == 15 * 20 * 9  # facts/operators.yaml, detection.rpn_anchors: 20*15*9 = 2700
    centres = (placed[:, :2] + placed[:, 2:]) / 2
    np.testing.assert_allclose(centres[:9], 8, atol=1e-4)  # the middle of the sliding window's cell
    np.testing.assert_allclose(centres[9 * 21], [24, 24], atol=1e-4)


def test_the_released_anchors_are_whole_pixels() -> None:
    """facts/operators.yaml, detection.rpn_anchors: first and last pixels, of which the last is before our edge."""
    expected = [
        [-84, -40, 99, 55],
        [-176, -88, 191, 103],
        [-360, -184, 375, 199],
        [-56, -56, 71, 71],
        [-120, -120, 135, 135],
        [-248, -248, 263, 263],
        [-36, -80, 51, 95],
        [-80, -168, 95, 183],
        [-168, -344, 183, 359],
    ]
    placed = CellAnchors(16, CAFFE_ANCHORS).place([(1, 1)], (16, 16))
    assert (placed - torch.tensor([0, 0, 1, 1])).tolist() == expected
    assert rounded_shapes(16, (8,), (0.5, 1.0, 2.0)) == ((184.0, 96.0), (128.0, 128.0), (88.0, 176.0))


def test_an_anchor_in_plain_python() -> None:
    shapes = shapes_by_area((32, 48), (1.0, 3.0))
    placed = CellAnchors(16, shapes).place([(2, 3)], (32, 48)).tolist()
    expected = []
    for row in range(2):
        for column in range(3):
            for ratio in (1.0, 3.0):
                for side in (32, 48):
                    width, height = side / math.sqrt(ratio), side * math.sqrt(ratio)
                    x, y = 16 * column + 8, 16 * row + 8
                    expected.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    np.testing.assert_allclose(placed, expected, atol=1e-4)
    with pytest.raises(ShapeError, match="one map"):
        CellAnchors(16, shapes).place([(2, 3), (1, 1)], (32, 48))


def test_few_anchors_of_a_large_image_lie_inside_it() -> None:
    """Section 3.3: of about 20,000 anchors of a 1000x600 image about 6,000 remain."""
    placed = CellAnchors(16, PAPER_ANCHORS).place([(38, 63)], (600, 1000))
    inside = (placed[:, :2] >= 0).all(1) & (placed[:, 2:] <= torch.tensor([1000, 600])).all(1)
    assert 20_000 < len(placed) < 22_000
    assert 6_000 < int(inside.sum()) < 9_000


# --- the first stage


def test_two_scores_an_anchor_are_a_softmax() -> None:
    """py-faster-rcnn reshapes [18,h,w] to [2,9h,w]: background of all nine anchors comes first."""
    torch.manual_seed(0)
    rpn = RegionProposalNetwork(4, 4, CellAnchors(16, PAPER_ANCHORS), scores=2)
    nn.init.normal_(rpn.objectness.weight)
    map_ = torch.randn(2, 4, 3, 5)
    output = rpn({16: map_}, (48, 80))
    raw = rpn.objectness(F.relu(rpn.conv(map_)))  # [2, 18, 3, 5]
    probabilities = raw.reshape(2, 2, 27, 5).softmax(1).reshape(2, 18, 3, 5)[:, 9:]  # objects
    expected = probabilities.permute(0, 2, 3, 1).reshape(2, -1)
    torch.testing.assert_close(output.logits.sigmoid(), expected)
    one = RegionProposalNetwork(4, 4, CellAnchors(16, PAPER_ANCHORS))
    assert one.objectness.out_channels == 9
    assert one({16: map_}, (48, 80)).logits.shape == (2, 135)


def test_the_editions_rules() -> None:
    with torch.device("meta"):
        paper, caffe = (build(catalog.find(f"faster_rcnn_zf@{edition}")) for edition in ("paper", "caffe"))
    assert paper.codec.anchor_rules == AnchorRules(balance=10.0)  # equation 1's lambda
    assert caffe.codec.anchor_rules == AnchorRules(smooth=1 / 9)  # sigma 3
    assert paper.codec.rules.negative == (0.1, 0.5)
    assert caffe.codec.rules.negative == (0.0, 0.5)
    assert paper.codec.tested == ProposalRules(before=6000, after=300, overlap=0.7, smallest=16)
    assert caffe.codec.trained == ProposalRules(before=12000, after=2000, overlap=0.7, smallest=16, small_first=True)
    assert paper.rpn.anchors.shapes == PAPER_ANCHORS
    assert caffe.rpn.anchors.shapes == CAFFE_ANCHORS
    assert (paper.coding.inclusive, caffe.coding.inclusive, caffe.rpn.coding.inclusive) == (False, True, True)


def test_inclusive_corners_grow_by_a_pixel() -> None:
    """bbox_transform.py: a box of pixels 10 to 29 comes back as 10 to 30."""
    box = torch.tensor([[10.0, 10, 30, 50]])
    coding = BoxCoding((0.1, 0.1, 0.2, 0.2), inclusive=True)
    np.testing.assert_allclose(coding.decode(coding.encode(box, box), box), [[10, 10, 31, 51]])
    assert BoxCoding().decode(BoxCoding().encode(box, box), box).tolist() == [[10, 10, 30, 50]]


# --- torchvision's stages


def test_proposals_are_torchvisions() -> None:
    from torchvision.models.detection.rpn import RegionProposalNetwork as Theirs

    generator = torch.Generator().manual_seed(0)
    anchors = CellAnchors(16, ((60.0, 40.0), (90.0, 90.0))).place([(8, 8)], (128, 128))
    logits = 3 * torch.randn(2, 128, generator=generator)
    offsets = 0.3 * torch.randn(2, 128, 4, generator=generator)
    theirs = Theirs(
        None, None, 0.7, 0.3, 256, 0.5,
        {"training": 50, "testing": 50}, {"training": 20, "testing": 20}, nms_thresh=0.6, score_thresh=0.2,
    ).eval()  # fmt: skip
    theirs.min_size = 20.0
    decoded = BoxCoding().decode(offsets, anchors)
    expected, _ = theirs.filter_proposals(decoded, logits[..., None], [(128, 128)] * 2, [128])
    output = gathered_objectness(logits, offsets, anchors)
    rules = ProposalRules(before=50, after=20, overlap=0.6, smallest=20.0, lowest=0.2)
    for ours, their in zip(proposals_of(output, (128, 128), rules).boxes, expected, strict=True):
        torch.testing.assert_close(ours, their, atol=1e-3, rtol=1e-5)


def gathered_objectness(logits: Tensor, offsets: Tensor, anchors: Tensor) -> Any:
    from visus.models.detection.two_stage import ObjectnessOutput

    return ObjectnessOutput(logits, offsets, anchors, (Grid(8, 8, 2, (16, 16)),))


def test_answers_are_torchvisions() -> None:
    from torchvision.models.detection.roi_heads import RoIHeads

    generator = torch.Generator().manual_seed(0)
    corners = 80 * torch.rand(40, 2, generator=generator)
    boxes = torch.cat([corners, corners + 10 + 40 * torch.rand(40, 2, generator=generator)], 1)
    logits = 2 * torch.randn(40, 4, generator=generator)
    offsets = torch.randn(40, 4, 4, generator=generator)
    heads = RoIHeads(None, None, None, 0.5, 0.5, 512, 0.25, (10.0, 10.0, 5.0, 5.0), 0.05, 0.3, 100)
    expected = heads.postprocess_detections(logits, offsets.flatten(1), [boxes], [(128, 128)])
    network = faster_rcnn(classes=3, in_channels=3, backbone=ZF())
    output = gathered(RegionOutput(logits, offsets), Proposed([boxes]), (128, 128), network.coding)
    (found,) = network.codec.decode(output)
    their_boxes, their_scores, their_labels = (part[0].numpy() for part in expected)
    np.testing.assert_allclose(found.boxes, their_boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, their_scores, atol=1e-6)
    assert (found.labels == their_labels - 1).all()


# --- the network


def small(**options: Any) -> FasterRCNN:
    torch.manual_seed(0)
    card = catalog.find("faster_rcnn+mobilenet_v1_025")
    given = {"width": 64, "rpn_width": 64, "anchors": ((32, 32), (48, 48), (64, 64)), "smallest": 4.0} | options
    network = build(card, classes=3, options=given)
    assert isinstance(network, FasterRCNN)
    return network


@pytest.mark.parametrize("name", ["faster_rcnn_zf", "faster_rcnn", "faster_rcnn_resnet50"])
def test_it_proposes_at_most_so_many_regions_of_any_image(name: str) -> None:
    with torch.device("meta"):
        network = build(catalog.find(name)).eval()
    output = network(torch.empty(1, 3, 600, 1000, device="meta"))
    assert output.logits.shape == (1, 300, 21)
    assert output.offsets.shape == (1, 300, 21, 4)
    given = network(torch.empty(2, 3, 64, 96, device="meta"), [torch.empty(5, 4, device="meta")] * 2)
    assert given.logits.shape == (2, 5, 21)


def test_conv5_sees_each_region_with_batch_norms_that_freeze() -> None:
    with CheapValues():
        network = build(catalog.find("faster_rcnn_resnet50"), classes=3)
    freezing = Freezing(network, "batchnorm")
    network.train()
    freezing.apply(0)
    norms = {id(norm) for norm in freezing.norms(0)}
    assert all(id(layer) in norms for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    assert all(not p.requires_grad for name, p in network.named_parameters() if ".bn" in name)
    heads = head_parameters(network)
    assert not any(name.startswith(("backbone.", "regions.")) for name in heads)
    assert {name.split(".")[0] for name in heads} == {"rpn", "class_logits", "box_offsets"}


def test_on_another_backbone_the_dense_layers_are_new() -> None:
    assert any(name.startswith("regions.fc6") for name in head_parameters(small()))


def test_a_backbone_needs_the_map_and_options_their_values() -> None:
    with pytest.raises(TaskMismatchError, match="stride"):
        faster_rcnn(classes=3, in_channels=1, backbone=build(catalog.find("lenet5")))
    for options in ({"anchors": []}, {"pooling": "mean"}, {"background": 1.5}, {"anchors": [[1, -1]]}):
        with pytest.raises(RecipeError):
            build(catalog.find("faster_rcnn_zf"), options=options)


class Tiny(nn.Module):
    """A backbone with a map of stride 16."""

    channels: Mapping[int, int] = {16: 32}
    head: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 32, 32)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))

    def features(self, images: Tensor) -> dict[int, Tensor]:
        for layer in self.layers:
            images = F.relu(layer(images))
        return {16: images}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.features(images)


def painted(count: int) -> Batch:
    """Images with one or two rectangles each, whose colour is their class; the last shows nothing."""
    rng = np.random.default_rng(0)
    images = 0.1 * torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    targets: list[Detections] = []
    for n in range(count):
        boxes, labels = [], []
        for k in range(0 if n == count - 1 else 1 + n % 2):
            x, y = int(rng.integers(2, 14)) + 48 * k, int(rng.integers(2, 30))
            width, height = (int(side) for side in rng.integers(22, 33, 2))
            label = int(rng.integers(3))
            images[n, label, y : y + height, x : x + width] = 2.0
            boxes.append([x, y, x + width, y + height])
            labels.append(label)
        targets.append(target(boxes, labels, (64, 96)))
    return Batch(images, targets, [Placement.identity((64, 96))] * count, [str(n) for n in range(count)])


@pytest.mark.parametrize(("count", "steps", "lr"), [(3, 100, 5e-3), pytest.param(8, 250, 3e-3, marks=pytest.mark.slow)])
def test_it_learns_images_by_heart(count: int, steps: int, lr: float) -> None:
    """From nothing, with Adam."""
    torch.manual_seed(0)
    anchors = ((22, 22), (30, 24), (30, 34))
    network = faster_rcnn(
        classes=3, in_channels=3, backbone=Tiny(), anchors=anchors, pooling="align", background=0.0,
        smallest=4.0, width=32, rpn_width=32, dropout=0.0, sampled=32, proposals=30,
    )  # fmt: skip
    batch = painted(count)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        sum(network.codec.losses(network, batch).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    with torch.no_grad():
        answers = network.codec.answers(network.eval(), batch)
    for answer, truth in zip(answers, batch.targets, strict=True):
        found = answer.above(0.5)
        assert sorted(found.labels.tolist()) == sorted(truth.labels.tolist())
        for box, label in zip(truth.boxes, truth.labels, strict=True):
            assert min(float(np.abs(b - box).max()) for b in found.boxes[found.labels == label]) < 8

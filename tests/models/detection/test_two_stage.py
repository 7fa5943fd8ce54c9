"""What all two-stage detectors share: their losses against plain loops, and the odd cases that images bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import plain_two_stage as plain
from made_up import objects_of
from visus.engine.memory import measure_need
from visus.engine.recipe import Recipe
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.faster_rcnn import FasterRCNN, faster_rcnn
from visus.models.detection.region_codec import RegionCodec, RegionRules, SampledRegions
from visus.models.detection.region_proposals import AnchorRules, ProposalRules, ProposingCodec, proposals_of
from visus.models.detection.two_stage import (
    ObjectnessOutput,
    Proposed,
    RegionOutput,
    box_of_class,
    gathered,
    given_boxes,
    whole_images,
)
from visus.ops.box_coding import BoxCoding
from visus.ops.cell_anchors import CellAnchors
from visus.ops.matching import match_band
from visus.ops.prediction_grid import Grid
from visus.structures import Batch, Placement, Proposals

CLASSES = ("red", "green", "blue")
SIZE = (96, 128)
CODING = BoxCoding((0.1, 0.1, 0.2, 0.2))
target = objects_of(CLASSES, SIZE)


class Tiny(nn.Module):
    """A backbone with a map of stride 16."""

    channels = {16: 8}  # noqa: RUF012
    head: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 16, stride=16)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {16: F.relu(self.conv(images))}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.features(images)


def network(**options: Any) -> FasterRCNN:
    torch.manual_seed(0)
    given = {"width": 16, "rpn_width": 8, "anchors": ((24, 24), (48, 40), (90, 80)), "pooling": "align"} | options
    return faster_rcnn(classes=3, in_channels=3, backbone=Tiny(), **given)


def batch_of(targets: list[Any], size: tuple[int, int] = SIZE, proposals: list[Proposals] | None = None) -> Batch:
    count = len(targets)
    images = torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))
    return Batch(images, targets, [Placement.identity(size)] * count, [str(n) for n in range(count)], proposals)


def drawn_targets(count: int, seed: int = 0) -> BoxTargets:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([80.0, 60.0])
    boxes = torch.cat([corners, corners + 8 + 30 * torch.rand(count, 2, generator=generator)], 1)
    return BoxTargets(boxes, torch.arange(count) % 3, torch.zeros(count, dtype=torch.bool))


# --- losses against loops


def test_anchors_are_assigned_as_by_a_loop() -> None:
    anchors = CellAnchors(16, ((24.0, 24.0), (48.0, 40.0), (90.0, 80.0))).place([(6, 8)], SIZE)
    for count in (0, 1, 5):
        objects = drawn_targets(count)
        for crossing in (False, True):
            codec = replace_rules(network().codec, AnchorRules(cross_boundary=crossing))
            found = codec.assign_anchors(anchors, objects, SIZE)
            expected = plain.anchor_labels(anchors.tolist(), objects.boxes.tolist(), SIZE, inside=not crossing)
            assert found.tolist() == expected
            assert (found >= 0).any() == (count > 0)


def replace_rules(codec: ProposingCodec, rules: AnchorRules) -> ProposingCodec:
    return ProposingCodec(codec.rules, codec.coding, anchor_rules=rules, trained=codec.trained, tested=codec.tested)


@pytest.mark.parametrize("balance", [None, 10.0])
@pytest.mark.parametrize("turn", [1.0, 1 / 9])
def test_the_first_stages_losses_are_those_of_equation_1(balance: float | None, turn: float) -> None:
    """With as many sampled anchors as there are, so that nothing is drawn."""
    anchors = CellAnchors(16, ((24.0, 24.0), (48.0, 40.0))).place([(6, 8)], SIZE)
    generator = torch.Generator().manual_seed(0)
    logits, offsets = (
        torch.randn(2, len(anchors), generator=generator),
        torch.randn(2, len(anchors), 4, generator=generator),
    )
    output = ObjectnessOutput(logits, offsets, anchors, (Grid(6, 8, 2, (16, 16)),))
    rules = AnchorRules(sampled=1000, positive_share=0.5, smooth=turn, balance=balance)
    codec = replace_rules(network().codec, rules)
    targets = [drawn_targets(3), drawn_targets(0)]
    terms = codec.anchor_losses(output, targets, SIZE)
    entropy, box, count = 0.0, 0.0, 0
    for n, objects in enumerate(targets):
        labels = plain.anchor_labels(anchors.tolist(), objects.boxes.tolist(), SIZE)
        for a, label in enumerate(labels):
            if label == -2:
                continue
            count += 1
            value = logits[n, a].item()
            entropy += plain.cross_entropy([0.0, value], int(label >= 0))
            if label >= 0:
                wanted = plain.encoded(objects.boxes[label].tolist(), anchors[a].tolist())
                box += sum(plain.smooth_l1(p - q, turn) for p, q in zip(offsets[n, a].tolist(), wanted, strict=True))
    assert terms["objectness"].item() == pytest.approx(entropy / count, rel=1e-5)
    places = 6 * 8 * 2
    assert terms["anchor_box"].item() == pytest.approx(
        box / count if balance is None else balance * box / places, rel=1e-4
    )


@pytest.mark.parametrize("boxes", [4, 2, 1])
def test_the_second_stages_losses_are_fast_rcnns(boxes: int) -> None:
    """Equations 1 to 3: boxes for every class and background, for objects and background, or for objects."""
    targets = [drawn_targets(3), drawn_targets(0)]
    regions = [drawn_targets(5, seed=3).boxes, drawn_targets(4, seed=4).boxes]
    sampled = [
        SampledRegions(regions[0], torch.tensor([0, 2, 1, -1, -1])),
        SampledRegions(regions[1], torch.full((4,), -1)),
    ]
    generator = torch.Generator().manual_seed(0)
    output = RegionOutput(torch.randn(9, 4, generator=generator), torch.randn(9, boxes, 4, generator=generator))
    codec = RegionCodec(RegionRules(box_weight=1.5), CODING)
    terms = codec.region_losses(output, sampled, targets)
    entropy, box = 0.0, 0.0
    for r in range(9):
        match = int(torch.cat([part.matches for part in sampled])[r])
        label = int(targets[0].labels[match]) + 1 if match >= 0 else 0
        entropy += plain.cross_entropy(output.logits[r].tolist(), label)
        if label:
            column = {4: label, 2: 1, 1: 0}[boxes]
            wanted = plain.encoded(targets[0].boxes[match].tolist(), regions[0][r].tolist(), (0.1, 0.1, 0.2, 0.2))
            box += sum(plain.smooth_l1(p - q) for p, q in zip(output.offsets[r, column].tolist(), wanted, strict=True))
    assert terms["class"].item() == pytest.approx(entropy / 9, rel=1e-5)
    assert terms["box"].item() == pytest.approx(1.5 * box / 9, rel=1e-5)


def test_gradients_of_the_losses_are_those_of_finite_differences() -> None:
    targets = [drawn_targets(2)]
    sampled = [SampledRegions(drawn_targets(4, seed=3).boxes.double(), torch.tensor([0, 1, -1, -1]))]
    targets = [targets[0]._replace(boxes=targets[0].boxes.double())]
    codec = RegionCodec(RegionRules(), CODING)

    def loss(logits: Tensor, offsets: Tensor) -> Tensor:
        # the codec computes in float32, where differences of 1e-3 still show
        return sum(codec.region_losses(RegionOutput(logits, offsets), sampled, targets).values())  # type: ignore[return-value]

    logits, offsets = torch.randn(4, 4), torch.randn(4, 4, 4)
    logits.requires_grad_()
    offsets.requires_grad_()
    loss(logits, offsets).backward()
    for values in (logits, offsets):
        assert values.grad is not None
        for index in (0, 5, 11, 15):
            step = torch.zeros(values.numel())
            step[index] = 1e-2
            with torch.no_grad():
                moved = step.view_as(values)
                pair = [
                    (logits + s * moved, offsets) if values is logits else (logits, offsets + s * moved)
                    for s in (1, -1)
                ]
                slope = (loss(*pair[0]) - loss(*pair[1])).item() / 2e-2
            assert values.grad.flatten()[index].item() == pytest.approx(slope, abs=2e-3)


# --- proposals


@pytest.mark.parametrize(("inclusive", "small_first"), [(False, False), (True, True)])
def test_proposals_are_those_of_a_loop(inclusive: bool, small_first: bool) -> None:
    """Decoded, clipped, without small ones, the best before suppression, the best after; py-faster-rcnn's order too."""
    anchors = CellAnchors(16, ((24.0, 24.0), (48.0, 40.0), (90.0, 80.0))).place([(6, 8)], SIZE)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, len(anchors), generator=generator)
    offsets = 0.3 * torch.randn(1, len(anchors), 4, generator=generator)
    coding = BoxCoding(inclusive=inclusive)
    output = ObjectnessOutput(logits, offsets, anchors, (Grid(6, 8, 3, (16, 16)),), coding)
    rules = ProposalRules(before=60, after=12, overlap=0.6, smallest=18.0, small_first=small_first)
    (found,) = proposals_of(output, SIZE, rules).boxes
    boxes, scores = [], logits[0].tolist()
    for row, anchor in zip(offsets[0].tolist(), anchors.tolist(), strict=True):
        box = plain.decoded(row, anchor, wider=float(inclusive))
        boxes.append([min(max(v, 0.0), limit) for v, limit in zip(box, (128, 96, 128, 96), strict=True)])
    large = [min(b[2] - b[0], b[3] - b[1]) >= 18 for b in boxes]
    order = sorted(range(len(boxes)), key=lambda n: -scores[n])
    chosen = [n for n in order if large[n]][:60] if small_first else [n for n in order[:60] if large[n]]
    kept = plain.suppressed([boxes[n] for n in chosen], [scores[n] for n in chosen], 0.6)[:12]
    np.testing.assert_allclose(found.numpy(), [boxes[chosen[k]] for k in kept], atol=1e-3)


def test_proposals_of_maps_that_say_nothing() -> None:
    anchors = CellAnchors(16, ((24.0, 24.0),)).place([(6, 8)], SIZE)
    empty = ObjectnessOutput(torch.zeros(2, 48), torch.zeros(2, 48, 4), anchors, (Grid(6, 8, 1, (16, 16)),))
    none = proposals_of(empty, SIZE, ProposalRules(smallest=500.0)).boxes
    assert [tuple(boxes.shape) for boxes in none] == [(0, 4), (0, 4)]
    wild = empty._replace(offsets=torch.full((2, 48, 4), 50.0))  # as far as an untrained network may shoot
    assert all(bool(torch.isfinite(boxes).all()) for boxes in proposals_of(wild, SIZE, ProposalRules()).boxes)


def test_without_values_there_are_as_many_as_there_can_be() -> None:
    anchors = torch.empty(48, 4, device="meta")
    output = ObjectnessOutput(
        torch.empty(2, 48, device="meta"), torch.empty(2, 48, 4, device="meta"), anchors, (Grid(6, 8, 1, (16, 16)),)
    )
    assert [len(boxes) for boxes in proposals_of(output, SIZE, ProposalRules(after=10)).boxes] == [10, 10]
    assert [len(boxes) for boxes in proposals_of(output, SIZE, ProposalRules(after=300)).boxes] == [48, 48]


# --- arranging by image


def test_images_with_different_numbers_are_filled_up() -> None:
    boxes = [drawn_targets(2).boxes, torch.zeros(0, 4), drawn_targets(3).boxes]
    regions = RegionOutput(torch.randn(5, 4), torch.randn(5, 4, 4))
    output = gathered(regions, Proposed(boxes), SIZE, CODING)
    assert output.counts == (2, 0, 3)
    assert output.logits.shape == (3, 3, 4)
    assert torch.equal(output.logits[0, :2], regions.logits[:2])
    assert torch.equal(output.offsets[2], regions.offsets[2:])
    assert torch.equal(output.proposals[2], boxes[2])
    filled = output.boxes()[1]
    assert bool((filled[:, 2:] <= filled[:, :2]).all())  # overlaps nothing, so that no answer is traced back to it
    found = RegionCodec(RegionRules(confidence=0.0), CODING).decode(output)
    assert [len(answer) > 0 for answer in found] == [True, False, True]


def test_no_region_at_all() -> None:
    output = gathered(
        RegionOutput(torch.zeros(0, 4), torch.zeros(0, 4, 4)), Proposed([torch.zeros(0, 4)] * 2), SIZE, CODING
    )
    assert output.logits.shape == (2, 1, 4)
    assert [len(found) for found in RegionCodec(RegionRules(), CODING).decode(output)] == [0, 0]


def test_boxes_of_a_class() -> None:
    offsets = torch.arange(2 * 4 * 4.0).reshape(2, 4, 4)
    labels = torch.tensor([2, 0])
    assert torch.equal(box_of_class(offsets, labels), torch.stack([offsets[0, 3], offsets[1, 1]]))
    assert torch.equal(box_of_class(offsets[:, :2], labels), offsets[:, 1])
    assert torch.equal(box_of_class(offsets[:, :1], labels), offsets[:, 0])


def test_given_proposals_are_those_of_the_batch() -> None:
    given = [Proposals(np.asarray([[0, 0, 10, 20]], np.float32), SIZE), Proposals.empty(SIZE)]
    boxes = given_boxes(batch_of([target([], [])] * 2, proposals=given))
    assert boxes is not None
    assert [part.tolist() for part in boxes] == [[[0, 0, 10, 20]], []]
    assert given_boxes(batch_of([target([], [])])) is None
    (whole,) = whole_images({16: torch.zeros(1, 2, 3, 3)}, SIZE)
    assert whole.tolist() == [[0, 0, 128, 96]]


def test_decoding_is_the_inverse_of_encoding() -> None:
    truth = drawn_targets(3)
    references = drawn_targets(3).boxes + torch.tensor([2.0, -3, 4, 1])
    logits = torch.full((3, 4), -20.0)
    logits[range(3), truth.labels + 1] = 20.0
    offsets = torch.zeros(3, 4, 4)
    offsets[range(3), truth.labels + 1] = CODING.encode(truth.boxes, references)
    output = gathered(RegionOutput(logits, offsets), Proposed([references]), SIZE, CODING)
    (found,) = RegionCodec(RegionRules(), CODING).decode(output)
    order = np.argsort(found.labels)
    np.testing.assert_allclose(found.boxes[order], truth.boxes.numpy()[np.argsort(truth.labels.numpy())], atol=1e-3)
    np.testing.assert_allclose(output.boxes()[0].numpy(), truth.boxes.numpy(), atol=1e-3)


# --- whole steps of learning


ODD = {
    "zero objects": [target([], []), target([], [])],
    "different numbers": [target([[8, 8, 40, 40], [50, 10, 100, 90]], [0, 1]), target([], [])],
    "degenerate boxes": [target([[8, 8, 8, 40], [50, 10, 100, 10]], [0, 1]), target([[5, 5, 50, 60]], [2])],
    "all ignored": [target([[8, 8, 40, 40]], [0], ignored=np.asarray([True])), target([], [])],
    "tiny objects": [target([[8, 8, 8.5, 8.5]], [0]), target([[127, 95, 128, 96]], [1])],
    "the whole image": [target([[0, 0, 128, 96]], [0]), target([[0, 0, 128, 96]] * 3, [0, 1, 2])],
}


@pytest.mark.parametrize("given", [False, True], ids=["proposed", "given"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ODD)
def test_every_parameter_has_a_gradient_whatever_the_images_show(name: str, training: bool, given: bool) -> None:
    """So that the processes of a training wait for the same gradients."""
    model = network(smallest=1.0).train(training)
    proposals = [Proposals(np.asarray([[0, 0, 60, 60]], np.float32), SIZE), Proposals.empty(SIZE)] if given else None
    terms = model.codec.losses(model, batch_of(ODD[name], proposals=proposals))
    assert set(terms) == {"objectness", "anchor_box", "class", "box"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert bool(torch.isfinite(parameter.grad).all()), key
    if name in ("zero objects", "all ignored"):
        assert terms["box"].item() == terms["anchor_box"].item() == 0


def test_no_region_to_learn_from() -> None:
    """Proposals that are all too small, and no object: the second stage learns nothing, with a graph all the same."""
    model = network(smallest=1000.0).train()
    terms = model.codec.losses(model, batch_of([target([], [])]))
    assert terms["class"].item() == terms["box"].item() == 0
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert len(model.codec.answers(model.eval(), batch_of([target([], [])]))[0]) == 0


def test_an_image_smaller_than_every_anchor_and_than_a_cell() -> None:
    model = network(anchors=((200, 200),), smallest=1.0)
    small = batch_of([objects_of(CLASSES, (20, 24))([[2, 2, 18, 16]], [1])], size=(20, 24))
    terms = model.codec.losses(model, small)
    assert all(math.isfinite(term.item()) for term in terms.values())
    assert terms["anchor_box"].item() > 0


def test_a_thousand_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlaps of many objects are computed in pieces, which changes nothing."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 80, (1000, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(4, 16, (1000, 2)).astype(np.float32)], 1)
    crowd = target(boxes.tolist(), rng.integers(0, 3, 1000).tolist())
    model = network(smallest=1.0)
    terms = model.codec.losses(model, batch_of([crowd, target([], [])]))
    assert all(math.isfinite(term.item()) for term in terms.values())
    anchors = CellAnchors(16, ((24.0, 24.0), (48.0, 40.0))).place([(6, 8)], SIZE)
    ignored = torch.from_numpy(rng.random(1000) < 0.1)
    settings = {"positive": 0.5, "negative": 0.3, "best": True, "ignored": ignored}
    whole = match_band(torch.from_numpy(boxes), anchors, **settings)  # type: ignore[arg-type]
    monkeypatch.setattr("visus.ops.matching._PAIRS", 7000)
    assert torch.equal(match_band(torch.from_numpy(boxes), anchors, **settings), whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    model = network(smallest=1.0).train()
    batch = batch_of(ODD["different numbers"])
    exact = model.codec.losses(model, batch)
    with torch.autocast("cpu", dtype=dtype):
        terms = model.codec.losses(model, batch)
    assert all(term.dtype == torch.float32 for term in terms.values())
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)
    assert terms["class"].item() == pytest.approx(exact["class"].item(), rel=0.05)
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        model.codec.answers(model.eval(), batch)


def test_the_same_seed_draws_the_same_regions_and_a_resumed_training_goes_on_with_them() -> None:
    """What is sampled comes from torch's generator, whose state a checkpoint holds."""

    def steps(model: FasterRCNN, count: int) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(count):
            optimizer.zero_grad()
            sum(model.codec.losses(model, batch).values()).backward()  # type: ignore[union-attr]
            optimizer.step()

    batch = batch_of(ODD["different numbers"])
    model = network(smallest=1.0, sampled=8).train()
    torch.manual_seed(5)
    steps(model, 2)
    saved, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    steps(model, 2)
    resumed = network(smallest=1.0, sampled=8).train()
    resumed.load_state_dict(saved)
    torch.set_rng_state(state)
    steps(resumed, 2)
    for key, value in model.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_the_memory_of_a_step_is_measured() -> None:
    model = network(smallest=1.0)
    batch = batch_of(ODD["different numbers"])
    before = torch.get_rng_state()
    need = measure_need(lambda b: model.codec.losses(model, b), batch, model, Recipe())
    assert need.per_image > batch.images[0].nbytes
    assert torch.equal(torch.get_rng_state(), before)


def test_answers_with_given_proposals_come_from_these() -> None:
    model = network().eval()
    box = Proposals(np.asarray([[10, 10, 60, 60]], np.float32), SIZE)
    outputs = model(batch_of([target([], [])]).images, given_boxes(batch_of([target([], [])], proposals=[box])))
    assert outputs.counts == (1,)
    assert outputs.objectness is None
    assert outputs.proposals.tolist() == [[[10, 10, 60, 60]]]

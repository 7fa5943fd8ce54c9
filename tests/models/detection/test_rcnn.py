"""R-CNN and SPP-net: counts, what a step learns from, answers by softmax and by SVMs, and heat maps of objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.engine.model_card import ModelInfo
from visus.engine.model_file import save_model
from visus.errors import RecipeError
from visus.explanation.gradcam import grad_cam_of_each
from visus.models.building import build
from visus.models.catalog import find
from visus.models.detection import rcnn as rcnn_module
from visus.models.identification import identify
from visus.models.on_meta import build_on_meta
from visus.models.protocols import Backbone
from visus.models.weights import load_weights
from visus.ops.region_warping import warp_regions
from visus.structures import Batch, Detections, Placement, Proposals
from visus.tasks.table import make_task

SIDE = 32


def small(machines: bool = False, **options: Any) -> Any:
    torch.manual_seed(0)
    card = find("rcnn+mobilenet_v1_025")
    return build(card, classes=2, options={"side": SIDE, "context": 3, "machines": machines, **options}).eval()


def batch_of(images: Tensor, boxes: list[Any], objects: list[Any] | None = None, labels: Any = None) -> Batch:
    size = (images.shape[2], images.shape[3])
    given = [Proposals(np.asarray(part, np.float32).reshape(-1, 4), size) for part in boxes]
    targets = None
    if objects is not None:
        targets = [
            Detections(("a", "b"), np.asarray(o, np.float32).reshape(-1, 4), np.asarray(k, np.int64), size)
            for o, k in zip(objects, labels, strict=True)
        ]
    placements = [Placement.identity(size)] * len(images)
    return Batch(images, targets, placements, [str(n) for n in range(len(images))], given)


@pytest.mark.parametrize(
    ("name", "svms", "boxes"), [("rcnn", 20 * 4097, 80 * 9217), ("rcnn_vgg16", 20 * 4097, 80 * 25089)]
)
def test_the_finished_network_has_machines_instead_of_fc8(name: str, svms: int, boxes: int) -> None:
    card = find(name)
    finetuned = build_on_meta(card)
    with torch.device("meta"):
        finished = build(card, options={"machines": True})
    learning = sum(p.numel() for p in finished.parameters() if p.requires_grad)
    assert learning == sum(p.numel() for p in finetuned.parameters()) - 21 * 4097
    assert sum(p.numel() for p in finished.parameters()) == learning + svms + boxes


def test_a_region_is_answered_from_its_own_pixels_alone() -> None:
    network = small()
    images = torch.randn(2, 3, 40, 60)
    boxes = [torch.tensor([[5.0, 5, 25, 20], [20, 8, 50, 35]]), torch.tensor([[0.0, 0, 60, 40]])]
    with torch.no_grad():
        output = network(images, boxes)
        warped = warp_regions(images[0], boxes[0][1:], SIDE, 3)
        map_ = network.backbone.features(warped)[32]
        expected = network.fc8(map_.mean((2, 3)))
    torch.testing.assert_close(output.logits[0, 1], expected[0])
    assert output.counts == (2, 1)
    assert not isinstance(network, Backbone)  # nothing is shared between regions
    with torch.no_grad():
        torch.testing.assert_close(network(images).logits[1, 0], output.logits[1, 0])  # the whole image


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small()
    images, random = torch.randn(3, 3, 40, 60), torch.Generator().manual_seed(0)
    corners = torch.rand(7, 2, generator=random) * 20
    boxes = list(torch.cat([corners, corners + 18], 1).split([5, 0, 2]))
    with torch.no_grad():
        whole = network(images, boxes)
        monkeypatch.setattr(rcnn_module, "AT_ONCE", 3)
        parts = network(images, boxes)
    torch.testing.assert_close(whole.logits, parts.logits)
    assert whole.counts == (5, 0, 2)


def test_no_region_at_all_answers_nothing_and_learns_nothing_wrong() -> None:
    network = small()
    images = torch.randn(2, 3, 40, 60)
    (first, second) = network.codec.answers(network, batch_of(images, [[], []]))
    assert len(first) == len(second) == 0
    losses = network.codec.losses(network, batch_of(images, [[], []], [[], []], [[], []]))
    assert losses["class"] == 0
    losses["class"].backward()


def test_a_step_draws_from_all_images_together() -> None:
    """Three images of 4 regions a step each: a quarter of 12 shows objects, wherever they are."""
    network = small(sampled=4)
    near = [[10, 10, 30, 31 + n / 10] for n in range(9)]
    far = [[0, 0, 4, 4 + n / 10] for n in range(40)]
    batch = batch_of(
        torch.randn(3, 3, 40, 60), [near + far, far, far], [[[10, 10, 30, 31]], [], [[40, 10, 60, 30]]], [[1], [], [0]]
    )
    targets = network.codec.encode(batch.targets, torch.device("cpu"))
    assert batch.proposals is not None
    sampled = network.codec.sample([torch.from_numpy(part.boxes) for part in batch.proposals], targets)
    assert sum(len(part.boxes) for part in sampled) == 12
    assert sum(int((part.matches >= 0).sum()) for part in sampled) == 3
    for part, objects in zip(sampled, targets, strict=True):
        assert (part.matches < len(objects.boxes)).all()
    assert not (sampled[1].matches >= 0).any()


def test_the_loss_is_the_mean_cross_entropy_of_the_regions() -> None:
    network = small(sampled=2)
    batch = batch_of(torch.randn(1, 3, 40, 60), [[[0, 0, 8, 8]]], [[[10, 10, 30, 30]]], [[1]])
    loss = network.codec.losses(network, batch)["class"]  # 2 / 4 rounds to no positive place
    with torch.no_grad():
        logits = network(batch.images, [torch.tensor([[0.0, 0, 8, 8]])]).logits[0, 0]
    torch.testing.assert_close(loss, -logits.log_softmax(0)[0])


def test_svms_answer_with_the_sigmoid_of_their_margin_and_move_boxes_before_suppression() -> None:
    network = small(machines=True, confidence=0.5)
    with torch.no_grad():
        network.machines.svms.weight.zero_()
        network.machines.svms.bias.copy_(torch.tensor([-1.0, 2.0]))
        network.machines.boxes.weight.zero_()
        network.machines.boxes.bias.copy_(torch.tensor([0, 0, 0, 0, 0.1, 0, np.log(0.5), 0]))
    # before they move the two overlap by 1/3, afterwards not at all
    batch = batch_of(torch.randn(1, 3, 40, 100), [[[0, 0, 40, 40], [20, 0, 60, 40]]])
    (answer,) = network.codec.answers(network, batch)
    np.testing.assert_allclose(answer.scores, [1 / (1 + np.exp(-2))] * 2, rtol=1e-5)
    assert answer.labels.tolist() == [1, 1]
    np.testing.assert_allclose(sorted(answer.boxes.tolist()), [[14, 0, 34, 40], [34, 0, 54, 40]], atol=1e-4)


def test_softmax_leaves_boxes_where_they_are() -> None:
    network = small(confidence=0.0, overlap=1.0)
    batch = batch_of(torch.randn(1, 3, 40, 60), [[[3, 4, 25, 30]]])
    (answer,) = network.codec.answers(network, batch)
    np.testing.assert_allclose(answer.boxes, [[3, 4, 25, 30]] * 2, atol=1e-4)
    with torch.no_grad():
        logits = network(batch.images, [torch.tensor([[3.0, 4, 25, 30]])]).logits[0, 0]
    np.testing.assert_allclose(sorted(answer.scores), sorted(logits.softmax(0)[1:].tolist()), rtol=1e-4)


def test_svms_are_not_trained_by_steps() -> None:
    network = small(machines=True)
    batch = batch_of(torch.randn(1, 3, 40, 60), [[[3, 4, 25, 30]]], [[[3, 4, 25, 30]]], [[0]])
    with pytest.raises(RecipeError, match="SVMs do not learn"):
        network.codec.losses(network, batch)


def test_a_training_may_begin_with_a_finished_detector(tmp_path: Path) -> None:
    """What it loses are its SVMs; the softmax layer that it has no more begins afresh."""
    finished, fresh, card = small(machines=True), small(), find("rcnn+mobilenet_v1_025")
    with torch.no_grad():
        for parameter in finished.parameters():
            parameter.add_(1)
    info = ModelInfo("detection", card.full_name, ("a", "b"), 3, card.preprocessing, options={"machines": True})
    save_model(tmp_path / "model.safetensors", finished, info)
    before = fresh.fc8.weight.clone()
    report = load_weights(fresh, card, tmp_path / "model.safetensors")
    assert set(report.left_random) == {"fc8.weight", "fc8.bias"}
    assert torch.equal(fresh.fc8.weight, before)
    theirs = finished.state_dict()
    assert all(
        torch.equal(value, theirs[name]) for name, value in fresh.backbone.state_dict(prefix="backbone.").items()
    )
    found = identify(tmp_path / "model.safetensors", "rcnn+mobilenet_v1_025", options={"side": SIDE, "context": 3})
    assert found.require("").card.full_name == card.full_name


@pytest.mark.parametrize("options", [{"side": 100}, {"context": 114}])
def test_sides_and_contexts_that_do_not_fit(options: dict[str, int]) -> None:
    with pytest.raises(RecipeError), torch.device("meta"):
        build(find("rcnn"), options=options)


def test_the_heat_of_an_object_stays_around_it() -> None:
    network = small(machines=True)
    with torch.no_grad():
        nn.init.normal_(network.machines.svms.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    task = make_task("detection", ("a", "b"))
    batch = batch_of(torch.randn(1, 3, 60, 100), [[[10, 10, 40, 40]]])
    boxes = np.asarray([[10, 10, 40, 40], [60, 20, 90, 50]], np.float32)
    both = Detections(("a", "b"), boxes, np.asarray([0, 1]), (60, 100), scores=np.asarray([0.9, 0.8], np.float32))
    heats = [heat.values for heat in grad_cam_of_each(network, task, batch, both.parts())]
    assert len(heats) == 2
    for heat, (x1, y1, x2, y2) in zip(heats, boxes.astype(int), strict=True):
        inside = np.zeros((60, 100), bool)
        inside[y1 - 5 : y2 + 5, x1 - 5 : x2 + 5] = True  # with the surroundings that were warped
        assert not heat[~inside].any()
    assert max(heat.max() for heat in heats) == pytest.approx(1)
    nothing = both.select(np.zeros(2, bool))
    (whole,) = grad_cam_of_each(network, task, batch, [nothing])
    assert whole.values.shape == (60, 100)

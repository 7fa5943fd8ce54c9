"""Mask R-CNN: targets and loss of the masks, answers, images of which nothing can be learnt, and two learnt by heart.

That it computes what torchvision's does is tested in tests/oracle/test_torchvision_rcnn.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visus.errors import TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.mask_rcnn import MaskRCNN
from visus.models.detection.masked_regions import MaskBranch
from visus.models.detection.region_codec import SampledRegions
from visus.models.detection.two_stage import FoundMasks, LabelledBoxes
from visus.models.weights import load_weights
from visus.structures import Batch, Detections, Placement

SIZE = (96, 128)
CLASSES = ("disc", "square", "none")
SMALL = {"width": 16, "hidden": 32, "mask_width": 8, "proposals": 40, "sampled": 32, "anchor_side": 4.0}
CPU = torch.device("cpu")


def network_of(name: str = "mask_rcnn+mobilenet_v1_025") -> MaskRCNN:
    torch.manual_seed(0)
    network = build(catalog.find(name), classes=3, options=SMALL)
    assert isinstance(network, MaskRCNN)
    return network.eval()


@pytest.fixture(scope="module")
def small() -> MaskRCNN:
    return network_of()


def disc(x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def square(x: float, y: float, half: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.asarray(np.maximum(abs(columns - x), abs(rows - y)) <= half)


def target(*objects: tuple[int, NDArray[np.bool_]]) -> Detections:
    """Objects with their masks and the boxes around these."""
    boxes = []
    for _, mask in objects:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    masks = np.stack([mask for _, mask in objects]) if objects else np.zeros((0, *SIZE), bool)
    labels = np.asarray([label for label, _ in objects], np.int64)
    return Detections(CLASSES, np.asarray(boxes, np.float32).reshape(-1, 4), labels, SIZE, masks=masks)  # type: ignore[arg-type]


def batch_of(*targets: Detections, images: torch.Tensor | None = None) -> Batch:
    if images is None:
        images = torch.randn(len(targets), 3, *SIZE, generator=torch.Generator().manual_seed(0))
    names = tuple(map(str, range(len(targets))))
    return Batch(images, list(targets), [Placement.identity(SIZE)] * len(targets), names)


def test_the_mask_branch_counts_as_published() -> None:
    """facts/architectures.yaml, mask_rcnn_resnet50_fpn: 2,646,107 for 91 classes with background."""
    with torch.device("meta"):
        branch = MaskBranch(256, width=256, depth=4, classes=90)
        assert sum(p.numel() for p in branch.parameters()) == 2_646_107
        assert branch(torch.zeros(5, 256, 14, 14)).shape == (5, 91, 28, 28)
    assert catalog.find("mask_rcnn").parameters == 44_400_693
    assert catalog.find("mask_rcnn@torchvision").parameters == 44_454_513


def test_a_cell_learns_whether_the_object_covers_half_of_it(small: MaskRCNN) -> None:
    mask = np.zeros(SIZE, bool)
    mask[40:56, 60:68] = True  # 8 wide, 16 high
    (encoded,) = small.codec.encode([target((0, mask))], CPU)
    regions = torch.tensor([[60.0, 40, 68, 56], [52.0, 40, 76, 56], [62.0, 44, 66, 48]])
    wanted = small.codec.mask_targets(encoded, torch.tensor([0, 0, 0]), regions, 6)
    assert wanted[0].all()
    assert wanted[1].tolist() == [[0, 0, 1, 1, 0, 0]] * 6
    assert wanted[2].all()


def test_the_loss_of_the_masks_by_a_plain_loop(small: MaskRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean cross-entropy of the true class's cells, of the regions that show objects only (section 3)."""
    targets = [target((1, square(40, 40, 12)), (0, disc(90, 50, 20))), target((0, disc(60, 60, 25)))]
    encoded = small.codec.encode(targets, CPU)
    sampled = [
        SampledRegions(torch.tensor([[70.0, 28, 112, 72], [26, 30, 50, 54], [0, 0, 20, 20]]), torch.tensor([1, 0, -1])),
        SampledRegions(torch.tensor([[30.0, 33, 88, 80], [90, 5, 120, 40]]), torch.tensor([0, -1])),
    ]
    batch = batch_of(*targets)
    seen: dict[str, torch.Tensor] = {}
    whole = type(small).masks

    def masks(network: MaskRCNN, features: Any, boxes: Any, labels: torch.Tensor) -> torch.Tensor:
        logits = whole(network, features, boxes, labels)
        seen["labels"], seen["logits"] = labels, logits.detach()
        return logits

    monkeypatch.setattr(type(small), "masks", masks)
    terms = small.codec.second_stage(small, small.features(batch.images), SIZE, sampled, encoded)
    assert seen["labels"].tolist() == [0, 1, 0]
    total, count = 0.0, 0
    shown = [(0, 0, 1), (0, 1, 0), (1, 0, 0)]  # image, region, object
    for logits, (image, region, which) in zip(seen["logits"], shown, strict=True):
        x1, y1, x2, y2 = sampled[image].boxes[region].tolist()
        mask = targets[image].masks
        assert mask is not None
        fine = np.kron(mask.paste(which), np.ones((8, 8)))  # eight points a pixel, to measure what is covered
        for i in range(28):
            for j in range(28):
                top, bottom = (round(8 * (y1 + (y2 - y1) * k / 28)) for k in (i, i + 1))
                left, right = (round(8 * (x1 + (x2 - x1) * k / 28)) for k in (j, j + 1))
                share = fine[top:bottom, left:right].mean()
                # minus the logarithm of the probability of what is right
                total += float(torch.nn.functional.softplus(-logits[i, j] if share >= 0.5 else logits[i, j]))
                count += 1
    assert terms["mask"].item() == pytest.approx(total / count, rel=0.02)


def test_only_regions_that_show_objects_train_the_masks(small: MaskRCNN) -> None:
    small.zero_grad()
    codec = small.codec
    rules = codec.rules
    codec.rules = replace(rules, add_objects=False)
    batch = batch_of(target((0, disc(90, 50, 12))), target())
    batch = replace(batch, proposals=None)
    nowhere = [torch.tensor([[0.0, 0, 20, 20]]), torch.tensor([[10.0, 10, 30, 30]])]
    encoded = codec.encode(batch.targets, CPU)
    terms = codec.second_stage(small, small.features(batch.images), SIZE, codec.sample(nowhere, encoded), encoded)
    codec.rules = rules
    assert terms["mask"] == 0
    torch.stack(list(terms.values())).sum().backward()
    for parameter in small.mask_branch.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_losses_without_objects_and_with_a_thousand(small: MaskRCNN) -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 80, (1000, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(2, 12, (1000, 2))], 1).astype(np.float32)
    from visus.structures.masks import Masks

    crops = tuple(np.ones((3, 3), np.float32) for _ in range(1000))
    crowd = Detections(CLASSES, boxes, np.zeros(1000, np.int64), SIZE, masks=Masks(crops, boxes.astype(float), SIZE))
    for targets in ((target(), crowd), (target(), target())):
        terms = small.codec.losses(small, batch_of(*targets))
        assert terms.keys() == {"objectness", "anchor_box", "class", "box", "mask"}
        assert all(bool(torch.isfinite(term)) for term in terms.values())


def test_objects_without_masks_are_refused(small: MaskRCNN) -> None:
    bare = target((0, disc(60, 50, 30))).without_masks()
    with pytest.raises(TaskMismatchError, match="mask"):
        small.codec.losses(small, batch_of(bare))


def test_nothing_found_is_an_answer_with_masks(small: MaskRCNN) -> None:
    with torch.no_grad():
        outputs = small(torch.zeros(2, 3, *SIZE), [torch.zeros(0, 4), torch.zeros(0, 4)])
    assert outputs.masked is not None
    assert outputs.masked.logits.shape == (1, 28, 28)
    for answer in small.codec.decode(outputs):
        assert len(answer) == 0
        assert answer.masks is not None
        assert len(answer.masks) == 0


def test_masks_are_answered_as_crops_in_their_boxes(small: MaskRCNN) -> None:
    """What the branch says of a box is pasted into it, whatever the size of the image that it is asked for."""
    with torch.no_grad():
        outputs = small(torch.zeros(1, 3, *SIZE), [torch.zeros(0, 4)])
    logits = torch.full((1, 28, 28), -20.0)
    logits[0, :14] = 20.0  # the upper half
    found = [LabelledBoxes(torch.tensor([[20.0, 30, 76, 86]]), torch.tensor([1]), torch.tensor([0.9]))]
    (answer,) = small.codec.decode(outputs._replace(masked=FoundMasks(found, logits)))
    assert answer.masks is not None
    assert answer.masks.crops[0].dtype == np.float32
    expected = np.zeros(SIZE, bool)
    expected[30:58, 20:76] = True
    np.testing.assert_array_equal(answer.masks[0], expected)
    twice = answer.undo(Placement((192, 256), SIZE, (0.5, 0.5)))
    assert twice.masks is not None
    doubled = np.kron(expected, np.ones((2, 2), bool))
    assert (twice.masks[0] != doubled).sum() <= 4  # beyond its crop a mask is 0, which rounds its corners off


def test_each_object_has_the_mask_of_its_class(small: MaskRCNN) -> None:
    boxes = [torch.tensor([[0.0, 0, 127, 95], [8, 8, 30, 40]]), torch.tensor([[4.0, 4, 20, 20]])]
    with torch.no_grad():
        maps = small.features(torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2)))
        together = small.masks(maps, boxes, torch.tensor([0, 1, 2]))
        for row, (image, k, label) in enumerate([(0, 0, 0), (0, 1, 1), (1, 0, 2)]):
            alone = {stride: map_[image : image + 1] for stride, map_ in maps.items()}
            mine = small.masks(alone, [boxes[image][k : k + 1]], torch.tensor([label]))
            torch.testing.assert_close(together[row], mine[0], rtol=1e-4, atol=1e-6)


def test_c4_shares_conv5_with_the_other_branches() -> None:
    with torch.device("meta"):
        network: Any = build(catalog.find("mask_rcnn_c4"), classes=3)
        outputs = network(torch.zeros(1, 3, 160, 224))
    assert outputs.masked.logits.shape == (100, 14, 14)  # figure 4, left
    assert network.mask_branch.deconv.weight.shape[0] == 2048
    assert network.rpn.anchors.per_cell == 15  # section 3.1: 5 scales and 3 ratios


@pytest.mark.slow
def test_c4_learns_and_answers() -> None:
    torch.manual_seed(0)
    network: Any = build(catalog.find("mask_rcnn_c4"), classes=3, options={"proposals": 20, "sampled": 16})
    network.eval()
    terms = network.codec.losses(network, batch_of(target((0, disc(60, 50, 30)))))
    torch.stack(list(terms.values())).sum().backward()
    assert network.regions.layer4[0].conv1.weight.grad.any()
    assert network.mask_branch.deconv.weight.grad.any()
    with torch.no_grad():
        assert len(network.codec.answers(network, batch_of(target()))) == 1


@pytest.mark.slow
def test_c4_begins_with_the_weights_of_a_residual_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    resnet = build(catalog.find("resnet50"))
    torch.save(resnet.state_dict(), tmp_path / "resnet50.pth")
    card = catalog.find("mask_rcnn_c4")
    network: Any = build(card, classes=3)
    load_weights(network, card, tmp_path / "resnet50.pth")
    assert torch.equal(network.regions.layer4[0].conv1.weight, resnet.state_dict()["layer4.0.conv1.weight"])
    assert torch.equal(network.backbone.conv1.weight, resnet.state_dict()["conv1.weight"])


@pytest.mark.slow
def test_two_images_learnt_by_heart() -> None:
    network = network_of().train()
    targets = [target((0, disc(40, 45, 20)), (1, square(95, 50, 16))), target((1, square(50, 50, 22)))]
    images = torch.full((2, 3, *SIZE), -1.0)
    for n, value in enumerate(targets):
        assert value.masks is not None
        for label, mask in zip(value.labels, value.masks, strict=True):
            images[n, int(label)][torch.from_numpy(mask)] = 1.5
    batch = batch_of(*targets, images=images)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        torch.stack(list(network.codec.losses(network, batch).values())).sum().backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        answers = network.codec.answers(network, batch)
    for answer, truth in zip(answers, targets, strict=True):
        sure = answer.above(0.5)
        assert sorted(sure.labels.tolist()) == sorted(truth.labels.tolist())
        assert sure.masks is not None
        assert truth.masks is not None
        assert sure.masks.iou(truth.masks).max(0).min() > 0.8

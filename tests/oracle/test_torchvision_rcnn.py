"""Faster and Mask R-CNN on a pyramid against torchvision's: the same proposals, boxes, masks and losses.

At every commit with a narrow pyramid on ResNet-18; the published networks, at their own size, where slow tests run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from visus.errors import WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection import faster_rcnn_fpn_weights, mask_rcnn_weights
from visus.models.weights import load_weights
from visus.ops.boxes import box_iou
from visus.structures import Batch, Detections, Placement

SIZE = (128, 160)
NAMES = tuple("abcde")
BOXES = ([[20.0, 30, 90, 120], [100, 50, 150, 125], [120, 10, 131, 18]], [[5.0, 5, 120, 110]])
LABELS = ([0, 3, 4], [2])
EVERYTHING = 10**6  # so many are sampled that none is left out: nothing is drawn


def narrow(kind: str) -> tuple[Any, Any]:
    """Ours and theirs on ResNet-18 with a pyramid of 16 channels."""
    from torchvision.models import resnet18
    from torchvision.models.detection import FasterRCNN, MaskRCNN
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

    layers = {f"layer{n + 1}": str(n) for n in range(4)}
    backbone = BackboneWithFPN(resnet18(), layers, [64, 128, 256, 512], 16)
    heads = {"box_head": TwoMLPHead(16 * 49, 32), "box_predictor": FastRCNNPredictor(32, 6)}
    rules = {"rpn_batch_size_per_image": EVERYTHING, "box_batch_size_per_image": EVERYTHING}
    options: dict[str, Any] = {"width": 16, "hidden": 32}
    if kind == "mask":
        masks = {"mask_head": MaskRCNNHeads(16, (8,) * 4, 1), "mask_predictor": MaskRCNNPredictor(8, 8, 6)}
        theirs: Any = MaskRCNN(backbone, **heads, **masks, **rules)
        options |= {"mask_width": 8}
    else:
        theirs = FasterRCNN(backbone, **heads, **rules)
    name = "mask_rcnn" if kind == "mask" else "faster_rcnn_fpn"
    ours: Any = build(catalog.find(f"{name}@torchvision+resnet18@torchvision"), classes=5, options=options)
    return ours, theirs


def published(kind: str) -> tuple[Any, Any]:
    """Ours and theirs on ResNet-50 with the published widths."""
    from torchvision.models.detection import fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn

    make = maskrcnn_resnet50_fpn if kind == "mask" else fasterrcnn_resnet50_fpn
    rules = {"rpn_batch_size_per_image": EVERYTHING, "box_batch_size_per_image": EVERYTHING}
    theirs = make(weights=None, weights_backbone=None, num_classes=6, **rules)
    name = "mask_rcnn" if kind == "mask" else "faster_rcnn_fpn"
    return build(catalog.find(f"{name}@torchvision"), classes=5), theirs


@torch.no_grad()
def strengthen(theirs: Any) -> None:
    theirs.rpn.head.cls_logits.weight.mul_(50)
    theirs.rpn.head.bbox_pred.weight.mul_(10)
    theirs.roi_heads.box_predictor.cls_score.weight.mul_(10)
    theirs.roi_heads.box_predictor.bbox_pred.weight.mul_(2)


@pytest.fixture(
    scope="module",
    params=[
        (narrow, "boxes"),
        (narrow, "mask"),
        pytest.param((published, "boxes"), marks=pytest.mark.slow),
        pytest.param((published, "mask"), marks=pytest.mark.slow),
    ],
    ids=["narrow boxes", "narrow masks", "published boxes", "published masks"],
)
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    make, kind = request.param
    torch.manual_seed(0)
    ours, theirs = make(kind)
    if make is narrow:  # whose untrained heads say one thing of all: let them tell anchors and regions apart
        strengthen(theirs)
    convert = mask_rcnn_weights if kind == "mask" else faster_rcnn_fpn_weights
    ours.load_state_dict(convert.from_torchvision(theirs.state_dict(), epsilon=1e-5), strict=True)
    codec = ours.codec
    codec.rules = replace(codec.rules, sampled=EVERYTHING)
    codec.anchor_rules = replace(codec.anchor_rules, sampled=EVERYTHING)
    return ours.eval(), theirs.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def both(pair: tuple[Any, Any], images: Tensor) -> tuple[Any, Any, Any]:
    """Our raw outputs, their proposals and their answers."""
    from torchvision.models.detection.image_list import ImageList

    ours, theirs = pair
    with torch.no_grad():
        features = theirs.backbone(images)
        proposals, _ = theirs.rpn(ImageList(images, [SIZE] * 2), features)
        answers, _ = theirs.roi_heads(features, proposals, [SIZE] * 2)
        return ours(images), proposals, answers


def test_proposals(both: tuple[Any, Any, Any]) -> None:
    outputs, proposals, _ = both
    assert outputs.counts == tuple(len(part) for part in proposals)
    assert min(outputs.counts) > 50
    for mine, count, yours in zip(outputs.proposals, outputs.counts, proposals, strict=True):
        # each of theirs is one of ours; equal scores have no order of their own
        assert box_iou(yours, mine[:count]).amax(1).min() > 0.99


def test_objects(pair: tuple[Any, Any], both: tuple[Any, Any, Any]) -> None:
    outputs, _, answers = both
    for found, answer in zip(pair[0].codec.decode(outputs), answers, strict=True):
        assert len(found) == len(answer["labels"]) > 20
        np.testing.assert_allclose(found.scores, answer["scores"].numpy(), atol=1e-4)
        np.testing.assert_array_equal(found.labels + 1, answer["labels"].numpy())
        np.testing.assert_allclose(found.boxes, answer["boxes"].numpy(), atol=0.05)
        if "masks" in answer:
            assert found.masks is not None
            np.testing.assert_allclose(np.stack(found.masks.crops), answer["masks"][:, 0].numpy(), atol=2e-3)


def targets() -> tuple[list[Detections], list[dict[str, Tensor]]]:
    """The same objects, ours and theirs: each mask is an ellipse in its box."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    mine, yours = [], []
    for boxes, labels in zip(BOXES, LABELS, strict=True):
        masks = np.stack(
            [((x - (a + c) / 2) / (c - a)) ** 2 + ((y - (b + d) / 2) / (d - b)) ** 2 <= 0.25 for a, b, c, d in boxes]
        )
        array, ids = np.asarray(boxes, np.float32), np.asarray(labels, np.int64)
        mine.append(Detections(NAMES, array, ids, SIZE, masks=masks))  # type: ignore[arg-type]
        yours.append(
            {
                "boxes": torch.from_numpy(array),
                "labels": torch.from_numpy(ids) + 1,
                "masks": torch.from_numpy(masks).to(torch.uint8),
            }
        )
    return mine, yours


def test_losses_and_their_gradients(pair: tuple[Any, Any], images: Tensor) -> None:
    from torchvision.models.detection.image_list import ImageList

    ours, theirs = pair
    mine, yours = targets()
    batch = Batch(images, mine, [Placement.identity(SIZE)] * 2, ("0", "1"))
    ours.zero_grad()
    terms = ours.codec.losses(ours, batch)
    torch.stack(list(terms.values())).sum().backward()
    theirs.rpn.train()
    theirs.roi_heads.train()
    theirs.zero_grad()
    features = theirs.backbone(images)
    proposals, first = theirs.rpn(ImageList(images, [SIZE] * 2), features, yours)
    _, second = theirs.roi_heads(features, proposals, [SIZE] * 2, yours)
    theirs.eval()
    expected = {**first, **second}
    torch.stack(list(expected.values())).sum().backward()
    names = {
        "objectness": "loss_objectness",
        "anchor_box": "loss_rpn_box_reg",
        "class": "loss_classifier",
        "box": "loss_box_reg",
        "mask": "loss_mask",
    }
    assert {names[term] for term in terms} == expected.keys()
    for term, value in terms.items():
        torch.testing.assert_close(
            value, expected[names[term]], rtol=2e-3, atol=1e-4, msg=lambda m, t=term: f"{t}: {m}"
        )
    for mine_, yours_ in (
        (ours.pyramid.output[0].weight, theirs.backbone.fpn.layer_blocks[0][0].weight),
        (ours.class_logits.weight, theirs.roi_heads.box_predictor.cls_score.weight),
        (ours.backbone.conv1.weight, theirs.backbone.body.conv1.weight),
    ):
        assert mine_.grad is not None
        difference = (mine_.grad - yours_.grad).norm() / yours_.grad.norm()
        assert difference < 0.02


def test_the_published_files_layout(pair: tuple[Any, Any]) -> None:
    """The published files are older than torchvision's sequences, and have no counts of batches."""
    ours, theirs = pair
    old = {}
    for name, value in theirs.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if "fpn" in name:
            name = name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for number in range(4):
            name = name.replace(f"mask_head.{number}.0.", f"mask_head.mask_fcn{number + 1}.")
        old[name] = value
    convert = mask_rcnn_weights if "mask_branch.deconv.weight" in ours.state_dict() else faster_rcnn_fpn_weights
    converted = convert.from_torchvision(old, epsilon=1e-5)
    for name, value in ours.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(converted[name], value)
    with pytest.raises(WeightsError, match="stranger"):
        convert.from_torchvision({**old, "stranger": torch.zeros(1)})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["faster_rcnn_fpn", "mask_rcnn"])
def test_a_file_of_the_published_layout(name: str, tmp_path: Any) -> None:
    _, theirs = published("mask" if name == "mask_rcnn" else "boxes")
    torch.save(theirs.state_dict(), tmp_path / "file.pth")
    card = catalog.find(f"{name}@torchvision")
    report = load_weights(build(card, classes=5), card, tmp_path / "file.pth")
    assert report.part == "network"
    assert report.left_random == ()

"""SSD300 against torchvision's: the same weights give the same raw outputs, losses and detections."""

import numpy as np
import pytest
import torch

from visus.errors import WeightsError
from visus.models.detection.ssd import ssd
from visus.models.detection.ssd_weights import from_torchvision
from visus.structures import Detections


@pytest.fixture(scope="module")
def pair():
    from torchvision.models.detection import ssd300_vgg16

    torch.manual_seed(0)
    theirs = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=7).eval()
    ours = ssd(classes=6, scales="coco", clip_sides=True).eval()
    ours.load_state_dict(from_torchvision(theirs.state_dict()), strict=True)
    return ours, theirs


@pytest.fixture(scope="module")
def both(pair):
    from torchvision.models.detection.image_list import ImageList

    ours, theirs = pair
    images = 30 * torch.randn(2, 3, 300, 300, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine = ours(images)
        features = list(theirs.backbone(images).values())
        yours = theirs.head(features)
        anchors = theirs.anchor_generator(ImageList(images, [(300, 300)] * 2), features)
    return mine, yours, anchors


def test_raw_outputs(both) -> None:
    mine, yours, _ = both
    torch.testing.assert_close(mine.logits, yours["cls_logits"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.offsets, yours["bbox_regression"], rtol=1e-4, atol=1e-4)
    assert mine.logits.std() > 0.1


def test_default_boxes(both) -> None:
    mine, _, anchors = both
    torch.testing.assert_close(mine.default_boxes, anchors[0], rtol=0, atol=1e-3)


def test_losses(pair, both) -> None:
    ours, theirs = pair
    mine, yours, anchors = both
    boxes = [[[20.0, 30, 90, 120], [100, 100, 280, 260], [200, 10, 240, 40]], [[5.0, 5, 150, 290]]]
    labels = [[0, 3, 5], [2]]
    names = tuple("abcdef")
    targets = [
        Detections(names, np.asarray(b, np.float32), np.asarray(k, np.int64), (300, 300))
        for b, k in zip(boxes, labels, strict=True)
    ]
    terms = ours.codec.terms(mine, ours.codec.encode(targets, torch.device("cpu")))
    their_targets = [
        {"boxes": torch.tensor(b), "labels": torch.tensor(k) + 1} for b, k in zip(boxes, labels, strict=True)
    ]
    from torchvision.ops import box_iou

    matched = [theirs.proposal_matcher(box_iou(t["boxes"], a)) for t, a in zip(their_targets, anchors, strict=True)]
    expected = theirs.compute_loss(their_targets, yours, anchors, matched)
    torch.testing.assert_close(terms["box"], expected["bbox_regression"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["class"], expected["classification"], rtol=1e-4, atol=1e-4)


def test_detections(pair, both) -> None:
    ours, theirs = pair
    mine, yours, anchors = both
    expected = theirs.postprocess_detections(yours, anchors, [(300, 300)] * 2)
    for found, answer in zip(ours.codec.decode(mine), expected, strict=True):
        assert len(found) == len(answer["labels"]) > 20
        np.testing.assert_array_equal(found.labels, answer["labels"].numpy() - 1)
        np.testing.assert_allclose(found.boxes, answer["boxes"].numpy(), atol=1e-2)
        np.testing.assert_allclose(found.scores, answer["scores"].numpy(), atol=1e-4)


def test_foreign_weights_are_refused(pair) -> None:
    state = dict(pair[1].state_dict())
    state.pop("backbone.scale_weight")
    with pytest.raises(WeightsError, match="scale_weight"):
        from_torchvision(state)
    with pytest.raises(WeightsError, match="stranger"):
        from_torchvision({**pair[1].state_dict(), "stranger": torch.zeros(1)})

"""RetinaNet against torchvision's: the same weights give the same raw outputs, anchors, losses and detections."""

import numpy as np
import pytest
import torch

from visus.errors import WeightsError
from visus.losses.focal import sigmoid_focal_loss
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.retinanet_weights import from_torchvision
from visus.models.weights import load_weights
from visus.structures import Detections

SIZE = (160, 192)


@pytest.fixture(scope="module")
def pair():
    from torchvision.models.detection import retinanet_resnet50_fpn

    torch.manual_seed(0)
    theirs = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=7).eval()
    with torch.no_grad():  # an untrained head answers 0.01 everywhere, of which nothing is detected
        theirs.head.classification_head.cls_logits.weight.mul_(8)
        theirs.head.regression_head.bbox_reg.weight.mul_(2)
    ours = build(catalog.find("retinanet@torchvision"), classes=7).eval()
    ours.load_state_dict(from_torchvision(theirs.state_dict(), epsilon=1e-5), strict=True)
    return ours, theirs


@pytest.fixture(scope="module")
def both(pair):
    from torchvision.models.detection.image_list import ImageList

    ours, theirs = pair
    images = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine = ours(images)
        features = list(theirs.backbone(images).values())
        yours = theirs.head(features)
        anchors = theirs.anchor_generator(ImageList(images, [SIZE] * 2), features)
    return mine, yours, anchors


def test_raw_outputs(both) -> None:
    mine, yours, _ = both
    torch.testing.assert_close(mine.logits, yours["cls_logits"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.offsets, yours["bbox_regression"], rtol=1e-4, atol=1e-4)
    assert mine.logits.std() > 0.1


def test_anchors(both) -> None:
    mine, _, anchors = both
    torch.testing.assert_close(mine.anchors, anchors[0], rtol=0, atol=0)
    assert sum(mine.levels) == len(anchors[0])


def test_losses(pair, both) -> None:
    ours, theirs = pair
    mine, yours, anchors = both
    boxes = [[[20.0, 30, 90, 120], [100, 70, 190, 150], [150, 10, 160, 18]], [[5.0, 5, 150, 140]]]
    labels = [[0, 3, 5], [2]]
    names = tuple("abcdefg")
    targets = [
        Detections(names, np.asarray(b, np.float32), np.asarray(k, np.int64), SIZE)
        for b, k in zip(boxes, labels, strict=True)
    ]
    terms = ours.codec.terms(mine, ours.codec.encode(targets, torch.device("cpu")))
    their_targets = [{"boxes": torch.tensor(b), "labels": torch.tensor(k)} for b, k in zip(boxes, labels, strict=True)]
    expected = theirs.compute_loss(their_targets, yours, anchors)
    torch.testing.assert_close(terms["box"], expected["bbox_regression"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["class"], expected["classification"], rtol=1e-4, atol=1e-4)


def test_detections(pair, both) -> None:
    ours, theirs = pair
    mine, yours, anchors = both
    # their raw outputs, equal to ours but for rounding, which would swap objects of nearly one score
    mine = mine._replace(logits=yours["cls_logits"], offsets=yours["bbox_regression"])
    split = {name: list(value.split(mine.levels, dim=1)) for name, value in yours.items()}
    expected = theirs.postprocess_detections(split, [list(a.split(mine.levels)) for a in anchors], [SIZE] * 2)
    for found, answer in zip(ours.codec.decode(mine), expected, strict=True):
        assert len(found) == len(answer["labels"]) > 20
        np.testing.assert_allclose(found.scores, answer["scores"].numpy(), atol=1e-4)
        np.testing.assert_array_equal(found.labels, answer["labels"].numpy())
        np.testing.assert_allclose(found.boxes, answer["boxes"].numpy(), atol=1e-2)


def test_the_published_files_layout(pair, tmp_path) -> None:
    """The published file is older than torchvision's sequences, and its frozen norms add nothing to the variance."""
    from torchvision.models.detection import retinanet_resnet50_fpn

    _, theirs = pair
    generator = torch.Generator().manual_seed(3)
    old = {}
    for name, value in theirs.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        for part in ("classification", "regression"):
            for number in range(4):
                name = name.replace(f"{part}_head.conv.{number}.0.", f"{part}_head.conv.{2 * number}.")
        if "fpn" in name:
            name = name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
        old[name] = value
    norms = {}
    for name in [name for name in old if name.endswith("running_var")]:
        # so small that 1e-5 shows, with factors that keep the maps' size
        norms[name] = 1e-3 * (1 + torch.rand(old[name].shape, generator=generator))
        norms[name.replace("running_var", "weight")] = norms[name].sqrt()
    old |= norms
    torch.save(old, tmp_path / "file.pth")

    card = catalog.find("retinanet@torchvision")
    converted = from_torchvision(torch.load(tmp_path / "file.pth", weights_only=True))
    ours = build(card, classes=7).eval()
    ours.load_state_dict(converted, strict=True)
    frozen = retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=7).eval()
    frozen.load_state_dict({**theirs.state_dict(), **norms}, strict=True)
    for module in frozen.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 0.0
    images = torch.randn(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        expected = frozen.head(list(frozen.backbone(images).values()))["cls_logits"]
        scale = float(expected.abs().max())
        torch.testing.assert_close(ours(images).logits / scale, expected / scale, rtol=1e-3, atol=1e-4)


def test_a_file_is_loaded_by_its_layout(pair, tmp_path) -> None:
    torch.save(pair[1].state_dict(), tmp_path / "file.pth")
    card = catalog.find("retinanet@torchvision")
    network = build(card, classes=7)
    report = load_weights(network, card, tmp_path / "file.pth")
    assert report.part == "network"
    assert report.left_random == ()


def test_foreign_weights_are_refused(pair) -> None:
    with pytest.raises(WeightsError, match="stranger"):
        from_torchvision({**pair[1].state_dict(), "stranger": torch.zeros(1)})
    state = dict(pair[1].state_dict())
    state.pop("backbone.body.bn1.weight")
    with pytest.raises(WeightsError, match=r"bn1\.weight"):
        from_torchvision(state)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 5.0), (0.25, 0.5)])
def test_focal_loss(alpha: float, gamma: float) -> None:
    from torchvision.ops import sigmoid_focal_loss as their_focal_loss

    generator = torch.Generator().manual_seed(0)
    logits = (6 * torch.randn(50, 7, generator=generator)).requires_grad_()
    targets = (torch.rand(50, 7, generator=generator) > 0.7).float()
    mine = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    yours = their_focal_loss(logits, targets, alpha=alpha, gamma=gamma)
    torch.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-6)
    (my_slope,) = torch.autograd.grad(mine.sum(), logits)
    (your_slope,) = torch.autograd.grad(yours.sum(), logits)
    torch.testing.assert_close(my_slope, your_slope, rtol=1e-3, atol=1e-5)


def test_focal_loss_is_finite_where_the_answer_is_certain() -> None:
    logits = torch.tensor([200.0, -200.0], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1.0, 0.0]), gamma=0.5).sum()
    loss.backward()
    assert bool(torch.isfinite(logits.grad).all())
    assert loss.item() == 0

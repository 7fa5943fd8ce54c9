"""Fast R-CNN: its networks, what it pools, its losses against plain loops, and its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from made_up import objects_of
from tiny_backbone import TinyBackbone
from visus.errors import RecipeError, TaskMismatchError
from visus.layers.low_rank import LowRankLinear, truncated
from visus.models.building import build_backbone
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.caffe_trunks import CaffeNetTrunk, VGGMTrunk, vgg16_trunk
from visus.models.detection.fast_rcnn import CODING, FastRCNN, fast_rcnn, fast_rcnn_caffenet
from visus.models.detection.two_stage import RegionOutput
from visus.structures import Batch, Proposals
from visus.structures.placement import Placement

CLASSES = ("red", "green", "blue")
target = objects_of(CLASSES, (64, 96))


class Halving(nn.Module):
    """A backbone whose map of stride 16 is the mean of 16 x 16 pixels, channel by channel."""

    channels: Mapping[int, int] = MappingProxyType({16: 3})
    head: tuple[str, ...] = ()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {16: F.avg_pool2d(images, 16)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.features(images)


def small(**options: Any) -> FastRCNN:
    torch.manual_seed(0)
    return fast_rcnn(classes=3, in_channels=3, backbone=Halving(), width=8, dropout=0.0, **options)


def batch_of(images: Tensor, targets: Sequence[Any], proposals: Sequence[Sequence[Sequence[float]]]) -> Batch:
    size = (images.shape[2], images.shape[3])
    given = [Proposals(np.asarray(boxes, np.float32).reshape(-1, 4), size) for boxes in proposals]
    placements = [Placement.identity(size)] * len(images)
    return Batch(images, list(targets), placements, [str(n) for n in range(len(images))], proposals=given)


@pytest.mark.parametrize(
    ("trunk", "shape"),
    [(CaffeNetTrunk, (256, 39, 64)), (VGGMTrunk, (512, 36, 61)), (vgg16_trunk, (512, 38, 63))],
)
def test_the_maps_at_the_papers_size(trunk: Any, shape: tuple[int, ...]) -> None:
    # architectures.yaml: fast_rcnn_caffenet, fast_rcnn_vgg16; VGG_CNN_M_1024: by hand from its prototxt
    with torch.device("meta"):
        assert trunk(3).features(torch.empty(1, 3, 600, 1000))[16].shape[1:] == shape


def test_caffenet_for_classification_gives_13_cells() -> None:
    with torch.device("meta"):
        assert CaffeNetTrunk(3, padded=False).features(torch.empty(1, 3, 227, 227))[16].shape[1:] == (256, 13, 13)


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg11", "googlenet"])
def test_any_backbone_with_a_map_of_stride_16(name: str) -> None:
    with torch.device("meta"):
        network = fast_rcnn(classes=3, in_channels=3, backbone=build_backbone(name, 3)).eval()
        outputs = network(torch.empty(2, 3, 96, 128))
    assert outputs.logits.shape == (2, 1, 4)
    assert outputs.offsets.shape == (2, 1, 4, 4)
    with pytest.raises(TaskMismatchError, match="stride 16"):
        fast_rcnn(classes=3, in_channels=3, backbone=build_backbone("resnet20", 3))


def test_an_aligned_region_is_the_crop_of_the_map() -> None:
    """With RoIAlign a region of whole cells is its part of the map; as published it has a cell more on each side."""
    network, images = small(pooling="align").eval(), torch.randn(1, 3, 16 * 20, 16 * 24)
    features = network.features(images)
    box = [torch.tensor([[16.0 * 3, 16.0 * 2, 16.0 * 17, 16.0 * 16]])]  # 14 x 14 cells, two by two a bin
    crop = features[16][:, :, 2:16, 3:17]
    torch.testing.assert_close(network.pool(features[16], box), F.avg_pool2d(crop, 2), atol=1e-5, rtol=1e-5)
    published = small().eval()
    wider = features[16][:, :, 2:17, 3:18]  # the last pixel, 271, is nearest to cell 17
    bins = [slice(math.floor(15 * n / 7), math.ceil(15 * (n + 1) / 7)) for n in range(7)]
    expected = torch.stack([torch.stack([wider[0, :, y, x].amax((1, 2)) for x in bins], -1) for y in bins], -2)
    assert torch.equal(published.pool(features[16], box)[0], expected)


def test_regions_of_an_image_do_not_see_one_another() -> None:
    network, images = small().eval(), torch.randn(2, 3, 64, 96)
    boxes = [torch.tensor([[0.0, 0, 40, 40], [16, 16, 90, 60]]), torch.tensor([[5.0, 5, 50, 60]])]
    together = network(images, boxes)
    assert together.counts == (2, 1)
    for n, image_boxes in enumerate(boxes):
        for p, box in enumerate(image_boxes):
            alone = network(images[n : n + 1], [box[None]])
            torch.testing.assert_close(together.logits[n, p], alone.logits[0, 0])
            torch.testing.assert_close(together.offsets[n, p], alone.offsets[0, 0])


def test_first_values() -> None:
    """Section 2.3: deviations of 0.01 and 0.001, biases of 0."""
    network = fast_rcnn(classes=200, in_channels=3, backbone=Halving(), width=64)
    assert float(network.class_logits.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(network.box_offsets.weight.detach().std()) == pytest.approx(0.001, rel=0.05)
    assert not network.class_logits.bias.any()
    assert not network.box_offsets.bias.any()


def plain_losses(network: FastRCNN, images: Tensor, regions: list[Any], truths: list[Any]) -> tuple[float, float]:
    """Equations 1 to 3, region by region, in double precision; regions: (box, object or -1) of each image."""
    classes = box = 0.0
    count = 0
    for n, (image_regions, truth) in enumerate(zip(regions, truths, strict=True)):
        for corners, match in image_regions:
            output = network(images[n : n + 1], [torch.tensor([corners])])
            logits, offsets = output.logits[0, 0].double().tolist(), output.offsets[0, 0].double()
            label = 0 if match < 0 else int(truth.labels[match]) + 1
            classes -= logits[label] - math.log(sum(math.exp(value) for value in logits))
            count += 1
            if label:
                px, py = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
                pw, ph = corners[2] - corners[0], corners[3] - corners[1]
                gx1, gy1, gx2, gy2 = map(float, truth.boxes[match])
                wanted = [
                    ((gx1 + gx2) / 2 - px) / pw / 0.1,
                    ((gy1 + gy2) / 2 - py) / ph / 0.1,
                    math.log((gx2 - gx1) / pw) / 0.2,
                    math.log((gy2 - gy1) / ph) / 0.2,
                ]
                for ours, theirs in zip(offsets[label].tolist(), wanted, strict=True):
                    x = abs(ours - theirs)
                    box += 0.5 * x * x if x < 1 else x - 0.5
    return classes / count, box / count


def test_the_multi_task_loss_is_the_plain_loops() -> None:
    network = small().eval()
    with torch.no_grad():
        network.class_logits.weight *= 30
        network.box_offsets.weight *= 300
    images = torch.randn(2, 3, 64, 96)
    truths = [target([[0, 0, 40, 40], [50, 10, 90, 60]], [2, 0]), target([[10, 10, 60, 50]], [1])]
    proposals = [
        [[2, 2, 42, 40], [48, 12, 90, 58], [30, 0, 70, 40], [80, 60, 90, 64]],  # the last: overlap below 0.1
        [[12, 8, 60, 52], [40, 10, 90, 50]],
    ]
    regions = [
        [(proposals[0][0], 0), (proposals[0][1], 1), ([0, 0, 40, 40], 0), ([50, 10, 90, 60], 1), (proposals[0][2], -1)],
        [(proposals[1][0], 0), ([10, 10, 60, 50], 0), (proposals[1][1], -1)],
    ]
    regions = [[([float(x) for x in corners], match) for corners, match in part] for part in regions]
    with torch.no_grad():
        terms = network.codec.losses(network, batch_of(images, truths, proposals))
    expected = plain_losses(network, images, regions, truths)
    assert float(terms["class"]) == pytest.approx(expected[0], rel=1e-5)
    assert float(terms["box"]) == pytest.approx(expected[1], rel=1e-5)


def test_a_step_learns_from_64_regions_of_an_image_a_quarter_of_them_objects() -> None:
    """Section 2.3, "Mini-batch sampling"."""
    torch.manual_seed(0)
    codec = small().codec
    truth = BoxTargets(torch.tensor([[20.0, 20, 60, 60]]), torch.tensor([0]), torch.tensor([False]))
    near = torch.tensor([[20.0, 20, 60, 60]]) + torch.rand(100, 4)
    half = torch.tensor([[40.0, 20, 80, 60]]) + torch.rand(100, 4)  # overlap of a third
    far = torch.tensor([[0.0, 0, 10, 10]]).expand(500, 4)
    (sampled,) = codec.sample([torch.cat([near, half, far])], [truth])
    assert len(sampled.boxes) == 64
    assert int((sampled.matches == 0).sum()) == 16
    assert not (sampled.boxes == far[0]).all(1).any()
    (few,) = codec.sample([half], [truth])  # the object's own box joins
    assert int((few.matches == 0).sum()) == 1
    assert len(few.boxes) == 64


def test_no_region_that_shows_an_object_and_no_proposal_at_all() -> None:
    network, images = small(), torch.randn(2, 3, 64, 96)
    truths = [target([], []), target([[10, 10, 60, 50]], [1])]
    network.codec.rules = network.codec.rules.__class__(add_objects=False)
    for proposals in ([[[0, 0, 9, 9]], [[80, 50, 96, 64]]], [[], []], [[], [[12, 12, 60, 50]]]):
        terms = network.codec.losses(network, batch_of(images, truths, proposals))
        total = torch.stack(list(terms.values())).sum()
        assert bool(torch.isfinite(total))
        total.backward()
    answers = network.eval().codec.answers(network, batch_of(images, truths, [[], []]))
    assert [len(answer) for answer in answers] == [0, 0]


def test_decoding_is_the_inverse_of_encoding() -> None:
    network = small(confidence=0.3).eval()
    truth = target([[0, 0, 40, 40], [50, 10, 90, 60]], [2, 0])
    boxes = torch.tensor([[4.0, 2, 38, 44], [46, 12, 92, 58], [0, 40, 20, 60]])
    offsets = torch.zeros(3, 4, 4)
    offsets[0, 3] = CODING.encode(torch.tensor([0.0, 0, 40, 40]), boxes[0])
    offsets[1, 1] = CODING.encode(torch.tensor([50.0, 10, 90, 60]), boxes[1])
    logits = 20 * F.one_hot(torch.tensor([3, 1, 0]), 4).float()
    network.classify = lambda *_: RegionOutput(logits, offsets)  # type: ignore[assignment, method-assign]
    (answer,) = network.codec.decode(network(torch.zeros(1, 3, 64, 96), [boxes]))
    order = np.argsort(answer.labels)[::-1]
    np.testing.assert_allclose(answer.boxes[order], truth.boxes, atol=1e-3)
    assert answer.labels[order].tolist() == [2, 0]


def test_ranks_make_dense_layers_thin() -> None:
    whole, thin = small().eval(), small(ranks={"fc6": 5, "fc7": 3}).eval()
    assert isinstance(thin.regions.fc6, LowRankLinear)
    state = whole.state_dict()
    for name in ("fc6", "fc7"):
        layer = truncated(getattr(whole.regions, name), {"fc6": 5, "fc7": 3}[name])
        setattr(whole.regions, name, layer)
    thin.load_state_dict(whole.state_dict())
    images = torch.randn(1, 3, 64, 96)
    assert torch.equal(thin(images).logits, whole(images).logits)
    assert state.keys() != thin.state_dict().keys()
    with pytest.raises(RecipeError, match="1 to 8"):
        small(ranks={"fc7": 9})
    with pytest.raises(RecipeError, match=r"no dense layer fc8"), torch.device("meta"):
        fast_rcnn_caffenet(classes=3, in_channels=3, ranks={"fc8": 1})


@pytest.mark.parametrize(("pooling", "least"), [("max", 0.6), pytest.param("align", 0.9, marks=pytest.mark.slow)])
def test_it_learns_eight_images_by_heart(pooling: Any, least: float) -> None:
    """A coloured square in each; its regions are a grid's. Rounded to cells, several of them are the same region."""
    torch.manual_seed(0)
    network = fast_rcnn(classes=3, in_channels=3, backbone=TinyBackbone(), width=64, dropout=0.0, pooling=pooling)
    random = np.random.default_rng(0)
    images, truths = torch.zeros(8, 3, 64, 96), []
    for n in range(8):
        x, y, label = int(random.integers(0, 60)), int(random.integers(0, 28)), n % 3
        images[n, label, y : y + 36, x : x + 36] = 2
        truths.append(target([[x, y, x + 36, y + 36]], [label]))
    grid = [[x, y, x + 36, y + 36] for x in range(0, 61, 10) for y in range(0, 29, 7)]
    batch = batch_of(images, truths, [grid] * 8)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(200):
        optimiser.zero_grad()
        loss = torch.stack(list(network.codec.losses(network, batch).values())).sum()
        loss.backward()
        optimiser.step()
        if step % 10 == 9 and learned(network, batch, truths, least):
            return
    raise AssertionError(f"not after 200 steps; the loss is {float(loss):.3f}")


def learned(network: FastRCNN, batch: Batch, truths: list[Any], least: float) -> bool:
    """Whether the best answer of each image is its object, with at least so much overlap."""
    for answer, truth in zip(network.codec.answers(network, batch), truths, strict=True):
        if len(answer) == 0 or answer.labels[0] != truth.labels[0] or overlap(answer.boxes[0], truth.boxes[0]) < least:
            return False
    return True


def overlap(a: Any, b: Any) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_the_width_is_that_of_the_dense_layers_of_vgg16_too() -> None:
    with torch.device("meta"):
        network = fast_rcnn(classes=2, in_channels=3, width=64)
    assert network.class_logits.in_features == 64

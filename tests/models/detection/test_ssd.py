"""SSD: the published figures of SSD300, the codec's two directions, and SSD on other backbones."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from made_up import objects_of
from networks import shapeless
from visus.errors import RecipeError, ShapeError, TaskMismatchError, WeightsError
from visus.models.detection.catalog import CARDS
from visus.models.detection.ssd import SSD, ReducedVGG16, SSDCodec, SSDOutput, ssd, ssd512
from visus.models.detection.ssd_weights import from_vgg16
from visus.models.protocols import Backbone
from visus.structures import Detections

CLASSES = ("red", "green", "blue")
OWN = [card for card in CARDS if card.name.startswith("ssd")]


class Small(nn.Module):
    """A backbone with maps of stride 4 to 32."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 8, 8, 16, 16, 16)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.channels = {4: 8, 8: 16, 16: 16, 32: 16}
        self.head: tuple[str, ...] = ()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = {}
        x = images
        for number, layer in enumerate(self.layers):
            x = F.relu(layer(x))
            maps[2 ** (number + 1)] = x
        return {stride: maps[stride] for stride in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


@pytest.fixture(scope="module")
def published() -> SSD:
    return ssd().eval()


target = objects_of(CLASSES, (300, 300))


def outputs_for(network: SSD, truths: list[Detections]) -> SSDOutput:
    """Raw outputs that say exactly what the codec's targets say."""
    with torch.no_grad():
        blank = network(torch.zeros(1, 3, *truths[0].size))
    labels, offsets = network.codec.targets(blank, network.codec.encode(truths, torch.device("cpu")))
    logits = 20.0 * F.one_hot(labels.clamp(min=0), network.classes + 1)
    return blank._replace(logits=logits, offsets=offsets)


@pytest.mark.parametrize("card", OWN, ids=lambda card: card.full_name)
def test_exact_parameters(card) -> None:
    network = shapeless(card)
    assert sum(p.numel() for p in network.parameters()) == card.parameters


def test_parameters_at_81_classes() -> None:
    # facts/architectures.yaml: exact_params_81_classes, with background
    with torch.device("meta"):
        assert sum(p.numel() for p in ssd(classes=80).parameters()) == 34_305_206


@pytest.mark.parametrize("card", OWN, ids=lambda card: card.full_name)
def test_exact_operations(card) -> None:
    network = shapeless(card)
    total = 0

    def count(module: nn.Conv2d, inputs: object, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.zeros(1, *card.input, device="meta"))
    assert total == card.macs


def test_the_layers_of_figure_2(published: SSD) -> None:
    with torch.no_grad():
        features = published.features(torch.zeros(1, 3, 300, 300))
        assert {stride: tuple(m.shape[1:]) for stride, m in features.items()} == {
            8: (512, 38, 38),
            16: (1024, 19, 19),
        }
        x, sizes = features[16], []
        for extra in published.extras:
            x = extra(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(512, 10, 10), (256, 5, 5), (256, 3, 3), (256, 1, 1)]


def test_outputs(published: SSD) -> None:
    with torch.no_grad():
        outputs = published(torch.zeros(2, 3, 300, 300))
    assert outputs.logits.shape == (2, 8732, 21)
    assert outputs.offsets.shape == (2, 8732, 4)
    assert outputs.default_boxes.shape == (8732, 4)
    assert outputs.size == (300, 300)


def test_ssd512() -> None:
    network = ssd512(classes=20, in_channels=3).eval()
    with torch.device("meta"):
        outputs = network.to("meta")(torch.zeros(1, 3, 512, 512))
    # facts/architectures.yaml, ssd512_vgg16
    assert outputs.logits.shape == (1, 24564, 21)
    maps = [(s, s) for s in (64, 32, 16, 8, 4, 2, 1)]
    boxes = network.default_boxes.place(maps, (512, 512))
    assert boxes.shape == (24564, 4)
    firsts = torch.tensor([s * s * b for (s, _), b in zip(maps, network.default_boxes.per_cell, strict=True)])
    starts = firsts.cumsum(0) - firsts
    sides = (boxes[:, 2] - boxes[:, 0])[torch.stack([starts, starts + 1])]
    smallest = [35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8]
    largest = [*smallest[1:], 537.6]
    assert sides[0].tolist() == pytest.approx(smallest, rel=1e-5)
    assert sides[1].tolist() == pytest.approx([math.sqrt(a * b) for a, b in zip(smallest, largest, strict=True)])
    assert (boxes[starts, :2] + boxes[starts, 2:]).flatten().tolist() == pytest.approx(
        [step for step in (8, 16, 32, 64, 128, 256, 512) for _ in range(2)]
    )


def test_ssd512_names_itself_and_the_size_that_fits() -> None:
    with torch.device("meta"):
        network = ssd512(classes=3, in_channels=3)
        network(torch.zeros(1, 3, 268, 300))
        with pytest.raises(ShapeError, match="SSD512"):
            network(torch.zeros(1, 3, 267, 300))


def test_conv4_3_is_normalised(published: SSD) -> None:
    with torch.no_grad():
        map_ = published.features(torch.randn(1, 3, 300, 300))[8]
    lengths = map_.norm(dim=1)
    assert torch.allclose(lengths[lengths > 1], torch.tensor(20.0), rtol=1e-4)  # section 3.1: initial scale 20
    assert published.backbone.norm4_3.scale.requires_grad


def test_a_prediction_does_not_depend_on_its_batch(published: SSD) -> None:
    images = torch.randn(2, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        both, second = published(images), published(images[1:])
    torch.testing.assert_close(both.logits[1:], second.logits, rtol=1e-4, atol=1e-5)


def test_other_input_sizes(published: SSD) -> None:
    with torch.no_grad():
        outputs = published(torch.zeros(1, 3, 268, 332))
    assert outputs.logits.shape[1] == len(outputs.default_boxes) == outputs.offsets.shape[1]
    assert outputs.size == (268, 332)
    with pytest.raises(ShapeError, match="268x300"):
        published(torch.zeros(1, 3, 267, 300))
    assert published.fitting_size((200, 300)) == (268, 300)


def test_decode_is_the_inverse_of_encode(published: SSD) -> None:
    truth = target([[10, 20, 60, 90], [150, 100, 290, 280], [5, 5, 25, 30]], [0, 2, 1])
    (found,) = published.codec.decode(outputs_for(ssd(classes=3).eval(), [truth]))
    assert len(found) == 3
    order = found.labels.argsort()
    np.testing.assert_allclose(found.boxes[order], truth.boxes[truth.labels.argsort()], atol=1e-3)
    assert sorted(found.labels.tolist()) == [0, 1, 2]
    assert (found.scores > 0.99).all()


def test_the_loss_of_perfect_outputs_is_nothing() -> None:
    network = ssd(classes=3, backbone=Small(), size=96)
    truths = [target([[10, 20, 60, 90]], [0], (96, 96)), target([], [], (96, 96))]
    perfect = outputs_for(network, truths)
    terms = network.codec.terms(perfect, network.codec.encode(truths, torch.device("cpu")))
    assert sum(terms.values()).item() < 1e-5
    wrong = perfect._replace(offsets=perfect.offsets + 1)
    assert network.codec.terms(wrong, network.codec.encode(truths, torch.device("cpu")))["box"] > 0.4


@pytest.mark.parametrize("training", [True, False])
def test_zero_objects_in_a_whole_batch(training: bool) -> None:
    network = ssd(classes=3, backbone=Small(), size=96).train(training)
    truths = [target([], [], (96, 96))] * 2
    loss = sum(
        network.codec.terms(
            network(torch.randn(2, 3, 96, 96)), network.codec.encode(truths, torch.device("cpu"))
        ).values()
    )
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in network.class_heads.parameters())


def test_boxes_without_area_are_left_out() -> None:
    (truth,) = SSDCodec().encode([target([[5, 5, 5, 40], [10, 10, 30, 30]], [0, 1])], torch.device("cpu"))
    assert truth.labels.tolist() == [1]


def test_ignored_objects_teach_nothing() -> None:
    network = ssd(classes=3, backbone=Small(), size=96)
    outputs = network(torch.zeros(1, 3, 96, 96))
    boxes = [[10.0, 10, 60, 60], [60, 60, 90, 90]]
    both = target(boxes, [0, 1], (96, 96), ignored=np.asarray([False, True]))
    labels, _ = network.codec.targets(outputs, network.codec.encode([both], torch.device("cpu")))
    assert set(labels.unique().tolist()) == {-1, 0, 1}  # neutral, background, "red": never "green"


def test_nothing_found() -> None:
    network = ssd(classes=3, backbone=Small(), size=96)
    outputs = outputs_for(network, [target([], [], (96, 96))])
    (found,) = network.codec.decode(outputs)
    assert len(found) == 0
    assert found.scores is not None


def test_decode_keeps_at_most_200() -> None:
    network = ssd(classes=3, backbone=Small(), size=96).eval()
    outputs = network(torch.randn(1, 3, 96, 96))
    (found,) = network.codec.decode(outputs._replace(logits=torch.zeros_like(outputs.logits)))
    assert len(found) <= 200
    assert (found.boxes >= 0).all()
    assert (found.boxes <= 96).all()


def test_half_precision_outputs_are_read_as_float() -> None:
    network = ssd(classes=3, backbone=Small(), size=96)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(torch.randn(1, 3, 96, 96))
        terms = network.codec.terms(
            outputs, network.codec.encode([target([[10, 10, 60, 60]], [1], (96, 96))], torch.device("cpu"))
        )
    assert outputs.logits.dtype == torch.bfloat16
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())
    assert network.codec.decode(outputs)[0].boxes.dtype == np.float32


@pytest.mark.parametrize("size", [(300, 300), (96, 96), (64, 200), (512, 512), (33, 33)])
def test_any_size_on_any_backbone(size: tuple[int, int]) -> None:
    network = ssd(classes=3, backbone=Small(), size=size).eval()
    with torch.no_grad():
        features = network.features(torch.randn(1, 3, *size))
        assert set(features) == {8, 16, 32}
        coarsest = features[32]
        for extra in network.extras:
            coarsest = extra(coarsest)
        assert coarsest.shape[2:] == (1, 1)
        outputs = network.from_features(features, size)
    assert outputs.logits.shape[1] == len(outputs.default_boxes)
    centres = (outputs.default_boxes[:, :2] + outputs.default_boxes[:, 2:]) / 2
    assert (centres > 0).all()
    assert (centres < torch.tensor([size[1], size[0]])).all()


def test_scales_run_from_the_papers_smallest_to_its_largest() -> None:
    network = ssd(classes=3, backbone=Small(), size=300)
    assert network.default_boxes.scales[:2] == pytest.approx((0.1, 0.2))
    assert network.default_boxes.scales[-2] == pytest.approx(0.9)
    assert ssd(classes=3, backbone=Small(), scales="coco").default_boxes.scales[0] == pytest.approx(0.075)


def test_strides_are_those_that_the_backbone_has() -> None:
    assert ssd(classes=3, backbone=Small()).strides == (8, 16, 32)
    assert ssd(classes=3, backbone=Small(), strides=(16, 8)).strides == (8, 16)
    shallow = Small()
    shallow.channels = {4: 8, 16: 16}
    assert ssd(classes=3, backbone=shallow).strides == (16,)


def test_conformance() -> None:
    for network in (ssd(classes=3), ssd(classes=3, backbone=Small(), size=96)):
        network.eval()
        assert isinstance(network, Backbone)
        images = torch.randn(1, 3, 300, 300)
        with torch.no_grad():
            features = network.features(images)
            whole, halves = network(images), network.from_features(features, (300, 300))
        assert torch.equal(whole.logits, halves.logits)
        assert {stride: m.shape[1] for stride, m in features.items()} == dict(network.channels)
        prefixes = {name.split(".")[0] for name, _ in network.named_parameters()}
        assert set(network.head) <= prefixes


def test_the_head_holds_what_depends_on_the_classes() -> None:
    with torch.device("meta"):
        network, larger = ssd(classes=3), ssd(classes=5)
    few, many = network.state_dict(), larger.state_dict()
    changed = {name for name in few if few[name].shape != many[name].shape}
    assert changed
    assert all(name.startswith(network.head) for name in changed)


def test_bad_choices() -> None:
    with pytest.raises(RecipeError, match="voc or coco"):
        ssd(scales="mine")
    with pytest.raises(TaskMismatchError, match="stride 64"):
        ssd(backbone=Small(), strides=(64,))
    with pytest.raises(TaskMismatchError, match="features"):
        ssd(backbone=nn.Conv2d(3, 3, 1))


def test_vgg16_weights_are_thinned_out_as_published() -> None:
    generator = torch.Generator().manual_seed(0)
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    state = {}
    for place, before, after in zip(places, widths, widths[1:], strict=False):
        state[f"features.{place}.weight"] = torch.randn(after, before, 3, 3, generator=generator)
        state[f"features.{place}.bias"] = torch.randn(after, generator=generator)
    with_dense = {
        "classifier.0.weight": torch.arange(4096.0)[:, None].expand(4096, 512 * 49),
        "classifier.0.bias": torch.arange(4096.0),
        "classifier.3.weight": torch.arange(4096.0).expand(4096, 4096),
        "classifier.3.bias": torch.arange(4096.0),
        "classifier.6.weight": torch.zeros(1),
    }
    with torch.device("meta"):
        network = ReducedVGG16()
    found = from_vgg16(state | with_dense)
    report = network.load_state_dict(found, strict=False, assign=True)
    assert report.missing_keys == ["norm4_3.scale"]
    assert not report.unexpected_keys
    assert torch.equal(network.conv5[4].weight, state["features.28.weight"])
    assert torch.equal(network.fc6.bias, torch.arange(0.0, 4096, 4))
    assert torch.equal(network.fc7.weight[7, :, 0, 0], torch.arange(0.0, 4096, 4))

    # torchvision's VGG-16 "features" file has no numbers in its dense layers.
    broken = {
        name: torch.tensor(math.nan).expand(value.shape)
        for name, value in with_dense.items()
        if "0" in name or "3" in name
    }
    assert "fc6.weight" not in from_vgg16(state | broken)
    with pytest.raises(WeightsError, match="26 values missing"):
        from_vgg16({})


def test_fc6_takes_every_third_row_and_column() -> None:
    kernel = torch.arange(49.0).reshape(7, 7)
    state = {
        f"features.{p}.{part}": torch.zeros(1)
        for p in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
        for part in ("weight", "bias")
    }
    state["classifier.0.weight"] = kernel.expand(4096, 512, 7, 7).reshape(4096, -1)
    state["classifier.0.bias"] = torch.zeros(4096)
    thin = from_vgg16(state)["fc6.weight"]
    assert thin.shape == (1024, 512, 3, 3)
    assert thin[5, 9].tolist() == [[0, 3, 6], [21, 24, 27], [42, 45, 48]]


@pytest.mark.slow
def test_ssd512_learns_two_images_by_heart() -> None:
    from torchvision.ops import box_iou

    torch.manual_seed(0)
    network = ssd512(classes=3, in_channels=3).train()
    images = torch.zeros(2, 3, 268, 268)
    boxes = [[[20, 30, 110, 140], [150, 120, 250, 240]], [[130, 20, 250, 110], [20, 150, 110, 250]]]
    labels = [[0, 1], [2, 0]]
    for n, places in enumerate(boxes):
        for (x1, y1, x2, y2), label in zip(places, labels[n], strict=True):
            images[n, label, y1:y2, x1:x2] = 2.0
    truths = [target(b, k, (268, 268)) for b, k in zip(boxes, labels, strict=True)]
    encoded = network.codec.encode(truths, torch.device("cpu"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    for _ in range(60):
        optimizer.zero_grad()
        sum(network.codec.terms(network(images), encoded).values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    with torch.no_grad():
        answers = network.codec.decode(network(images))
    for found, truth in zip(answers, truths, strict=True):
        best = found.select(np.arange(2))
        assert sorted(best.labels.tolist()) == sorted(truth.labels.tolist())
        overlaps = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(best.boxes)).numpy()
        assert ((overlaps > 0.7) & (truth.labels[:, None] == best.labels[None])).any(1).all()

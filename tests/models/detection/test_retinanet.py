"""RetinaNet: matching, losses, the codec's two directions, other backbones, and two images learnt by heart."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from made_up import objects_of
from visus.errors import RecipeError, TaskMismatchError
from visus.models import catalog
from visus.models.building import build
from visus.models.detection.retinanet import CODING, RetinaNet, RetinaNetOutput, retinanet
from visus.ops.matching import BACKGROUND, NEUTRAL, match_band
from visus.ops.prediction_grid import Grid
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.structures import Detections

CLASSES = ("red", "green", "blue")
CPU = torch.device("cpu")


target = objects_of(CLASSES, (128, 128))


@pytest.fixture(scope="module")
def small() -> RetinaNet:
    torch.manual_seed(0)
    return build(catalog.find("retinanet+resnet18"), classes=3).eval()


@pytest.fixture(scope="module")
def raw(small: RetinaNet) -> RetinaNetOutput:
    with torch.no_grad():
        return small(torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)))


def perfect(network: RetinaNet, raw: RetinaNetOutput, truths: list[Detections]) -> RetinaNetOutput:
    """Raw outputs that say exactly what the targets say."""
    encoded = network.codec.encode(truths, CPU)
    matches = network.codec.assign(raw, encoded)
    logits = torch.full((len(truths), len(raw.anchors), network.classes), -20.0)
    offsets = torch.zeros(len(truths), len(raw.anchors), 4)
    for n, truth in enumerate(encoded):
        rows = torch.nonzero(matches[n] >= 0).flatten()
        logits[n, rows, truth.labels[matches[n, rows]]] = 20.0
        offsets[n, rows] = CODING.encode(truth.boxes[matches[n, rows]], raw.anchors[rows])
    return raw._replace(logits=logits, offsets=offsets)


def test_an_untrained_network_gives_every_class_a_hundredth(small: RetinaNet, raw: RetinaNetOutput) -> None:
    assert raw.logits.sigmoid().mean().item() == pytest.approx(0.01, rel=0.1)  # section 4.1: pi
    deviations = [p.std().item() for name, p in small.named_parameters() if "subnet" in name and "weight" in name]
    assert deviations == pytest.approx([0.01] * 8, rel=0.05)


def test_as_much_comes_through_narrow_subnets_as_through_the_papers() -> None:
    spread = []
    for width in (256, 64):
        torch.manual_seed(0)
        network = build(catalog.find("retinanet+mobilenet_v1_025"), classes=3, options={"width": width})
        with torch.no_grad():
            spread.append(network.box_offsets(network.box_subnet(torch.randn(1, width, 24, 24))).std().item())
    assert spread[1] == pytest.approx(spread[0], rel=0.2)


def test_anchors_by_hand(raw: RetinaNetOutput) -> None:
    assert raw.levels == (9 * 256, 9 * 64, 9 * 16, 9 * 4, 9)
    at_first_place = raw.anchors[:9]
    sides = at_first_place[:, 2:] - at_first_place[:, :2]
    assert sides.prod(1).sqrt().tolist() == pytest.approx([32, 32 * 2 ** (1 / 3), 32 * 2 ** (2 / 3)] * 3, rel=1e-5)
    assert (sides[:, 1] / sides[:, 0]).tolist() == pytest.approx([0.5] * 3 + [1.0] * 3 + [2.0] * 3, rel=1e-5)
    assert ((at_first_place[:, :2] + at_first_place[:, 2:]) / 2).unique().tolist() == pytest.approx([4.0])
    assert (raw.anchors[-1, 2:] - raw.anchors[-1, :2]).prod().sqrt().item() == pytest.approx(512 * 2 ** (2 / 3))


def test_matching_by_hand() -> None:
    # overlaps with (0, 0, 10, 10): 1, 0.5, 0.45, 0.4, 0.39, 0
    references = torch.tensor([[0.0, 0, 10, w] for w in (10, 5, 4.5, 4, 3.9)] + [[50.0, 50, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 10, 10]])
    assert match_band(boxes, references).tolist() == [0, 0, NEUTRAL, NEUTRAL, BACKGROUND, BACKGROUND]
    ignored = torch.tensor([True])
    assert match_band(boxes, references, ignored=ignored).tolist() == [NEUTRAL] * 4 + [BACKGROUND] * 2
    assert match_band(boxes, references, best=True, ignored=ignored).tolist() == [NEUTRAL] * 4 + [BACKGROUND] * 2
    assert match_band(boxes[:0], references).tolist() == [BACKGROUND] * 6


def test_the_best_anchor_learns_an_object_that_none_fits() -> None:
    references = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 12], [40.0, 40, 50, 50]])
    tiny = torch.tensor([[2.0, 2, 4, 4]])
    assert match_band(tiny, references).tolist() == [BACKGROUND] * 3
    assert match_band(tiny, references, best=True).tolist() == [0, BACKGROUND, BACKGROUND]


def test_decode_is_the_inverse_of_encode(small: RetinaNet, raw: RetinaNetOutput) -> None:
    truth = target([[10, 20, 60, 90], [50, 60, 120, 120], [5, 5, 40, 36]], [0, 2, 1])
    (found,) = small.codec.decode(perfect(small, raw, [truth]))
    assert len(found) == 3
    order = found.labels.argsort()
    np.testing.assert_allclose(found.boxes[order], truth.boxes[truth.labels.argsort()], atol=1e-3)
    assert (found.scores > 0.99).all()


@pytest.mark.parametrize("box_loss", ["smooth_l1", "l1", "giou"])
def test_the_loss_of_perfect_outputs_is_nothing(raw: RetinaNetOutput, box_loss: str) -> None:
    network = build(catalog.find("retinanet+resnet18"), classes=3, options={"box_loss": box_loss})
    truths = [target([[10, 20, 60, 90]], [0])]
    encoded = network.codec.encode(truths, CPU)
    outputs = perfect(network, raw, truths)
    assert sum(network.codec.terms(outputs, encoded).values()).item() < 1e-4
    assert network.codec.terms(outputs._replace(offsets=outputs.offsets + 1), encoded)["box"] > 0.4


def test_losses_by_hand(small: RetinaNet) -> None:
    """One anchor on the object, one in between, one background; logits 0, so that every p is one half."""

    class Fixed(PyramidAnchors):
        def place(self, *arguments: object) -> torch.Tensor:
            return torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 4.5], [50.0, 50, 60, 60]])

    grids = (Grid(1, 1, 3, (128, 128)),)
    outputs = RetinaNetOutput(torch.zeros(1, 3, 3), torch.full((1, 3, 4), 2.0), Fixed(), grids, (128, 128))
    terms = small.codec.terms(outputs, small.codec.encode([target([[0, 0, 10, 10]], [1])], CPU))
    # six counted values: one 1 (alpha 1/4), five 0 (3/4); each (1/2)^2 log 2; one matched anchor
    assert terms["class"].item() == pytest.approx((0.25 + 5 * 0.75) * 0.25 * math.log(2), rel=1e-5)
    assert terms["box"].item() == pytest.approx(4 * (2 - 0.5))  # smooth L1 of 2, four times


def test_an_images_loss_is_divided_by_its_own_anchors(small: RetinaNet, raw: RetinaNetOutput) -> None:
    truths = [target([[10, 20, 60, 90]], [0]), target([[5, 5, 120, 120], [60, 60, 100, 100]], [1, 2]), target([], [])]
    alone = [small.codec.terms(raw, small.codec.encode([t], CPU)) for t in truths]
    three = raw._replace(logits=raw.logits.expand(3, -1, -1), offsets=raw.offsets.expand(3, -1, -1))
    together = small.codec.terms(three, small.codec.encode(truths, CPU))
    for term in ("box", "class"):
        assert together[term].item() == pytest.approx(sum(terms[term].item() for terms in alone) / 3, rel=1e-5)
    assert alone[2]["box"] == 0
    assert alone[2]["class"] > 0


@pytest.mark.parametrize("training", [True, False])
def test_zero_objects_in_a_whole_batch(training: bool) -> None:
    network = build(catalog.find("retinanet+resnet18"), classes=3).train(training)
    outputs = network(torch.randn(2, 3, 64, 64))
    terms = network.codec.terms(outputs, network.codec.encode([target([], [], (64, 64))] * 2, CPU))
    sum(terms.values()).backward()
    assert terms["box"].item() == 0
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.class_subnet.parameters())


def test_decoding_looks_at_so_many_a_level_and_keeps_so_many(small: RetinaNet, raw: RetinaNetOutput) -> None:
    generator = torch.Generator().manual_seed(0)
    loud = raw._replace(logits=torch.randn(raw.logits.shape, generator=generator))
    (found,) = small.codec.decode(loud)
    assert len(found) == 100
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= 128).all()
    (none,) = small.codec.decode(raw._replace(logits=torch.full_like(raw.logits, -20.0)))
    assert len(none) == 0


def test_soft_suppression_is_a_choice_of_decoding(raw: RetinaNetOutput) -> None:
    loud = raw._replace(logits=torch.randn(raw.logits.shape, generator=torch.Generator().manual_seed(0)))
    found = {}
    for method in ("greedy", "linear", "gaussian"):
        network = build(catalog.find("retinanet+resnet18"), classes=3, options={"suppression": method, "keep": 5000})
        (found[method],) = network.codec.decode(loud)
        assert (found[method].scores > 0.05).all()
    # nothing goes in one step, but what is near goes down
    assert len(found["linear"]) > len(found["greedy"])
    for method in ("linear", "gaussian"):
        assert found[method].scores[0] == found["greedy"].scores[0]
        assert np.median(found[method].scores) < np.median(found["greedy"].scores)
    with pytest.raises(RecipeError, match="suppression"):
        build(catalog.find("retinanet"), options={"suppression": "none"})


@pytest.mark.parametrize("size", [(64, 64), (97, 130), (33, 33)])
def test_any_size_on_any_backbone(size: tuple[int, int]) -> None:
    network = build(catalog.find("retinanet+mobilenet_v2"), classes=3).eval()
    with torch.no_grad():
        outputs = network(torch.randn(1, 3, *size))
    assert outputs.logits.shape == (1, len(outputs.anchors), 3)
    assert outputs.offsets.shape == (1, len(outputs.anchors), 4)
    assert outputs.size == size


def test_a_backbone_needs_the_maps() -> None:
    with pytest.raises(TaskMismatchError, match="stride"):
        retinanet(classes=3, in_channels=1, backbone=build(catalog.find("lenet5")))


def test_smaller_anchors() -> None:
    network = build(catalog.find("retinanet+resnet18"), classes=3, options={"anchor_side": 2.0})
    assert network.anchors.shapes(0)[3].tolist() == pytest.approx([-8, -8, 8, 8])


def test_a_narrow_one_for_small_computers() -> None:
    wide, narrow = (
        build(catalog.find("retinanet+resnet18"), classes=3, options=options).eval() for options in ({}, {"width": 64})
    )
    # by hand: 3x3 convolutions from 64 to 64 channels, four in each subnet; then 9 anchors' classes and offsets
    own = 2 * 4 * (64 * 64 * 9 + 64) + (64 * 9 + 1) * 9 * 3 + (64 * 9 + 1) * 9 * 4
    heads = ("class_subnet", "box_subnet", "class_logits", "box_offsets")
    assert sum(p.numel() for name, p in narrow.named_parameters() if name.startswith(heads)) == own
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        assert narrow(images).logits.shape == wide(images).logits.shape


def painted(size: int) -> tuple[Tensor, list[Detections]]:
    """Two images with two rectangles each, whose colour is their class."""
    images = torch.zeros(2, 3, size, size)
    boxes = [[[8, 12, 50, 60], [70, 60, 120, 110]], [[60, 8, 118, 52], [10, 70, 54, 116]]]
    labels = [[0, 1], [2, 0]]
    for n, places in enumerate(boxes):
        for (x1, y1, x2, y2), label in zip(places, labels[n], strict=True):
            images[n, label, y1:y2, x1:x2] = 2.0
    return images, [target(b, k, (size, size)) for b, k in zip(boxes, labels, strict=True)]


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("retinanet+resnet18", 64),
        pytest.param("retinanet@paper", 256, marks=pytest.mark.slow),
        pytest.param("retinanet@torchvision", 256, marks=pytest.mark.slow),
    ],
)
def test_it_learns_two_images_by_heart(name: str, width: int) -> None:
    """Within 80 steps of AdamW."""
    torch.manual_seed(0)
    network = build(catalog.find(name), classes=3, options={"width": width}).train()
    images, truths = painted(128)
    encoded = network.codec.encode(truths, CPU)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    for _ in range(8):
        for _ in range(10):
            optimizer.zero_grad()
            sum(network.codec.terms(network(images), encoded).values()).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
        with torch.no_grad():
            answers = network.codec.decode(network(images))
        if all(finds_both(found, truth) for found, truth in zip(answers, truths, strict=True)):
            return
    raise AssertionError([(found.labels[:2], found.scores[:2], found.boxes[:2]) for found in answers])


def finds_both(found: Detections, truth: Detections) -> bool:
    from torchvision.ops import box_iou

    best = found.select(np.arange(min(2, len(found.labels))))
    if len(best.labels) < 2 or (best.scores <= 0.5).any():
        return False
    overlaps = box_iou(torch.from_numpy(truth.boxes), torch.from_numpy(best.boxes)).numpy()
    same = truth.labels[:, None] == best.labels[None]
    classes = sorted(best.labels.tolist()) == sorted(truth.labels.tolist())
    return classes and bool(((overlaps > 0.7) & same).any(1).all())


def test_half_precision_outputs_are_read_as_float(small: RetinaNet) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = small(torch.randn(1, 3, 128, 128))
        terms = small.codec.terms(outputs, small.codec.encode([target([[10, 10, 60, 60]], [1])], CPU))
    assert outputs.logits.dtype == torch.bfloat16
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms.values())
    assert small.codec.decode(outputs)[0].boxes.dtype == np.float32


def test_the_class_head_is_all_that_depends_on_the_classes() -> None:
    few, many = (build(catalog.find("retinanet+resnet18"), classes=k).state_dict() for k in (3, 5))
    assert {name for name in few if few[name].shape != many[name].shape} == {"class_logits.weight", "class_logits.bias"}
    assert F.sigmoid(few["class_logits.bias"]).unique().item() == pytest.approx(0.01)

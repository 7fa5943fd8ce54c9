"""One battery for every card: what a network must be and do, whichever paper it is from.

What is about shapes alone is asked of a network on torch's meta device, which computes nothing; what is about values,
of a network at a small input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visus.analysis.summary import summarize
from visus.models import catalog
from visus.models.building import build, known_options
from visus.models.card import Card
from visus.models.on_meta import build_on_meta
from visus.models.protocols import Backbone, Output
from visus.proof.published import fact
from visus.testing import NETWORK_CHECKS, NetworkCase
from visus.testing.networks import SHAPE_CHECKS, shapeless, small_input

LARGER: Mapping[str, str] = {
    "alexnet@paper": "alexnet@ungrouped alexnet@caffe",
    "zfnet@paper": "zfnet_wide@paper",
    "vgg11_lrn@paper": "vgg11@paper vgg13@paper vgg16@paper vgg16@caffe vgg16_c@paper vgg19@paper vgg19@caffe",
    "vgg11@torchvision": "vgg13@torchvision vgg16@torchvision vgg19@torchvision",
    "prelu_net_a@paper": "prelu_net_b@paper prelu_net_c@paper",
    "plain18@paper": "plain34@paper",
    "resnet18@paper": "resnet18@torchvision resnet34@paper resnet34@torchvision",
    "resnet18@option_a": "resnet34@option_a",
    "googlenet@paper": "googlenet@caffe",
    "resnet50@paper": "resnet50@caffe resnet101@paper resnet101@caffe resnet152@paper resnet152@caffe",
    "resnet50@torchvision": "resnet101@torchvision resnet152@torchvision",
    "plain20@paper": "plain32@paper plain44@paper plain56@paper",
    "resnet20@paper": "resnet32@paper resnet44@paper resnet56@paper resnet110@paper resnet1202@paper",
    "resnet20@akamaster": "resnet32@akamaster resnet44@akamaster resnet56@akamaster resnet110@akamaster "
    "resnet1202@akamaster",
    "preact_resnet164@paper": "preact_resnet1001@paper",
    "preact_resnet152@paper": "preact_resnet200@paper",
    "resnet110@half_both": "resnet110@half",
    "inception_v4@paper": "inception_v4@timm",
    "inception_resnet_v2@paper": "inception_resnet_v2@timm",
    "xception@paper": "xception@timm",
    "resnext50_32x4d@paper": "resnext50_32x4d@torchvision resnext101_32x4d@paper resnext101_64x4d@paper "
    "resnext101_64x4d@torchvision",
    "densenet121@paper": "densenet121@torchvision densenet161@paper densenet161@torchvision densenet169@paper "
    "densenet169@torchvision densenet201@paper densenet201@torchvision densenet264@paper",
    "mobilenet_v1_025@paper": "mobilenet_v1@paper mobilenet_v1_050@paper mobilenet_v1_075@paper",
    "mobilenet_v1_025@tf": "mobilenet_v1_050@tf mobilenet_v1_075@tf",
    "mobilenet_v2@paper": "mobilenet_v2@torchvision",
    "se_resnet50@paper": "se_resnet50@timm se_resnet101@paper se_resnet101@timm se_resnet152@paper se_resnet152@timm",
    "se_resnext50_32x4d@paper": "se_resnext50_32x4d@timm se_resnext101_32x4d@paper se_resnext101_32x4d@timm",
    "senet154@paper": "senet154@timm",
    "nasnet_a_mobile@paper": "nasnet_a_large@paper",
    "pnasnet_5_mobile@paper": "pnasnet_5_large@paper",
    "efficientnet_b0@paper": "efficientnet_b1@paper efficientnet_b2@paper efficientnet_b3@paper efficientnet_b4@paper "
    "efficientnet_b5@paper efficientnet_b6@paper efficientnet_b7@paper",
    "efficientnet_b0@torchvision": "efficientnet_b1@torchvision efficientnet_b2@torchvision "
    "efficientnet_b3@torchvision efficientnet_b4@torchvision efficientnet_b5@torchvision efficientnet_b6@torchvision "
    "efficientnet_b7@torchvision",
    "r_fcn_resnet50@paper": "r_fcn_resnet50@caffe r_fcn@paper r_fcn@caffe",
    "faster_rcnn@paper": "faster_rcnn@caffe",
    "faster_rcnn_zf@paper": "faster_rcnn_zf@caffe",
    "faster_rcnn_resnet50@paper": "faster_rcnn_resnet101@paper",
    "ssd@torchvision": "ssd@caffe-coco",
    "ssd512@caffe-coco": "ssd512@paper ssd512@caffe-voc",
    "darknet19@paper": "darknet19@darknet-448",
    "darknet53@paper": "darknet53@darknet-448",
    "yolov1_classifier@paper": "yolov1_classifier@darknet",
    "yolov1@paper": "yolov1@darknet-small",
    "yolov1@darknet": "yolov1@darknet-coco",
    "yolov1_tiny@darknet": "yolov1_tiny@darknet-coco yolov1_tiny@darknet-2015",
    "yolov2@darknet-voc": "yolov2@darknet-coco yolov2@darknet-voc-2016 yolov2@darknet-coco-2016",
    "yolov3_tiny@darknet": "yolov3_tiny@darknet-corrected",
    "faster_rcnn_fpn@paper": "faster_rcnn_fpn_resnet101@paper",
    "mask_rcnn@paper": "mask_rcnn_resnet101@paper",
    "mask_rcnn_c4@paper": "mask_rcnn_c4_resnet101@paper",
    "fcn8s@paper": "fcn16s@paper fcn32s@paper",
    "fcn_resnet50@torchvision": "fcn_resnet101@torchvision",
    "unet@paper": "unet@caffe",
}
"""For a network, others of the same code with other numbers: depths, widths, tables of anchors. Only `make test-full`
asks those (marker ``full``); their layers and counts are proved against published facts at every commit all the same.
A card that is not listed here is asked at every commit."""

FULL = {name for others in LARGER.values() for name in others.split()}


WITHOUT_MAPS = {"mnist_dense", "maxout_dense", "rcnn", "rcnn_vgg16"}
"""Networks that are no backbones: dense layers over all pixels, and regions seen each by itself."""


DEAR: Mapping[str, str] = {
    "amoebanet_a@paper": "nasnet_a_mobile@paper",
    "fast_rcnn@paper": "fast_rcnn_caffenet@paper",
    "fast_rcnn_vgg_cnn_m_1024@paper": "fast_rcnn_caffenet@paper",
    "faster_rcnn@paper": "faster_rcnn_zf@paper",
    "faster_rcnn_fpn@torchvision": "faster_rcnn_fpn@paper",
    "fcn8s@at_once": "fcn8s@paper",
    "inception_resnet_v2@paper": "inception_resnet_v1@paper",
    "mask_rcnn@paper": "faster_rcnn_fpn@paper",
    "mask_rcnn@torchvision": "faster_rcnn_fpn@paper",
    "mask_rcnn_c4@paper": "faster_rcnn_fpn@paper",
    "preact_resnet152@paper": "preact_resnet164@paper",
    "prelu_net_a@relu": "prelu_net_a@paper",
    "resnet164@paper": "preact_resnet164@paper",
    "rcnn_vgg16@paper": "rcnn@paper",
    "retinanet@torchvision": "retinanet@paper",
    "senet154@paper": "se_resnext50_32x4d@paper",
    "ssd512@caffe-coco": "ssd@paper",
    "ssd@torchvision": "ssd@paper",
    "yolov1@darknet": "yolov1_tiny@darknet",
    "yolov1@paper": "yolov1_tiny@darknet",
    "yolov2@darknet-voc": "yolov2@paper",
}
"""Networks that are dear to compute, and a cheaper one whose layers are of the same code. At every commit the dear ones
are asked for their shapes only."""


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest) -> NetworkCase:
    return NetworkCase(request.param)


def asked(checks: Sequence[Callable[[NetworkCase], None]], is_dear: Callable[[Card, str], bool]) -> Iterator[Any]:
    """Each card with each check, card by card, so that a network is built once; dear ones for `make test-full`."""
    for card in catalog.CARDS:
        for check in checks:
            dear = card.full_name in FULL or is_dear(card, check.__name__)
            marks = [pytest.mark.full] if dear else []
            yield pytest.param(card, check, id=f"{card.full_name}-{check.__name__}", marks=marks)


def is_a_backbone_but_for_few(case: NetworkCase) -> None:
    assert isinstance(case.shapes, Backbone) == (case.card.name not in WITHOUT_MAPS)


def counted_by_the_proof(card: Card, check: str) -> bool:
    """tests/proof counts what has complete facts, and holds the card to them."""
    return check == "has_exactly_the_cards_operations" and has_complete_facts(card)


def has_complete_facts(card: Card) -> bool:
    return {"params", "macs"} <= (fact(card.fact) if card.fact else {}).keys()


@pytest.mark.parametrize(
    ("case", "check"), asked((*SHAPE_CHECKS, is_a_backbone_but_for_few), counted_by_the_proof), indirect=["case"]
)
def test_shapes(case: NetworkCase, check: Callable[[NetworkCase], None]) -> None:
    check(case)


def gives_a_classifiers_scores_that_sum_to_one(case: NetworkCase) -> None:
    if case.card.task != "classification":
        return
    outputs = case.outputs
    codec = getattr(case.network, "codec", None)
    logits = outputs.logits if isinstance(outputs, Output) else outputs
    scores = codec.decode(outputs) if codec else logits.softmax(1)
    assert scores.shape == (2, case.card.classes)
    torch.testing.assert_close(scores.sum(1), torch.ones(2))


TEN_SECONDS = {("deconvnet@paper", "passes_gradients_to_every_parameter")}
"""A single check that takes as long as hundreds of others: a gigabyte of gradients, at 224 pixels and no fewer."""


def is_dear(card: Card, check: str) -> bool:
    return card.full_name in DEAR or (card.full_name, check) in TEN_SECONDS


@pytest.mark.parametrize(
    ("case", "check"),
    asked((*NETWORK_CHECKS[len(SHAPE_CHECKS) :], gives_a_classifiers_scores_that_sum_to_one), is_dear),
    indirect=["case"],
)
def test_values(case: NetworkCase, check: Callable[[NetworkCase], None]) -> None:
    check(case)


def test_networks_that_stand_for_others_are_asked_at_every_commit() -> None:
    names = {card.full_name for card in catalog.CARDS}
    assert FULL | LARGER.keys() | DEAR.keys() | set(DEAR.values()) <= names
    assert not FULL & LARGER.keys()
    assert not (FULL | DEAR.keys()) & set(DEAR.values())


@pytest.mark.full
@pytest.mark.parametrize("name", LARGER)
def test_what_only_the_full_battery_asks_has_the_code_of_what_every_commit_asks(name: str) -> None:
    asked = catalog.find(name)
    for other in LARGER[name].split():
        card = catalog.find(other)
        assert card.builder.partition(":")[0] == asked.builder.partition(":")[0]
        assert cost(card) >= 0.99 * cost(asked) or values(card, asked.classes) >= asked.parameters
        known = tuple(types_of_layers(asked))
        assert all(issubclass(layer, known) for layer in types_of_layers(card)), other


def values(card: Card, classes: int) -> int:
    """Trained ones, at another number of classes: SSD's heads grow with them, whatever its edition."""
    if classes == card.classes:
        return card.parameters
    return sum(p.numel() for p in build_on_meta(card, classes=classes).parameters() if p.requires_grad)


def types_of_layers(card: Card) -> set[type]:
    """Those of the networks' own files; torch's layers, and those that networks share, have tests of their own."""
    return {type(layer) for layer in build_on_meta(card).modules() if type(layer).__module__.startswith("visus.models")}


def test_the_counts_of_networks_without_complete_facts() -> None:
    """Those with facts are counted in tests/proof, where the cards are held to the same facts."""
    for card in catalog.CARDS:
        if card.full_name in FULL and not has_complete_facts(card):
            summary = summarize(shapeless(card), card.input)
            assert card.macs in (None, summary.macs), card.full_name
            assert card.parameters == summary.trainable, card.full_name


# --- learning


LEARNING = [card for card in catalog.CARDS if card.task == "classification" and card.proof_level != "L1"]
"""The networks whose cards say that they learn."""


def cost(card: Card) -> float:
    """Operations a pixel, about: what a training step takes."""
    return (card.macs or 100 * card.parameters) / (card.input[1] * card.input[2])


def cheapest_of_each_family() -> set[str]:
    families: Mapping[str, list[Card]] = defaultdict(list)
    for card in catalog.CARDS:
        if card in LEARNING:
            families[card.builder.partition(":")[0]].append(card)
    # Of two that cost about the same, the later one: later editions take smaller images.
    return {min(reversed(cards), key=lambda card: float(f"{cost(card):.1e}")).full_name for cards in families.values()}


DEAR_TO_TEACH = {
    "alexnet@torchvision",
    "amoebanet_a@paper",
    "dsn@paper",
    "fitnet4@paper",
    "inception_resnet_v1@paper",
    "inception_v3@torchvision",
    "nin@caffe",
    "polynet@paper",
    "prelu_net_a@paper",
    "resnet110@shortcut_gating",
    "resnext50_32x4d@torchvision",
    "stochastic_depth_resnet110@paper",
    "strided_cnn_c@paper",
    "vgg11@torchvision",
    "yolov1_classifier@paper",
    "zfnet@paper",
}
"""The cheapest of their families and still dear: large dense layers, many blocks, or many steps without BatchNorm."""

CHEAPEST = cheapest_of_each_family() - DEAR_TO_TEACH


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(card, id=card.full_name, marks=[] if card.full_name in CHEAPEST else [pytest.mark.slow])
        for card in LEARNING
    ],
)
def test_it_learns_eight_images_by_heart(card: Card) -> None:
    size = small_input(card, shapeless(card))
    random = torch.Generator().manual_seed(1)
    # A colour and noise for each. As large as the card's preprocessing makes them: first layers of N(0, 0.01) expect
    # pixel values as they are.
    images = torch.randn(8, size[0], 1, 1, generator=random) + 0.5 * torch.randn(8, *size, generator=random)
    images *= max(1.0, 127.5 / card.preprocessing.scale)
    classes = torch.arange(8) % min(card.classes, 4)
    has_normalisation = any(isinstance(layer, nn.BatchNorm2d) for layer in shapeless(card).modules())
    # Large networks without BatchNorm need smaller steps; any other is done sooner with larger ones.
    rates = (1e-3, 1e-4) if has_normalisation or card.parameters < 10**7 else (1e-4, 1e-3)
    assert any(learns(card, images, classes, rate) for rate in rates)


def learns(card: Card, images: Tensor, classes: Tensor, rate: float) -> bool:
    """Whether two hundred steps of Adam are enough to name every image's class, nothing dropped."""
    torch.manual_seed(0)
    without_dropout = {name: 0.0 for name in known_options(card) if name.startswith("drop")}
    network = build(card, classes=min(card.classes, 10), options=without_dropout).train()
    codec = getattr(network, "codec", None)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(200):
        optimiser.zero_grad()
        outputs = network(images)
        logits = outputs.logits if isinstance(outputs, Output) else outputs
        scores = codec.decode(outputs) if codec else logits
        if bool((scores.argmax(1) == classes).all()):
            return True
        if codec:
            loss = sum(codec.terms(outputs, codec.encode(classes, torch.device("cpu"))).values())
        else:
            loss = nn.functional.cross_entropy(logits, classes)
        loss.backward()
        optimiser.step()
    return False


SEGMENTING = [card for card in catalog.CARDS if card.task == "segmentation" and card.proof_level != "L1"]
SLOW_TO_SEGMENT = {"fcn_resnet50@torchvision", "fcn_resnet101@torchvision"}


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(card, id=card.full_name, marks=[pytest.mark.slow] if card.full_name in SLOW_TO_SEGMENT else [])
        for card in SEGMENTING
    ],
)
def test_it_learns_the_maps_of_eight_images_by_heart(card: Card) -> None:
    """97 % of the pixels, within 200 steps of Adam: where regions meet, a network of stride 4 or 8 is not exact.

    U-Nets are a quarter as wide and half as deep, which takes a sixteenth of the time and less; the pyramid stands on
    a narrow MobileNet, a quarter as wide, too.
    """
    torch.manual_seed(0)
    options = {name: 0.0 for name in known_options(card) if name.startswith("drop")}
    options |= {"unet": {"width": 16, "depth": 2}, "semantic_fpn": {"pyramid": 64, "width": 32}}.get(card.name, {})
    backbone = "mobilenet_v1_025" if card.name == "semantic_fpn" else None
    network = build(card, classes=3, backbone=backbone, options=options).train()
    size = small_input(card, shapeless(card))
    if hasattr(network, "output_size"):  # U-Net as published answers for fewer pixels than it sees: for 64 or more
        lost = size[1] - network.output_size(size[1:])[0]
        size = (size[0], *network.fitting_size((64 + lost, 64 + lost)))
    random = torch.Generator().manual_seed(1)
    images = 0.3 * torch.randn(8, *size, generator=random)
    targets = torch.zeros(8, *size[1:], dtype=torch.int64)
    for number in range(8):  # a bright square somewhere, and a dark one
        for label, brightness in ((1, 2.0), (2, -2.0)):
            low = size[1] // 2 - 32
            top, left = torch.randint(low, low + 40, (2,), generator=random).tolist()
            place = (..., slice(top, top + 24), slice(left, left + 24))
            images[number][place] += brightness
            targets[number][place] = label
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    right = 0.0
    for _ in range(200):
        optimiser.zero_grad()
        outputs = network(images)
        logits = outputs.logits if isinstance(outputs, Output) else outputs
        edge = [(a - b) // 2 for a, b in zip(targets.shape[1:], logits.shape[2:], strict=True)]
        truth = targets[:, edge[0] : edge[0] + logits.shape[2], edge[1] : edge[1] + logits.shape[3]]
        right = float((logits.argmax(1) == truth).float().mean())
        if right >= 0.97:
            return
        nn.functional.cross_entropy(logits, truth).backward()
        optimiser.step()
    raise AssertionError(f"{right:.1%} of the pixels are right after 200 steps")

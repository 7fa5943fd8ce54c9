"""The second build of networks, from their facts alone: what it reads, what it counts, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import visus
from visus.errors import UsageError
from visus.models import catalog
from visus.models.building import build
from visus.models.on_meta import build_on_meta
from visus.proof.measuring import measure
from visus.proof.published import fact
from visus.proof.wired_layers import read_marks, with_weights, without_weights
from visus.proof.wired_network import BuiltNetwork, build_from_facts, build_wiring
from visus.proof.wired_regions import inside, pooled, proposed, warped
from visus.proof.wiring import Wiring, WiringError, wirings, written_out
from visus.testing import compare_networks

SMALL = ["resnet_cifar_20", "squeezenet1_0", "nin_cifar10", "unet", "maxout_mnist", "yolo_v1_tiny", "mobilenet_v1_025"]
_REGIONS = "its regions depend on values, which no chain of layers has; torchvision's network is its second builder"
WITHOUT = {
    "faster_rcnn_fpn": _REGIONS,
    "faster_rcnn_fpn_resnet101": _REGIONS,
    "mask_rcnn": _REGIONS,
    "mask_rcnn_resnet101": _REGIONS,
    "mask_rcnn_c4": _REGIONS,
    "mask_rcnn_c4_resnet101": _REGIONS,
    "lenet5": "its partial convolution, trained subsampling and RBF have worked examples of their own",
    "mnist_cnn_25_50": "whether the slide has activations behind its convolutions could not be looked up",
}


def trained_values(id_: str) -> int:
    return sum(p.numel() for p in build_from_facts(id_, "meta").parameters() if p.requires_grad)


@pytest.mark.parametrize("id_", [pytest.param(i, marks=[] if i in SMALL else [pytest.mark.full]) for i in wirings()])
def test_it_counts_as_the_facts_do(id_: str) -> None:
    expected = fact(id_).get("params")
    if expected is None:
        card = min((card for card in catalog.CARDS if card.fact == id_), key=lambda card: card.parameters)
        expected = measure(build_on_meta(card), card.input).params  # without auxiliary heads, as wirings
    assert trained_values(id_) == expected


def test_every_papers_edition_has_a_wiring() -> None:
    without = {c.name for c in catalog.CARDS if c.edition == "paper" and c.fact and c.fact not in wirings()}
    assert without == WITHOUT.keys()


def test_every_wiring_is_of_a_card_and_names_its_source() -> None:
    used = {card.fact for card in catalog.CARDS}
    for id_, wiring in wirings().items():
        assert id_ in used
        assert len(wiring.source) > 10, id_


@pytest.mark.parametrize(
    "name",
    ["resnet20", "nin_cifar", "lenet5@modern", *(pytest.param(n, marks=pytest.mark.full) for n in ("rcnn", "spp_net"))],
)
def test_our_network_is_the_one_of_its_facts(name: str) -> None:
    judgement = visus.judge(name, "facts")
    assert judgement.same
    assert judgement.largest is not None
    assert judgement.largest < 1e-12


def test_a_planted_difference_is_named() -> None:
    ours = build(catalog.find("resnet20"))
    assert isinstance(ours.conv1, nn.Conv2d)
    ours.layer2[0].conv1.stride = (1, 1)
    ours.layer2[0].conv2.stride = (2, 2)
    judgement = compare_networks(ours, build_from_facts("resnet_cifar_20"), (3, 32, 32))
    assert not judgement.same
    assert "stride 2, we 1" in str(judgement)


def built(text: str, **rows: dict[str, Any]) -> BuiltNetwork:
    return build_wiring(
        Wiring("test", "a test", text), [{"name": name, **row} for name, row in rows.items()], (2, 9, 9)
    )


def test_ways_are_added_multiplied_and_joined() -> None:
    x = torch.randn(1, 2, 9, 9)
    assert torch.equal(built("( . + times 3 )")(x), 4 * x)
    assert torch.equal(built("( . * times 3 )")(x), 3 * x * x)
    assert torch.equal(built("[ . | times 3 | relu ]")(x), torch.cat([x, 3 * x, x.relu()], 1))
    assert torch.equal(built("3x times 2")(x), 8 * x)
    assert torch.equal(built("times 2 > :a > times 4 > ( . + a: )")(x), 8 * x + 2 * x)


def test_rows_give_their_numbers_and_the_rounding_that_their_shapes_show() -> None:
    pool = {"kind": "maxpool", "kernel": 2, "stride": 2}
    x = torch.randn(1, 2, 9, 9)
    assert built("p", p={**pool, "out": [2, 5, 5]})(x).shape[2:] == (5, 5)
    assert built("p", p={**pool, "out": [2, 4, 4]})(x).shape[2:] == (4, 4)
    conv = {"kind": "conv", "kernel": 3, "stride": 2, "pad": 0, "groups": 2, "out": [6, 4, 4]}
    network = built("c > bn", c=conv)
    layer = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert (layer.stride, layer.padding, layer.groups, layer.out_channels) == ((2, 2), (0, 0), 2, 6)
    assert layer.bias is None  # before BatchNorm


def test_a_named_layer_is_one_layer() -> None:
    network = built("conv 3x3 2 @a > relu > conv 3x3 2 @a")
    assert sum(p.numel() for p in network.parameters()) == 2 * 2 * 9 + 2


def test_plain_layers_are_torchs() -> None:
    x = torch.randn(2, 6, 7, 8, dtype=torch.float64)

    def layer(*words: str) -> Any:
        marks = read_marks(words[1:])
        return with_weights(words[0], marks, x) or without_weights(words[0], marks)

    expected = F.local_response_norm(x, 5, 5e-4, 0.75, 2.0)
    torch.testing.assert_close(layer("lrn", "5", "5e-4/5", "0.75", "2")(x), expected)
    pyramid = torch.cat([F.adaptive_max_pool2d(x, n).flatten(1) for n in (3, 2, 1)], 1)
    assert torch.equal(layer("spp", "3", "2", "1")(x), pyramid)
    assert torch.equal(layer("max", "3x3", "s2", "ceil")(x), F.max_pool2d(x, 3, 2, ceil_mode=True))
    padded = F.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(layer("max", "2x2", "s2", "p0,1,0,1")(x), F.max_pool2d(padded, 2, 2))
    small = F.pad(x, (0, 1, 1, 1), value=-torch.inf)  # TensorFlow: 8 -> 4 needs 1 column, 7 -> 4 two rows
    assert torch.equal(layer("max", "3x3", "s2", "same")(x), F.max_pool2d(small, 3, 2))


def test_regions_are_proposed_and_pooled_alike() -> None:
    """The plain build against the operators that the networks use."""
    from visus.models.detection.faster_rcnn import PAPER_ANCHORS
    from visus.models.detection.region_proposals import ProposalRules, proposals_of
    from visus.models.detection.two_stage import ObjectnessOutput
    from visus.ops.cell_anchors import CellAnchors
    from visus.ops.prediction_grid import Grid
    from visus.ops.roi_pooling import roi_max_pool

    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 18, 6, 9, generator=generator, dtype=torch.float64)
    moves = 0.3 * torch.randn(1, 36, 6, 9, generator=generator, dtype=torch.float64)
    size = (96, 140)
    odds = (scores[:, 9:] - scores[:, :9]).permute(0, 2, 3, 1).reshape(1, -1)
    offsets = moves.permute(0, 2, 3, 1).reshape(1, -1, 4)
    anchors = CellAnchors(16, PAPER_ANCHORS).place([(6, 9)], size)
    output = ObjectnessOutput(odds, offsets, anchors, (Grid(6, 9, 9, (16, 16)),))
    boxes = proposed(scores, moves, size)
    assert len(boxes) > 10
    torch.testing.assert_close(boxes, proposals_of(output, size, ProposalRules()).boxes[0])
    map_ = torch.randn(1, 3, 6, 9, generator=generator, dtype=torch.float64)
    last = boxes - torch.tensor([0.0, 0, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(pooled(map_, boxes, 7), roi_max_pool(map_, [last], 7, 1 / 16))


@pytest.mark.parametrize("box", [(0, 0, 60, 40), (7, 12, 31, 30), (50, 5, 60, 9)])
def test_regions_are_warped_and_cut_alike(box: tuple[int, int, int, int]) -> None:
    """The plain build against R-CNN's and SPP-net's own functions, at the border and inside."""
    from visus.models.detection.spp_net import cell_windows
    from visus.ops.region_warping import warp_regions

    image = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    boxes = torch.tensor([box], dtype=torch.float64)
    for side, context in ((32, 4), (47, 8)):
        expected = warp_regions(image[0], boxes, side, context)
        torch.testing.assert_close(warped(image, box, side, context), expected)
    map_ = torch.arange(15.0 * 20).reshape(1, 1, 15, 20)
    large = [4 * edge for edge in box]
    left, top, right, bottom = cell_windows(torch.tensor([large]).double(), (15, 20), 16, 0.0)[0].int().tolist()
    torch.testing.assert_close(inside(map_, large), map_[:, :, top : bottom + 1, left : right + 1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("conv 3x3 4 > glu", "has no step glu"),
        ("( . + relu", "bracket"),
        ("relu > > relu", "step is missing"),
        ("relu ) relu", "does not end"),
        ("( . + conv 1x1 3 )", "do not fit"),
        ("unknown(3)", "no abbreviation unknown"),
        ("rows(a, b, relu)", "no row"),
    ],
)
def test_a_wrong_wiring_is_refused(text: str, says: str) -> None:
    with pytest.raises(WiringError, match=says):
        built(text)


def test_an_abbreviation_that_calls_itself_is_refused() -> None:
    with pytest.raises(WiringError, match="calls itself"):
        written_out("a()", {"a": "a() > relu"}, [])


@pytest.mark.parametrize(
    ("ours", "classes", "says"),
    [
        ("lenet5", None, "do not say how"),
        ("localizer", None, "only networks of publications"),
        ("resnet20", 7, "published number of classes"),
        (nn.Conv2d(3, 3, 1), None, "only networks of publications"),
    ],
)
def test_what_has_no_facts_is_refused(ours: Any, classes: int | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        visus.judge(ours, "facts", classes=classes)

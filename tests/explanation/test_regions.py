"""What is said and drawn of a detector with two stages: against what its own codec assigns, and boxes by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.explanation.assignments import explain_targets
from visus.explanation.regions import ExplainedRegions
from visus.models.detection.region_codec import RegionCodec, RegionRules
from visus.models.detection.region_proposals import (
    AnchorRules,
    ProposalRules,
    ProposingCodec,
    ProposingDetector,
    RegionProposalNetwork,
)
from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, whole_images
from visus.ops.box_coding import BoxCoding
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.structures import Batch, Detections, Placement
from visus.structures.proposals import Proposals

NAMES = ("sun", "sea")
SIZE = (96, 96)
ONE = [[8.0, 8.0, 56.0, 56.0]]


class Head(TwoStageDetector):
    """A second stage that says of every region how much of it is bright: class 0; the rest stays background."""

    head = ()
    channels = {16: 3}  # noqa: RUF012

    def __init__(self, rules: RegionRules | None = None) -> None:
        super().__init__()
        self.coding = BoxCoding()
        self.codec: Any = RegionCodec(rules or RegionRules(), self.coding)
        self.pool = nn.AvgPool2d(16)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        assert not self.training
        return {16: self.pool(images)}

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        regions = sum(len(part) for part in boxes)
        logits = torch.zeros(regions, len(NAMES) + 1)
        logits[:, 1] = 3.0 - torch.arange(regions) / 100  # earlier proposals are surer
        return RegionOutput(logits, torch.zeros(regions, len(NAMES) + 1, 4))


class Both(Head, ProposingDetector):
    """The same behind a region proposal network of one map with 6 x 6 cells of 3 anchors, all as likely."""

    def __init__(self, rules: RegionRules | None = None, **anchor_rules: Any) -> None:
        super().__init__()
        anchors = PyramidAnchors(strides=(16,), side=3.0, octave=(1.0,))
        self.rpn = RegionProposalNetwork(3, 4, anchors)
        for layer in (self.rpn.objectness, self.rpn.offsets):
            nn.init.zeros_(layer.weight)
        self.codec = ProposingCodec(
            rules or RegionRules(),
            self.coding,
            anchor_rules=AnchorRules(**anchor_rules),
            trained=ProposalRules(90, 80, overlap=0.9, smallest=0),
            tested=ProposalRules(60, 20, smallest=0),
        )

    propose = ProposingDetector.propose


def truth(boxes: list[list[float]], ignored: list[bool] | None = None) -> Detections:
    labels = np.arange(len(boxes), dtype=np.int64) % 2
    flags = None if ignored is None else np.asarray(ignored)
    return Detections(NAMES, np.asarray(boxes, np.float32).reshape(-1, 4), labels, SIZE, ignored=flags)


def explained(
    network: nn.Module, target: Detections | None, proposals: list[list[float]] | None = None, **more: Any
) -> ExplainedRegions:
    given = None
    if proposals is not None:
        given = [Proposals(np.asarray(proposals, np.float32).reshape(-1, 4), SIZE)]
    batch = Batch(
        images=torch.zeros(1, 3, *SIZE),
        targets=None if target is None else [target],
        placements=[Placement.identity(SIZE)],
        ids=["a"],
        proposals=given,
    )
    options = {"classes": NAMES, "model": "made", "score": 0.3, **more}
    found = explain_targets(network, batch, np.full((3, *SIZE), 255, np.uint8), **options)
    assert isinstance(found, ExplainedRegions)
    return found


def test_proposals_that_come_with_the_image() -> None:
    """Overlaps with the object, which is 48 pixels wide: 1; 40 / 48; 16 / 48 (background); 0 (never drawn)."""
    wide, half, third, none = [8, 8, 56, 56], [8, 8, 48, 56], [8, 8, 24, 56], [60, 60, 90, 90]
    found = explained(Head(), truth(ONE), [none, half, third, wide])
    assert found.first is None
    assert found.before is None
    assert found.learned is not None
    assert found.objects is not None
    assert found.learned.matches.tolist() == [-2, 0, -1, 0]
    assert found.learned.counts() == {
        "proposals": 4,
        "learn": 2,
        "neutral": 1,
        "background": 1,
        "sampled": 4,
        "sampled_learn": 3,  # the two, and the object's own box
    }
    (own,) = found.objects
    assert (own.name, own.matches, own.sampled, own.overlap) == ("sun", 2, 3, pytest.approx(1))
    assert found.sentence(0) == "sun: shown by 2 proposals, drawn 3 times; the best overlaps it by 100.0 %"
    assert str(found).splitlines()[:2] == [
        "made at 96 x 96: 4 proposals, which came with the image",
        "proposals cover 1 of 1 object by half or more",
    ]
    assert "a step draws 4 regions of these and the objects' own boxes, 3 that show an object" in str(found)


def test_answers_before_and_after_suppression() -> None:
    """Two of three regions overlap by 40 / 48; all are answered with a softmax of (0, 3, 0) or nearly so."""
    found = explained(Head(), None, [[8, 8, 56, 56], [8, 8, 48, 56], [60, 60, 90, 90]])
    assert found.candidates is not None
    assert found.kept is not None
    assert len(found.candidates) == 3
    assert found.kept.boxes.tolist() == [[8, 8, 56, 56], [60, 60, 90, 90]]
    assert found.kept.classes == NAMES
    assert explained(Head(), None, [[8, 8, 56, 56]], score=0.99).to_dict()["kept"] == []
    assert explained(Head(), None, answers=False).kept is None


def test_both_stages_say_what_their_codec_assigns() -> None:
    network, target = Both(positive=0.6), truth([[8, 8, 56, 56], [40, 30, 90, 94]])
    found = explained(network, target)
    codec, size = network.codec, SIZE
    assert found.first is not None
    assert found.learned is not None
    assert found.objects is not None
    assert found.first.objects is not None
    (encoded,) = codec.encode([target], torch.device("cpu"))
    with torch.no_grad():
        features = network.eval().features(torch.zeros(1, 3, *SIZE))
        objectness = network.objectness(features, size)
        training = codec.learned_from(network, features, size, None).boxes[0]
        output = network(torch.zeros(1, 3, *SIZE))
    anchors = codec.assign_anchors(objectness.anchors, encoded, size)
    assert found.first.matches is not None
    assert found.first.matches.tolist() == anchors.tolist()
    assert [len(own.predictors) for own in found.first.objects] == [int((anchors == k).sum()) for k in range(2)]
    assert found.first.sampled is not None
    assert (anchors[found.first.sampled] != -2).all()
    assert len(found.proposals) == output.counts[0] == 20
    assert found.proposals == pytest.approx(output.proposals[0].numpy())
    assert found.before is not None
    assert len(found.before) == 60
    matches = codec.assign(training, encoded)
    assert found.learned.matches.tolist() == matches.tolist()
    assert [own.matches for own in found.objects] == [int((matches == k).sum()) for k in range(2)]
    again = codec.assign(torch.from_numpy(found.learned.boxes), encoded)
    assert found.learned.sampled.tolist() == again.tolist()


def test_sampling_is_repeatable_and_leaves_torchs_generator() -> None:
    torch.manual_seed(5)
    network = Both(RegionRules(sampled=4))
    target = truth(ONE)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, other = explained(network, target), explained(network, target)
    assert torch.rand(1) == expected
    assert one.learned is not None
    assert other.learned is not None
    assert len(one.learned.boxes) == 4
    assert one.learned.boxes.tolist() == other.learned.boxes.tolist()


def test_some_anchors_that_learn_are_not_drawn() -> None:
    found = explained(Both(positive=0.3, sampled=4), truth(ONE)).first
    assert found is not None
    assert found.sampled is not None
    assert found.counts()["sampled"] == 4
    assert found.counts()["learn"] > 2
    assert ", of which a step draws 2; the best overlaps it" in found.sentence(0)
    assert "a step draws 4 of them, 2 that learn one" in str(found)


@pytest.mark.parametrize("proposals", [[], None, [[8, 8, 56, 56]]])
@pytest.mark.parametrize("boxes", [[], ONE])
def test_no_objects_and_no_proposals(boxes: list[list[float]], proposals: list[list[float]] | None) -> None:
    found = explained(Head(), truth(boxes), proposals)
    assert found.covered() == (len(boxes) if proposals else 0)
    assert found.draw().width == 22 + 3 * (560 + 22)
    assert len(found.to_dict()["objects"]) == len(boxes)
    if boxes and proposals == []:
        assert "shown by no proposal, its own box is drawn; the best overlaps it by 0.0 %" in found.sentence(0)
    if proposals is None:
        assert found.proposals.tolist() == [[0, 0, 96, 96]]


def test_ignored_objects_and_objects_without_area() -> None:
    found = explained(Head(), truth([[8, 8, 56, 56], [5, 5, 5, 60], [60, 60, 90, 90]], [False, False, True]), ONE)
    assert found.objects is not None
    assert [own.ignored for own in found.objects] == [False, True]
    assert found.sentence(1) == "sun: not counted"
    assert "cover 1 of 1 object " in str(found)


@pytest.mark.parametrize(
    ("target", "answers", "panels"), [(True, True, 6), (True, False, 5), (False, True, 4), (False, False, 3)]
)
def test_panels_without_anything_to_show_are_left_out(target: bool, answers: bool, panels: int) -> None:
    found = explained(Both(), truth(ONE) if target else None, answers=answers)
    picture = np.asarray(found.draw())
    columns = 2 if panels == 4 else 3
    assert picture.shape[1] == 22 + columns * (560 + 22)
    assert (found.first is not None, found.learned is not None, found.kept is not None) == (True, target, answers)
    for column in range(2):  # lines are drawn over the white image of both panels at the top
        left = 22 + column * (560 + 22)
        assert (picture[100:600, left : left + 560] < 200).any()


def test_proposals_of_its_own_and_given_ones() -> None:
    """A network that proposes by itself looks where it is told to, and then has no anchors to show."""
    found = explained(Both(), truth(ONE), ONE)
    assert found.first is None
    assert found.proposals.tolist() == ONE


def test_plain_values() -> None:
    values = explained(Both(), truth(ONE)).to_dict()
    assert values["first_stage"]["predictors"] == 6 * 6 * 3
    assert "kept" not in values["first_stage"]
    assert values["proposals"] == 20
    assert values["before_suppression"] == 60
    assert values["objects"][0]["label"] == "sun"
    assert values["counts"]["sampled"] >= values["objects"][0]["learned_by"]


def test_other_classes_and_modes() -> None:
    with pytest.raises(ShapeError, match="number of classes"):
        explained(Head(), None, classes=("a", "b", "c"))
    network = Head().train()
    assert explained(network, None, classes=None).candidates is not None
    assert network.training

"""The region proposal network (RPN): Ren, He, Girshick, Sun, Faster R-CNN, NIPS 2015, arXiv:1506.01497, section 3.1.

A small network slides over the feature map. At each place it says of every anchor whether it shows an object, and how
the anchor must move to be the object's box. The best boxes, after suppression, are the proposals.

Letters: N images, D channels of a map, h x w its cells, A anchors of an input, B anchors of a cell, G objects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.region_codec import RegionCodec, RegionRules, smooth_l1
from visus.models.detection.two_stage import ObjectnessOutput, Proposed, TwoStageDetector, fine, given_boxes
from visus.ops.box_coding import BoxCoding
from visus.ops.boxes import clip_boxes_to_image
from visus.ops.matching import BACKGROUND, NEUTRAL, match_band
from visus.ops.nms import nms_by_class
from visus.ops.prediction_grid import Grid
from visus.ops.region_sampling import sample_regions
from visus.structures import Batch

Learns = Literal["both", "proposals", "regions"]
"""Which stages a training step trains."""

CODING = BoxCoding()  # section 3.1.2, equation 2: the offsets of R-CNN
SMALLEST = 1e-3
"""Proposals of shorter sides, in pixels, are dropped whatever the rules say: they have no area to look at."""


class Anchors(Protocol):
    """Reference boxes of one or several maps."""

    @property
    def per_cell(self) -> int:
        """B."""

    def grids(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[Grid, ...]:
        """The cells of each map."""

    def place(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], device: torch.device | None = None
    ) -> Tensor:
        """[A,4] float32 xyxy in network pixels, from maps (h, w) of an input of this (height, width)."""


@dataclass(frozen=True, slots=True)
class ProposalRules:
    """How proposals are made of anchors (section 3.3, "Implementation details").

    Args:
        before: so many of the best, of each map, enter suppression.
        after: so many of the best remain, of all maps together.
        overlap: of suppression.
        smallest: boxes with a shorter side, in pixels, are dropped; the released code's 16.
        lowest: boxes with a lower probability are dropped.
        small_first: whether small boxes are dropped before the best enter suppression, and not of these; py-faster-rcnn
            does, Detectron and torchvision do not.
    """

    before: int = 6000
    after: int = 300
    overlap: float = 0.7
    smallest: float = 16.0
    lowest: float = 0.0
    small_first: bool = False


@dataclass(frozen=True, slots=True)
class AnchorRules:
    """Which anchors learn, and how their losses are weighed (sections 3.1.2 and 3.1.3).

    Args:
        positive, negative: overlaps from which on an anchor shows an object, and below which it shows none. The anchors
            that overlap an object most always show it.
        sampled: anchors of an image that a step learns from.
        positive_share: the largest share of them that shows objects.
        cross_boundary: whether anchors that reach beyond the image learn, too.
        smooth: where smooth L1 turns from a parabola to a line.
        balance: the boxes' loss is weighed by it and divided by the number of anchor places ("locations"), as in
            equation 1, whose lambda is 10; None: divided by the sampled anchors, as in the released code.
    """

    positive: float = 0.7
    negative: float = 0.3
    sampled: int = 256
    positive_share: float = 0.5
    cross_boundary: bool = False
    smooth: float = 1.0
    balance: float | None = None


class RegionProposalNetwork(nn.Module):
    """{stride: [N,D,h,w]} -> :class:`ObjectnessOutput`; the same small network for every map.

    Args:
        channels: D.
        width: channels of the 3x3 convolution.
        anchors: of the maps.
        scores: 1: the log-odds of each anchor; 2: its two scores, whose softmax is the paper's (figure 3). Those of
            background come first, for all anchors of a cell, as in the released code.
        coding: of the offsets.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        anchors: Anchors,
        *,
        scores: Literal[1, 2] = 1,
        coding: BoxCoding = CODING,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.coding = coding
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.objectness = nn.Conv2d(width, anchors.per_cell * scores, 1)
        self.offsets = nn.Conv2d(width, anchors.per_cell * 4, 1)
        for layer in (self.conv, self.objectness, self.offsets):
            # section 3.1.3, for 256 or 512 channels; larger where there are fewer, so that as much comes through
            nn.init.normal_(layer.weight, std=0.01 * max(1.0, math.sqrt(256 / layer.in_channels)))
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, maps: Mapping[int, Tensor], size: tuple[int, int]) -> ObjectnessOutput:
        hidden = [F.relu(self.conv(map_), inplace=True) for map_ in maps.values()]  # [N, width, h, w] each
        logits = [_by_anchor(self.log_odds(x), 1).squeeze(-1) for x in hidden]  # [N, hwB]
        offsets = [_by_anchor(self.offsets(x), 4) for x in hidden]  # [N, hwB, 4]
        shapes = [(x.shape[2], x.shape[3]) for x in hidden]
        anchors = self.anchors.place(shapes, size, hidden[0].device)  # [A, 4]
        grids = self.anchors.grids(shapes, size)
        return ObjectnessOutput(torch.cat(logits, 1), torch.cat(offsets, 1), anchors, grids, self.coding)

    def log_odds(self, hidden: Tensor) -> Tensor:
        """[N,width,h,w] -> [N,B,h,w]: the log-odds that each anchor shows an object."""
        scores = cast(Tensor, self.objectness(hidden))  # [N, B or 2B, h, w]
        if scores.shape[1] == self.anchors.per_cell:
            return scores
        background, object_ = fine(scores).chunk(2, 1)
        return object_ - background  # softmax over two is the sigmoid of their difference


def _by_anchor(map_: Tensor, values: int) -> Tensor:
    """[N, B*values, h, w] -> [N, hwB, values], in the order of the anchors."""
    return map_.permute(0, 2, 3, 1).reshape(len(map_), -1, values)


def proposals_of(output: ObjectnessOutput, size: tuple[int, int], rules: ProposalRules) -> Proposed:
    """Makes the proposals of each image: the best of every map, clipped, suppressed map by map, the best of all.

    On the meta device, where nothing can be compared, there are as many as there can be.
    """
    if output.logits.is_meta:
        count = min(sum(min(rules.before, grid.total) for grid in output.grids), rules.after)
        return Proposed([output.anchors.new_empty(count, 4)] * len(output.logits), output)
    logits, offsets = fine(output.logits.detach()), fine(output.offsets.detach())
    anchors = output.anchors.to(offsets.dtype)
    smallest = max(rules.smallest, SMALLEST)
    if rules.small_first:
        all_moved = clip_boxes_to_image(output.coding.decode(offsets, anchors), size)
        large = (all_moved[..., 2:] - all_moved[..., :2] >= smallest).all(-1)
        logits = logits.masked_fill(~large, -torch.inf)
    boxes = []
    for image_logits, image_offsets in zip(logits, offsets, strict=True):
        scores, rows, maps = [], [], []
        first = 0
        for number, count in enumerate(grid.total for grid in output.grids):
            best, chosen = image_logits[first : first + count].topk(min(rules.before, count))
            scores.append(best)
            rows.append(chosen + first)
            maps.append(torch.full_like(chosen, number))
            first += count
        every = torch.cat(rows)
        moved = clip_boxes_to_image(output.coding.decode(image_offsets[every], anchors[every]), size)
        score, level = torch.cat(scores), torch.cat(maps)
        sides = moved[:, 2:] - moved[:, :2]
        kept = (sides >= smallest).all(1) & (score.sigmoid() >= rules.lowest)
        moved, score, level = moved[kept], score[kept], level[kept]
        boxes.append(moved[nms_by_class(moved, score, level, rules.overlap, rules.after)])
    return Proposed(boxes, output)


class ProposingDetector(TwoStageDetector):
    """A two-stage detector with a region proposal network; subclasses have ``rpn`` and say which maps it sees.

    Attributes:
        rpn: the region proposal network.
        codec: has the rules for proposals.
    """

    rpn: RegionProposalNetwork
    codec: ProposingCodec

    def objectness(self, features: dict[int, Tensor], size: Sequence[int]) -> ObjectnessOutput:
        """What the first stage says of its anchors."""
        return cast(ObjectnessOutput, self.rpn(features, (size[0], size[1])))

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        if proposals is not None:
            return Proposed(list(proposals))
        return proposals_of(self.objectness(features, size), (size[0], size[1]), self.codec.tested)


class ProposingCodec(RegionCodec):
    """Trains both stages together, and reads the second one.

    "Approximate joint training" (section 3.2): the proposals' boxes are taken as given, their gradients are not. A
    batch that brings proposals trains the second stage on these.

    Args:
        rules, coding: of the second stage.
        anchor_rules: which anchors learn.
        trained, tested: the rules for proposals in training and at test.
        learns: "proposals" trains the first stage alone, "regions" the second one: the steps of alternating training.
    """

    def __init__(
        self,
        rules: RegionRules,
        coding: BoxCoding,
        *,
        anchor_rules: AnchorRules,
        trained: ProposalRules,
        tested: ProposalRules,
        learns: Learns = "both",
    ) -> None:
        super().__init__(rules, coding)
        self.learns = learns
        self.anchor_rules = anchor_rules
        self.trained = trained
        self.tested = tested

    def losses(self, network: TwoStageDetector, batch: Batch) -> dict[str, Tensor]:
        """ "objectness" and "anchor_box" of the first stage, "class" and "box" of the second one."""
        targets = self.encode(batch.targets, batch.images.device)
        size = (batch.images.shape[2], batch.images.shape[3])
        features = network.features(batch.images)
        first = cast(ProposingDetector, network)
        if self.learns == "proposals":
            return self.anchor_losses(first.objectness(features, size), targets, size)
        proposed = self.learned_from(network, features, size, given_boxes(batch))
        sampled = self.sample(proposed.boxes, targets)
        terms = self.second_stage(network, features, size, sampled, targets)
        if self.learns == "both":
            objectness = first.objectness(features, size) if proposed.objectness is None else proposed.objectness
            terms = self.anchor_losses(objectness, targets, size) | terms
        return terms

    def learned_from(
        self,
        network: TwoStageDetector,
        features: dict[int, Tensor],
        size: tuple[int, int],
        given: Sequence[Tensor] | None,
    ) -> Proposed:
        """Those that came with the batch, else the network's own, as many as the rules for training say."""
        if given is not None:
            return Proposed(list(given))
        return proposals_of(cast(ProposingDetector, network).objectness(features, size), size, self.trained)

    def assign_anchors(self, anchors: Tensor, targets: BoxTargets, size: tuple[int, int]) -> Tensor:
        """[A] int64: the object that each anchor shows, -1 (background) or -2 (does not count), before sampling."""
        rules = self.anchor_rules
        matches = torch.full((len(anchors),), NEUTRAL, dtype=torch.int64, device=anchors.device)
        counted = torch.ones_like(matches, dtype=torch.bool)
        if not rules.cross_boundary:
            limits = anchors.new_tensor([size[1], size[0]])
            inside = ((anchors[:, :2] >= 0) & (anchors[:, 2:] <= limits)).all(1)
            if bool(inside.any()):  # else the image is smaller than every anchor, and would teach nothing
                counted = inside
        matches[counted] = match_band(
            targets.boxes,
            anchors[counted],
            positive=rules.positive,
            negative=rules.negative,
            best=True,
            ignored=targets.ignored,
        )
        return matches

    def boxes_of_anchors(self, output: ObjectnessOutput) -> Tensor:
        """[N,A,4] float32 xyxy: where the first stage moves its anchors, not clipped."""
        return output.coding.decode(fine(output.offsets), output.anchors)

    def sample_anchors(self, matches: Tensor) -> Tensor:
        """[S] indices of the anchors that a step learns from; those that show objects first."""
        return sample_regions(matches, self.anchor_rules.sampled, self.anchor_rules.positive_share)

    def anchor_losses(
        self, output: ObjectnessOutput, targets: Sequence[BoxTargets], size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """ "objectness" and "anchor_box" of the sampled anchors (equation 1), over all images of the batch."""
        rules = self.anchor_rules
        objectness, boxes, count = [], [], 0
        for n, objects in enumerate(targets):
            matches = self.assign_anchors(output.anchors, objects, size)
            chosen = self.sample_anchors(matches)
            count += len(chosen)
            logits = fine(output.logits[n, chosen])
            shows = (matches[chosen] != BACKGROUND).to(logits.dtype)
            objectness.append(F.binary_cross_entropy_with_logits(logits, shows, reduction="sum"))
            rows = chosen[matches[chosen] >= 0]
            wanted = output.coding.encode(objects.boxes[matches[rows]], output.anchors[rows])
            boxes.append(smooth_l1(fine(output.offsets[n, rows]), wanted, rules.smooth))
        total = max(count, 1)
        box = torch.stack(boxes).sum()
        if rules.balance is None:
            box = box / total
        else:
            places = sum(grid.rows * grid.columns for grid in output.grids) * len(targets)
            box = rules.balance * box / places
        return {"objectness": torch.stack(objectness).sum() / total, "anchor_box": box}

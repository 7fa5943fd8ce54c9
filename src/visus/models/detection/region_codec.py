"""The codec of two-stage detectors: which regions learn what, the losses of Fast R-CNN, and the decoding.

Letters: N images, P proposals of an image, S sampled regions of an image, R those of all images, K classes, G objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from visus.models.detection.box_targets import BoxTargets, box_targets_of
from visus.models.detection.two_stage import (
    LabelledBoxes,
    Proposed,
    RegionOutput,
    TwoStageDetector,
    TwoStageOutput,
    box_of_class,
    fine,
    given_boxes,
)
from visus.ops.box_coding import BoxCoding
from visus.ops.boxes import clip_boxes_to_image
from visus.ops.region_sampling import match_regions, sample_regions
from visus.ops.suppression import LabelledBoxes as LabelledArrays
from visus.ops.suppression import Method, suppress
from visus.structures import Batch, Detections
from visus.structures.masks import Masks

SMALLEST = 0.01
"""Objects of shorter sides, in pixels, are no answers: clipping has left nothing of their boxes."""


@dataclass(frozen=True, slots=True)
class RegionRules:
    """How the second stage learns and answers; the defaults are Fast R-CNN's (ICCV 2015, section 2.3).

    Args:
        sampled: regions of an image that a step learns from.
        positive_share: the share of them that may show objects.
        positive: the overlap from which on a region shows an object.
        negative: the lowest and the highest overlap of background.
        add_objects: the objects' own boxes join the proposals, as in the released code.
        smooth: where smooth L1 turns from a parabola to a line; 0: L1.
        box_weight: the share of the boxes' loss, the paper's lambda.
        confidence, overlap, keep, suppression: lowest score, overlap of suppression, most objects of an image.
    """

    sampled: int = 64
    positive_share: float = 0.25
    positive: float = 0.5
    negative: tuple[float, float] = (0.1, 0.5)
    add_objects: bool = True
    smooth: float = 1.0
    box_weight: float = 1.0
    confidence: float = 0.05
    overlap: float = 0.3
    keep: int = 100
    suppression: Method = "greedy"


class SampledRegions(NamedTuple):
    """The regions of one image that a step learns from.

    Args:
        boxes: [S,4] xyxy in network pixels.
        matches: [S] int64: the object that each shows, or -1 (background).
    """

    boxes: Tensor
    matches: Tensor


class RegionCodec:
    """Trains and reads the second stage; a network whose proposals come with the batch needs no more.

    Args:
        rules: see :class:`RegionRules`.
        coding: of the boxes.
    """

    assigns: Literal["regions"] = "regions"

    def __init__(self, rules: RegionRules, coding: BoxCoding) -> None:
        self.rules = rules
        self.coding = coding

    def encode(self, targets: Sequence[Detections], device: torch.device) -> list[BoxTargets]:
        """Moves a batch's objects to the device, without boxes of no area, whose logarithms are infinite."""
        return box_targets_of(targets, device)

    def losses(self, network: TwoStageDetector, batch: Batch) -> dict[str, Tensor]:
        """ "class" and "box": Fast R-CNN's multi-task loss (section 2.3, equations 1 to 3) of the sampled regions."""
        targets = self.encode(batch.targets, batch.images.device)
        size = (batch.images.shape[2], batch.images.shape[3])
        features = network.features(batch.images)
        proposed = self.learned_from(network, features, size, given_boxes(batch))
        sampled = self.sample(proposed.boxes, targets)
        return self.second_stage(network, features, size, sampled, targets)

    def second_stage(
        self,
        network: TwoStageDetector,
        features: dict[int, Tensor],
        size: tuple[int, int],
        sampled: Sequence[SampledRegions],
        targets: Sequence[BoxTargets],
    ) -> dict[str, Tensor]:
        """The losses of the sampled regions."""
        regions = network.classify(features, [part.boxes for part in sampled], size)
        return self.region_losses(regions, sampled, targets)

    def learned_from(
        self,
        network: TwoStageDetector,
        features: dict[int, Tensor],
        size: tuple[int, int],
        given: Sequence[Tensor] | None,
    ) -> Proposed:
        """The proposals that a training step samples from; ``given``: those that came with the batch."""
        return network.propose(features, size, given)

    def answers(self, network: TwoStageDetector, batch: Batch) -> list[Detections]:
        """One Detections an image, best object first; class names are numbers."""
        return self.decode(network(batch.images, given_boxes(batch)))

    def assign(self, boxes: Tensor, targets: BoxTargets) -> Tensor:
        """[P] int64: the object that each region [P,4] shows, -1 (background) or -2 (is never sampled)."""
        rules = self.rules
        return match_regions(
            targets.boxes, boxes, positive=rules.positive, negative=rules.negative, ignored=targets.ignored
        )

    def sample(self, proposals: Sequence[Tensor], targets: Sequence[BoxTargets]) -> list[SampledRegions]:
        """Draws the regions that a step learns from, of each image by itself."""
        sampled = []
        for boxes, objects in zip(proposals, targets, strict=True):
            regions = self.candidates(boxes, objects)
            matches = self.assign(regions, objects)
            chosen = sample_regions(matches, self.rules.sampled, self.rules.positive_share)
            sampled.append(SampledRegions(regions[chosen], matches[chosen]))
        return sampled

    def candidates(self, proposals: Tensor, targets: BoxTargets) -> Tensor:
        """[P,4] -> [Q,4]: the proposals of an image, with the objects' own boxes if the rules say so."""
        objects = targets.boxes[~targets.ignored]
        joined = torch.cat([proposals, objects]) if self.rules.add_objects else proposals
        return joined[(joined[:, 2:] > joined[:, :2]).all(1)]  # a side of 0 has no logarithm

    def region_losses(
        self, regions: RegionOutput, sampled: Sequence[SampledRegions], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """ "class": the mean cross-entropy; "box": the sum over regions that show objects, divided by all regions."""
        labels, boxes = learned(sampled, targets)  # [R] with 0 for background, [R, 4]
        count = max(len(labels), 1)
        classes = F.cross_entropy(fine(regions.logits), labels, reduction="sum") / count
        shown = torch.nonzero(labels > 0).flatten()
        references = torch.cat([part.boxes for part in sampled])[shown]
        offsets = box_of_class(fine(regions.offsets[shown]), labels[shown] - 1)
        wanted = self.coding.encode(boxes[shown], references)
        box = smooth_l1(offsets, wanted, self.rules.smooth) / count
        return {"class": classes, "box": self.rules.box_weight * box}

    def decode(self, outputs: TwoStageOutput) -> list[Detections]:
        """Decodes one Detections for each image, best object first; class names are numbers."""
        return [as_detections(found, outputs.classes, outputs.size) for found in self.best(outputs)]

    def best(self, outputs: TwoStageOutput) -> list[LabelledBoxes]:
        """The objects of each image after suppression, best first, without gradients.

        On the meta device, where nothing can be compared, there are as many as there can be.
        """
        if outputs.logits.is_meta:
            return [_shapes(outputs, min(count, self.rules.keep)) for count in outputs.counts]
        found = []
        for n, count in enumerate(outputs.counts):
            scores = self.scores(fine(outputs.logits[n, :count].detach()))  # [P, K]
            rows, labels = torch.nonzero(scores > self.rules.confidence, as_tuple=True)
            boxes = clip_boxes_to_image(outputs.boxes_of_classes(n, rows, labels).detach(), outputs.size)
            solid = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(1)
            parts = (boxes[solid], labels[solid], scores[rows, labels][solid])
            best = suppress(
                LabelledArrays(*(part.cpu().numpy() for part in parts)),
                iou_threshold=self.rules.overlap,
                keep=self.rules.keep,
                method=self.rules.suppression,
                confidence=self.rules.confidence,
            )
            found.append(LabelledBoxes(*(torch.from_numpy(part).to(boxes.device) for part in best)))
        return found

    def scores(self, logits: Tensor) -> Tensor:
        """[P,K+1] -> [P,K] in [0, 1]: the softmax, without background."""
        return logits.softmax(-1)[:, 1:]


def as_detections(found: LabelledBoxes, classes: int, size: tuple[int, int], masks: Masks | None = None) -> Detections:
    """Objects as a value; class names are numbers."""
    boxes, labels, scores = (part.cpu().numpy() for part in found)
    return Detections(tuple(str(k) for k in range(classes)), boxes, labels, size, scores=scores, masks=masks)


def _shapes(outputs: TwoStageOutput, count: int) -> LabelledBoxes:
    new = outputs.logits.new_empty
    return LabelledBoxes(new(count, 4), new(count, dtype=torch.int64), new(count))


def learned(sampled: Sequence[SampledRegions], targets: Sequence[BoxTargets]) -> tuple[Tensor, Tensor]:
    """What R sampled regions learn: labels [R] int64 (0: background, k + 1: class k), and boxes [R,4]."""
    labels, boxes = [], []
    for part, objects in zip(sampled, targets, strict=True):
        shows = part.matches >= 0
        image_labels = torch.zeros_like(part.matches)
        image_labels[shows] = objects.labels[part.matches[shows]] + 1
        image_boxes = part.boxes.clone()
        image_boxes[shows] = objects.boxes[part.matches[shows]]
        labels.append(image_labels)
        boxes.append(image_boxes)
    return torch.cat(labels), torch.cat(boxes)


def smooth_l1(values: Tensor, wanted: Tensor, turn: float) -> Tensor:
    """The summed smooth L1 of values and what they should be (Fast R-CNN, equation 3); L1 where ``turn`` is 0."""
    if turn == 0:
        return F.l1_loss(values, wanted, reduction="sum")
    return F.smooth_l1_loss(values, wanted, beta=turn, reduction="sum")

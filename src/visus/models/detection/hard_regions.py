"""Online hard example mining (OHEM): the second stage learns from the regions that it answers worst.

Shrivastava, Gupta, Girshick, CVPR 2016, arXiv:1604.03540, as R-FCN has it (Dai et al., NIPS 2016, section 3,
"Training"): all N proposals of an image are answered, and the B with the largest losses are learned from, background or
not, without further suppression.

Letters: N images, P proposals of an image, R regions of all images, B regions of an image that a step learns from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.region_codec import SampledRegions, learned
from visus.models.detection.region_proposals import ProposingCodec
from visus.models.detection.two_stage import RegionOutput, box_of_class
from visus.ops.matching import NEUTRAL


class HardRegionsCodec(ProposingCodec):
    """Samples every region, and learns from the hardest; ``rules.sampled`` is B, of each image."""

    def sample(self, proposals: Sequence[Tensor], targets: Sequence[BoxTargets]) -> list[SampledRegions]:
        """All regions of each image that are not neutral."""
        sampled = []
        for boxes, objects in zip(proposals, targets, strict=True):
            regions = self.candidates(boxes, objects)
            matches = self.assign(regions, objects)
            counted = matches != NEUTRAL
            sampled.append(SampledRegions(regions[counted], matches[counted]))
        return sampled

    def region_losses(
        self, regions: RegionOutput, sampled: Sequence[SampledRegions], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """ "class" and "box" of the hardest regions alone, divided by their number."""
        rows, kept, first = [], [], 0
        for part, losses in zip(sampled, self.losses_of_each(regions, sampled, targets), strict=True):
            hardest = losses.topk(min(self.rules.sampled, len(losses))).indices
            rows.append(hardest + first)
            kept.append(SampledRegions(part.boxes[hardest], part.matches[hardest]))
            first += len(losses)
        chosen = torch.cat(rows)
        return super().region_losses(RegionOutput(regions.logits[chosen], regions.offsets[chosen]), kept, targets)

    def losses_of_each(
        self, regions: RegionOutput, sampled: Sequence[SampledRegions], targets: Sequence[BoxTargets]
    ) -> tuple[Tensor, ...]:
        """The loss of every region, class and box together, without gradients: of each image [P]."""
        with torch.no_grad():
            labels, boxes = learned(sampled, targets)  # [R] with 0 for background, [R, 4]
            losses = F.cross_entropy(regions.logits.float(), labels, reduction="none")  # [R]
            shown = torch.nonzero(labels > 0).flatten()
            references = torch.cat([part.boxes for part in sampled])[shown]
            offsets = box_of_class(regions.offsets[shown].float(), labels[shown] - 1)
            wanted = self.coding.encode(boxes[shown], references)
            box = F.smooth_l1_loss(offsets, wanted, beta=self.rules.smooth, reduction="none").sum(1)
            losses[shown] += self.rules.box_weight * box
        return torch.split(losses, [len(part.boxes) for part in sampled])

"""What networks with a mask branch share: He, Gkioxari, Dollar, Girshick, Mask R-CNN, ICCV 2017, arXiv:1703.06870.

Beside the class and the box of a region, a third branch says of each of its m x m cells whether it shows the object. In
training it sees the regions that show objects; at test it sees the objects themselves, after suppression (section 3.1).

Letters: N images, R regions of all images, K classes, m x m cells of a mask, D objects found in all images.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import TaskMismatchError
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.region_codec import RegionRules, SampledRegions, as_detections
from visus.models.detection.region_proposals import AnchorRules, ProposalRules, ProposingCodec, ProposingDetector
from visus.models.detection.two_stage import FoundMasks, TwoStageDetector, TwoStageOutput
from visus.ops.box_coding import BoxCoding
from visus.ops.mask_targets import covered_shares, sampled_shares
from visus.structures import Detections
from visus.structures.masks import THRESHOLD, Masks


class MaskBranch(nn.Module):
    """[R,C,p,p] -> [R,K+1,2p,2p]: the log-odds of each class's mask; figure 4.

    Args:
        in_channels: C.
        width: channels of the convolutions and of the deconvolution.
        depth: 3x3 convolutions: four on a pyramid, none behind conv5_x.
        classes: K; background, whose map nothing trains, is the first, as in the authors' Detectron.
    """

    def __init__(self, in_channels: int, *, width: int, depth: int, classes: int) -> None:
        super().__init__()
        channels = [in_channels] + [width] * depth
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.deconv = nn.ConvTranspose2d(channels[-1], width, 2, stride=2)
        self.logits = nn.Conv2d(width, classes + 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):  # as in Detectron
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        # Detectron draws this one by its number of classes, too, which for a single class makes logits of 10 and more;
        # its own remedy, for masks without classes, is this deviation.
        nn.init.normal_(self.logits.weight, std=0.001)

    def forward(self, regions: Tensor) -> Tensor:
        x = self.convs(regions)  # [R, width, p, p]
        x = F.relu(self.deconv(x), inplace=True)  # [R, width, 2p, 2p]
        return cast(Tensor, self.logits(x))  # [R, K+1, 2p, 2p]


class MaskedDetector(ProposingDetector):
    """A two-stage detector with a mask branch; subclasses say what that sees.

    Attributes:
        codec: finds the objects, trains the masks and reads them.
    """

    codec: MaskCodec

    @abstractmethod
    def masks(self, features: dict[int, Tensor], boxes: Sequence[Tensor], labels: Tensor) -> Tensor:
        """[R,m,m]: the log-odds that a cell shows the object of this class.

        boxes: N x [P_n,4]; labels: [R] of all of them; R may be 0.
        """

    def from_features(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> TwoStageOutput:
        outputs = super().from_features(features, size, proposals)
        found = self.codec.best(outputs)
        boxes, labels = [part.boxes for part in found], torch.cat([part.labels for part in found])
        if len(labels) == 0:
            boxes[0] = boxes[0].new_tensor([[0.0, 0.0, size[1], size[0]]])
            labels = labels.new_zeros(1)
        return outputs._replace(masked=FoundMasks(found, self.masks(features, boxes, labels)))


class MaskCodec(ProposingCodec):
    """Trains and reads the masks beside the classes and boxes.

    Args:
        rules, coding, anchor_rules, trained, tested: as of :class:`ProposingCodec`.
        soft: whether a cell learns its share of the mask, as torchvision samples it; else it learns whether the
            object covers half of it or more.
    """

    def __init__(
        self,
        rules: RegionRules,
        coding: BoxCoding,
        *,
        anchor_rules: AnchorRules,
        trained: ProposalRules,
        tested: ProposalRules,
        soft: bool = False,
    ) -> None:
        super().__init__(rules, coding, anchor_rules=anchor_rules, trained=trained, tested=tested)
        self.soft = soft

    def second_stage(
        self,
        network: TwoStageDetector,
        features: dict[int, Tensor],
        size: tuple[int, int],
        sampled: Sequence[SampledRegions],
        targets: Sequence[BoxTargets],
    ) -> dict[str, Tensor]:
        """ "class" and "box" of the sampled regions, and "mask" of those that show objects (section 3)."""
        terms = super().second_stage(network, features, size, sampled, targets)
        shown = [part.matches >= 0 for part in sampled]
        boxes = [part.boxes[rows] for part, rows in zip(sampled, shown, strict=True)]
        objects = [part.matches[rows] for part, rows in zip(sampled, shown, strict=True)]
        labels = torch.cat([target.labels[which] for target, which in zip(targets, objects, strict=True)])
        logits = cast(MaskedDetector, network).masks(features, boxes, labels).float()
        wanted = torch.cat(
            [self.mask_targets(*each, logits.shape[-1]) for each in zip(targets, objects, boxes, strict=True)]
        )
        # the mean over regions and cells; 0, with gradients of 0, where no region shows an object
        loss = F.binary_cross_entropy_with_logits(logits, wanted.to(logits.device), reduction="sum")
        return terms | {"mask": loss / max(logits.numel(), 1)}

    def mask_targets(self, targets: BoxTargets, objects: Tensor, regions: Tensor, size: int) -> Tensor:
        """[R,m,m] float32: what R regions [R,4] of an image learn of the objects [R] that they show; on the CPU.

        Raises:
            TaskMismatchError: if the objects have no masks.
        """
        wanted = torch.zeros(len(regions), size, size)
        if len(regions) == 0:
            return wanted
        if targets.masks is None:
            raise TaskMismatchError(
                "a network with a mask branch learns from masks", expected="a mask for each object", got="boxes alone"
            )
        objects, regions = objects.cpu(), regions.cpu()
        for which in sorted(set(objects.tolist())):
            rows = torch.nonzero(objects == which).flatten()
            (down, right), pixels = targets.masks.pasted(which)
            crop, corner = torch.from_numpy(np.ascontiguousarray(pixels)), (right.start, down.start)
            if self.soft:
                wanted[rows] = sampled_shares(crop, corner, targets.masks.size, regions[rows], size)
            else:
                wanted[rows] = (covered_shares(crop, corner, regions[rows], size) >= THRESHOLD).float()
        return wanted

    def decode(self, outputs: TwoStageOutput) -> list[Detections]:
        """One Detections with soft masks for each image, best object first; class names are numbers."""
        if outputs.masked is None:
            raise TaskMismatchError("a network with a mask branch answers with masks", expected="masks", got="none")
        found, logits = outputs.masked
        counts = [len(part.labels) for part in found]
        shares = torch.split(logits.detach()[: sum(counts)].float().sigmoid().cpu(), counts)
        answers = []
        for part, image_shares in zip(found, shares, strict=True):
            windows = part.boxes.cpu().double().numpy()
            masks = Masks(tuple(image_shares.numpy()), windows, outputs.size)
            answers.append(as_detections(part, outputs.classes, outputs.size, masks))
        return answers

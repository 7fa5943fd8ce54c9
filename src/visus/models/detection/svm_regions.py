"""What R-CNN and SPP-net share behind the features of a region: how these are learned, and how SVMs answer from them.

A network is first fine-tuned as a classifier of regions, K classes and background. The answers of the finished detector
come from SVMs and box regressions that are fitted to its features afterwards and then belong to the network, frozen.

Letters: N images, P proposals of an image, R regions of all images, K classes, D values of the last hidden layer (fc7),
E values of the last map (pool5).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import RecipeError
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.region_codec import RegionCodec, RegionRules, SampledRegions, learned
from visus.models.detection.two_stage import Proposed, RegionOutput, TwoStageDetector, whole_images
from visus.ops.box_coding import BoxCoding
from visus.ops.region_sampling import sample_regions


class RegionFeatures(NamedTuple):
    """What a network makes of R regions.

    Args:
        pool5: [R,E]: its last map, from which boxes are regressed.
        fc7: [R,D]: its last hidden layer, from which classes are told.
    """

    pool5: Tensor
    fc7: Tensor


class DenseLayers(nn.Module):
    """fc6 and fc7: pool5 [R,E] -> :class:`RegionFeatures` [R,E], [R,D].

    Args:
        inputs: E.
        width: units of fc6, and D.
        dropout: share of their values that is dropped in training.
        deviation: of their first weights; their biases are 1.
    """

    def __init__(self, inputs: int, width: int, *, dropout: float, deviation: float) -> None:
        super().__init__()
        self.sizes = (inputs, width)
        self.fc6 = nn.Linear(inputs, width)
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(width, width)
        self.drop7 = nn.Dropout(dropout)
        for layer in (self.fc6, self.fc7):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.ones_(layer.bias)

    def forward(self, pool5: Tensor) -> RegionFeatures:
        fc6 = self.drop6(F.relu(self.fc6(pool5)))  # [R, 4096]
        fc7 = self.drop7(F.relu(self.fc7(fc6)))  # [R, 4096]
        return RegionFeatures(pool5, fc7)


class SVMDetector(TwoStageDetector):
    """The base class of R-CNN and SPP-net: features of regions, told apart by a softmax layer or by fitted SVMs.

    Args:
        sizes: E and D.
        classes: K.
        machines: whether SVMs answer, or the softmax layer that the features are fine-tuned with.
        rules: of the regions; ``sampled`` is the mean of an image.
    """

    head: tuple[str, ...]
    coding = BoxCoding()  # Girshick et al. 2014, appendix C, equations 6 to 9

    def __init__(self, sizes: tuple[int, int], classes: int, *, machines: bool, rules: RegionRules) -> None:
        super().__init__()
        self.sizes = sizes
        self.classes = classes
        self.codec = SVMCodec(rules, self.coding, fitted=machines)
        if machines:
            self.machines = RegionMachines(*sizes, classes)
            self.head = ("machines",)
        else:
            self.fc8 = nn.Linear(sizes[1], classes + 1)
            nn.init.normal_(self.fc8.weight, std=0.01)  # rbgirshick/rcnn, pascal_finetune_train.prototxt
            nn.init.zeros_(self.fc8.bias)
            self.head = ("fc8",)

    def initial_state_from(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], frozenset[str]] | None:
        """The first values of a fine-tuning that begins with a finished detector, whose softmax layer is gone.

        Args:
            state: the ``state_dict`` of a trained network.

        Returns:
            All values by name, and the names of the softmax layer's, which are this network's own; None if ``state``
            has no SVMs, or this network has.
        """
        if hasattr(self, "machines") or not any(name.startswith("machines.") for name in state):
            return None
        kept = {name: value for name, value in state.items() if not name.startswith("machines.")}
        own = {name: value for name, value in self.state_dict().items() if name.startswith("fc8.")}
        return kept | own, frozenset(own)

    @abstractmethod
    def described(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionFeatures:
        """The features of regions, N x [P_n,4], in the order of the images; R may be 0."""

    def answered(self, regions: RegionFeatures) -> RegionOutput:
        """The classes and boxes of regions."""
        if hasattr(self, "machines"):
            return cast(RegionOutput, self.machines(regions))
        logits = self.fc8(regions.fc7)  # [R, K + 1]
        return RegionOutput(logits, logits.new_zeros(len(logits), 1, 4))  # boxes stay where they are

    def propose(
        self, features: dict[int, Tensor], size: Sequence[int], proposals: Sequence[Tensor] | None = None
    ) -> Proposed:
        return Proposed(whole_images(features, size) if proposals is None else list(proposals))

    def classify(self, features: dict[int, Tensor], boxes: Sequence[Tensor], size: Sequence[int]) -> RegionOutput:
        return self.answered(self.described(features, boxes, size))


class RegionMachines(nn.Module):
    """The fitted SVMs and box regressions of K classes, for features as the network gives them; they never train."""

    def __init__(self, pool5: int, fc7: int, classes: int) -> None:
        super().__init__()
        self.svms = nn.Linear(fc7, classes)
        self.boxes = nn.Linear(pool5, 4 * classes)
        for layer in (self.svms, self.boxes):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.requires_grad_(False)

    def forward(self, features: RegionFeatures) -> RegionOutput:
        """The margins of the classes, beside 0 for background, and their boxes."""
        margins = self.svms(features.fc7)  # [R, K]
        offsets = self.boxes(features.pool5).view(len(margins), -1, 4)  # [R, K, 4]
        return RegionOutput(F.pad(margins, (1, 0)), F.pad(offsets, (0, 0, 1, 0)))


class SVMCodec(RegionCodec):
    """Fine-tunes by cross-entropy over the regions of a batch, and reads softmax or SVMs.

    The regions of a step are drawn from all images of the batch together (section 2.3, "Domain-specific fine-tuning"):
    128 of 16 images with the default rules.
    Each class's boxes are moved by its regression before they are suppressed, as in the authors' release
    (rcnn_test_bbox_regressor.m).

    Args:
        rules: ``sampled`` is the mean number of regions of an image.
        coding: of the boxes.
        fitted: whether SVMs answer; a score is then the sigmoid of the margin: 0.5 is the SVM's own threshold.
    """

    def __init__(self, rules: RegionRules, coding: BoxCoding, *, fitted: bool) -> None:
        super().__init__(rules, coding)
        self.fitted = fitted

    def region_losses(
        self, regions: RegionOutput, sampled: Sequence[SampledRegions], targets: Sequence[BoxTargets]
    ) -> dict[str, Tensor]:
        """ "class": the mean cross-entropy of the regions; 0 where there is none."""
        if self.fitted:
            raise RecipeError(
                "SVMs do not learn by steps",
                expected="the softmax layer of a fine-tuning",
                got="a finished detector, with machines",
                remedy="train without --set model_options.machines=true: the phases fit the SVMs at their end",
            )
        labels, _ = learned(sampled, targets)  # [R] with 0 for background
        classes = F.cross_entropy(regions.logits.float(), labels, reduction="sum")
        return {"class": classes / max(len(labels), 1)}

    def sample(self, proposals: Sequence[Tensor], targets: Sequence[BoxTargets]) -> list[SampledRegions]:
        """Draws the regions that a step learns from, of all images together."""
        joined, matches = [], []
        for boxes, objects in zip(proposals, targets, strict=True):
            every = torch.cat([boxes, objects.boxes[~objects.ignored]]) if self.rules.add_objects else boxes
            every = every[(every[:, 2:] > every[:, :2]).all(1)]
            joined.append(every)
            matches.append(self.assign(every, objects))
        count = self.rules.sampled * len(proposals)
        chosen = sample_regions(torch.cat(matches), count, self.rules.positive_share)
        sampled, first = [], 0
        for boxes, shown in zip(joined, matches, strict=True):
            own = chosen[(chosen >= first) & (chosen < first + len(boxes))] - first
            sampled.append(SampledRegions(boxes[own], shown[own]))
            first += len(boxes)
        return sampled

    def scores(self, logits: Tensor) -> Tensor:
        """[P,K+1] -> [P,K] in [0, 1]: the sigmoid of the SVMs' margins, or the softmax without background."""
        return logits[:, 1:].sigmoid() if self.fitted else super().scores(logits)

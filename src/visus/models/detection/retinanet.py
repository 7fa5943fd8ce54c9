"""RetinaNet: focal loss for dense object detection. Lin, Goyal, Girshick, He, Dollar; ICCV 2017, arXiv:1708.02002.

A pyramid of five levels (P3 to P7) over a backbone, and on every level the same two small networks: one answers for
each anchor which classes it shows, one how it must move to be the object's box (figure 3). The focal loss keeps the
hundred thousand easy anchors from drowning the few that count.

Editions. ``paper``: P6 is made from the backbone's last map, smooth L1, 100 objects an image at most. ``torchvision``:
P6 is made from P5, anchors of whole pixels, L1, 300 objects, the best anchors of an object always learn it.

Letters: N images, C channels, H x W pixels, K classes (no background), A anchors of an input, B anchors of a place (9),
D channels of the pyramid, h x w size of one level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.retinanet import RetinaNetReader
from visus.layers.feature_pyramid import FeaturePyramid
from visus.losses.focal import sigmoid_focal_loss
from visus.models.backbone_maps import as_backbone, require_maps
from visus.models.classification.resnet import StrideIn, resnet50
from visus.models.detection.box_codec import BoxCodec, named_by_level
from visus.models.detection.box_targets import BoxTargets
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.giou import paired_giou
from visus.ops.matching import NEUTRAL, match_band
from visus.ops.prediction_grid import Grid, PredictionGrid
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.ops.suppression import Method

CODING = BoxCoding()  # section 4, "Box regression subnet": the offsets of R-CNN
WIDTH = 256  # section 4: channels of the pyramid and of both subnets
DEPTH = 4  # convolutions before the last one of a subnet
PRIOR = 0.01  # section 3.3 and 4.1: the probability that an untrained network gives every class

BoxLoss = Literal["smooth_l1", "l1", "giou"]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class RetinaNetOutput(NamedTuple):
    """Raw outputs, and the data that decoding needs.

    Args:
        logits: [N,A,K].
        offsets: [N,A,4], encoded against the anchors.
        shapes: of the anchors.
        grids: the cells of each level, from fine to coarse.
        size: (height, width) of the input.
    """

    logits: Tensor
    offsets: Tensor
    shapes: PyramidAnchors
    grids: tuple[Grid, ...]
    size: tuple[int, int]

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of anchors of each level."""
        return tuple(grid.total for grid in self.grids)

    @property
    def anchors(self) -> Tensor:
        """[A,4] float32 xyxy in network pixels; made at each call."""
        maps = [(grid.rows, grid.columns) for grid in self.grids]
        return self.shapes.place(maps, self.size, self.logits.device)

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logits of the classes, without background."""
        return self.logits.float()

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""
        return CODING.decode(self.offsets.float(), self.anchors)


class RetinaNetCodec(BoxCodec):
    """The loss of RetinaNet, and the decoding of its outputs.

    Args:
        box_loss: of the matched anchors: "smooth_l1" and "l1" of the offsets, or "giou" of the boxes.
        match_best: an object's best anchors learn it even below ``positive``.
        keep: at most this many objects an image.
        suppression: of :class:`~visus.models.detection.box_codec.BoxCodec`.
        alpha, gamma: of the focal loss (section 5.1).
        positive, negative: overlaps between which an anchor learns nothing (section 4, "Anchors").
        confidence, candidates, overlap: scores that are looked at, how many a level, and the overlap of suppression
            (section 4.1, "Inference"). The authors' Detectron looks at all scores of the coarsest level, so that even
            an image of a few pixels has an answer (core/test_retinanet.py); here that level is as the others.
    """

    def __init__(
        self,
        *,
        box_loss: BoxLoss = "smooth_l1",
        match_best: bool = False,
        keep: int = 100,
        suppression: Method = "greedy",
        alpha: float = 0.25,
        gamma: float = 2.0,
        positive: float = 0.5,
        negative: float = 0.4,
        confidence: float = 0.05,
        candidates: int = 1000,
        overlap: float = 0.5,
    ) -> None:
        super().__init__(
            confidence=confidence, overlap=overlap, candidates=candidates, keep=keep, suppression=suppression
        )
        self.box_loss = box_loss
        self.match_best = match_best
        self.alpha = alpha
        self.gamma = gamma
        self.positive = positive
        self.negative = negative

    def named_outputs(self, outputs: RetinaNetOutput) -> dict[str, Tensor]:
        """ "logits_k" [N,h,w,B,K] and "offsets_k" [N,h,w,B,4] of each level k."""
        return named_by_level({"logits": outputs.logits, "offsets": outputs.offsets}, outputs.grids)

    def reader(self, network: nn.Module) -> RetinaNetReader:
        """What reads the outputs of this network."""
        return RetinaNetReader(cast(RetinaNet, network).anchors, CODING, self.selection)

    def reader_of(self, outputs: RetinaNetOutput) -> RetinaNetReader:
        """What reads these outputs."""
        return RetinaNetReader(outputs.shapes, CODING, self.selection)

    def prediction_grid(self, outputs: RetinaNetOutput) -> PredictionGrid:
        """The anchors."""
        return PredictionGrid(outputs.anchors, outputs.grids, compared="box", name="anchors")

    def assign(self, outputs: RetinaNetOutput, encoded: Sequence[BoxTargets]) -> Tensor:
        """[N,A]: the index of the object that an anchor is to answer, -1 (background) or -2 (does not count)."""
        anchors = outputs.anchors
        return torch.stack(
            [
                match_band(
                    targets.boxes,
                    anchors,
                    positive=self.positive,
                    negative=self.negative,
                    best=self.match_best,
                    ignored=targets.ignored,
                )
                for targets in encoded
            ]
        )

    def terms(self, outputs: RetinaNetOutput, encoded: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """ "box" and "class": each image's sums, divided by its matched anchors, and the mean of these over the batch.

        Section 4.1: all anchors but the neutral ones enter the focal loss, and only the matched ones are counted. An
        image without objects has its focal loss whole, for there is no anchor to divide by.
        """
        logits = outputs.logits
        matches = self.assign(outputs, encoded)
        anchors = outputs.anchors
        box, classes = [], []
        for n, (targets, matched) in enumerate(zip(encoded, matches, strict=True)):
            rows = torch.nonzero(matched >= 0).flatten()  # [M]
            objects = matched[rows]
            count = max(1, len(rows))
            target = torch.zeros_like(logits[n])
            target[rows, targets.labels[objects]] = 1
            counted = (matched != NEUTRAL)[:, None]
            focal = sigmoid_focal_loss(logits[n], target, alpha=self.alpha, gamma=self.gamma)  # [A, K]
            classes.append(torch.where(counted, focal, 0).sum() / count)
            box.append(self._box_loss(outputs.offsets[n, rows].float(), anchors[rows], targets.boxes[objects]) / count)
        return {"box": torch.stack(box).mean(), "class": torch.stack(classes).mean()}

    def _box_loss(self, offsets: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
        """The summed box loss of offsets [M,4] of anchors [M,4] matched to boxes [M,4]."""
        if self.box_loss == "giou":
            return (1 - paired_giou(CODING.decode(offsets, anchors), boxes)).sum()
        loss = F.smooth_l1_loss if self.box_loss == "smooth_l1" else F.l1_loss
        return loss(offsets, CODING.encode(boxes, anchors), reduction="sum")


class RetinaNet(nn.Module):
    """[N,C,H,W] -> :class:`RetinaNetOutput`, for images of any size.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with maps of stride 8, 16 and 32.
        classes: K.
        anchors: for the five levels.
        p6: what the level above P5 is made from: the backbone's last map "C5", or "P5".
        width: D.
        codec: reads and writes the outputs.
    """

    head: tuple[str, ...] = ("class_logits",)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        anchors: PyramidAnchors,
        p6: Literal["C5", "P5"],
        width: int,
        codec: RetinaNetCodec,
    ) -> None:
        super().__init__()
        widths = require_maps(backbone, (8, 16, 32), "RetinaNet")
        self.backbone = backbone
        self.channels: Mapping[int, int] = widths
        self.classes = classes
        self.anchors = anchors
        self.p6_from = p6
        self.codec = codec
        self.pyramid = FeaturePyramid(widths, width)
        self.p6 = nn.Conv2d(width if p6 == "P5" else widths[32], width, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        for layer in (self.p6, self.p7):  # as the pyramid's own
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.class_subnet = _subnet(width)
        self.box_subnet = _subnet(width)
        self.class_logits = _gaussian(nn.Conv2d(width, anchors.per_cell * classes, 3, padding=1))
        self.box_offsets = _gaussian(nn.Conv2d(width, anchors.per_cell * 4, 3, padding=1))
        nn.init.constant_(self.class_logits.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(images)
        return {stride: maps[stride] for stride in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> RetinaNetOutput:
        height, width = size
        p3, p4, p5 = self.pyramid(features).values()  # [N, D, H/8, W/8] ...
        p6 = self.p6(p5 if self.p6_from == "P5" else features[32])  # [N, D, H/64, W/64]
        p7 = self.p7(F.relu(p6))  # [N, D, H/128, W/128]
        levels = (p3, p4, p5, p6, p7)
        logits = [_by_anchor(self.class_logits(self.class_subnet(p)), self.classes) for p in levels]
        offsets = [_by_anchor(self.box_offsets(self.box_subnet(p)), 4) for p in levels]
        maps = [(p.shape[2], p.shape[3]) for p in levels]
        grids = self.anchors.grids(maps, (height, width))
        return RetinaNetOutput(torch.cat(logits, 1), torch.cat(offsets, 1), self.anchors, grids, (height, width))

    def forward(self, images: Tensor) -> RetinaNetOutput:
        return self.from_features(self.features(images), images.shape[-2:])


def _subnet(width: int) -> nn.Sequential:
    """[N,D,h,w] -> [N,D,h,w]: four 3x3 convolutions with ReLU, the same for all levels (section 4)."""
    layers: list[nn.Module] = []
    for _ in range(DEPTH):
        layers += [_gaussian(nn.Conv2d(width, width, 3, padding=1)), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _gaussian(layer: nn.Conv2d) -> nn.Conv2d:
    """Weights of deviation 0.01, biases 0 (section 4.1, "Initialization").

    That is for maps of 256 channels. Where they have fewer, weights are larger, so that as much comes through.
    """
    nn.init.normal_(layer.weight, std=0.01 * math.sqrt(256 / layer.in_channels))
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _by_anchor(map_: Tensor, values: int) -> Tensor:
    """[N, B*values, h, w] -> [N, hwB, values], in the order of the anchors."""
    return map_.permute(0, 2, 3, 1).reshape(map_.shape[0], -1, values)


def retinanet(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    p6: Literal["C5", "P5"] = "C5",
    stride_in: StrideIn = "1x1",
    whole_pixels: bool = False,
    box_loss: BoxLoss = "smooth_l1",
    match_best: bool = False,
    anchor_side: Annotated[float, Field(gt=0)] = 4.0,
    width: Count = WIDTH,
    alpha: Share = 0.25,
    gamma: NonNegative = 2.0,
    keep: Count = 100,
    suppression: Method = "greedy",
) -> RetinaNet:
    """RetinaNet on ResNet-50, or on any backbone with maps of stride 8, 16 and 32.

    ``p6``: what P6 is made from. ``stride_in``: of the own ResNet-50, whose first
    pooling is padded by 1 as in the authors' Detectron. ``whole_pixels``: torchvision's anchors.
    ``box_loss``: smooth L1 (beta 1, as Fast R-CNN's; the authors' Detectron has 0.11), L1 of the offsets, or GIoU of
    the boxes. ``match_best``: the best anchors of an object learn it even if they overlap it by less than 0.5.
    ``anchor_side``: the smallest anchors' side in strides; the paper's 4 makes them 32 pixels, 2 is for objects half as
    large. ``width``: channels of the pyramid and of both subnets; a CPU is glad of 64. ``alpha``, ``gamma``: of the
    focal loss. ``keep``: objects an image at most. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such maps.
    """
    if backbone is None:
        backbone = as_backbone(resnet50(classes=1, in_channels=in_channels, stride_in=stride_in, pooling="padded"))
    return RetinaNet(
        backbone,
        classes=classes,
        anchors=PyramidAnchors(side=anchor_side, whole_pixels=whole_pixels),
        p6=p6,
        width=width,
        codec=RetinaNetCodec(
            box_loss=box_loss, match_best=match_best, keep=keep, suppression=suppression, alpha=alpha, gamma=gamma
        ),
    )

"""YOLO v3, and its tiny form.

Redmon, Farhadi: YOLOv3: an incremental improvement, 2018 (arXiv:1804.02767), sections 2.1 to 2.3; where the paper has
no numbers, those of the authors' yolov3.cfg and yolo_layer.c.

Three maps answer, of stride 32, 16 and 8; each finer one sees the coarser one's features, enlarged and joined to the
backbone's own. In every cell three predictors, each with an anchor, answer with a box, the probability of an object,
and that of each class by itself.

Letters: N images, C channels, H x W pixels, K classes, B predictors a cell (3), A predictors of an input (10647 at
416 x 416).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.layers.leaky_convolution import LeakyConvolution
from visus.models.backbone_maps import as_backbone, require_maps
from visus.models.classification.darknet53 import darknet53
from visus.models.classification.input_checks import check_batch
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.yolo_output import (
    AnchorCodec,
    Anchors,
    Share,
    YOLOOutput,
    check_size,
    fitting_size,
    shared_out,
    yolo_output,
)
from visus.models.protocols import Backbone
from visus.models.segmentation.alignment import resized
from visus.ops.cell_boxes import Anchor
from visus.ops.matching import NEUTRAL
from visus.ops.suppression import Method

# Section 2.3, found on COCO: width and height in pixels.
ANCHORS: tuple[Anchor, ...] = (
    *((10, 13), (16, 30), (33, 23)),
    *((30, 61), (62, 45), (59, 119)),
    *((116, 90), (156, 198), (373, 326)),
)
# yolov3-tiny.cfg at first gave its finer map the anchors 1, 2, 3 of (10, 14), (23, 27), (37, 58), (81, 82) ..., not
# 0, 1, 2 as it does today, and the released weights were trained so, as their author says (pjreddie/darknet#764): with
# 0, 1, 2 they reach 0.178 on COCO instead of 0.332 (ultralytics/yolov3#256). Objects of the shape that both maps have
# are learned by the coarser one here, by both there.
TINY_ANCHORS: Mapping[str, tuple[Anchor, ...]] = {
    "released": ((23, 27), (37, 58), (81, 82), (81, 82), (135, 169), (344, 319)),
    "corrected": ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)),  # yolov3-tiny.cfg since August 2018
}


class YOLOv3Codec(AnchorCodec):
    """The loss of YOLO v3, and the decoding of its outputs.

    Args:
        anchors: of all levels, from coarse to fine.
        ignore: a predictor without an object is not told so where its box overlaps one by more than this (section 2.1:
            0.5; the released yolov3.cfg: 0.7). As in yolo_layer.c the predicted box is compared, not its anchor.
        suppression: of :class:`~visus.models.detection.box_codec.BoxCodec`.
    """

    def __init__(self, anchors: Sequence[Anchor], *, ignore: float = 0.5, suppression: Method = "greedy") -> None:
        super().__init__(anchors, ignore=ignore, suppression=suppression)

    def terms(self, outputs: YOLOOutput, encoded: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """ "box", "object" and "class": sums over an image's predictors, means over the images.

        Their gradients are those that yolo_layer.c states, target minus answer: squared error of tw and th, and
        cross-entropy of sigmoid(tx) and sigmoid(ty), of the object and of each class. Boxes count the more the smaller
        they are, by 2 - their share of the image. Without objects "box" and "class" are 0.
        """
        pixels = outputs.size[0] * outputs.size[1]
        boxes, objects, classes = [], [], []
        for n, targets in enumerate(encoded):
            assignment = self.assigned(outputs, n, targets)
            rows = assignment.rows  # [M]
            values = outputs.values[n].float()  # [A, 5+K]
            answers, matched_boxes = values[rows], targets.boxes[assignment.matches[rows]]  # [M, 5+K], [M, 4]
            target = outputs.cell_boxes.encode(matched_boxes, rows)  # [M, 4]
            sides = matched_boxes[:, 2:] - matched_boxes[:, :2]
            weight = 2 - sides.prod(-1, keepdim=True) / pixels  # [M, 1]
            boxes.append((weight * _divergence(answers[:, :2], target[:, :2])).sum())
            boxes[-1] = boxes[-1] + (weight * (answers[:, 2:4] - target[:, 2:]) ** 2).sum() / 2
            is_object = (assignment.matches >= 0).float()
            object_loss = F.binary_cross_entropy_with_logits(values[:, 4], is_object, reduction="none")  # [A]
            objects.append(torch.where(assignment.matches == NEUTRAL, 0, object_loss).sum())
            target_classes = torch.zeros_like(values[:, 5:])
            target_classes[assignment.all_rows, targets.labels[assignment.all_objects]] = (
                1  # two objects, one predictor: both their classes
            )
            classes.append(
                F.binary_cross_entropy_with_logits(
                    answers[:, 5:], target_classes[rows], reduction="none"
                ).sum()  # [M, K]
            )
        terms = {"box": boxes, "object": objects, "class": classes}
        return {name: torch.stack(term).mean() for name, term in terms.items()}


def _divergence(logits: Tensor, shares: Tensor) -> Tensor:
    """The cross-entropy of sigmoid(logits) with shares in [0, 1], less its least value: 0 where both agree."""
    least = torch.special.entr(shares) + torch.special.entr(1 - shares)
    divergence: Tensor = F.binary_cross_entropy_with_logits(logits, shares, reduction="none") - least
    return divergence


class Scale(nn.Module):
    """The predictions on one map.

    Args:
        in_channels: of the backbone's map.
        block: (channels, kernel) of the convolutions up to where the next finer map branches off.
        widened: channels of the 3x3 convolution before the answer.
        values: B * (5 + K).
        above: channels where the coarser map branches off; 0: there is none.
        narrowed: channels to which these are brought before they are enlarged.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        block: Sequence[tuple[int, int]],
        widened: int,
        values: int,
        above: int = 0,
        narrowed: int = 0,
    ) -> None:
        super().__init__()
        self.route = LeakyConvolution(above, narrowed, 1) if above else None
        width = in_channels + (narrowed if above else 0)
        layers = []
        for channels, kernel in block:
            layers.append(LeakyConvolution(width, channels, kernel))
            width = channels
        self.block = nn.Sequential(*layers)
        self.branch = width
        self.widen = LeakyConvolution(width, widened, 3)
        self.predict = nn.Conv2d(widened, values, 1)
        nn.init.kaiming_normal_(self.predict.weight, nonlinearity="relu")  # as Darknet draws every convolution's
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
        """The raw answers [N,values,h,w], and the map [N,branch,h,w] for the next finer scale."""
        if self.route is not None and above is not None:
            larger = F.interpolate(self.route(above), scale_factor=2.0, mode="nearest")  # [N, narrowed, h, w]
            x = torch.cat([larger, x], 1)  # [N, narrowed + in_channels, h, w]
        branch = self.block(x)  # [N, branch, h, w]
        return self.predict(self.widen(branch)), branch


class YOLOv3(nn.Module):
    """[N,C,H,W] -> :class:`~visus.models.detection.yolo_output.YOLOOutput`, for H and W that are multiples of 32.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with maps of the strides.
        strides: of the maps that answer, from coarse to fine.
        scales: for these maps, with their predictors.
        anchors: of each of these maps.
        codec: reads and writes the outputs.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        strides: Sequence[int],
        scales: Sequence[Scale],
        anchors: Sequence[Sequence[Anchor]],
        codec: YOLOv3Codec,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.strides = tuple(strides)
        self.scales = nn.ModuleList(scales)
        self.anchors = tuple(tuple(level) for level in anchors)
        self.channels: Mapping[int, int] = require_maps(backbone, self.strides, "YOLO v3")
        self.head: tuple[str, ...] = tuple(f"scales.{k}.predict" for k in range(len(scales)))
        self.codec = codec

    def answer_widths(self, classes: int) -> dict[str, int]:
        """How many values each answering layer gives in each cell for so many classes."""
        return {name: len(level) * (5 + classes) for name, level in zip(self.head, self.anchors, strict=True)}

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The nearest input (height, width), not smaller."""
        return fitting_size(size)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        height, width = check_size("YOLO v3", images)
        check_batch(images, 33, learns=self.training)
        maps = cast(Backbone, self.backbone).features(images)
        return {s: resized(maps[s], (height // s, width // s)) for s in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> YOLOOutput:
        height, width = size
        answers, above = [], None
        for stride, scale in zip(self.strides, self.scales, strict=True):
            answer, above = scale(features[stride], above)  # [N, B(5+K), H/stride, W/stride]
            answers.append(answer)
        return yolo_output(answers, self.anchors, (height, width), exclusive=False)  # [N, A, 5+K]

    def forward(self, images: Tensor) -> YOLOOutput:
        return self.from_features(self.features(images), images.shape[-2:])


class TinyYOLOv3Backbone(nn.Module):
    """The first 13 layers of yolov3-tiny.cfg. [N,C,H,W] -> {16: [N,256,H/16,W/16], 32: [N,1024,H/32,W/32]}.

    Args:
        in_channels: C.
    """

    channels: Mapping[int, int] = {16: 256, 32: 1024}
    head: tuple[str, ...] = ()

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for width in (16, 32, 64, 128, 256):
            layers += [LeakyConvolution(before, width, 3), nn.MaxPool2d(2)]
            before = width
        self.fine = nn.Sequential(*layers[:-1])  # layers 0 to 8
        self.coarse = nn.Sequential(
            layers[-1],
            LeakyConvolution(256, 512, 3),
            nn.ConstantPad2d((0, 1, 0, 1), -torch.inf),  # so that the pooling of stride 1 keeps the size
            nn.MaxPool2d(2, stride=1),
            LeakyConvolution(512, 1024, 3),
        )

    def features(self, images: Tensor) -> dict[int, Tensor]:
        fine = self.fine(images)  # [N, 256, H/16, W/16]
        return {16: fine, 32: self.coarse(fine)}  # [N, 1024, H/32, W/32]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


def yolov3(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    anchors: Anchors = ANCHORS,
    ignore: Share = 0.5,
    suppression: Method = "greedy",
) -> YOLOv3:
    """YOLO v3 on Darknet-53, or on any backbone with maps of stride 8, 16 and 32.

    ``anchors``: (width, height) in pixels, three for each map or another multiple of three; ``visus data anchors``
    finds those of own data. ``ignore``: overlap with an object above which a predictor is not told that it sees none
    (yolov3.cfg: 0.7). ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        RecipeError: if the three maps cannot have equally many anchors.
        TaskMismatchError: if the backbone lacks such maps.
    """
    if backbone is None:
        backbone = as_backbone(darknet53(classes=1, in_channels=in_channels))
    strides = (32, 16, 8)
    levels = shared_out(anchors, len(strides), "YOLO v3")
    widths = require_maps(backbone, strides, "YOLO v3")
    scales: list[Scale] = []
    for stride, narrow in zip(strides, (512, 256, 128), strict=True):
        scale = Scale(
            widths[stride],
            block=((narrow, 1), (2 * narrow, 3), (narrow, 1), (2 * narrow, 3), (narrow, 1)),
            widened=2 * narrow,
            values=len(levels[0]) * (5 + classes),
            above=scales[-1].branch if scales else 0,
            narrowed=narrow,
        )
        scales.append(scale)
    codec = YOLOv3Codec([anchor for level in levels for anchor in level], ignore=ignore, suppression=suppression)
    return YOLOv3(backbone, strides=strides, scales=scales, anchors=levels, codec=codec)


def yolov3_tiny(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    anchors: Anchors | Literal["released", "corrected"] = "released",
    ignore: Share = 0.5,
    suppression: Method = "greedy",
) -> YOLOv3:
    """The tiny form: seven convolutions, and answers from two maps; or on any backbone with maps of stride 16 and 32.

    ``anchors``: those of the released weights, those of today's yolov3-tiny.cfg ("corrected"), or (width, height) in
    pixels, three for each map or another multiple of two. ``ignore``, ``suppression``: as in :func:`yolov3`.

    Raises:
        RecipeError: if the two maps cannot have equally many anchors.
        TaskMismatchError: if the backbone lacks such maps.
    """
    if backbone is None:
        backbone = TinyYOLOv3Backbone(in_channels)
    strides = (32, 16)
    shapes = TINY_ANCHORS[anchors] if isinstance(anchors, str) else anchors
    levels = shared_out(shapes, len(strides), "YOLO v3's tiny form")
    widths = require_maps(backbone, strides, "YOLO v3's tiny form")
    values = len(levels[0]) * (5 + classes)
    scales = (
        Scale(widths[32], block=((256, 1),), widened=512, values=values),
        Scale(widths[16], block=(), widened=256, values=values, above=256, narrowed=128),
    )
    codec = YOLOv3Codec([anchor for level in levels for anchor in level], ignore=ignore, suppression=suppression)
    return YOLOv3(backbone, strides=strides, scales=scales, anchors=levels, codec=codec)

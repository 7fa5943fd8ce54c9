"""YOLO v2.

Redmon, Farhadi: YOLO9000: better, faster, stronger, CVPR 2017 (arXiv:1612.08242), section 2; where the paper has no
numbers, those of the authors' yolo-voc.cfg and region_layer.c.

The last map of Darknet-19, three more convolutions, and a "passthrough" that lays the positions of a map twice as fine
on top of one another as channels; in every cell each anchor answers with a box, how well it fits, and one class.

Editions. ``paper``: the passthrough takes the whole map, 26 x 26 x 512 becoming 13 x 13 x 2048. ``darknet-voc`` and
``darknet-coco``: the networks released since March 2017, which narrow it to 64 channels first, and whose reorganisation
reads the map's memory as if it had a quarter of the channels and twice the sides. ``darknet-voc-2016`` and
``darknet-coco-2016``: the first release, yolo-voc.2.0.cfg and yolo.2.0.cfg: the whole map, reorganised so, and other
anchors.

The weight of a box in the loss is a choice, too. "equal": each counts once. "small_more": by 2 - w h, with the sides as
shares of the image's, so that small objects count up to twice. region_layer.c has this since commit 60e952b of 26 March
2017, which also brought the cfgs that are now called yolov2-voc.cfg and yolov2.cfg: the two released editions have it.
The paper is silent, and of December 2016, when region_layer.c had no such weight: ``paper`` has none.

Letters: N images, C channels, H x W pixels, K classes, B anchors (5), A predictors of an input (845 at 416 x 416).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.layers.leaky_convolution import LeakyConvolution
from visus.models.backbone_maps import as_backbone, require_maps
from visus.models.classification.darknet19 import darknet19
from visus.models.classification.input_checks import check_batch
from visus.models.detection.box_targets import BoxTargets
from visus.models.detection.yolo_output import (
    STRIDE,
    AnchorCodec,
    Anchors,
    Share,
    YOLOOutput,
    check_size,
    fitting_size,
    yolo_output,
)
from visus.models.protocols import Backbone
from visus.models.segmentation.alignment import resized
from visus.ops.boxes import box_iou
from visus.ops.cell_boxes import Anchor
from visus.ops.matching import BACKGROUND
from visus.ops.suppression import Method

Passthrough = Literal["whole", "whole-darknet", "narrow"]
"""Of the finer map: all of its channels, or 64 made from them; all but the first reorganised as Darknet does."""

BoxWeight = Literal["equal", "small_more"]
"""Of an object's box in the loss: 1, or 2 - its share of the image."""

NARROWED = 64
WIDTH = 1024


def in_pixels(cells: Sequence[Anchor]) -> tuple[Anchor, ...]:
    """Converts anchors from cells, as in the cfg files, to pixels."""
    return tuple((width * STRIDE, height * STRIDE) for width, height in cells)


VOC_ANCHORS = in_pixels(
    ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
)  # yolo-voc.cfg
COCO_ANCHORS = in_pixels(
    ((0.57273, 0.677385), (1.87446, 2.06253), (3.33843, 5.47434), (7.88282, 3.52778), (9.77052, 9.16828))
)  # yolov2.cfg
VOC_2016_ANCHORS = in_pixels(
    ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))
)  # yolo-voc.2.0.cfg
COCO_2016_ANCHORS = in_pixels(
    ((0.738768, 0.874946), (2.42204, 2.65704), (4.30971, 7.04493), (10.246, 4.59428), (12.6868, 11.8741))
)  # yolo.2.0.cfg
ANCHORS: Mapping[str, tuple[Anchor, ...]] = {
    "voc": VOC_ANCHORS,
    "coco": COCO_ANCHORS,
    "voc-2016": VOC_2016_ANCHORS,
    "coco-2016": COCO_2016_ANCHORS,
}


class YOLOv2Codec(AnchorCodec):
    """The loss of YOLO v2, and the decoding of its outputs.

    Args:
        anchors: (width, height) in pixels.
        ignore: a predictor without an object is not told so where its box overlaps one by more than this (the cfg's
            ``thresh``).
        object_scale: weight of the confidence of predictors that have an object (the cfg's name).
        box_weight: of an object's box; see above.
        suppression: of :class:`~visus.models.detection.box_codec.BoxCodec`.
    """

    exclusive = True

    def __init__(
        self,
        anchors: Sequence[Anchor],
        *,
        ignore: float = 0.6,
        object_scale: float = 5.0,
        box_weight: BoxWeight = "equal",
        suppression: Method = "greedy",
    ) -> None:
        super().__init__(anchors, ignore=ignore, suppression=suppression)
        self.object_scale = object_scale
        self.box_weight = box_weight

    def terms(self, outputs: YOLOOutput, encoded: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """ "box", "object" and "class": sums over an image's predictors, means over the images.

        Half the squared errors of sigmoid(tx), sigmoid(ty), tw and th, times ``box_weight``; of the confidence, which
        is to be the overlap of the predicted box with its object, five times, and 0 where there is none; and
        cross-entropy of the softmax. The gradients are those of region_layer.c: with "equal" until 26 March 2017, with
        "small_more" since. Without objects "box" and "class" are 0.

        Left out is what region_layer.c does while the first 12,800 images are seen, and of which the paper says
        nothing: it draws all predictors without an object towards their anchors, at a weight of 0.01. Under the burn-in
        of the released cfgs these 200 steps are together as long as 0.065 of a step at the full rate.
        """
        pixels = outputs.size[0] * outputs.size[1]
        boxes, objects, classes = [], [], []
        for n, targets in enumerate(encoded):
            assignment = self.assigned(outputs, n, targets)
            rows = assignment.rows  # [M]
            matched = assignment.matches[rows]  # [M], their objects
            values = outputs.values[n].float()  # [A, 5+K]
            answers, matched_boxes = values[rows], targets.boxes[matched]  # [M, 5+K], [M, 4]
            target = outputs.cell_boxes.encode(matched_boxes, rows)  # [M, 4]
            predicted = torch.cat([answers[:, :2].sigmoid(), answers[:, 2:4]], 1)
            errors = ((predicted - target) ** 2).sum(-1) / 2  # [M]
            if self.box_weight == "small_more":
                errors = errors * (2 - (matched_boxes[:, 2:] - matched_boxes[:, :2]).prod(-1) / pixels)
            boxes.append(errors.sum())
            with torch.no_grad():
                predicted_boxes = outputs.cell_boxes.decode(values[:, :4])[rows]
                iou = box_iou(predicted_boxes, matched_boxes).diagonal()  # [M]
            confidence = values[:, 4].sigmoid()  # [A]
            empty = assignment.matches == BACKGROUND
            missed = (confidence[rows] - iou) ** 2
            objects.append((torch.where(empty, confidence**2, 0).sum() + self.object_scale * missed.sum()) / 2)
            classes.append(F.cross_entropy(answers[:, 5:], targets.labels[matched], reduction="sum"))
        terms = {"box": boxes, "object": objects, "class": classes}
        return {name: torch.stack(term).mean() for name, term in terms.items()}


class Reorganisation(nn.Module):
    """[N,C,H,W] -> [N,4C,H/2,W/2]: the four pixels of each 2x2 square become channels.

    Args:
        as_darknet: as darknet's reorg_cpu, which takes the memory of C x H x W for that of C/4 x 2H x 2W, and what
            comes out, C x H x W, for 4C x H/2 x W/2. The released weights were trained with it.
    """

    def __init__(self, *, as_darknet: bool) -> None:
        super().__init__()
        self.as_darknet = as_darknet

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        if self.as_darknet:
            x = x.reshape(n, channels // 4, height, 2, width, 2)  # [N, C/4, H, 2, W, 2]
            return x.permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * channels, height // 2, width // 2)
        x = x.reshape(n, channels, height // 2, 2, width // 2, 2)  # [N, C, H/2, 2, W/2, 2]
        return x.permute(0, 3, 5, 1, 2, 4).reshape(n, 4 * channels, height // 2, width // 2)

    def extra_repr(self) -> str:
        return f"as_darknet={self.as_darknet}"


class YOLOv2(nn.Module):
    """[N,C,H,W] -> :class:`~visus.models.detection.yolo_output.YOLOOutput`, for H and W that are multiples of 32.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` with maps of stride 16 and 32.
        classes: K.
        passthrough: see above.
        codec: reads and writes the outputs.
    """

    head: tuple[str, ...] = ("predict",)

    def __init__(self, backbone: nn.Module, *, classes: int, passthrough: Passthrough, codec: YOLOv2Codec) -> None:
        super().__init__()
        widths = require_maps(backbone, (16, 32), "YOLO v2")
        self.backbone = backbone
        self.channels: Mapping[int, int] = widths
        self.deep = nn.Sequential(LeakyConvolution(widths[32], WIDTH, 3), LeakyConvolution(WIDTH, WIDTH, 3))
        narrowed = NARROWED if passthrough == "narrow" else widths[16]
        self.narrow = LeakyConvolution(widths[16], NARROWED, 1) if passthrough == "narrow" else nn.Identity()
        self.reorganise = Reorganisation(as_darknet=passthrough != "whole")
        self.join = LeakyConvolution(4 * narrowed + WIDTH, WIDTH, 3)
        self.predict = nn.Conv2d(WIDTH, len(codec.anchors) * (5 + classes), 1)
        nn.init.kaiming_normal_(self.predict.weight, nonlinearity="relu")  # as Darknet draws every convolution's
        nn.init.zeros_(self.predict.bias)  # type: ignore[arg-type]
        self.codec = codec
        self.anchors = (codec.anchors,)

    def answer_widths(self, classes: int) -> dict[str, int]:
        """How many values the last layer gives in each cell for so many classes."""
        return {"predict": len(self.codec.anchors) * (5 + classes)}

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The nearest input (height, width), not smaller."""
        return fitting_size(size)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        height, width = check_size("YOLO v2", images)
        check_batch(images, 33, learns=self.training)
        maps = cast(Backbone, self.backbone).features(images)
        return {s: resized(maps[s], (height // s, width // s)) for s in (16, 32)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> YOLOOutput:
        height, width = size
        x = self.deep(features[32])  # [N, 1024, H/32, W/32]
        fine = self.reorganise(self.narrow(features[16]))  # [N, 256 or 2048, H/32, W/32]
        x = self.join(torch.cat([fine, x], 1))  # [N, 1024, H/32, W/32]
        return yolo_output([self.predict(x)], self.anchors, (height, width), exclusive=True)  # [N, A, 5+K]

    def forward(self, images: Tensor) -> YOLOOutput:
        return self.from_features(self.features(images), images.shape[-2:])


def yolov2(
    *,
    classes: int,
    in_channels: int,
    backbone: nn.Module | None = None,
    passthrough: Passthrough = "whole",
    anchors: Anchors | Literal["voc", "coco", "voc-2016", "coco-2016"] = "voc",
    ignore: Share = 0.6,
    box_weight: BoxWeight = "equal",
    suppression: Method = "greedy",
) -> YOLOv2:
    """YOLO v2 on Darknet-19, or on any backbone with maps of stride 16 and 32.

    ``passthrough``: the finer map whole, as in the paper, whole as first released, or narrowed to 64 channels, as
    released since. ``anchors``: those of a released cfg file for VOC or COCO, or (width, height) in pixels, any number;
    ``visus data anchors`` finds those of own data. ``ignore``: overlap with an object above which a predictor is not
    told that it sees none. ``box_weight``: "equal" as when the paper was written, or "small_more" as released later:
    small boxes count up to twice in the loss. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".

    Raises:
        TaskMismatchError: if the backbone lacks such maps.
    """
    if backbone is None:
        backbone = as_backbone(darknet19(classes=1, in_channels=in_channels))
    shapes = ANCHORS[anchors] if isinstance(anchors, str) else anchors
    codec = YOLOv2Codec(shapes, ignore=ignore, box_weight=box_weight, suppression=suppression)
    return YOLOv2(backbone, classes=classes, passthrough=passthrough, codec=codec)

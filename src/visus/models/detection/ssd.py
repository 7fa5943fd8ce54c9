"""SSD: Single Shot MultiBox Detector. Liu, Anguelov, Erhan, Szegedy, Reed, Fu, Berg; ECCV 2016, arXiv:1512.02325.

One pass gives, for every default box of several maps, the scores of all classes and four offsets of the box.

Shapes: N images, C channels, H x W pixels, K classes (without background), A default boxes of an input (8732 at
300 x 300), B default boxes around a cell, D depth and h x w size of one map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.ssd import SSDReader
from visus.errors import RecipeError, ShapeError
from visus.losses.multibox import multibox_loss
from visus.models.backbone_maps import channels_of, require_maps
from visus.models.detection.box_codec import BoxCodec, named_by_level
from visus.models.detection.box_targets import BoxTargets
from visus.models.protocols import Backbone
from visus.ops.box_coding import BoxCoding
from visus.ops.default_boxes import DefaultBoxes, linear_scales
from visus.ops.matching import NEUTRAL, match
from visus.ops.prediction_grid import Grid, PredictionGrid
from visus.ops.suppression import Method

CODING = BoxCoding(variances=(0.1, 0.1, 0.2, 0.2))  # of the released code; the paper has them in no equation

SCALES = {  # shares of the input's side: the percentages of the released ssd_pascal.py and ssd_coco.py
    "voc": (0.10, 0.20, 0.37, 0.54, 0.71, 0.88, 1.05),  # section 3.1: 30, 60, 111, 162, 213, 264, (315) pixels
    "coco": (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05),  # section 3.4: smaller objects; 21, 45, 99 ... pixels
}
SCALES_512 = {  # likewise, of 512 pixels; the released code cuts the sizes to whole pixels
    "voc": (0.07, 0.15, 0.30, 0.45, 0.60, 0.75, 0.90, 1.05),  # section 3.1: 0.07 and from 0.15 on
    "coco": (0.04, 0.10, 0.26, 0.42, 0.58, 0.74, 0.90, 1.06),  # section 3.4: 0.04 and from 0.1 on
}


class SSDOutput(NamedTuple):
    """Raw outputs, and the data that decoding needs.

    Args:
        logits: [N,A,1+K]; class 0 is background.
        offsets: [N,A,4], encoded against the default boxes.
        shapes: of the default boxes.
        size: (height, width) of the input.
        grids: the cells of each map.
    """

    logits: Tensor
    offsets: Tensor
    shapes: DefaultBoxes
    size: tuple[int, int]
    grids: tuple[Grid, ...]

    @property
    def default_boxes(self) -> Tensor:
        """[A,4] float32 xyxy in network pixels; made at each call."""
        maps = [(grid.rows, grid.columns) for grid in self.grids]
        return self.shapes.place(maps, self.size, self.logits.device)

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logits of the classes, without background."""
        return self.logits[..., 1:].float()

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""
        return CODING.decode(self.offsets.float(), self.default_boxes)


class SSDCodec(BoxCodec):
    """The loss of SSD, and the decoding of its outputs.

    Args:
        matching: overlap above which a default box learns an object (section 2.2).
        negatives: background boxes for one matched box (section 2.2).
        confidence, overlap, suppression: of :class:`~visus.models.detection.box_codec.BoxCodec` (section 3.7).
    """

    def __init__(
        self,
        *,
        matching: float = 0.5,
        negatives: float = 3.0,
        confidence: float = 0.01,
        overlap: float = 0.45,
        suppression: Method = "greedy",
    ) -> None:
        # 200 objects an image: section 3.7; of 400 candidates a class: the released code
        super().__init__(confidence=confidence, overlap=overlap, candidates=400, keep=200, suppression=suppression)
        self.matching = matching
        self.negatives = negatives

    def named_outputs(self, outputs: SSDOutput) -> dict[str, Tensor]:
        """ "logits_k" [N,h,w,B,1+K] and "offsets_k" [N,h,w,B,4] of each map k."""
        return named_by_level({"logits": outputs.logits, "offsets": outputs.offsets}, outputs.grids)

    def reader(self, network: nn.Module) -> SSDReader:
        """What reads the outputs of this network."""
        return SSDReader(cast(SSD, network).default_boxes, CODING, self.selection)

    def reader_of(self, outputs: SSDOutput) -> SSDReader:
        """What reads these outputs."""
        return SSDReader(outputs.shapes, CODING, self.selection)

    def prediction_grid(self, outputs: SSDOutput) -> PredictionGrid:
        """The default boxes."""
        return PredictionGrid(outputs.default_boxes, outputs.grids, compared="box", name="default boxes")

    def assign(self, outputs: SSDOutput, encoded: Sequence[BoxTargets]) -> Tensor:
        """[N,A]: the index of the object that a default box learns, -1 (background) or -2 (does not count)."""
        boxes = outputs.default_boxes
        return torch.stack(
            [match(targets.boxes, boxes, threshold=self.matching, ignored=targets.ignored) for targets in encoded]
        )

    def targets(self, outputs: SSDOutput, encoded: Sequence[BoxTargets]) -> tuple[Tensor, Tensor]:
        """What each default box learns: labels [N,A] (0 background, -1 does not count) and offsets [N,A,4]."""
        matches = self.assign(outputs, encoded)
        labels = torch.zeros_like(matches).masked_fill(matches == NEUTRAL, -1)
        boxes = outputs.default_boxes
        offsets = boxes.new_zeros((*matches.shape, 4))
        for n, targets in enumerate(encoded):
            rows = torch.nonzero(matches[n] >= 0).flatten()
            objects = matches[n, rows]
            labels[n, rows] = targets.labels[objects] + 1
            offsets[n, rows] = CODING.encode(targets.boxes[objects], boxes[rows])
        return labels, offsets

    def terms(self, outputs: SSDOutput, encoded: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """ "box" and "class"; both 0 for a batch without objects."""
        labels, offsets = self.targets(outputs, encoded)
        return multibox_loss(outputs.logits, outputs.offsets, labels, offsets, negatives=self.negatives)


class SSD(nn.Module):
    """A backbone, extra layers for coarser maps, and two small convolutions on each map.

    Args:
        backbone: a :class:`~visus.models.protocols.Backbone` that gives the first maps.
        strides: the backbone's maps to use, from fine to coarse.
        extras: layers from the last of these maps to each coarser one.
        depths: the channels of all M maps.
        default_boxes: for these M maps.
        classes: K, without background.
        head: prefixes of parameters that transfer leaves behind.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        strides: tuple[int, ...],
        extras: Sequence[nn.Module],
        depths: Sequence[int],
        default_boxes: DefaultBoxes,
        classes: int,
        head: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.strides = strides
        self.extras = nn.ModuleList(extras)
        self.default_boxes = default_boxes
        self.classes = classes
        counts = list(zip(depths, default_boxes.per_cell, strict=True))
        self.class_heads = nn.ModuleList(nn.Conv2d(d, b * (classes + 1), 3, padding=1) for d, b in counts)
        self.box_heads = nn.ModuleList(nn.Conv2d(d, b * 4, 3, padding=1) for d, b in counts)
        self.channels = dict(zip(strides, depths, strict=False))  # extras have depths, no strides
        self.head = head
        self.codec = SSDCodec()
        for part in (self.extras, self.class_heads, self.box_heads):
            part.apply(_initialise)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = cast(Backbone, self.backbone).features(images)
        return {stride: maps[stride] for stride in self.strides}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> SSDOutput:
        height, width = size
        maps = [features[stride] for stride in self.strides]
        for extra in self.extras:
            maps.append(extra(maps[-1]))  # [N, D, h, w], about half as high and wide as the one before
        logits = [_by_box(head(map_), self.classes + 1) for head, map_ in zip(self.class_heads, maps, strict=True)]
        offsets = [_by_box(head(map_), 4) for head, map_ in zip(self.box_heads, maps, strict=True)]
        cells = [(m.shape[2], m.shape[3]) for m in maps]
        grids = self.default_boxes.grids(cells, (height, width))
        return SSDOutput(torch.cat(logits, 1), torch.cat(offsets, 1), self.default_boxes, (height, width), grids)

    def forward(self, images: Tensor) -> SSDOutput:
        return self.from_features(self.features(images), images.shape[-2:])


def _by_box(map_: Tensor, values: int) -> Tensor:
    """[N, B*values, h, w] -> [N, hwB, values], in the order of the default boxes."""
    return map_.permute(0, 2, 3, 1).reshape(map_.shape[0], -1, values)


def _initialise(module: nn.Module) -> None:
    """Draws weights by the "xavier" method (section 3, on the new layers); biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class L2Norm(nn.Module):
    """Scales the channels at each position to length 1, then each channel by a learned factor (section 3.1)."""

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, map_: Tensor) -> Tensor:
        return F.normalize(map_, dim=1) * self.scale[:, None, None]


class ReducedVGG16(nn.Module):
    """VGG-16 to conv5_3, with fc6 and fc7 as convolutions of a quarter of the width (section 3).

    pool3 rounds up (75 -> 38), pool5 is 3x3 with stride 1, fc6 has holes of 6; dropout and fc8 are gone.

    Args:
        in_channels: C.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.channels = {8: 512, 16: 1024}
        self.head: tuple[str, ...] = ()
        self.conv1 = _stage(in_channels, 64, 2)  # conv1_1, conv1_2
        self.conv2 = _stage(64, 128, 2)
        self.conv3 = _stage(128, 256, 3)
        self.conv4 = _stage(256, 512, 3)
        self.norm4_3 = L2Norm(512)
        self.conv5 = _stage(512, 512, 3)
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=6, dilation=6)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.pool1 = nn.MaxPool2d(2)
        self.pool2 = nn.MaxPool2d(2)
        self.pool3 = nn.MaxPool2d(2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(2)
        self.pool5 = nn.MaxPool2d(3, stride=1, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015: from Xavier's smaller values 15 layers do not start
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        x = self.pool1(self.conv1(images))  # [N, 64, H/2, W/2]
        x = self.pool2(self.conv2(x))  # [N, 128, H/4, W/4]
        x = self.pool3(self.conv3(x))  # [N, 256, H/8, W/8]
        conv4_3 = self.conv4(x)  # [N, 512, H/8, W/8]
        x = self.conv5(self.pool4(conv4_3))  # [N, 512, H/16, W/16]
        x = F.relu(self.fc6(self.pool5(x)))  # [N, 1024, H/16, W/16]
        fc7 = F.relu(self.fc7(x))  # [N, 1024, H/16, W/16]
        return {8: self.norm4_3(conv4_3), 16: fc7}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


def _stage(in_channels: int, out_channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number in range(depth):
        layers.append(nn.Conv2d(in_channels if number == 0 else out_channels, out_channels, 3, padding=1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _extra(in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 2, padding: int = 1) -> nn.Sequential:
    """A narrow 1x1 convolution, then a 3x3 one that shrinks the map (figure 2)."""
    narrow = out_channels // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, narrow, 1),
        nn.ReLU(),
        nn.Conv2d(narrow, out_channels, kernel, stride=stride, padding=padding),
        nn.ReLU(),
    )


class PublishedSSD(SSD):
    """SSD on the reduced VGG-16, with the extra layers of figure 2; the base of SSD300 and SSD512.

    Args:
        name: for errors.
        extras: the layers behind fc7.
        default_boxes: for all maps.
        classes: K, without background.
        in_channels: C.
    """

    # 268 -> 134 -> 67 -> 34 -> 17 -> 9 -> 5 cells, which SSD300's two unpadded 3x3 layers make 3 and 1; SSD512 goes on
    # to 3 and 2 cells, which its last, 4x4 layer makes 1
    smallest_side = 268

    def __init__(
        self, name: str, extras: Sequence[nn.Module], default_boxes: DefaultBoxes, *, classes: int, in_channels: int
    ) -> None:
        super().__init__(
            ReducedVGG16(in_channels),
            strides=(8, 16),
            extras=extras,
            depths=(512, 1024, 512, *(256,) * (len(extras) - 1)),
            default_boxes=default_boxes,
            classes=classes,
            head=("class_heads",),
        )
        self.name = name

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The smallest input (height, width), not below ``size``, that the unpadded last layers can take."""
        return max(size[0], self.smallest_side), max(size[1], self.smallest_side)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        size = (images.shape[2], images.shape[3])
        fitting = self.fitting_size(size)
        if size != fitting:
            raise ShapeError(
                f"the input is too small for {self.name}'s last layers",
                expected=f"at least {self.smallest_side}x{self.smallest_side}",
                got=f"{size[0]}x{size[1]}",
                remedy=f"use {fitting[0]}x{fitting[1]}, or SSD on another backbone",
            )
        return super().features(images)


def _ssd300(*, classes: int, in_channels: int, scales: tuple[float, ...], clip_sides: bool) -> PublishedSSD:
    """SSD300 as published (figure 2, sections 3 and 3.1). ``scales``: 7 shares of the input's sides."""
    extras = [
        _extra(1024, 512),  # conv8_2 of figure 2
        _extra(512, 256),  # conv9_2
        _extra(256, 256, stride=1, padding=0),  # conv10_2
        _extra(256, 256, stride=1, padding=0),  # conv11_2
    ]
    boxes = DefaultBoxes(
        scales=scales,
        aspect_ratios=((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),  # section 3.1: 4 or 6 boxes a cell
        steps=(8, 16, 32, 64, None, None),  # at 300 pixels the last two are 100 and 300
        clip_sides=clip_sides,
    )
    return PublishedSSD("SSD300", extras, boxes, classes=classes, in_channels=in_channels)


def ssd512(
    *,
    classes: int,
    in_channels: int,
    scales: Literal["voc", "coco"] = "voc",
    whole_pixels: bool = False,
    suppression: Method = "greedy",
) -> PublishedSSD:
    """SSD512 on VGG-16: one more map than SSD300 (conv12_2), and boxes at 64 x 64 positions of the finest.

    The paper says so much (section 3.1), and has no figure of it. The layers behind fc7 are those of public copies of
    its script, ssd_pascal_512.py; the authors' own branch has a script of SSD300 alone.

    ``scales``: "voc" or "coco" (smaller boxes): sizes of the paper's default boxes. ``whole_pixels``: these sizes are
    cut to whole pixels at 512, 35.84 to 35, as the released prior_box_layer.cpp does and its weights were trained.
    ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".
    """
    extras = [
        _extra(1024, 512),  # conv8_2
        _extra(512, 256),  # conv9_2
        _extra(256, 256),  # conv10_2
        _extra(256, 256),  # conv11_2
        _extra(256, 256, kernel=4, stride=1),  # conv12_2
    ]
    shares = SCALES_512[scales]
    boxes = DefaultBoxes(
        scales=tuple(int(512 * share) / 512 for share in shares) if whole_pixels else shares,
        aspect_ratios=((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        steps=(8, 16, 32, 64, 128, 256, 512),
    )
    network = PublishedSSD("SSD512", extras, boxes, classes=classes, in_channels=in_channels)
    network.codec.suppression = suppression
    return network


def ssd(
    *,
    classes: int = 20,
    in_channels: int = 3,
    backbone: nn.Module | None = None,
    scales: Literal["voc", "coco"] = "voc",
    clip_sides: bool = False,
    size: int | tuple[int, int] = 300,
    strides: Sequence[int] | None = None,
    suppression: Method = "greedy",
) -> SSD:
    """SSD on a backbone, or without one SSD300 on VGG-16 as published.

    Args:
        classes: K, without background.
        in_channels: C.
        backbone: any network with maps of stride 8, 16 or 32; None: the paper's reduced VGG-16.
        scales: "voc" or "coco" (smaller boxes): sizes of the paper's default boxes.
        clip_sides: no default box has a side longer than the input's: torchvision's deviation.
        size: side, or (height, width), that the extra layers on a backbone lead down to 1x1; other inputs work too.
        strides: maps of the backbone to use; None: those of 8, 16 and 32 that it has. Without 8 there are no default
            boxes for small objects: of BCCD's platelets (18 x 24 pixels at 300) they cover 33 % by half, with it 50 %,
            and 94 % with the "coco" scales.
        suppression: "greedy" as published, or soft-NMS, "linear" or "gaussian".

    Raises:
        RecipeError: for unknown scales.
        TaskMismatchError: if the backbone lacks such maps.
    """
    if scales not in SCALES:
        raise RecipeError("SSD has no default boxes of this name", expected=" or ".join(SCALES), got=str(scales))
    if backbone is None:
        network: SSD = _ssd300(classes=classes, in_channels=in_channels, scales=SCALES[scales], clip_sides=clip_sides)
        network.codec.suppression = suppression
        return network
    chosen = _strides_for(backbone, strides)
    offered = channels_of(backbone, "SSD")
    sides = (size, size) if isinstance(size, int) else tuple(size)
    cells = math.ceil(max(sides) / chosen[-1])
    extra_count = math.ceil(math.log2(cells)) if cells > 1 else 0  # each halves, rounded up, until one cell is left
    depths = [offered[stride] for stride in chosen] + [512, 256, 256, 256, 256, 256, 256][:extra_count]
    last = len(chosen) - 1
    count = len(depths)
    ratios = tuple((2.0,) if level == 0 or level >= count - 2 else (2.0, 3.0) for level in range(count))
    smallest, largest = (0.2, 0.9) if scales == "voc" else (0.15, 0.9)  # sections 3.1 and 3.4
    network = SSD(
        backbone,
        strides=chosen,
        extras=[_extra(before, after) for before, after in pairwise(depths[last:])],
        depths=depths,
        default_boxes=DefaultBoxes(linear_scales(count, smallest, largest), ratios, (None,) * count, clip_sides),
        classes=classes,
        head=("extras", "class_heads", "box_heads"),
    )
    network.codec.suppression = suppression
    return network


def _strides_for(backbone: nn.Module, strides: Sequence[int] | None) -> tuple[int, ...]:
    if strides is None:
        strides = [stride for stride in (8, 16, 32) if stride in channels_of(backbone, "SSD")]
    return tuple(require_maps(backbone, strides or (8, 16, 32), "SSD"))

"""YOLO.

Redmon, Divvala, Girshick, Farhadi: You only look once: unified, real-time object detection, CVPR 2016
(arXiv:1506.02640), section 2 and figure 3; the released networks: yolov1.cfg, yolov1-tiny.cfg, detection_layer.c.

The image is a grid of S x S cells. In each the network answers once with the classes' probabilities, and B times with a
box and a confidence: how likely an object is, times how well the box fits it. The cell of an object's centre learns it,
through the one of its boxes that fits it best.

Editions. ``paper``: 24 convolutions, a dense layer of 4096, dropout, a dense layer; no BatchNorm: also the first
released one (yolo.cfg of November 2015, whose crop layer brings pixels to -1 to 1). ``darknet-small``: the small one of
that month, with a dense layer of 512 before that of 4096. ``darknet``: the network released since August 2016, with
BatchNorm, a locally connected layer of 256 channels for the first dense layer, and three boxes a cell;
``darknet-coco``: the same for COCO. The tiny form was released with nine convolutions and three dense layers, which is
the paper's Fast YOLO (``darknet-2015``, yolo-tiny.cfg), and since September 2016 with eight, BatchNorm and one dense
layer.

Letters: N images, C channels, K classes, S x S cells (7 x 7), B boxes a cell (2), A = S*S*B boxes, G objects. Sizes are
those of the only input, 448 x 448.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.yolo import YOLOv1Reader
from visus.errors import ShapeError
from visus.layers.leaky_convolution import SLOPE, LeakyConvolution
from visus.layers.locally_connected import LocallyConnected
from visus.models.backbone_maps import as_backbone, channels_of
from visus.models.classification.yolov1_classifier import YOLOv1Classifier, biased
from visus.models.detection.box_codec import BoxCodec
from visus.models.detection.box_targets import BoxTargets
from visus.models.protocols import Backbone
from visus.ops.boxes import box_iou
from visus.ops.matching import BACKGROUND, NEUTRAL
from visus.ops.prediction_grid import Grid, PredictionGrid, cell_grid
from visus.ops.suppression import Method

SIDE = 448
CELLS = 7
Boxes = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class YOLOv1Output(NamedTuple):
    """Raw outputs in the released networks' order: all cells' classes, then confidences, then boxes.

    Args:
        probabilities: [N,S*S,K], linear: the network learns them as they are.
        confidences: [N,S*S,B], linear.
        raw: [N,S*S,B,4]: the centre as shares of the cell, and the square roots of the sides as shares of the image.
        size: (height, width) of the input in pixels.
        cells: S.
    """

    probabilities: Tensor
    confidences: Tensor
    raw: Tensor
    size: tuple[int, int]
    cells: int

    def class_logits(self) -> Tensor:
        """[N,A,K]: equation 1, the class's probability times the box's confidence; not clamped, so with a gradient."""
        return (self.confidences.float()[..., None] * self.probabilities.float()[:, :, None]).flatten(1, 2)

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""
        return decode_boxes(self.raw.float(), self.size, self.cells).flatten(1, 2)


def decode_boxes(raw: Tensor, size: tuple[int, int], cells: int) -> Tensor:
    """raw [...,S*S,B,4] -> boxes [...,S*S,B,4] xyxy in pixels of an input of ``size`` (height, width)."""
    height, width = size
    number = torch.arange(cells * cells, device=raw.device)
    corner = torch.stack([number % cells, number // cells], -1)[:, None]  # [SS, 1, 2] column, row
    scale = raw.new_tensor([width, height])
    centres = (raw[..., :2] + corner) / cells * scale
    halves = raw[..., 2:] ** 2 * scale / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


def encode_boxes(boxes: Tensor, size: tuple[int, int], cells: int) -> tuple[Tensor, Tensor]:
    """The inverse: boxes [G,4] xyxy within the image -> the cells [G] int64 of their centres, and raw [G,4]."""
    scale = boxes.new_tensor([size[1], size[0]])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / scale * cells
    corner = centres.floor().clamp(0, cells - 1)  # a centre on the image's far edge is the last cell's
    roots = ((boxes[:, 2:] - boxes[:, :2]) / scale).sqrt()
    return (corner[:, 1] * cells + corner[:, 0]).long(), torch.cat([centres - corner, roots], dim=-1)


class YOLOv1Codec(BoxCodec):
    """The loss of YOLO, and the decoding of its outputs.

    Args:
        coord: lambda_coord, the weight of boxes (equation 3).
        noobj: lambda_noobj, the weight of confidences where there is no object (equation 3).
        confidence, overlap, suppression: of :class:`~visus.models.detection.box_codec.BoxCodec`; the first two are
            those of the authors' yolo.c where it writes down its answers to be judged.
    """

    def __init__(
        self,
        *,
        coord: float = 5.0,
        noobj: float = 0.5,
        confidence: float = 0.001,
        overlap: float = 0.5,
        suppression: Method = "greedy",
    ) -> None:
        super().__init__(confidence=confidence, overlap=overlap, suppression=suppression)
        self.coord = coord
        self.noobj = noobj

    def named_outputs(self, outputs: YOLOv1Output) -> dict[str, Tensor]:
        """ "probabilities" [N,S*S,K], "confidences" [N,S*S,B] and "boxes" [N,S*S,B,4]."""
        return {"probabilities": outputs.probabilities, "confidences": outputs.confidences, "boxes": outputs.raw}

    def reader(self, network: nn.Module) -> YOLOv1Reader:
        """What reads the outputs."""
        return YOLOv1Reader(self.selection)

    def reader_of(self, outputs: YOLOv1Output) -> YOLOv1Reader:
        """What reads the outputs."""
        return YOLOv1Reader(self.selection)

    def prediction_grid(self, outputs: YOLOv1Output) -> PredictionGrid:
        """The cells; YOLO's boxes have no shape before the network predicts one."""
        height, width = outputs.size
        step = (height / outputs.cells, width / outputs.cells)
        grid = Grid(outputs.cells, outputs.cells, outputs.confidences.shape[-1], step)
        return PredictionGrid(cell_grid(grid, outputs.raw.device), (grid,), compared="answer", name="cells")

    def assign(self, outputs: YOLOv1Output, encoded: Sequence[BoxTargets]) -> Tensor:
        """[N,A]: the index of the object that a box learns, -1 (background) or -2 (does not count).

        A cell learns one object: of several the first, through the box that overlaps it most. Cells of ignored objects
        alone say of their confidences what they like.
        """
        matches = torch.full(outputs.confidences.shape, BACKGROUND, device=outputs.raw.device)  # [N, SS, B]
        for n, targets in enumerate(encoded):
            cells, _ = encode_boxes(targets.boxes, outputs.size, outputs.cells)  # [G]
            chosen = _first_of_each(cells, ~targets.ignored)  # [M]
            chosen_cells = cells[chosen]
            with torch.no_grad():
                predicted = decode_boxes(outputs.raw[n].float(), outputs.size, outputs.cells)[chosen_cells]  # [M, B, 4]
                best = _responsible(predicted, targets.boxes[chosen], outputs.size)  # [M]
            matches[n, cells[targets.ignored]] = NEUTRAL
            matches[n, chosen_cells] = BACKGROUND
            matches[n, chosen_cells, best] = chosen
        return matches.flatten(1)

    def terms(self, outputs: YOLOv1Output, encoded: Sequence[BoxTargets]) -> dict[str, Tensor]:
        """ "box", "object" and "class": the terms of equation 3, sums over an image, means over the images.

        The confidence of the responsible box is to be its overlap with the object.

        Equation 3 has no factor of 1/2, and this loss has none: its gradients are twice those of the authors'
        detection_layer.c, which are target minus answer. So a step of theirs at the rate r is one at r / 2 here, with
        twice the weight decay (5e-3 and 1e-3 for the 1e-2 and 5e-4 of section 2.2).
        """
        matches = self.assign(outputs, encoded).view(outputs.confidences.shape)  # [N, SS, B]
        boxes, objects, classes = [], [], []
        for n, targets in enumerate(encoded):
            _, raw_targets = encode_boxes(targets.boxes, outputs.size, outputs.cells)  # [G, 4]
            cells, best = torch.nonzero(matches[n] >= 0, as_tuple=True)  # [M], [M]
            matched = matches[n, cells, best]  # [M]
            raw, confidences = outputs.raw[n].float(), outputs.confidences[n].float()  # [SS, B, 4], [SS, B]
            with torch.no_grad():
                predicted_boxes = decode_boxes(raw, outputs.size, outputs.cells)[cells, best]  # [M, 4]
                iou = box_iou(predicted_boxes, targets.boxes[matched]).diagonal()  # [M]
            boxes.append(self.coord * ((raw[cells, best] - raw_targets[matched]) ** 2).sum())
            empty = matches[n] == BACKGROUND
            responsible = ((confidences[cells, best] - iou) ** 2).sum()
            objects.append(responsible + self.noobj * (empty * confidences**2).sum())
            target_classes = F.one_hot(targets.labels[matched], outputs.probabilities.shape[-1])  # [M, K]
            classes.append(((outputs.probabilities[n, cells].float() - target_classes) ** 2).sum())
        terms = {"box": boxes, "object": objects, "class": classes}
        return {name: torch.stack(term).mean() for name, term in terms.items()}


def _first_of_each(cells: Tensor, counts: Tensor) -> Tensor:
    """Indices [M] of the first object of each cell, of those that count: cells [G], counts [G] bool."""
    first: dict[int, int] = {}
    for number, (cell, counted) in enumerate(zip(cells.tolist(), counts.tolist(), strict=True)):
        if counted:
            first.setdefault(cell, number)
    return torch.tensor(list(first.values()), dtype=torch.int64, device=cells.device)


def _responsible(predicted: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The index [M] of the predicted box in [M,B,4] that overlaps its object [M,4] most.

    Where none overlaps it, that of the nearest numbers, as in detection_layer.c.
    """
    overlaps = torch.stack(
        [box_iou(cell_boxes, box[None])[:, 0] for cell_boxes, box in zip(predicted, boxes, strict=True)]
        or [predicted.new_zeros(0, predicted.shape[1])]
    ).reshape(-1, predicted.shape[1])  # [M, B]
    scale = predicted.new_tensor([size[1], size[0]])

    def numbers(corners: Tensor) -> Tensor:
        low, high = corners[..., :2] / scale, corners[..., 2:] / scale
        return torch.cat([(low + high) / 2, high - low], -1)

    distance = ((numbers(predicted) - numbers(boxes)[:, None]) ** 2).sum(-1)  # [M, B]
    return torch.where(overlaps.amax(1) > 0, overlaps.argmax(1), distance.argmin(1))


class YOLOv1(nn.Module):
    """[N,C,448,448] -> :class:`YOLOv1Output`.

    Args:
        backbone: the convolutions whose maps ``features`` gives.
        rest: from the last of these maps to the answer's values [N, S*S*(K+5B)]; its last layer is dense.
        classes: K.
        boxes: B.
        codec: reads and writes the outputs.
    """

    def __init__(
        self,
        backbone: nn.Module,
        rest: nn.Sequential,
        *,
        classes: int,
        boxes: int,
        codec: YOLOv1Codec,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = channels_of(backbone, "YOLO")
        self.rest = rest
        self.head: tuple[str, ...] = (f"rest.{len(rest) - 1}",)
        self.classes = classes
        self.boxes = boxes
        self.codec = codec
        answer = rest[-1]
        if isinstance(answer, nn.Linear):
            nn.init.normal_(answer.weight, std=0.01)  # not stated; small, for the loss squares what it says
            nn.init.zeros_(answer.bias)

    def answer_widths(self, classes: int) -> dict[str, int]:
        """How many values the last layer gives for so many classes."""
        return {self.head[0]: CELLS**2 * (classes + 5 * self.boxes)}

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The only input (height, width)."""
        return SIDE, SIDE

    def features(self, images: Tensor) -> dict[int, Tensor]:
        size = (images.shape[2], images.shape[3])
        if size != (SIDE, SIDE):
            raise ShapeError(
                "YOLO's dense layers take images of one size",
                expected=f"{SIDE}x{SIDE}",
                got=f"{size[0]}x{size[1]}",
                remedy=f"use {SIDE}x{SIDE}, or YOLO v2, which takes any multiple of 32",
            )
        return cast(Backbone, self.backbone).features(images)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> YOLOv1Output:
        values = self.rest(features[max(features)])  # [N, SS(K+5B)]
        classes, confidences, boxes = values.split(
            [CELLS**2 * count for count in (self.classes, self.boxes, 4 * self.boxes)], dim=1
        )
        return YOLOv1Output(
            classes.unflatten(1, (CELLS**2, self.classes)),  # [N, SS, K]
            confidences.unflatten(1, (CELLS**2, self.boxes)),  # [N, SS, B]
            boxes.unflatten(1, (CELLS**2, self.boxes, 4)),  # [N, SS, B, 4]
            (SIDE, SIDE),
            CELLS,
        )

    def forward(self, images: Tensor) -> YOLOv1Output:
        return self.from_features(self.features(images), images.shape[-2:])


class TinyYOLOv1Backbone(nn.Module):
    """The six convolutions of yolov1-tiny.cfg between its poolings.

    [N,C,H,W] -> {1: [N,16,H,W], 2: [N,32,H/2,W/2] ... 32: [N,512,H/32,W/32]}.

    Args:
        in_channels: C.
        normalised: BatchNorm behind each convolution, instead of biases.
    """

    channels: Mapping[int, int] = {2**number: 16 * 2**number for number in range(6)}
    head: tuple[str, ...] = ()

    def __init__(self, in_channels: int, *, normalised: bool = True) -> None:
        super().__init__()
        convolution = LeakyConvolution if normalised else biased
        widths = (in_channels, *self.channels.values())
        layers: list[nn.Module] = []
        for before, width in pairwise(widths):
            layers += [convolution(before, width, 3), nn.MaxPool2d(2)]
        self.layers = nn.ModuleList(layers[:-1])

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps: dict[int, Tensor] = {}
        x = images
        for layer in self.layers:
            if isinstance(layer, nn.MaxPool2d):
                maps[2 ** len(maps)] = x
            x = layer(x)
        return {**maps, 32: x}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


def yolov1(
    *,
    classes: int,
    in_channels: int,
    end: Literal["dense", "local"] = "dense",
    hidden: Widths = (4096,),
    normalised: bool = False,
    boxes: Boxes = 2,
    dropout: Dropout = 0.5,
    suppression: Method = "greedy",
) -> YOLOv1:
    """YOLO.

    ``end``: the last hidden layers, dense ones or 256 locally connected maps. ``hidden``: widths of the dense ones.
    ``normalised``: BatchNorm behind each convolution, instead of biases. ``boxes``: B. ``dropout``: before the last
    layer. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".
    """
    convolution = LeakyConvolution if normalised else biased
    values = CELLS**2 * (classes + 5 * boxes)
    last: list[nn.Module]
    if end == "local":
        last = [LocallyConnected(1024, 256, 3, (CELLS, CELLS)), nn.LeakyReLU(SLOPE, inplace=True)]
        last += [nn.Dropout(dropout), nn.Flatten(), nn.Linear(256 * CELLS**2, values)]
    else:
        last = [nn.Flatten()]
        for before, width in pairwise((1024 * CELLS**2, *hidden)):
            last += [nn.Linear(before, width), nn.LeakyReLU(SLOPE, inplace=True)]
        last += [nn.Dropout(dropout), nn.Linear(hidden[-1], values)]
    rest = nn.Sequential(
        convolution(1024, 1024, 3),  # [N, 1024, 14, 14]
        convolution(1024, 1024, 3, 2),  # [N, 1024, 7, 7]
        convolution(1024, 1024, 3),
        convolution(1024, 1024, 3),
        *last,
    )
    backbone = as_backbone(YOLOv1Classifier(classes=1, in_channels=in_channels, normalised=normalised))
    return YOLOv1(backbone, rest, classes=classes, boxes=boxes, codec=YOLOv1Codec(suppression=suppression))


def yolov1_tiny(*, classes: int, in_channels: int, boxes: Boxes = 2, suppression: Method = "greedy") -> YOLOv1:
    """The released tiny form. ``boxes``: B. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian"."""
    rest = nn.Sequential(
        nn.MaxPool2d(2),  # [N, 512, 7, 7]
        LeakyConvolution(512, 1024, 3),
        LeakyConvolution(1024, 256, 3),
        nn.Flatten(),
        nn.Linear(256 * CELLS**2, CELLS**2 * (classes + 5 * boxes)),
    )
    codec = YOLOv1Codec(suppression=suppression)
    return YOLOv1(TinyYOLOv1Backbone(in_channels), rest, classes=classes, boxes=boxes, codec=codec)


def fast_yolo(
    *,
    classes: int,
    in_channels: int,
    boxes: Boxes = 2,
    dropout: Dropout = 0.5,
    suppression: Method = "greedy",
) -> YOLOv1:
    """Fast YOLO as released with the paper (yolo-tiny.cfg): nine convolutions, three dense layers, no BatchNorm.

    ``boxes``: B. ``dropout``: before the last layer. ``suppression``: "greedy", or soft-NMS, "linear" or "gaussian".
    """
    rest = nn.Sequential(
        nn.MaxPool2d(2),  # [N, 512, 7, 7]
        biased(512, 1024, 3),
        biased(1024, 1024, 3),
        biased(1024, 1024, 3),
        nn.Flatten(),
        nn.Linear(1024 * CELLS**2, 256),  # activation=linear
        nn.Linear(256, 4096),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Dropout(dropout),
        nn.Linear(4096, CELLS**2 * (classes + 5 * boxes)),
    )
    backbone = TinyYOLOv1Backbone(in_channels, normalised=False)
    return YOLOv1(backbone, rest, classes=classes, boxes=boxes, codec=YOLOv1Codec(suppression=suppression))

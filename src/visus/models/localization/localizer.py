"""Classification with localisation: a class and one box from one head, on any classifier.

Sermanet, Eigen, Zhang, Mathieu, Fergus, LeCun: OverFeat, ICLR 2014, arXiv:1312.6229, section 4.1: the classifier's last
layers are replaced by layers that give the four edges of a box, for all classes together or for each; Simonyan and
Zisserman, arXiv:1409.1556, appendix A, call these single-class and per-class regression. Here one head gives both
answers as A. Ng's course (2017) writes them: the vector [p_c, b_x, b_y, b_h, b_w, c_1 ... c_K], in which p_c says
whether there is an object at all, and boxes are fractions of the image: middle, height, width.

The layers between the backbone's last map and the vector are visus's own: 1x1 convolution, average over 7 x 7 cells
(which leaves other sizes of images possible), one hidden dense layer.

Letters: N images, C channels, H x W pixels, K classes, B boxes (1, or K), D the depth of the last map of h x w cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from visus.answers.localization import LocalizerReader
from visus.losses.localization import logistic_vector_loss, squared_vector_loss, to_fractions
from visus.models.backbone_maps import as_backbone, channels_of
from visus.models.classification.resnet import resnet18
from visus.models.codecs import ReaderCodec, arrays_of
from visus.models.protocols import Backbone
from visus.structures import Detections

Loss = Literal["logistic", "squared"]
Boxes = Literal["shared", "per_class"]
Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

CELLS = 7


class LocalizerOutput(NamedTuple):
    """Raw outputs.

    Args:
        vector: [N, 1 + 4B + K]: p_c, then (b_x, b_y, b_h, b_w) of each of B boxes, then a value a class.
        size: (height, width) of the input.
    """

    vector: Tensor
    size: tuple[int, int]


class VectorTargets(NamedTuple):
    """Target vectors of a batch: presence [N] 0 or 1, boxes [N,4] as fractions, labels [N], weights [N] 0 or 1."""

    presence: Tensor
    boxes: Tensor
    labels: Tensor
    weights: Tensor


class LocalizerCodec(ReaderCodec):
    """The loss of the vector, and its decoding.

    Args:
        classes: K.
        loss: "logistic" (logits of p_c and of the classes, smooth L1 for the box) or "squared" (the course's).
        boxes: "shared": one box; "per_class": one for each class, of which only the true class's learns.
    """

    def __init__(self, classes: int, *, loss: Loss, boxes: Boxes) -> None:
        self.classes = classes
        self.loss = loss
        self.boxes = boxes
        self._reader = LocalizerReader(classes, loss, boxes)

    def encode(self, targets: Sequence[Detections], device: torch.device) -> VectorTargets:
        """Encodes a batch's objects on the device; in an image with several, the largest counts.

        An image whose only objects are ignored has the weight 0.
        """
        rows = []
        for target in targets:
            ignored = np.zeros(len(target), bool) if target.ignored is None else target.ignored
            counted = target.select(~ignored)
            areas = (counted.boxes[:, 2:] - counted.boxes[:, :2]).clip(min=0).prod(1)
            if not len(counted) or not areas.max() > 0:
                rows.append((0.0, torch.full((4,), 0.5), 0, 0.0 if ignored.any() else 1.0))
                continue
            best = int(areas.argmax())
            box = to_fractions(torch.from_numpy(np.asarray(counted.boxes[best], np.float32)), target.size)
            rows.append((1.0, box, int(counted.labels[best]), 1.0))
        return VectorTargets(
            torch.tensor([row[0] for row in rows], device=device),
            torch.stack([row[1] for row in rows]).to(device),
            torch.tensor([row[2] for row in rows], device=device),
            torch.tensor([row[3] for row in rows], device=device),
        )

    def parts(self, outputs: LocalizerOutput) -> tuple[Tensor, Tensor, Tensor]:
        """Splits the vector: presence [N], boxes [N,B,4], classes [N,K]."""
        vector = outputs.vector.float()
        return vector[:, 0], vector[:, 1 : -self.classes].reshape(len(vector), -1, 4), vector[:, -self.classes :]

    def terms(self, outputs: LocalizerOutput, encoded: VectorTargets) -> dict[str, Tensor]:
        """ "presence", "box" and "class"."""
        presence, boxes, classes = self.parts(outputs)
        which = encoded.labels if self.boxes == "per_class" else torch.zeros_like(encoded.labels)
        chosen = boxes[torch.arange(len(boxes), device=boxes.device), which]  # [N, 4]
        function = squared_vector_loss if self.loss == "squared" else logistic_vector_loss
        target = (encoded.presence, encoded.boxes, encoded.labels)
        return function(presence, chosen, classes, target, encoded.weights)

    def decode(self, outputs: LocalizerOutput) -> list[Detections]:
        """Up to five guesses an image, the surest first, each with its class's box, clipped to the image."""
        return self._reader.read(arrays_of(self.named_outputs(outputs)), outputs.size)

    def named_outputs(self, outputs: LocalizerOutput) -> dict[str, Tensor]:
        """ "vector" [N, 1 + 4B + K]."""
        return {"vector": outputs.vector}

    def reader(self, network: nn.Module) -> LocalizerReader:
        """Reads the vector."""
        return self._reader


class Localizer(nn.Module):
    """[N,C,H,W] -> the vector of each image, for images of any size that the backbone takes.

    Args:
        backbone: whose deepest map is read.
        classes: K.
        loss, boxes: see :class:`LocalizerCodec`.
        width: values of the hidden dense layer, and channels before it.
        dropout: share of the hidden values that is dropped in training.
    """

    head: tuple[str, ...] = ("vector",)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int,
        loss: Loss,
        boxes: Boxes,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        offered = channels_of(backbone, "a localizer")
        self.stride = max(offered)
        self.backbone = backbone
        self.channels: Mapping[int, int] = {self.stride: offered[self.stride]}
        self.narrow = nn.Conv2d(offered[self.stride], width, 1)
        self.cells = nn.AdaptiveAvgPool2d(CELLS)
        self.hidden = nn.Linear(width * CELLS * CELLS, width)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        count = 1 if boxes == "shared" else classes
        self.vector = nn.Linear(width, 1 + 4 * count + classes)
        self.codec = LocalizerCodec(classes, loss=loss, boxes=boxes)
        for layer in (self.narrow, self.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.vector.weight, 0, 0.01)
        with torch.no_grad():  # a box in the middle, half as high and wide as the image
            self.vector.bias.zero_()
            self.vector.bias[1 : 1 + 4 * count] = 0.5

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {self.stride: cast(Backbone, self.backbone).features(images)[self.stride]}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> LocalizerOutput:
        height, width = size
        x = self.relu(self.narrow(features[self.stride]))  # [N, 256, h, w]
        x = self.cells(x).flatten(1)  # [N, 256 * 7 * 7]
        x = self.dropout(self.relu(self.hidden(x)))  # [N, 256]
        return LocalizerOutput(self.vector(x), (height, width))  # [N, 1 + 4 B + K]

    def forward(self, images: Tensor) -> LocalizerOutput:
        return self.from_features(self.features(images), images.shape[-2:])


def localizer(
    *,
    classes: int = 1000,
    in_channels: int = 3,
    backbone: nn.Module | None = None,
    loss: Loss = "logistic",
    boxes: Boxes = "shared",
    width: Width = 256,
    dropout: Share = 0.0,
) -> Localizer:
    """A class and one box, on ResNet-18 or another backbone.

    ``loss``: "logistic", or "squared" as in the course. ``boxes``: "shared" by all classes, or one "per_class".
    ``width``: values of the hidden layer. ``dropout``: share of them that is dropped in training.
    """
    if backbone is None:
        backbone = as_backbone(resnet18(classes=1, in_channels=in_channels, pooling="padded"))
    return Localizer(
        backbone,
        classes=classes,
        loss=loss,
        boxes=boxes,
        width=width,
        dropout=dropout,
    )

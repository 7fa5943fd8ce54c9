"""The toy's network: each cell of 8x8 pixels says whether an object's centre lies in it, its box, and its mask.

Letters: N images, K classes, A cells, M x M values of a mask.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visus.answers.selection import Selection
from visus.models.codecs import OnePassCodec
from visus.structures import Detections, Masks

STRIDE, SIDE = 8, 14


class Cells(NamedTuple):
    logits: Tensor  # [N, K, h, w]
    reach: Tensor  # [N, 4, h, w]: logarithms of the distances to the sides, in cells
    masks: Tensor  # [N, M * M, h, w]

    def class_logits(self) -> Tensor:
        return self.logits.flatten(2).transpose(1, 2)

    def boxes(self) -> Tensor:
        reach = self.reach.flatten(2).transpose(1, 2).clamp(-4, 4).exp() * STRIDE  # [N, A, 4]
        height, width = self.reach.shape[2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres = (torch.stack([columns, rows], -1).reshape(1, -1, 2) + 0.5) * STRIDE
        return torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], -1)


class ToyCodec(OnePassCodec):
    def encode(self, targets: Any, device: torch.device) -> Any:
        return targets

    def terms(self, outputs: Cells, encoded: Any) -> dict[str, Tensor]:
        wanted = torch.zeros_like(outputs.logits)
        weight = torch.ones_like(wanted)
        boxes, grids = [], []
        height, width = wanted.shape[2:]
        for n, target in enumerate(encoded):
            ignored = np.zeros(len(target), bool) if target.ignored is None else target.ignored
            for i, (box, label) in enumerate(zip(target.boxes, target.labels.tolist(), strict=True)):
                x, y = ((box[:2] + box[2:]) / 2 // STRIDE).astype(int)
                x, y = min(int(x), width - 1), min(int(y), height - 1)
                (weight if ignored[i] else wanted)[n, label, y, x] = 0.0 if ignored[i] else 1.0
                if ignored[i]:
                    continue
                centre = (np.asarray([x, y]) + 0.5) * STRIDE
                reach = np.concatenate([centre - box[:2], box[2:] - centre]) / STRIDE
                boxes.append(outputs.reach[n, :, y, x] - torch.from_numpy(reach.clip(0.05).astype(np.float32)).log())
                x1, y1, x2, y2 = box.tolist()
                rows = (np.linspace(y1, y2, SIDE * 2 + 1)[1::2]).astype(int).clip(0, target.size[0] - 1)
                columns = (np.linspace(x1, x2, SIDE * 2 + 1)[1::2]).astype(int).clip(0, target.size[1] - 1)
                mask = torch.from_numpy(target.masks[i][rows][:, columns].astype(np.float32))
                grids.append(F.binary_cross_entropy_with_logits(outputs.masks[n, :, y, x], mask.flatten()))
        nothing = outputs.logits.sum() * 0
        loss = F.binary_cross_entropy_with_logits(outputs.logits, wanted, weight, reduction="sum")
        return {
            "class": loss / max(len(boxes), 1),
            "box": torch.stack(boxes).abs().mean() if boxes else nothing,
            "mask": torch.stack(grids).mean() if grids else nothing,
        }

    def decode(self, outputs: Cells) -> list[Detections]:
        size = (outputs.logits.shape[2] * STRIDE, outputs.logits.shape[3] * STRIDE)
        answers = []
        grids = outputs.masks.flatten(2).transpose(1, 2).sigmoid()  # [N, A, M * M]
        for boxes, logits, masks in zip(outputs.boxes(), outputs.class_logits(), grids, strict=True):
            kept = Selection(confidence=0.02, overlap=0.5, candidates=50, keep=30).among(
                boxes.numpy(force=True), logits.sigmoid().numpy(force=True), size
            )
            clipped = boxes.clamp(min=0, max=max(size))
            cells = [int((clipped - box).abs().sum(1).argmin()) for box in torch.from_numpy(kept.boxes)]
            crops = tuple(masks[cell].reshape(SIDE, SIDE).numpy(force=True) for cell in cells)
            answers.append(
                Detections(
                    tuple(str(k) for k in range(logits.shape[1])),
                    kept.boxes,
                    kept.labels,
                    size,
                    scores=kept.scores,
                    masks=Masks(crops, kept.boxes.astype(np.float64), size),
                )
            )
        return answers


class ToyInstances(nn.Module):
    head = ("classes",)

    def __init__(self, classes: int, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((in_channels, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
        self.classes = nn.Conv2d(32, classes, 1)
        self.reach = nn.Conv2d(32, 4, 1)
        self.masks = nn.Conv2d(32, SIDE * SIDE, 1)
        self.codec = ToyCodec()
        nn.init.constant_(self.classes.bias, -3.0)
        self.channels = {STRIDE: 32}

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {STRIDE: self.body(images)}

    def from_features(self, features: dict[int, Tensor], size: Any) -> Cells:
        values = features[STRIDE]
        return Cells(self.classes(values), self.reach(values), self.masks(values))

    def forward(self, images: Tensor) -> Cells:
        return self.from_features(self.features(images), images.shape[2:])


def build(*, classes: int, in_channels: int) -> nn.Module:
    return ToyInstances(classes, in_channels)

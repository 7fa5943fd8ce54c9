"""Detection: boxes with their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from visus.data.augmentation.preparing import Prepared
from visus.errors import TaskMismatchError
from visus.metrics.detection import DetectionMetric
from visus.models.protocols import Codec
from visus.structures import Batch, Detections
from visus.tasks.options import LossOptions
from visus.tasks.stacking import stack_images
from visus.tasks.task import PrimaryMetric, quality_by


class DetectorOutputs(Protocol):
    """What any detector's raw outputs can be asked, so that a prediction can be traced back to them."""

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logits of K classes for A boxes."""

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels."""


class Detection:
    """Boxes with their classes; every network's own reading of its outputs is its codec's.

    Args:
        classes: names of the K classes, without background.
        loss: must be at its defaults, for detection has no choices inside its loss.

    Raises:
        RecipeError: if ``loss`` has a choice of another task.
    """

    name = "detection"
    primary = PrimaryMetric("map50", "mAP at IoU 0.5")

    def __init__(self, classes: tuple[str, ...], loss: LossOptions | None = None) -> None:
        self.classes = classes
        (loss or LossOptions()).require_only(self.name, ())

    def collate(self, prepared: Sequence[Prepared]) -> Batch:
        """images [N,C,H,W] uint8; targets a list of N Detections in network pixels, or None for unlabelled images.

        Raises:
            ShapeError: if the images are not of one size.
        """
        targets = [item.target for item in prepared]
        labelled = all(target is not None for target in targets)
        return Batch(
            images=stack_images(prepared),  # [N, C, H, W]
            targets=targets if labelled else None,
            placements=[item.placement for item in prepared],
            ids=[item.id for item in prepared],
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The terms of the network's codec; finite, and differentiable, without a single object too."""
        codec = _codec(model)
        outputs = model(batch.images)
        return codec.losses(outputs, codec.encode(batch.targets, batch.images.device))

    def predict(self, model: nn.Module, batch: Batch) -> list[Detections]:
        """N Detections in network pixels, best object first."""
        found: list[Detections] = _codec(model).decode(model(batch.images))
        return [replace(detections, classes=self.classes) for detections in found]

    def metrics(self) -> DetectionMetric:
        """A fresh metric."""
        return DetectionMetric(self.classes)

    def image_quality(self, prediction: Any, truth: Any) -> float:
        """The mAP at IoU 0.5 of one image, without kinds of errors."""
        return quality_by(DetectionMetric(self.classes, errors=False), self.primary, prediction, truth)

    def score(self, model: nn.Module, outputs: DetectorOutputs, prediction: Sequence[Any]) -> Tensor:  # noqa: ARG002
        """[N]: how strongly the network speaks for the objects that were predicted.

        For each object this is the logit of its class at the raw box that overlaps it most (boxes that survived
        suppression are among the raw ones, up to clipping); the objects of an image are summed, each weighted by its
        probability. An image without predicted objects is scored by its largest class logit: what came nearest.
        """
        logits, boxes = outputs.class_logits(), outputs.boxes().detach()  # [N, A, K], [N, A, 4]
        totals = []
        for image_logits, image_boxes, value in zip(logits, boxes, prediction, strict=True):
            if len(value) == 0:
                totals.append(image_logits.amax())
                continue
            wanted = torch.from_numpy(value.boxes).to(image_boxes)
            labels = torch.from_numpy(value.labels).to(image_boxes.device)
            height, width = value.size
            limits = image_boxes.new_tensor([width, height, width, height])
            nearest = box_iou(wanted, image_boxes.clamp(min=0).minimum(limits)).argmax(1)  # [objects]
            weights = torch.ones(len(value)) if value.scores is None else torch.from_numpy(value.scores)
            totals.append((image_logits[nearest, labels] * weights.to(image_logits)).sum())
        return torch.stack(totals)


def _codec(model: nn.Module) -> Codec:
    codec = getattr(model, "codec", None)
    if codec is None:
        raise TaskMismatchError(
            f"{type(model).__name__} does not answer with boxes",
            expected="a detector",
            got="a network without a codec",
            remedy="visus models --task detection lists the detectors",
        )
    return cast(Codec, codec)
